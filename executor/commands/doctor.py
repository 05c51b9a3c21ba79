"""`doctor`: check what the executor needs on this machine, and print a fix for what is missing.

Nothing is installed and nothing is changed. Sandboxes are checked by running a program in them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from executor.commands.errors import one_line
from executor.machine import count_cores, format_install_command, is_linux

if TYPE_CHECKING:
    from rich.console import Console

MIN_DISK_GIB = 5
MIN_MEMORY_GIB = 4
PACKAGES = ("docker", "httpx", "psutil", "pydantic")
SERVICE_PACKAGES = ("fastapi", "uvicorn", "prometheus-client")


class Level(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    MISSING = "missing"
    """Some feature is slower or unavailable."""
    BROKEN = "broken"
    """Nothing works without it."""


_SYSCTLS = Path("/proc/sys")
_MACHINES = ("x86_64", "aarch64", "arm64")
"""Processors that the sandboxes have a seccomp filter for, as `platform.machine` spells them on Linux and macOS."""
_NAMESPACE_SETTINGS = {
    "kernel/apparmor_restrict_unprivileged_userns": ("1", "0"),  # Ubuntu 24.04 and later
    "kernel/unprivileged_userns_clone": ("0", "1"),  # Debian's kernels
    "user/max_user_namespaces": ("0", "15000"),
}
"""Below `_SYSCTLS`: the value that forbids user namespaces, and one that permits them."""
_STYLES = {Level.OK: "green", Level.MISSING: "yellow", Level.BROKEN: "bold red"}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Result of one check."""

    name: str
    level: Level
    detail: str
    fix: str = ""
    """A command or an instruction; empty if nothing needs to be fixed."""


def add_parser(subparsers: Any) -> None:
    """Add the `doctor` subcommand to an argparse subparsers object."""
    parser = subparsers.add_parser(
        "doctor",
        help="check what works on this machine",
        description="Check what works on this machine and print a fix for what does not. The exit code is 1 if a "
        "required part is broken.",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON line per finding")


def run(args: argparse.Namespace) -> int:
    """Check what the executor needs; returns 1 if programs cannot be run."""
    return show_findings(check_executor(), as_json=args.json)


def show_findings(findings: Iterable[Finding], *, as_json: bool) -> int:
    """Print every finding as soon as it is made; returns 1 if one of them is broken."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    is_broken = False
    for finding in findings:
        is_broken |= finding.level is Level.BROKEN
        if as_json:
            print(json.dumps(asdict(finding)), flush=True)
        else:
            _show(console, finding)
    return 1 if is_broken else 0


def check_executor() -> Iterator[Finding]:
    """Check the interpreter, the packages, the machine and the sandboxes."""
    yield check_python()
    yield check_system()
    for name in PACKAGES:
        yield check_package(name, fix="pip install atomforge-executor")
    for name in SERVICE_PACKAGES:
        yield check_package(name, fix="pip install 'atomforge-executor[serve]'", level=Level.MISSING)
    yield Finding(name="cores", level=Level.OK, detail=f"{count_cores()} of {os.cpu_count()} may be used")
    yield check_memory()
    yield check_disk(Path.cwd())
    sandboxes = [check_sandbox(name) for name in ("bubblewrap", "docker")]
    yield from sandboxes
    if not any(found.level is Level.OK for found in sandboxes):
        detail = "no sandbox works: programs cannot be run"
        yield Finding(
            name="sandbox",
            level=Level.BROKEN,
            detail=detail,
            fix=next((found.fix for found in sandboxes if found.fix), ""),
        )


def check_python() -> Finding:
    """Check the version of the interpreter."""
    detail = f"{platform.python_version()} ({sys.executable})"
    if (3, 11) <= sys.version_info[:2] <= (3, 14):
        return Finding(name="python", level=Level.OK, detail=detail)
    return Finding(name="python", level=Level.BROKEN, detail=detail, fix="install Python 3.11, 3.12, 3.13 or 3.14")


def check_system() -> Finding:
    """Check the operating system and the kind of processor."""
    system, machine = platform.system(), platform.machine()
    detail = f"{system} {platform.release()}, {machine}"
    if system not in ("Linux", "Darwin"):
        return Finding(name="system", level=Level.BROKEN, detail=detail, fix="use Linux, macOS, or WSL 2 on Windows")
    if machine not in _MACHINES:
        detail += "; untested, and the sandboxes have no seccomp filter"
        return Finding(name="system", level=Level.MISSING, detail=detail)
    return Finding(name="system", level=Level.OK, detail=detail)


def check_package(name: str, *, fix: str, level: Level = Level.BROKEN) -> Finding:
    """Check that a package is installed; `level` and `fix` are those of a missing one."""
    try:
        return Finding(name=name, level=Level.OK, detail=version(name))
    except PackageNotFoundError:
        return Finding(name=name, level=level, detail="not installed", fix=fix)


def check_memory() -> Finding:
    """Check the free memory."""
    import psutil

    free, total = psutil.virtual_memory().available / 2**30, psutil.virtual_memory().total / 2**30
    detail = f"{free:.0f} of {total:.0f} GiB free"
    if free >= MIN_MEMORY_GIB:
        return Finding(name="memory", level=Level.OK, detail=detail)
    fix = f"close programs: {MIN_MEMORY_GIB} GiB are recommended"
    return Finding(name="memory", level=Level.MISSING, detail=detail, fix=fix)


def check_disk(path: Path) -> Finding:
    """Check the free space below a directory."""
    free = shutil.disk_usage(path).free / 2**30
    detail = f"{free:.0f} GiB free below {path}"
    if free >= MIN_DISK_GIB:
        return Finding(name="disk", level=Level.OK, detail=detail)
    fix = f"free some space: {MIN_DISK_GIB} GiB are recommended"
    return Finding(name="disk", level=Level.MISSING, detail=detail, fix=fix)


def check_sandbox(name: str) -> Finding:
    """Check a sandbox, docker or bubblewrap, by running a program in it."""
    try:
        return Finding(name=name, level=Level.OK, detail=f"runs programs: {try_sandbox(name)}")
    except ValueError as error:
        reason = one_line(str(error))
        return Finding(name=name, level=Level.MISSING, detail=reason, fix=_fix_sandbox(name, reason))


def try_sandbox(name: str) -> str:
    """Open a sandbox, which runs a program, and describe it.

    Raises:
        ValueError: it does not work here.
    """
    from executor.api import open_executor

    with open_executor(name, num_workers=1) as executor:
        return str(executor.description)


def _fix_sandbox(name: str, reason: str) -> str:
    """Return the one command after which the sandbox works, or the next reason is reported."""
    if name == "bubblewrap":
        if not is_linux():
            return ""
        return format_install_command(["bubblewrap"]) if shutil.which("bwrap") is None else _fix_namespaces()
    if "atomforge-executor build" in reason:
        return "atomforge-executor build"
    if shutil.which("docker") is None and shutil.which("dockerd") is None:
        return format_install_command(["docker"])
    if "no permission" in reason:
        return "sudo usermod -aG docker $USER && newgrp docker"
    return "sudo systemctl enable --now docker" if is_linux() else "open -a Docker"


def _fix_namespaces() -> str:
    for name, (forbidden, permitted) in _NAMESPACE_SETTINGS.items():
        path = _SYSCTLS / name
        if path.is_file() and path.read_text().strip() == forbidden:
            return f"sudo sysctl -w {name.replace('/', '.')}={permitted}"
    return "run as root, or use Docker"


def _show(console: Console, finding: Finding) -> None:
    from rich.markup import escape

    style = _STYLES[finding.level]
    console.print(f"[{style}]{finding.level:<8}[/] {finding.name:<17} {escape(finding.detail)}")
    if finding.fix:
        console.print(f"{'':<26} [bold]{escape(finding.fix)}[/]")
