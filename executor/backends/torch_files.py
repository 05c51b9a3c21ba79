"""Which files of this Python a sandbox with torch needs: torch, numpy and what they depend on, and nothing else.

Not all of site-packages: a benchmark's package may hold the solutions of its tasks. Nothing is imported here.
"""

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

_ROOTS = ("torch", "numpy")
_EXTRA = re.compile(r";.*\bextra\s*==")
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def torch_files() -> dict[str, Path]:
    """Find the folders and modules to show in a sandbox: name in the folder of packages to place on this machine.

    Raises:
        ValueError: torch is not installed for this Python.
    """
    found: dict[str, Distribution] = {}
    waiting = list(_ROOTS)
    while waiting:
        name = waiting.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found:
            continue
        try:
            found[key] = distribution(name)
        except PackageNotFoundError:
            if name == "torch":
                raise ValueError("profile torch: torch is not installed for this Python") from None
            continue  # for another system, or numpy, without which torch works
        waiting += [_NAME.match(line).group() for line in found[key].requires or [] if not _EXTRA.search(line)]  # pyright: ignore[reportOptionalMemberAccess]
    return {name: place for package in found.values() for name, place in _top_level(package).items()}


def _top_level(package: Distribution) -> dict[str, Path]:
    """List what a distribution put beside other packages, its own records left out."""
    found = {}
    for file in package.files or []:
        name = file.parts[0]
        if name not in ("..", "__pycache__") and not name.endswith((".dist-info", ".pth")):
            found[name] = Path(str(package.locate_file(name)))
    return found
