"""Run by `test_ordinary_user.py` as another user: grades the hostile programs and controls, prints their statuses."""

import json
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]
# ruff: noqa: E402
from hostile_programs import HOSTILE, ODD_BUT_RIGHT, POISON_AND_PROBE, RIGHT

from executor.client import open_executor
from executor.judge import judge
from executor.schema import Limits, Run, Task, Test

SQUARE = Task(
    task_id="square", entry_point="solve", tests=tuple(Test(args=[n], expected=n * n + 1) for n in (0, 3, 10, -4))
)
PROBE = Task(task_id="probe", entry_point="solve", tests=(Test(args=[], expected=False),))


def statuses(executor, task, sources, limits):
    runs = [
        Run(source=source, entry_point=task.entry_point, calls=tuple(test.args for test in task.tests))
        for source in sources
    ]
    return [str(judge(task, execution).status) for execution in executor.run(runs, limits)]


def main():
    patient = Limits(cpu_time_s=10.0, wall_time_s=30.0)
    with open_executor("bubblewrap", num_workers=1) as executor:
        mixed = [source for _, hostile in HOSTILE.values() for source in (hostile, RIGHT)]
        graded = statuses(executor, SQUARE, mixed, Limits(cpu_time_s=0.7, wall_time_s=2.0))
        odd = statuses(executor, SQUARE, ODD_BUT_RIGHT.values(), patient)
        probing = [
            source
            for poison, probe in POISON_AND_PROBE.values()
            for source in (f"{poison}\ndef solve(): return False", f"{probe}\ndef solve(): return found")
        ]
        probed = statuses(executor, PROBE, probing, patient)
        report = {
            "description": executor.description,
            "hostile": dict(zip(HOSTILE, graded[::2], strict=True)),
            "controls": dict(zip(HOSTILE, graded[1::2], strict=True)),
            "odd": dict(zip(ODD_BUT_RIGHT, odd, strict=True)),
            "probes": dict(zip(POISON_AND_PROBE, probed[1::2], strict=True)),
        }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
