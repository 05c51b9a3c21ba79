"""Composition trees: sampling, normal forms, source code."""
