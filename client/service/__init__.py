"""What the person behind a device sees, and what an app beside it calls: a page and gRPC, on this machine alone."""
