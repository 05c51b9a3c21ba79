"""All that the CUDA sandbox promises, checked on a machine with a GPU by one command; prints a table and its verdict.

    ATOMFORGE_SANDBOX_GPU=0 python tests/gpu/check_sandbox.py --backend bubblewrap

`--profile torch` runs what needs no device, so that the script itself is tested everywhere.
"""

# ruff: noqa: E402 - it runs as a file, so it finds its own modules first

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "sandbox"), str(Path(__file__).resolve().parents[2])]

from executor.api import Executor, open_executor
from executor.backends.gpu_limit import query_memory
from executor.grading.outcome import judge
from executor.types import Limits, Outcome, Run, Task, Test
from tests.sandbox.hostile_tensors import HOSTILE, ODD_BUT_RIGHT, RIGHT

LIMITS = Limits(cpu_time_s=6.0, wall_time_s=8.0)
LONG = Limits(cpu_time_s=20.0, wall_time_s=60.0)
_TORCH = "import torch\n"
_FILL = "x = torch.full((1 << 27,), 1234.5, device='cuda')\n    torch.cuda.synchronize()\n"
GPU_HOSTILE = {
    "out_of_memory": _TORCH + "def solve(x): return torch.empty(1 << 42, device='cuda')",
    "over_its_memory": _TORCH + "a = []\ndef solve(x):\n    while True: a.append(torch.ones(1 << 26, device='cuda'))",
    "illegal_address": "def solve(x): return x.as_strided((2, 2), (1 << 40, 1)) + 1",
    "assert_on_the_device": _TORCH + "def solve(x): return x[torch.tensor([9, 9], device='cuda')]",
    "endless_kernels": _TORCH + "y = None\ndef solve(x):\n    y = torch.ones(4096, 4096, device='cuda')\n"
    "    while True: y = y @ y",
    "leaves_a_process_behind": "import os\ndef solve(x):\n    if os.fork() == 0:\n        os.setsid()\n"
    "        while True: pass\n    return x",
    "does_not_wait_for_the_device": _TORCH + "def solve(x): return torch.empty_like(x)",
}


def tensor(*data: float) -> dict:
    return {"$tensor": {"dtype": "float32", "shape": [2, 2], "data": list(data)}}


def checks(executor: Executor, profile: str) -> Iterator[tuple[str, bool, str]]:
    """Run every check: name, whether it holds, what was seen."""
    tests = (
        Test(args=[tensor(1, 2, 3, 4)], expected=tensor(8, 11, 16, 23)),
        Test(args=[tensor(0, 1, 2, 0)], expected=tensor(3, 1, 1, 3)),
        Test(args=[tensor(-1, 0.5, 2, 1)], expected=tensor(3, 1, 1, 3)),
    )
    task = Task(task_id="square", entry_point="solve", profile=profile, tests=tests)

    def outcome(source: str, limits: Limits = LIMITS) -> Outcome:
        calls = tuple(test.args for test in tests)
        run = Run(source=source, entry_point="solve", calls=calls, profile=profile)
        return judge(task, executor.run([run], limits)[0])

    def answer(source: str, profile: str) -> object:
        [found] = executor.run([Run(source=source, entry_point="solve", calls=([1],), profile=profile)], LONG)
        return found.results[0].value if found.results else found.detail

    devices = "import os\ndef solve(n): return [name for name in os.listdir('/dev') if name.startswith('nvidia')]"
    for other in ("cpu", "torch"):
        yield f"a program of {other} sees no device", (seen := answer(devices, other)) == [], str(seen)
    seen = answer(_TORCH + "def solve(n): return torch.cuda.is_available()", "torch")
    yield "torch sees no GPU in torch", seen is False, str(seen)
    started = time.monotonic()
    first = outcome(RIGHT, LONG)
    yield "a right program passes", first.passed, f"{first.detail} {time.monotonic() - started:.2f} s, sandbox started"
    for name, source in ODD_BUT_RIGHT.items():
        yield f"odd: {name}", (found := outcome(source, LONG)).passed, found.detail
    hostile = {name: source for name, (_, source) in HOSTILE.items() if not name.startswith("device/")}
    for name, source in hostile.items() | (GPU_HOSTILE.items() if profile == "cuda" else set()):
        found, control = outcome(source), outcome(RIGHT, LONG)
        held = found.status not in ("passed", "infra") and control.passed
        yield f"hostile: {name}", held, f"{found.status}, control {control.status}"
    if profile == "cuda":
        yield from _device_checks(answer)
    yield from _speeds(executor, task, profile)


def _device_checks(answer) -> Iterator[tuple[str, bool, str]]:
    answer(_TORCH + f"def solve(n):\n    {_FILL}    return 0", "cuda")
    read = "y = torch.empty(1 << 27, device='cuda')\n    return int((y == 1234.5).sum())"
    seen = answer(_TORCH + f"def solve(n):\n    {read}", "cuda")
    yield "nothing of another program is left in memory", seen == 0, f"{seen} of {1 << 27} numbers"
    before = set(query_memory())
    answer(_TORCH + f"def solve(n):\n    {_FILL}    while True: pass", "cuda")
    time.sleep(2.0)
    left = set(query_memory()) - before
    yield "no process of a program is on the device after its time", not left, f"{len(left)} left"


def _speeds(executor: Executor, task: Task, profile: str) -> Iterator[tuple[str, bool, str]]:
    calls = tuple(test.args for test in task.tests)
    run = Run(source=RIGHT, entry_point="solve", calls=calls, profile=profile)
    started = time.monotonic()
    num = 50
    answered = executor.run([run] * num, LONG)
    per_s = num / (time.monotonic() - started)
    all_ran = all(found.failure is None for found in answered)
    yield "warm", all_ran, f"{per_s:.1f} programs a second, {len(calls)} calls each"
    fresh = f"{sys.executable} -c 'import torch; torch.ones(1).{'cuda()' if profile == 'cuda' else 'sum()'}'"
    started = time.monotonic()
    code = os.system(fresh)
    yield "cold", code == 0, f"{1 / (time.monotonic() - started):.2f} fresh processes a second that import torch"


def main() -> int:
    """Print one line a check, and how many hold."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--backend", default="bubblewrap")
    parser.add_argument("--profile", default="cuda", choices=("torch", "cuda"))
    args = parser.parse_args()
    found = []
    try:
        with open_executor(args.backend, num_workers=1) as executor:
            for name, held, seen in checks(executor, args.profile):
                found.append(held)
                print(f"{'ok  ' if held else 'FAIL'} {name}: {seen}", flush=True)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{sum(found)} of {len(found)} checks hold ({args.backend}, profile {args.profile})")
    return 0 if all(found) else 1


if __name__ == "__main__":
    sys.exit(main())
