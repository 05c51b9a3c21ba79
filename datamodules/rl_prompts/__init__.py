"""Sources of prompts for reinforcement learning: stored tasks, or fresh ones in every iteration."""
