"""Atoms of the topic grids."""
