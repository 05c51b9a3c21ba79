"""What a run writes: metrics and their tags, the layout of the curves, rollouts, and the record of the machine."""
