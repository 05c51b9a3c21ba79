"""Contestants of `benchmarks/training.py`: each file runs in a process of its own and prints one line of JSON."""
