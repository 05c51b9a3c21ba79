"""Atoms of the topic strings."""
