"""Write files atomically: readers see the old content or the new, never a part. `executor.convert.readers` reads."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


@contextlib.contextmanager
def open_atomic(path: Path) -> Iterator[IO[str]]:
    """Open a temporary text file that replaces `path` at the end; after an error `path` is unchanged."""
    descriptor, temporary = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, content: Any) -> None:
    """Write one indented JSON value."""
    with open_atomic(path) as file:
        file.write(json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def check_output(path: Path) -> None:
    """Check before a long job that its output file can be written.

    Raises:
        ValueError: the path is a directory, or its directory does not exist.
    """
    if path.is_dir():
        raise ValueError(f"--output: {path} is a directory; give a file")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"--output: no directory {path.absolute().parent}")
