"""What runs at the operator: rounds, checkpoints, published models. It never sees a history."""
