"""Which names of the standard library are missing on macOS, according to typeshed; and the variables to simulate it."""

import json
import os
import sys
from pathlib import Path

from typeshed_client import get_search_context, get_stub_names

MODULES = ("os", "posix", "select", "selectors", "signal", "_signal", "socket", "_socket", "resource", "fcntl", "time")


def list_missing_names(module: str) -> set[str]:
    """List the public names of a module that exist on Linux and not on macOS."""
    declared = "signal" if module == "_signal" else module
    linux, macos = (
        get_stub_names(
            declared, search_context=get_search_context(search_path=[], version=sys.version_info[:2], platform=platform)
        )
        for platform in ("linux", "darwin")
    )
    assert linux, module
    return set(linux) - set(macos or ())


def simulate_macos(folder: Path) -> dict[str, str]:
    """Return the environment in which Python programs look as on macOS; `folder` is for a file of the simulation."""
    names = folder / "missing_on_macos.json"
    names.write_text(json.dumps({module: sorted(list_missing_names(module)) for module in MODULES}))
    here = Path(__file__).resolve().parent
    path = os.pathsep.join((str(here), str(here.parents[2])))
    return os.environ | {"PYTHONPATH": path, "MISSING_ON_MACOS": str(names), "OMP_NUM_THREADS": "1"}
