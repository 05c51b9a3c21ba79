"""Atoms of the topic bits."""
