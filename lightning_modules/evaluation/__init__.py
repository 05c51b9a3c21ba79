"""Evaluation: sample, grade, estimate pass@k with intervals."""
