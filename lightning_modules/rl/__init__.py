"""Reinforcement learning: rollouts, advantages, losses."""
