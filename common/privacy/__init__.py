"""User-level differential privacy: the plan, its accounting, its noise, and the ledger of what was released."""
