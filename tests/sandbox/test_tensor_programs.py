"""Tensor programs in real sandboxes of the profile torch: right ones pass, hostile ones never, none sees a device."""

import pytest

from executor.api import open_executor
from executor.grading.outcome import grade_execution
from executor.grading.tasks import parse_task
from executor.types import Limits, Run, Task, Test
from tests.sandbox.hostile_tensors import HOSTILE, ODD_BUT_RIGHT, RIGHT
from tests.support.judging import may_time_out
from tests.support.optional import needs_torch

TIGHT = Limits(cpu_time_s=1.0, wall_time_s=5.0)
PATIENT = Limits(cpu_time_s=10.0, wall_time_s=30.0)


def tensor(*data: float, shape: tuple[int, ...] = (2, 2), dtype: str = "float32") -> dict:
    return {"$tensor": {"dtype": dtype, "shape": list(shape), "data": list(data)}}


# worked by hand: [[a, b], [c, d]] squared is [[aa + bc, ab + bd], [ca + dc, cb + dd]]
TASK = Task(
    task_id="square",
    entry_point="solve",
    profile="torch",
    tests=(
        Test(args=[tensor(1, 2, 3, 4)], expected=tensor(8, 11, 16, 23)),
        Test(args=[tensor(0, 1, 2, 0)], expected=tensor(3, 1, 1, 3)),
        Test(args=[tensor(-1, 0.5, 2, 1)], expected=tensor(3, 1, 1, 3)),
        Test(args=[tensor(0.5, 0, 3, 2)], expected=tensor(1.25, 1, 8.5, 5)),
    ),
)


def grade_sources(executor, sources, limits):
    calls = tuple(test.args for test in TASK.tests)
    runs = [Run(source=source, entry_point="solve", calls=calls, profile="torch") for source in sources]
    return [grade_execution(TASK, execution) for execution in executor.run(runs, limits)]


@needs_torch
@pytest.mark.parametrize(
    ("backend", "step"), [("bubblewrap", 1), ("docker", 4), pytest.param("docker", 1, marks=pytest.mark.slow)]
)
def test_hostile_programs_never_pass_and_have_their_expected_statuses(backend, step, request):
    assert len(HOSTILE) >= 40
    names = [*HOSTILE][::step]
    executor = request.getfixturevalue(f"{backend}_executor")
    wrong, controls = {}, {}
    for name in names:
        statuses, source = HOSTILE[name]
        [outcome] = grade_sources(executor, [source], TIGHT if may_time_out(statuses) else PATIENT)
        if outcome.status in ("passed", "infra") or (statuses and outcome.status not in statuses.split()):
            wrong[name] = (outcome.status, outcome.detail)
        [control] = grade_sources(executor, [RIGHT], PATIENT)
        if not control.passed:
            controls[name] = control
    assert wrong == {}
    assert controls == {}


@needs_torch
def test_odd_programs_that_are_right_pass(executor):
    found = dict(zip(ODD_BUT_RIGHT, grade_sources(executor, ODD_BUT_RIGHT.values(), PATIENT), strict=True))
    assert {name: outcome for name, outcome in found.items() if not outcome.passed} == {}


def test_programs_without_tensors_see_no_torch(bubblewrap_executor):
    source = "def solve(n):\n    import torch\n    return n"
    [found] = bubblewrap_executor.run([Run(source=source, entry_point="solve", calls=([1],))], PATIENT)
    assert found.results[0].error == "ModuleNotFoundError"


@needs_torch
def test_programs_see_no_gpu_device(bubblewrap_executor):
    source = "import os\ndef solve(n): return [name for name in os.listdir('/dev') if name[:6] in ('nvidia', 'dri')]"
    for profile in ("cpu", "torch"):
        run = Run(source=source, entry_point="solve", calls=([1],), profile=profile)
        [found] = bubblewrap_executor.run([run], PATIENT)
        assert found.results[0].value == []


@needs_torch
def test_process_backend_has_the_torch_profile():
    with open_executor("process", num_workers=1) as opened:
        run = Run(source=RIGHT, entry_point="solve", calls=([tensor(1, 2, 3, 4)],), profile="torch")
        [found] = opened.run([run], PATIENT)
    assert found.results[0].value == tensor(8, 11, 16, 23)


@needs_torch
def test_cuda_without_a_gpu_name_raises_value_error(bubblewrap_executor, monkeypatch):
    monkeypatch.delenv("ATOMFORGE_SANDBOX_GPU", raising=False)
    run = Run(source=RIGHT, entry_point="solve", calls=([1],), profile="cuda")
    with pytest.raises(ValueError, match="profile cuda: name the sandboxes' GPU in ATOMFORGE_SANDBOX_GPU"):
        bubblewrap_executor.run([run], PATIENT)


def test_task_with_tensors_requires_a_torch_profile():
    row = {"task_id": 1, "entry_point": "f", "tests": [{"args": [tensor(1, shape=(1,))], "expected": 1}]}
    with pytest.raises(ValueError, match="task 1: it has tensors among its values"):
        parse_task(row)
    assert parse_task(row | {"profile": "torch"}).profile == "torch"
    with pytest.raises(ValueError, match="profile must be one of cpu, torch, cuda, not 'gpu'"):
        parse_task(row | {"profile": "gpu"})
