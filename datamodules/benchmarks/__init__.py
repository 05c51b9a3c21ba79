"""Public benchmarks as evaluation tasks."""
