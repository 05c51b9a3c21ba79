"""Atoms of the topic number_theory."""
