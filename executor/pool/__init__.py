"""Warm sandboxes and the programs that wait for them."""
