"""TODO cli/evaluation."""
