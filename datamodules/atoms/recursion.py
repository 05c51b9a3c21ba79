"""Atoms of the topic recursion."""
