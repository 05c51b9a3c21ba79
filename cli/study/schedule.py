"""Runs arms whose parents are done, a few at a time, each in a process of its own. Nothing is trained here.

If an arm fails, the arms that start from it wait for the next call; all others run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from cli.study.arm import PARENT_PROCESS, Arm
from cli.study.results import FILE_NAME, read_result

POLL_S = 0.2
LOG = "log.txt"
ROOT = Path(__file__).resolve().parents[2]


def with_measured_times(arms: Sequence[Arm]) -> list[Arm]:
    """Replace estimated times by those of finished arms of the same stage."""
    known: dict[str, list[float]] = {}
    for arm in arms:
        if arm.is_done:
            known.setdefault(arm.stage, []).append(read_result(arm.folder / FILE_NAME).minutes)
    return [
        dataclasses.replace(arm, estimated_minutes=median(known[arm.stage])) if arm.stage in known else arm
        for arm in arms
    ]


def run_arms(arms: Sequence[Arm], *, jobs: int, log: Callable[[str], None], show_output: bool = False) -> list[Arm]:
    """Run the arms that are not done, and return those that failed.

    Args:
        arms: all arms, parents before children.
        jobs: arms that run at the same time.
        log: called with a line at each start and end.
        show_output: print the output of the arms instead of writing it to `log.txt` in their folders.

    Raises:
        KeyboardInterrupt: Ctrl-C; the running arms are interrupted, and continue at the next call.
    """
    todo = [arm for arm in arms if not arm.is_done]
    failed: list[Arm] = []
    running: dict[Arm, subprocess.Popen[bytes]] = {}
    places: dict[Arm, int] = {}
    gpus = divide_gpus(list_visible_gpus(), jobs)
    try:
        while todo or running:
            for arm in [arm for arm in todo if _is_ready(arm, arms)][: jobs - len(running)]:
                todo.remove(arm)
                places[arm] = min(set(range(jobs)) - {places[other] for other in running})
                running[arm] = _start(arm, show_output=show_output, gpus=gpus[places[arm]])
                left = _estimate_minutes([*todo, *running], jobs)
                log(f"{arm}: started; about {left:.0f} min left for {len(todo) + len(running)} arms")
            if not running:
                break  # the rest waits for arms that failed
            time.sleep(POLL_S)
            for arm, process in list(running.items()):
                if process.poll() is not None:
                    del running[arm]
                    if process.returncode == 0 and arm.is_done:
                        log(f"{arm}: done after {read_result(arm.folder / FILE_NAME).minutes:.1f} min")
                    else:
                        failed.append(arm)
                        reason = "its output is above" if show_output else last_line(arm)
                        log(f"{arm}: failed with exit code {process.returncode}: {reason}")
    except BaseException:
        for process in running.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
        for process in running.values():
            process.wait()
        raise
    return failed


def list_visible_gpus() -> list[str]:
    """List the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip()]
    numbers = [path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*")]
    return [str(index) for index in range(len(numbers))]


def divide_gpus(gpus: Sequence[str], jobs: int) -> list[str | None]:
    """Divide GPUs among arms that run at the same time.

    Args:
        gpus: their names.
        jobs: number of arms.

    Returns:
        CUDA_VISIBLE_DEVICES for each of `jobs` places: equal shares, or one GPU for several places if there are fewer
        GPUs than places; None leaves the variable as it is.
    """
    if jobs == 1 or not gpus:
        return [None] * jobs
    size = max(1, len(gpus) // jobs)
    starts = [place * size % (len(gpus) // size * size) for place in range(jobs)]
    return [",".join(gpus[start : start + size]) for start in starts]


def last_line(arm: Arm) -> str:
    """Return the last line of an arm's log."""
    path = arm.folder / LOG
    lines = [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return f"{lines[-1] if lines else 'no output'} ({path})"


def _is_ready(arm: Arm, arms: Sequence[Arm]) -> bool:
    return arm.parent is None or next(other for other in arms if other.folder == arm.parent).is_done


def _start(arm: Arm, *, show_output: bool, gpus: str | None) -> subprocess.Popen[bytes]:
    spec = arm.write_spec()
    with (arm.folder / LOG).open("ab") as file:
        if not show_output:
            file.write(f"\n{json.dumps({'started': time.strftime('%Y-%m-%d %H:%M:%S')})}\n".encode())
        return subprocess.Popen(
            [sys.executable, "-m", "cli.study.arm", str(spec)],
            stdin=subprocess.DEVNULL,
            stdout=None if show_output else file,
            stderr=None if show_output else subprocess.STDOUT,
            env=os.environ
            | {
                "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
                PARENT_PROCESS: str(os.getpid()),
            }
            | ({} if gpus is None else {"CUDA_VISIBLE_DEVICES": gpus}),
            start_new_session=True,  # the study passes Ctrl-C on, once
        )


def _estimate_minutes(arms: Sequence[Arm], jobs: int) -> float:
    """Return the longest chain of arms that wait for each other, or the sum divided by `jobs` where that is more."""
    total = sum(arm.estimated_minutes for arm in arms) / jobs
    by_folder = {arm.folder: arm for arm in arms}

    def chain(arm: Arm) -> float:
        parent = by_folder.get(arm.parent) if arm.parent is not None else None
        return arm.estimated_minutes + (chain(parent) if parent is not None else 0.0)

    return max([total, *(chain(arm) for arm in arms)], default=0.0)
