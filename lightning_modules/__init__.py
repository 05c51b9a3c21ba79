"""Models, objectives and Lightning modules: supervised fine-tuning, PPO and evaluation."""
