"""Reinforcement learning: its settings, one iteration (`rollout.py`), rollouts and objectives."""
