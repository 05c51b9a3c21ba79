"""Rollouts of RL: sampling, grading, records, minibatches, metrics."""
