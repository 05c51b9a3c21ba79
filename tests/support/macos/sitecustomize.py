"""Shows macOS to the packages of the project, as far as Linux can: `names.simulate_macos` puts it on PYTHONPATH.

They see `sys.platform == "darwin"`, neither /proc nor /sys, and no name that the standard library lacks on macOS;
processes are spawned, not forked. All other packages see Linux, for which they were installed. Workers in sandboxes
start without site packages, so they stay on Linux, as they do under Docker Desktop.
"""

import ctypes
import importlib
import json
import multiprocessing
import os
import platform
import sys
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("cli", "configs", "datamodules", "executor", "lightning_modules")
PATHS = tuple(f"{ROOT}/{name}/" for name in PACKAGES)
MACOS = {"platform": "darwin", "system": lambda: "Darwin", "machine": lambda: "arm64"}


def is_of_the_project(frame: FrameType | None) -> bool:
    """Whether the code of a frame belongs to the project, or is pathlib at work for it."""
    while frame is not None and "pathlib" in frame.f_code.co_filename:
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(PATHS)


def hide(module: ModuleType, names: set[str]) -> None:
    """Replace names of a module by those of `MACOS`, or by nothing, for the project alone."""
    values = {name: vars(module).pop(name) for name in names & set(vars(module))}

    def look_up(name: str) -> Any:
        seen = MACOS if is_of_the_project(sys._getframe(1)) else values
        if name not in seen or name not in values:
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        return seen[name]

    module.__getattr__ = look_up  # type: ignore[method-assign]


def hide_linux_files(event: str, arguments: tuple) -> None:
    """Raise where the project opens a file of the kernel."""
    if event == "open" and str(arguments[0]).startswith(("/proc/", "/sys/")) and is_of_the_project(sys._getframe(1)):
        raise FileNotFoundError(2, "No such file or directory", str(arguments[0]))


class LibcWithoutPrctl(ctypes.CDLL):
    """The C library of macOS has no `prctl`."""

    def __getattr__(self, name: str) -> Any:
        if name == "prctl":
            raise AttributeError(f"dlsym(RTLD_DEFAULT, {name}): symbol not found")
        return super().__getattr__(name)


multiprocessing.set_start_method("spawn")
for module_name, missing in json.loads(Path(os.environ["MISSING_ON_MACOS"]).read_text()).items():
    hide(importlib.import_module(module_name), set(missing))
hide(platform, {"system", "machine"})
hide(sys, {"platform"})
ctypes.CDLL = LibcWithoutPrctl
sys.addaudithook(hide_linux_files)
