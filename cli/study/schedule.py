"""What runs when: arms whose parents are done, so many at a time, each in a process of its own.

A failed arm keeps those that start from it waiting for the next call; all others go on. Nothing is trained here.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli.study.arm import STARTED_BY
from cli.study.results import FILE_NAME, read_result
from executor.commands.io import write_json

POLL_S = 0.2
LOG = "log.txt"
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A stage with a seed: where it is made, what it waits for, what its process is told."""

    stage: str
    seed: int
    folder: Path
    parent: Path | None
    """Folder of the arm it starts from."""
    minutes: float
    """Expected."""
    spec: Mapping[str, Any] = field(compare=False)

    @property
    def is_done(self) -> bool:
        """Whether its result is there."""
        return (self.folder / FILE_NAME).exists()

    def __str__(self) -> str:
        return f"{self.stage} (seed {self.seed})"


def with_measured_times(arms: Sequence[Arm]) -> list[Arm]:
    """Take the times of finished arms of the same stage in the place of guesses."""
    from dataclasses import replace
    from statistics import median

    known: dict[str, list[float]] = {}
    for arm in arms:
        if arm.is_done:
            known.setdefault(arm.stage, []).append(read_result(arm.folder / FILE_NAME).minutes)
    return [replace(arm, minutes=median(known[arm.stage])) if arm.stage in known else arm for arm in arms]


def run_arms(arms: Sequence[Arm], *, jobs: int, say: Callable[[str], None]) -> list[Arm]:
    """Make what is not done, and return the arms that failed.

    Args:
        arms: all arms, parents before children.
        jobs: how many at a time.
        say: told of every beginning and end.

    Raises:
        KeyboardInterrupt: Ctrl-C; what was under way is told to stop and goes on at the next call.
    """
    todo = [arm for arm in arms if not arm.is_done]
    failed: list[Arm] = []
    running: dict[Arm, subprocess.Popen[bytes]] = {}
    try:
        while todo or running:
            for arm in [arm for arm in todo if _may_start(arm, arms)][: jobs - len(running)]:
                todo.remove(arm)
                running[arm] = _start(arm)
                left = _minutes_left([*todo, *running], jobs)
                say(f"{arm}: begun; about {left:.0f} min to go for {len(todo) + len(running)} arms")
            if not running:
                break  # the rest waits for arms that failed
            time.sleep(POLL_S)
            for arm, process in list(running.items()):
                if process.poll() is not None:
                    del running[arm]
                    if process.returncode == 0 and arm.is_done:
                        say(f"{arm}: done after {read_result(arm.folder / FILE_NAME).minutes:.1f} min")
                    else:
                        failed.append(arm)
                        say(f"{arm}: failed with exit code {process.returncode}: {last_words(arm)}")
    except BaseException:
        for process in running.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
        for process in running.values():
            process.wait()
        raise
    return failed


def last_words(arm: Arm) -> str:
    """Return the last line of an arm's log."""
    path = arm.folder / LOG
    lines = [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return f"{lines[-1] if lines else 'no word'} ({path})"


def _may_start(arm: Arm, arms: Sequence[Arm]) -> bool:
    return arm.parent is None or next(other for other in arms if other.folder == arm.parent).is_done


def _start(arm: Arm) -> subprocess.Popen[bytes]:
    arm.folder.mkdir(parents=True, exist_ok=True)
    write_json(arm.folder / "spec.json", arm.spec)
    with (arm.folder / LOG).open("ab") as log:
        log.write(f"\n{json.dumps({'begun': time.strftime('%Y-%m-%d %H:%M:%S')})}\n".encode())
        return subprocess.Popen(
            [sys.executable, "-m", "cli.study.arm", str(arm.folder / "spec.json")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ
            | {
                "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
                STARTED_BY: str(os.getpid()),
            },
            start_new_session=True,  # Ctrl-C is passed on by us, once
        )


def _minutes_left(arms: Sequence[Arm], jobs: int) -> float:
    """Estimate: the longest chain of arms that wait for one another, or the sum over the places there are."""
    total = sum(arm.minutes for arm in arms) / jobs
    minutes = {arm.folder: arm for arm in arms}

    def chain(arm: Arm) -> float:
        parent = minutes.get(arm.parent) if arm.parent is not None else None
        return arm.minutes + (chain(parent) if parent is not None else 0.0)

    return max([total, *(chain(arm) for arm in arms)], default=0.0)
