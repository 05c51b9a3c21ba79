"""Grade the programs of `hostile` with an executor, with controls between the hostile ones."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence

from executor.api import Executor
from executor.grading.outcome import grade_execution
from executor.types import Execution, Limits, Outcome, Run, Task, Test
from tests.sandbox.hostile import HOSTILE, ODD_BUT_RIGHT, POISON_AND_PROBE, POLICY, RIGHT

SQUARE = Task(
    task_id="square", entry_point="solve", tests=tuple(Test(args=[n], expected=n * n + 1) for n in (0, 3, 10, -4))
)
PROBE = Task(task_id="probe", entry_point="solve", tests=(Test(args=[], expected=False),))
MAY_COST_A_SANDBOX = {
    "docker": set(),
    # bubblewrap limits the bytes of the scratch folder but not the number of files in it: a tree of tens of thousands
    # of folders may take longer to remove than a reset may last.
    "bubblewrap": {"memory/many_folders", "memory/many_inodes", "memory/many_links"},
}
"""Programs after which a sandbox may be replaced, by the kind of sandbox."""
TIGHT = Limits(cpu_time_s=0.35, wall_time_s=1.0)
"""For programs that may time out."""
PATIENT = Limits(cpu_time_s=10.0, wall_time_s=30.0)
"""For all others, which a busy machine must not turn into a timeout."""


def may_time_out(statuses: Collection[str]) -> bool:
    """Whether a hostile program may, by the statuses it may have; none stands for all but passed and infra."""
    return not statuses or "timeout" in statuses


def choose_limits(statuses: Collection[str]) -> Limits:
    """Choose limits for a hostile program from the statuses it may have."""
    return TIGHT if may_time_out(statuses) else PATIENT


def outcomes(executor: Executor, task: Task, sources: Iterable[str], limits: Limits) -> list[Outcome]:
    """Run the very sources, none shared with another and none searched for code, and judge each."""
    calls = tuple(test.args for test in task.tests)
    runs = [Run(source=source, entry_point=task.entry_point, calls=calls) for source in sources]
    executions: list[Execution] = executor.run(runs, limits)
    return [grade_execution(task, execution) for execution in executions]


def hostile_outcomes(executor: Executor, names: Sequence[str]) -> tuple[dict[str, Outcome], dict[str, Outcome]]:
    """Each of these hostile programs, then a control: outcomes of both by the name of the hostile one."""
    hostile, controls = {}, {}
    for name in names:
        statuses, source = HOSTILE[name]
        [hostile[name]] = outcomes(executor, SQUARE, [source], choose_limits(statuses))
        [controls[name]] = outcomes(executor, SQUARE, [RIGHT], PATIENT)
    return hostile, controls


def odd_outcomes(executor: Executor) -> dict[str, Outcome]:
    found = outcomes(executor, SQUARE, ODD_BUT_RIGHT.values(), PATIENT)
    return dict(zip(ODD_BUT_RIGHT, found, strict=True))


def probe_outcomes(executor: Executor) -> dict[str, tuple[Outcome, Outcome, Outcome]]:
    """Probe (nothing there yet), poison, probe, in this order and in one sandbox."""
    time.sleep(2.0)  # devices of a container are as old as it is; one of the probes takes a second for a trace
    sources = []
    for poison, probe in POISON_AND_PROBE.values():
        probing = f"{probe}\ndef solve(): return bool(found)"
        sources += [probing, f"{poison}\ndef solve(): return False", probing]
    found = outcomes(executor, PROBE, sources, PATIENT)
    return dict(zip(POISON_AND_PROBE, zip(found[::3], found[1::3], found[2::3], strict=True), strict=True))


def policy_outcomes(executor: Executor) -> dict[str, tuple[Outcome, bool]]:
    """Each row of the policy: its outcome, and whether it should pass."""
    runs = [Run(source=source, entry_point="solve", calls=([],)) for _, source, *_ in POLICY]
    found = {}
    for row, execution in zip(POLICY, executor.run(runs, PATIENT), strict=True):
        name, _, expected, float_tol, passes = row
        tests = (Test(args=[], expected=expected),)
        task = Task(task_id=name, entry_point="solve", tests=tests, float_tol=float_tol)
        found[name] = grade_execution(task, execution), passes
    return found


def wrong_verdicts(found: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Those hostile programs whose verdict is not one of those allowed; passed and infra never are."""
    return {
        name: outcome
        for name, outcome in found.items()
        if outcome.status in ("passed", "infra") or (HOSTILE[name][0] and outcome.status not in HOSTILE[name][0])
    }
