"""`atomforge evaluate`: plan, run, store, report."""
