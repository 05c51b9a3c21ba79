"""Files and directories that appear complete or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replace_atomically(target: Path) -> Iterator[Path]:
    """Yield a hidden path next to `target` to write to, and rename it to `target` at the end of the block.

    The block creates a file or a directory there. After an exception `target` is unchanged and nothing else is left.
    A file replaces an existing one; a directory replaces none that holds anything.

    Raises:
        OSError: `target` cannot be replaced, for example by a directory where another one exists.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.tmp-{os.getpid()}")
    try:
        yield unfinished
        unfinished.replace(target)
    finally:
        if unfinished.is_dir():
            shutil.rmtree(unfinished, ignore_errors=True)
        else:
            unfinished.unlink(missing_ok=True)
