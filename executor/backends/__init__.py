"""Sandboxes: each backend is one class behind the protocol in `executor.api`."""
