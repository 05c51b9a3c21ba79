"""Parts of `executor.grading.extract`: Markdown fences, prose, prompts that begin the program, and safe parsing."""
