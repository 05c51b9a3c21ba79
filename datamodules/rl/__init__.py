"""Reinforcement learning data: prompts, stored or fresh, their reward tests, and the loader of an iteration."""
