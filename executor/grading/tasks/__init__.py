"""Task rows: from a row of a file, a request or a data set to a `Task`, and back."""

from executor.grading.tasks.rows import (
    TASK_KEYS,
    choose_check_profile,
    parse_entry_point,
    parse_profile,
    parse_task,
    task_to_row,
)

__all__ = ["TASK_KEYS", "choose_check_profile", "parse_entry_point", "parse_profile", "parse_task", "task_to_row"]
