"""Reference results, probes for equal behaviour, and reasons to reject a composition."""
