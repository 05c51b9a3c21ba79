"""What the sandbox of the profile cuda promises: right programs pass, hostile ones never, and none leaves anything.

Without a GPU the same programs run in the profile torch, except those that need a device.
"""

import os
import time
from collections.abc import Callable, Iterator

import torch

from benchmarks.gpu_checks import SMOKE, Line, Sizes
from executor.api import Executor, open_executor
from executor.backends.gpu.nvml import Nvml
from executor.backends.profiles import GPU_VARIABLE
from executor.grading.outcome import grade_execution
from executor.types import Limits, Outcome, Run, Task, Test
from tests.sandbox.hostile_tensors import HOSTILE, ODD_BUT_RIGHT, RIGHT

LIMITS = Limits(cpu_time_s=3.0, wall_time_s=4.0)
PATIENT = Limits(cpu_time_s=20.0, wall_time_s=60.0)
HOSTILE_STEP = {"cuda": 6, "torch": 12}
"""Every how manieth of the tensor programs of tests/sandbox runs here; `make test-sandbox` runs all of them."""
_TORCH = "import torch\n"
_FILL = "x = torch.full((1 << 27,), 1234.5, device='cuda')\n    torch.cuda.synchronize()\n"
ON_DEVICE = {
    "out_of_memory": _TORCH + "def solve(x): return torch.empty(1 << 42, device='cuda')",
    "over_its_memory": _TORCH + "a = []\ndef solve(x):\n    while True: a.append(torch.ones(1 << 26, device='cuda'))",
    "illegal_address": "def solve(x): return x.as_strided((2, 2), (1 << 40, 1)) + 1",
    "assert_on_the_device": _TORCH + "def solve(x): return x[torch.tensor([9, 9], device='cuda')]",
    "endless_kernels": _TORCH + "y = None\ndef solve(x):\n    y = torch.ones(4096, 4096, device='cuda')\n"
    "    while True: y = y @ y",
    "does_not_wait_for_the_device": _TORCH + "def solve(x): return torch.empty_like(x)",
}
_NODES = "import os\ndef solve(n): return sorted(name for name in os.listdir('/dev') if name[:6] == 'nvidia')"
_COUNT = _TORCH + "def solve(n): return torch.cuda.device_count()"
_READ = "y = torch.empty(1 << 27, device='cuda')\n    return int((y == 1234.5).sum())"


def tensor(*data: float) -> dict:
    """Write a 2 x 2 tensor of float32 as a test does."""
    return {"$tensor": {"dtype": "float32", "shape": [2, 2], "data": list(data)}}


TESTS = (  # of x @ x + 1, worked by hand
    Test(args=[tensor(1, 2, 3, 4)], expected=tensor(8, 11, 16, 23)),
    Test(args=[tensor(0, 1, 2, 0)], expected=tensor(3, 1, 1, 3)),
)


def check_sandbox(device: torch.device, sizes: Sizes) -> Iterator[Line]:
    """Run all programs in bubblewrap, on the GPU of `device` unless ATOMFORGE_SANDBOX_GPU names another."""
    profile = "cuda" if device.type == "cuda" else "torch"
    if profile == "cuda":
        uuid = str(torch.cuda.get_device_properties(device).uuid)
        os.environ.setdefault(GPU_VARIABLE, uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}")
    with open_executor("bubblewrap", num_workers=1) as executor:
        yield from check_programs(executor, profile, num_timed=10 if sizes is SMOKE else 50)


def check_programs(executor: Executor, profile: str, *, num_timed: int) -> Iterator[Line]:
    """Run right, odd and hostile programs, each hostile one followed by a right one."""
    task = Task(task_id="square", entry_point="solve", profile=profile, tests=TESTS)

    def grade(sources: list[str], limits: Limits) -> list[Outcome]:
        calls = tuple(test.args for test in TESTS)
        runs = [Run(source=source, entry_point="solve", calls=calls, profile=profile) for source in sources]
        return [grade_execution(task, found) for found in executor.run(runs, limits)]

    def run_one(source: str, profile: str = profile) -> object:
        [found] = executor.run([Run(source=source, entry_point="solve", calls=([1],), profile=profile)], PATIENT)
        return found.results[0].value if found.results else found.detail

    started_at = time.monotonic()
    [first] = grade([RIGHT], PATIENT)
    yield Line("a right program passes", f"{first.status} after {time.monotonic() - started_at:.1f} s", first.passed)
    for other in ("cpu", "torch"):
        found = run_one(_NODES, other)
        yield Line(f"profile {other} has no GPU node", str(found), found == [])
    step = HOSTILE_STEP[profile]
    odd = dict(zip(ODD_BUT_RIGHT, grade([*ODD_BUT_RIGHT.values()][::step], PATIENT), strict=False))
    failed = [name for name, outcome in odd.items() if not outcome.passed]
    yield Line("odd programs that are right pass", f"{len(odd)}, not {failed}", not failed)
    hostile = {name: source for name, (_, source) in [*HOSTILE.items()][::step] if not name.startswith("device/")}
    hostile |= ON_DEVICE if profile == "cuda" else {}
    outcomes = grade([source for one in hostile.values() for source in (one, RIGHT)], LIMITS)
    for name, found, control in zip(hostile, outcomes[::2], outcomes[1::2], strict=True):
        holds = found.status not in ("passed", "infra") and control.passed
        yield Line(f"hostile: {name}", f"{found.status}, then {control.status}", holds)
    if profile == "cuda":
        yield from check_device(run_one)
    started_at = time.monotonic()
    warm = grade([RIGHT] * num_timed, PATIENT)
    rate = num_timed / (time.monotonic() - started_at)
    yield Line("programs/s", f"{rate:.1f}", all(outcome.passed for outcome in warm))


def check_device(run_one: Callable[[str], object]) -> Iterator[Line]:
    """Check what a program sees of the device, and what it leaves there."""
    gpu = os.environ[GPU_VARIABLE]
    nodes = run_one(_NODES)
    numbered = [name for name in nodes if name[6:].isdigit()] if isinstance(nodes, list) else []
    yield Line("a program sees the node of one GPU", str(nodes), len(numbered) == 1)
    count = run_one(_COUNT)
    yield Line("CUDA starts and finds one GPU", str(count), count == 1)
    run_one(_TORCH + f"def solve(n):\n    {_FILL}    return 0")
    left = run_one(_TORCH + f"def solve(n):\n    {_READ}")
    yield Line("memory of another program is cleared", f"{left} of {1 << 27} numbers left", left == 0)
    nvml = Nvml()
    before = set(nvml.read_memory(gpu))
    run_one(_TORCH + f"def solve(n):\n    {_FILL}    return 0")
    time.sleep(2.0)
    after = set(nvml.read_memory(gpu)) - before
    yield Line("no process of a program stays on the device", f"{len(after)} left", not after)
