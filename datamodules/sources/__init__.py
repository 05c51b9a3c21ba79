"""Tasks from outside the synthesis: task files, benchmarks and completions, with decontamination."""
