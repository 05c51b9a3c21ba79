"""Sandbox backends: each is one class with the interface `executor.backends.base.Backend`."""
