"""Atoms of the topic mappings."""
