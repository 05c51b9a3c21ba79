"""Objectives of RL, as pure functions: advantages, policy losses, KL, entropy, importance weights."""
