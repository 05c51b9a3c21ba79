"""GPUs of sandboxes: their discovery, memory limit and canary."""
