"""Write JSON files so that they appear whole or not at all. `executor.convert.readers` reads them."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


@contextlib.contextmanager
def open_atomic(path: Path) -> Iterator[IO[str]]:
    """Open a text file beside the target, which it replaces at the end; on any error the target stays as it was."""
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
    """Check that a file can be written there, before the work that it is to hold.

    Raises:
        ValueError: the path is a folder, or its folder does not exist.
    """
    if path.is_dir():
        raise ValueError(f"--output: {path} is a folder; name a file")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"--output: there is no folder {path.absolute().parent}")
