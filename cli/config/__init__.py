"""TODO cli/config."""
