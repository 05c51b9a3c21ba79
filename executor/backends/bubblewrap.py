"""bubblewrap: the worker as process 1 of its own namespaces, with a read-only system and no network.

As root every sandbox has a user id of its own, drawn at random; as an ordinary user it has a user namespace. Both
have a seccomp program. A shared kernel stays the boundary: see `executor/README.md`.
"""

import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

from executor.backends.base import (
    MAX_PROCESSES,
    SANDBOX_DIR,
    SCRATCH_BYTES,
    UIDS,
    ProcessSandbox,
    interpreter,
    worker_command,
)
from executor.backends.profiles import PROFILE_PARTS, ProfileParts
from executor.backends.seccomp import boxed_seccomp_program

_APP = "/app"
_SCRATCH = "/tmp"
_PRIVATE = "/private"
_PROBE_TIMEOUT_S = 20.0
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_PROCESSOR = ("/proc/cpuinfo", "/sys/devices/system/cpu")
_SYSTEM_LINKS = ("/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin")
_WORKER_CAPABILITIES = ("CAP_SETUID", "CAP_SETGID", "CAP_KILL")


class BubblewrapBackend:
    """Starts sandboxes with `bwrap`.

    Raises:
        ValueError: there is no `bwrap` to be found.
    """

    name = "bubblewrap"

    def __init__(self, *, hash_seed: int = 0, profile: str = "cpu"):
        program = shutil.which("bwrap")
        if program is None:
            raise ValueError("bubblewrap is not installed (Debian, Fedora, Arch: package `bubblewrap`)")
        self._bwrap = program
        self._hash_seed = hash_seed
        self._profile = PROFILE_PARTS[profile]()
        self._seccomp = boxed_seccomp_program()
        self._as_root = _is_full_root()
        self._has_proc = self._can_mount_proc()
        who = "a user id of its own" if self._as_root else "a user namespace of its own"
        filtered = "seccomp" if self._seccomp else "NO seccomp on this kind of machine"
        timed = "" if self._has_proc else "CPU time of the first process only (no procfs can be mounted here), "
        self.description = (
            f"bubblewrap: no network, read-only system, {who}, {filtered}, {timed}one process a program; "
            f"{self._profile.note}the kernel is shared"
        )

    def with_profile(self, profile: str) -> "BubblewrapBackend":
        return BubblewrapBackend(hash_seed=self._hash_seed, profile=profile)

    def start(self) -> ProcessSandbox:
        box = {
            "uid": secrets.choice(UIDS) if self._as_root else None,
            "max_processes": MAX_PROCESSES,
            "scratch": _SCRATCH,
            "owns_namespace": True,
            "seccomp": self._seccomp,
            "proc": f"{_PRIVATE}/proc" if self._has_proc else None,
            "cgroup": False,
            "oom_score_adj": None,
            **self._profile.box,
        }
        command = self._command(worker_command(f"{_APP}/sandbox", box), with_proc=self._has_proc)
        return ProcessSandbox(command, hash_seed=self._hash_seed)

    def close(self) -> None:
        """Nothing is held."""

    def _can_mount_proc(self) -> bool:
        """Whether the kernel allows a procfs; in containers that hide parts of their own it does not."""
        command = self._command([str(interpreter()), "-I", "-S", "-c", ""], with_proc=True)
        try:
            return subprocess.run(command, capture_output=True, timeout=_PROBE_TIMEOUT_S, cwd="/").returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            return False

    def _command(self, program: list[str], *, with_proc: bool) -> list[str]:
        return [
            self._bwrap,
            *_namespaces(self._as_root),
            *_file_system(),
            *_bound(self._profile),
            *(_private_proc() if with_proc else ()),
            *("--remount-ro", "/"),
            *("--clearenv", "--setenv", "PYTHONHASHSEED", str(self._hash_seed), "--chdir", "/"),
            *("--as-pid-1", "--die-with-parent", "--new-session"),
            *program,
        ]


def _is_full_root() -> bool:
    """Whether we are root over all user ids; root of a container with few ids mapped cannot give them out."""
    if os.geteuid() != 0:
        return False
    lines = Path("/proc/self/uid_map").read_text().splitlines()
    return [line.split() for line in lines] == [["0", "0", "4294967295"]]


def _namespaces(as_root: bool) -> list[str]:
    shared = ["--unshare-pid", "--unshare-ipc", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    if not as_root:
        return [*shared, "--unshare-user", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL"]
    kept = [word for capability in _WORKER_CAPABILITIES for word in ("--cap-add", capability)]
    return [*shared, "--cap-drop", "ALL", *kept]


def _file_system() -> list[str]:
    """Nothing but the system's and Python's files and our own, read-only; one small writable folder; no /proc."""
    words = ["--ro-bind", "/usr", "/usr", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    for link in map(Path, _SYSTEM_LINKS):
        if link.is_symlink():
            words += ["--symlink", os.readlink(link), str(link)]
        elif link.is_dir():
            words += ["--ro-bind", str(link), str(link)]
    words += _open_folders(Path("/dev"))
    for device in _DEVICES:
        words += ["--dev-bind", device, device]
    words += ["--perms", "1777", "--size", str(SCRATCH_BYTES), "--tmpfs", _SCRATCH]
    for folder in dict.fromkeys((Path(sys.base_prefix).resolve(), interpreter().parents[1])):
        if not folder.is_relative_to("/usr"):
            words += [*_open_folders(folder.parent), "--ro-bind", str(folder), str(folder)]
    words += _open_folders(Path(_APP))
    return [*words, "--ro-bind", str(SANDBOX_DIR), f"{_APP}/sandbox"]


def _bound(profile: ProfileParts) -> list[str]:
    """Show what a profile needs beside the system: packages read-only, devices to be used."""
    words = []
    if profile.files:  # torch asks the kernel what the processor can do
        for told in _PROCESSOR:
            words += [*_open_folders(Path(told).parent), "--ro-bind-try", told, told]
    for place, source in profile.files.items():
        words += [*_open_folders(Path(place).parent), "--ro-bind", str(source), place]
    for device in profile.devices:
        words += [*_open_folders(Path(device).parent), "--dev-bind", device, device]
    return words


def _private_proc() -> list[str]:
    """Mount a procfs in a folder that no one may enter but the worker, by a capability it drops before it greets.

    The folder's owner may be the candidates' user, but the file system it lies in is read-only, so its mode stays.
    """
    return ["--cap-add", "CAP_DAC_READ_SEARCH", "--perms", "0000", "--dir", _PRIVATE, "--proc", f"{_PRIVATE}/proc"]


def _open_folders(folder: Path) -> list[str]:
    """Make a folder and its parents, open to every user id: bubblewrap itself makes some for their owner only."""
    folders = [*reversed(folder.parents), folder][1:]
    return [word for part in folders for word in ("--perms", "0755", "--dir", str(part))]
