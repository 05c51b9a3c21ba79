"""Tests in rings: unit, contract, sandbox, cluster."""
