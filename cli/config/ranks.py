"""The ranks that Lightning starts from the main process of a command: they compute as it does, and die with it.

Ranks that others start (torchrun, Slurm) are none of these.
"""

import ctypes
import os
import signal
import sys

from executor.commands.errors import UsageError

_LAUNCHER = "ATOMFORGE_LAUNCHER"
"""Environment variable with the process id of the main process."""
_SETTINGS = "ATOMFORGE_MACHINE"
"""Environment variable with the main process's `num_threads precision`."""
_PR_SET_PDEATHSIG = 1


def is_launched_rank() -> bool:
    """Whether a main process of ours, through Lightning, started this one."""
    return "LOCAL_RANK" in os.environ and os.environ.get(_LAUNCHER, str(os.getpid())) != str(os.getpid())


def begin() -> None:
    """Tie a launched rank to its main process; a main process makes itself known to the ranks to come."""
    if is_launched_rank():
        die_with(int(os.environ[_LAUNCHER]))
    else:
        os.environ[_LAUNCHER] = str(os.getpid())


def end() -> None:
    """Forget the ranks of a command that has ended, so that this process can run another."""
    if os.environ.get(_LAUNCHER) == str(os.getpid()):
        for name in (_LAUNCHER, _SETTINGS):
            os.environ.pop(name, None)
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            for name in ("LOCAL_RANK", "NODE_RANK"):  # Lightning sets them in the main process and leaves them there
                os.environ.pop(name, None)


def hand_down(num_threads: int, precision: str) -> None:
    """Leave the main process's settings to the ranks it starts."""
    os.environ[_SETTINGS] = f"{num_threads} {precision}"


def handed_down() -> tuple[int, str]:
    """Return (num_threads, precision) of the main process, in a rank it started.

    Raises:
        UsageError: the environment lacks them.
    """
    count, _, precision = os.environ.get(_SETTINGS, "").partition(" ")
    if not count.isdigit() or not precision:
        raise UsageError(f"{_SETTINGS} is {os.environ.get(_SETTINGS)!r}; the main process should have set it")
    return int(count), precision


def die_with(launcher: int) -> None:
    """Have the kernel kill this process when `launcher`, its parent, ends: an orphan would still write to the run."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != launcher:  # it ended before the line above
        os._exit(128 + signal.SIGKILL)
