"""bubblewrap: the worker as process 1 of its own namespaces, with a read-only system and no network.

As root each sandbox uses its own random user id; as an ordinary user it uses a user namespace. Both get a seccomp
filter. The kernel stays shared: see the threat model in `executor/README.md`.
"""

import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

from executor.backends.base import (
    INPUT_BYTES,
    INPUT_DIR,
    SANDBOX_DIR,
    SCRATCH_BYTES,
    UIDS,
    ProcessSandbox,
    interpreter,
    worker_command,
)
from executor.backends.profiles import SandboxProfile, load_profile
from executor.backends.seccomp import encode_seccomp_filter
from executor.machine import is_linux
from executor.sandbox.candidate.stdin_program import INPUT_FILE

_APP = "/app"
_SCRATCH = "/tmp"
_PRIVATE = "/private"
_PROBE_TIMEOUT_S = 20.0
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_CPU_INFO = ("/proc/cpuinfo", "/sys/devices/system/cpu")
_SYSTEM_LINKS = ("/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin")
_WORKER_CAPABILITIES = ("CAP_SETUID", "CAP_SETGID", "CAP_KILL")


class BubblewrapBackend:
    """Starts sandboxes with `bwrap`.

    Raises:
        ValueError: `bwrap` is not installed, the profile needs a procfs that cannot be mounted, or this is not Linux.
    """

    name = "bubblewrap"

    def __init__(self, *, hash_seed: int = 0, profile: str = "cpu"):
        if not is_linux():
            raise ValueError("bubblewrap exists on Linux only: use docker")
        program = shutil.which("bwrap")
        if program is None:
            raise ValueError("bubblewrap is not installed (Debian, Fedora, Arch: package `bubblewrap`)")
        self._bwrap = program
        self._hash_seed = hash_seed
        self._profile = load_profile(profile)
        self._seccomp = encode_seccomp_filter()
        self._as_root = _is_full_root()
        self._has_proc = self._can_mount_proc()
        if self._profile.needs_proc and not self._has_proc:
            raise ValueError(f"profile {profile}: the kernel permits no procfs in a sandbox here, which CUDA needs")
        user = "a user id of its own" if self._as_root else "a user namespace of its own"
        seccomp = "seccomp" if self._seccomp else "NO seccomp on this kind of machine"
        cpu_time = (
            ""
            if self._has_proc
            else "CPU time of the first process only and memory as address space (no procfs can be mounted), "
        )
        self.description = (
            f"bubblewrap: no network, read-only system, {user}, {seccomp}, {cpu_time}one process per program; "
            f"{self._profile.note}the kernel is shared"
        )

    def with_profile(self, profile: str) -> "BubblewrapBackend":
        return BubblewrapBackend(hash_seed=self._hash_seed, profile=profile)

    def start(self) -> ProcessSandbox:
        spec = {
            "uid": secrets.choice(UIDS) if self._as_root else None,
            "max_processes": self._profile.max_processes,
            "scratch": _SCRATCH,
            "input": INPUT_DIR,
            "owns_namespace": True,
            "seccomp": self._seccomp,
            "proc": f"{_PRIVATE}/proc" if self._has_proc else None,
            "cgroup": False,
            "oom_score_adj": None,
            **self._profile.spec,
        }
        command = self._command(worker_command(_APP, spec), with_proc=self._has_proc)
        return ProcessSandbox(command, hash_seed=self._hash_seed)

    def close(self) -> None:
        """Do nothing: no resources are held."""

    def _can_mount_proc(self) -> bool:
        """Test whether the kernel permits mounting a procfs. It does not in containers that mask parts of theirs."""
        command = self._command([str(interpreter()), "-I", "-S", "-c", ""], with_proc=True)
        try:
            return subprocess.run(command, capture_output=True, timeout=_PROBE_TIMEOUT_S, cwd="/").returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            return False

    def _command(self, program: list[str], *, with_proc: bool) -> list[str]:
        return [
            self._bwrap,
            "--clearenv",
            *_namespace_options(self._as_root),
            *_file_system_options(),
            *_profile_options(self._profile),
            *_library_options(self._profile),
            *(_private_proc_options() if with_proc else ()),
            *("--remount-ro", "/"),
            *("--setenv", "PYTHONHASHSEED", str(self._hash_seed), "--chdir", "/"),
            *("--as-pid-1", "--die-with-parent", "--new-session"),
            *program,
        ]


def _is_full_root() -> bool:
    """Test whether we are root and all user ids are mapped. Root of a container with few ids cannot assign `UIDS`."""
    if os.geteuid() != 0:
        return False
    lines = Path("/proc/self/uid_map").read_text().splitlines()
    return [line.split() for line in lines] == [["0", "0", "4294967295"]]


def _namespace_options(as_root: bool) -> list[str]:
    shared = ["--unshare-pid", "--unshare-ipc", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    if not as_root:
        return [*shared, "--unshare-user", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL"]
    kept = [word for capability in _WORKER_CAPABILITIES for word in ("--cap-add", capability)]
    return [*shared, "--cap-drop", "ALL", *kept]


def _file_system_options() -> list[str]:
    """Bind the system, Python and the sandbox package read-only; add a scratch directory, but no /proc."""
    options = ["--ro-bind", "/usr", "/usr", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    for link in map(Path, _SYSTEM_LINKS):
        if link.is_symlink():
            options += ["--symlink", os.readlink(link), str(link)]
        elif link.is_dir():
            options += ["--ro-bind", str(link), str(link)]
    options += _make_directories(Path("/dev"))
    for device in _DEVICES:
        options += ["--dev-bind", device, device]
    options += ["--perms", "1777", "--size", str(SCRATCH_BYTES), "--tmpfs", _SCRATCH]
    options += ["--perms", "0711", "--size", str(INPUT_BYTES), "--tmpfs", INPUT_DIR]
    options += ["--symlink", f"{INPUT_DIR}/{INPUT_FILE}", "/dev/stdin"]  # elsewhere a link into /proc
    for prefix in dict.fromkeys((Path(sys.base_prefix).resolve(), interpreter().parents[1])):
        if not prefix.is_relative_to("/usr"):
            options += [*_make_directories(prefix.parent), "--ro-bind", str(prefix), str(prefix)]
    for path in SANDBOX_DIR.rglob("*.py"):  # one by one: bytecode that this machine has cached stays out
        target = Path(_APP, path.relative_to(SANDBOX_DIR))
        options += [*_make_directories(target.parent), "--ro-bind", str(path), str(target)]
    return options


def _profile_options(profile: SandboxProfile) -> list[str]:
    """Bind the packages of a profile read-only, and its devices; for CUDA, mount a procfs and bind /sys."""
    options = []
    if profile.needs_proc:
        options += ["--proc", "/proc", "--ro-bind", "/sys", "/sys"]
    elif profile.packages:  # torch reads the features of the CPU
        for path in _CPU_INFO:
            options += [*_make_directories(Path(path).parent), "--ro-bind-try", path, path]
    for target, source in profile.packages.items():
        options += [*_make_directories(Path(target).parent), "--ro-bind", str(source), target]
    for device in profile.devices:
        options += [*_make_directories(Path(device).parent), "--dev-bind", device, device]
    return options


def _library_options(profile: SandboxProfile) -> list[str]:
    """Have the dynamic linker search the directories of the driver's libraries, and bind those outside /usr."""
    if not profile.library_dirs:
        return []
    options = ["--setenv", "LD_LIBRARY_PATH", ":".join(profile.library_dirs)]
    for path in map(Path, profile.library_dirs):
        if not path.is_relative_to("/usr"):
            options += [*_make_directories(path.parent), "--ro-bind", str(path), str(path)]
    return options


def _private_proc_options() -> list[str]:
    """Mount a procfs in a directory that only the worker can enter, with a capability that it drops before it is ready.

    The directory may belong to the candidates' user, but it is on a read-only file system, so its mode cannot change.
    """
    return ["--cap-add", "CAP_DAC_READ_SEARCH", "--perms", "0000", "--dir", _PRIVATE, "--proc", f"{_PRIVATE}/proc"]


def _make_directories(directory: Path) -> list[str]:
    """Create a directory and its parents with mode 0755; bubblewrap itself creates some for their owner only."""
    directories = [*reversed(directory.parents), directory][1:]
    return [word for path in directories for word in ("--perms", "0755", "--dir", str(path))]
