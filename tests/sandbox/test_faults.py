"""Faults: sandboxes killed from outside, bombs only, full scratch, clients that leave, an engine that goes away.

Whatever happens, every program gets its own verdict, and a fault of ours is never a verdict.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from docker.errors import APIError

from executor.api import open_local
from executor.backends.docker.image import DEFAULT_TAG
from executor.types import Limits, Run, Status, Submission
from tests.sandbox.hostile import HOSTILE, RIGHT
from tests.support.docker_engine import NoEngine, answering, own_containers, started_engine
from tests.support.judging import PATIENT, SQUARE, TIGHT, outcomes


class BubblewrapSandboxes:
    """The sandboxes of this process, by the PIDs of their first processes."""

    def find(self) -> set[int]:
        children = [int(pid) for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()]
        found = set()
        for pid in children:
            with contextlib.suppress(OSError):  # it ended a moment ago
                if Path(f"/proc/{pid}/comm").read_text().strip() == "bwrap":
                    found.add(pid)
        return found

    def kill(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class DockerSandboxes:
    """The sandboxes of this process, by the ids of their containers."""

    def __init__(self, client):
        self._client = client

    def find(self) -> set[str]:
        return {container.id for container in own_containers(self._client)}

    def kill(self, container_id: str) -> None:
        with contextlib.suppress(APIError):  # it ended a moment ago
            self._client.api.kill(container_id)


@pytest.fixture
def sandboxes(executor, request):
    """The sandboxes of this process, of the kind of the executor."""
    if executor.pool.backend_name == "bubblewrap":
        return BubblewrapSandboxes()
    return DockerSandboxes(request.getfixturevalue("docker_engine"))


def programs(num: int) -> tuple[list[Run], list[object]]:
    """Programs of every verdict, a few milliseconds each, and what each must come to."""
    runs, wanted = [], []
    for index in range(num):
        body, outcome = [
            (f"return x + {index}", 7 + index),
            ("raise KeyError(x)", "KeyError"),
            ("import os; os._exit(3)", Status.CRASH),
            ("return {1: (x, {2.5})}", {"$dict": [[1, {"$tuple": [7, {"$set": [2.5]}]}]]}),
        ][index % 4]
        source = f"import time\ndef solve(x):\n    time.sleep(0.004)\n    {body}\n"
        runs.append(Run(source=source, entry_point="solve", calls=([7],)))
        wanted.append(outcome)
    return runs, wanted


def summarize(execution):
    if execution.failure is not None:
        return execution.failure
    [result] = execution.results
    return result.error if result.error is not None else result.value


def run_while_killing(kind, sandboxes, *, num_programs: int, num_kills: int) -> None:
    """Run programs in an executor of their own, kill some of its sandboxes meanwhile, and compare all results."""
    runs, wanted = programs(num_programs)
    others = sandboxes.find()
    done = threading.Event()
    num_killed = 0

    def kill_some():
        nonlocal num_killed
        num_finished = 0
        while num_killed < num_kills and not done.wait(random.uniform(0.02, 0.3)):
            now_finished = sum(executor.stats().statuses.values())
            # a job that loses 20 sandboxes is `infra`, so no sandbox is killed until a program has finished
            if now_finished > num_finished and (victims := sandboxes.find() - others):
                num_finished = now_finished
                sandboxes.kill(random.choice([*victims]))
                num_killed += 1

    with open_local(kind, num_workers=2) as executor:
        killer = threading.Thread(target=kill_some)
        killer.start()
        try:
            executions = executor.run(runs, PATIENT)
        finally:
            done.set()
            killer.join()
        stats = executor.stats()
    assert num_killed >= num_kills // 2
    assert stats.num_replaced >= 1
    assert [summarize(execution) for execution in executions] == wanted


def test_killed_sandboxes_do_not_change_results(executor, sandboxes):
    run_while_killing(executor.pool.backend_name, sandboxes, num_programs=300, num_kills=4)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_killed_sandboxes_do_not_change_results(executor, sandboxes):
    run_while_killing(executor.pool.backend_name, sandboxes, num_programs=10_000, num_kills=60)


def test_batch_of_bombs_ends_and_the_next_batch_passes(executor):
    names = [
        "processes/fork_bomb_forgiving",
        "processes/stopper_daemons",
        "memory/in_children",
        "memory/touched_in_children",
        "memory/recursion_unlimited",
        "output/flood_fd_3",
        "signals/kill_everything_often",
    ]
    bombs = [HOSTILE[name][1] for name in names] * 2
    found = outcomes(executor, SQUARE, bombs, TIGHT)
    assert not {Status.PASSED, Status.INFRA} & {outcome.status for outcome in found}
    assert all(outcome.passed for outcome in outcomes(executor, SQUARE, [RIGHT] * 5, PATIENT))


def test_unreadable_result_is_one_crash(executor):
    sources = [f"{RIGHT}\n# {number}" for number in range(20)]
    sources[10] = HOSTILE["frames/tensor_beyond_the_floats"][1]
    found = [outcome.status for outcome in outcomes(executor, SQUARE, sources, PATIENT)]
    assert found == ["passed"] * 10 + ["crash"] + ["passed"] * 9
    assert executor.is_open


def test_full_scratch_directory_is_emptied_for_the_next_program(executor):
    fill = (
        "def solve(n):\n    i = 0\n    try:\n        while True:\n            i += 1\n"
        "            with open(f'f{i}', 'wb') as f: f.write(bytes(1 << 20))\n    except OSError: return i\n"
    )
    use = "def solve(n):\n    with open('f', 'wb') as f: f.write(bytes(12 << 20))\n    return n * n + 1\n"
    found = outcomes(executor, SQUARE, [fill, use, fill, use], PATIENT)
    assert [outcome.status for outcome in found] == ["wrong", "passed"] * 2


def test_leaving_a_batch_drops_its_waiting_programs(executor):
    slow = "import time\ndef solve(n):\n    time.sleep(0.2)\n    return n * n + 1\n"
    with executor.grading(PATIENT) as batch:
        for number in range(200):
            batch.add(Submission(task=SQUARE, completion=f"```python\n# {number}\n{slow}\n```"))
    started = time.monotonic()
    assert outcomes(executor, SQUARE, [RIGHT], PATIENT)[0].passed
    assert time.monotonic() - started < 10  # 200 of them would take 160 s
    assert executor.stats().num_waiting == 0


def test_error_in_a_callback_leaves_the_executor_usable(executor):
    def refuse(index, execution):
        raise ArithmeticError("the caller's own")

    runs = [Run(source=RIGHT, entry_point="solve", calls=([n],)) for n in range(20)]
    with pytest.raises(ArithmeticError):
        executor.run(runs, PATIENT, refuse)
    assert outcomes(executor, SQUARE, [RIGHT], PATIENT)[0].passed


def test_short_batch_does_not_wait_for_a_long_one(executor):
    """A short batch that comes second is done long before the long one."""
    nap = "import time\ndef solve(n):\n    time.sleep(0.02)\n    return n * n + 1\n"
    with executor.grading(PATIENT) as long_batch:
        for number in range(100):
            long_batch.add(Submission(task=SQUARE, completion=f"```python\n# {number}\n{nap}\n```"))
        assert outcomes(executor, SQUARE, [RIGHT] * 3, Limits(cpu_time_s=5.0, wall_time_s=20.0))[2].passed
        assert executor.stats().num_waiting > 50
        assert all(outcome.passed for outcome in long_batch.outcomes())


@pytest.fixture
def engine_of_our_own(docker_engine, tmp_path, monkeypatch):
    """A second engine with the image, which a test may stop; this process uses no other meanwhile."""
    folder = tmp_path / "e"
    folder.mkdir()
    url = f"unix://{folder}/docker.sock"
    try:
        with started_engine(folder) as process:
            client = answering(url)
            assert client is not None
            client.images.load(b"".join(docker_engine.images.get(DEFAULT_TAG).save(named=True)))
            monkeypatch.setenv("DOCKER_HOST", url)
            yield process, client, folder
    except NoEngine as reason:
        pytest.skip(f"no engine of our own: {reason}")
    finally:  # an engine that was killed leaves its folder mounted
        subprocess.run(["umount", "--lazy", f"{folder}/data"], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_lost_engine_is_infra_until_it_returns(engine_of_our_own):
    process, client, folder = engine_of_our_own
    runs, wanted = programs(600)
    with open_local("docker", num_workers=1) as executor:
        [container] = own_containers(client)
        worker = client.api.inspect_container(container.id)["State"]["Pid"]

        def stop_the_engine(index, execution):
            if index == 100:
                process.kill()
                process.wait()
                os.kill(worker, signal.SIGKILL)

        executions = executor.run(runs, PATIENT, stop_the_engine)
        came = [summarize(execution) for execution in executions]
        assert Status.INFRA in came
        assert all(one in (right, Status.INFRA) for one, right in zip(came, wanted, strict=True))
        with started_engine(folder):
            executions = executor.run(runs[:40], PATIENT)
            assert [summarize(execution) for execution in executions] == wanted[:40]
