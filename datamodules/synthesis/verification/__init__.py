"""Runs candidates in the sandbox: reference results, behaviour fingerprints, and reasons for rejection."""
