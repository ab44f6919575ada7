"""Many runs from one file: a grid of settings, worker processes, and one table of results."""
