"""Facts about this machine: its cores, and the command that installs a system package on it.

Nothing is run or installed here. Names of packages are those of Debian, Fedora, Arch Linux and Homebrew.
"""

import os
import shutil
import sys
from collections.abc import Sequence

_INSTALL = {
    "apt-get": "sudo apt-get install -y",
    "dnf": "sudo dnf install -y",
    "pacman": "sudo pacman -S --needed",
    "brew": "brew install",
}
"""Command by package manager, in the order in which they are looked for."""
_NAMES = {
    "docker": {"apt-get": "docker.io", "dnf": "moby-engine", "pacman": "docker", "brew": "--cask docker-desktop"},
}
"""Names of packages that are not called the same everywhere."""


def is_linux() -> bool:
    """Return whether the kernel is Linux. Sandboxes run on Linux; elsewhere Docker Desktop provides it."""
    return sys.platform == "linux"


def count_cores() -> int:
    """Count the cores that this process may use; where that is unknown (macOS), those of the machine."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def format_install_command(packages: Sequence[str]) -> str:
    """Return the one command that installs system packages on this machine.

    Args:
        packages: `bubblewrap` or `docker`.
    """
    manager = next((name for name in _INSTALL if shutil.which(name) is not None), None)
    if manager is None:
        return f"install {' and '.join(packages)} with the package manager of this system"
    names = (_NAMES.get(package, {}).get(manager, package) for package in packages)
    return f"{_INSTALL[manager]} {' '.join(names)}"
