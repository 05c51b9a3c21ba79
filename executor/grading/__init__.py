"""From a completion to an outcome, on the trusted side: extraction, comparison, rewards, pass@k."""
