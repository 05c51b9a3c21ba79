"""Properties of the sandboxed executor besides outcomes: secrecy, isolation, limits, interpreter and hash seed."""

import gc
import os
import sys
import threading
from pathlib import Path

import pytest

from executor.api import grade, open_executor, open_local
from executor.backends.base import SANDBOX_DIR
from executor.pool import connection
from executor.sandbox.framing import pack_frame
from executor.types import Limits, Run, Status, Submission, Task, Test
from tests.support.docker_engine import own_containers

PATIENT = Limits(cpu_time_s=10.0, wall_time_s=30.0)


def run_one(executor, source, *args, limits=PATIENT):
    [execution] = executor.run([Run(source=source, entry_point="solve", calls=(list(args),))], limits)
    assert execution.failure is None, execution
    return execution.results[0]


def children_of(pid):
    """Processes started by any thread of a process."""
    return {int(pid) for path in Path(f"/proc/{pid}/task").glob("*/children") for pid in path.read_text().split()}


@pytest.fixture
def kind(executor):
    """Name of the backend, for tests that open an executor of their own."""
    return executor.pool.backend_name


def test_expected_values_are_never_sent_to_a_sandbox(executor, monkeypatch):
    sent = []

    def record(header, body=b""):
        sent.append(pack_frame(header, body))
        return sent[-1]

    monkeypatch.setattr(connection, "pack_frame", record)
    tests = (Test(args=["the-argument"], expected="the-secret-answer"), Test(args=[1], expected=987654321012345))
    task = Task(task_id="the-secret-id", entry_point="solve", tests=tests, prompt="the-secret-prompt", float_tol=0.125)
    for completion in ("def solve(x):\n    return x\n", "nothing", "```python\ndef solve(x): return 1\n```"):
        grade(executor, [Submission(task=task, completion=completion)], PATIENT)
    everything = b"".join(sent)
    assert everything.count(b"the-argument") == 3
    for secret in (b"the-secret-answer", b"987654321012345", b"the-secret-id", b"0.125"):
        assert secret not in everything


def test_sandbox_contains_only_its_package_of_atomforge(executor):
    source = """
import os
def solve():
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk("/app") for name in names)
"""
    assert run_one(executor, source).value == sorted(
        f"/app/{path.relative_to(SANDBOX_DIR)}" for path in SANDBOX_DIR.rglob("*.py")
    )


def test_bubblewrap_shows_only_system_directories_and_devices(bubblewrap_executor):
    source = "import os\ndef solve(): return [sorted(os.listdir(p)) for p in ('/', '/dev')]"
    root, devices = run_one(bubblewrap_executor, source).value
    usual = {"app", "bin", "dev", "etc", "input", "lib", "lib32", "lib64", "libx32", "sbin", "tmp", "usr"}
    assert set(root) <= usual | {"private"} | set(Path(sys.base_prefix).resolve().parts[1:2])
    assert devices == ["full", "null", "random", "stdin", "urandom", "zero"]


LOOK_AROUND = """
import os, sys
def solve():
    odd = [path for path in sys.path if "site-packages" in path or path in ("", ".", "/app")]
    return [list(sys.version_info[:3]), sorted(os.environ), sys.base_prefix, "site" in sys.modules, odd]
"""


def test_interpreter_has_no_site_and_no_environment(executor):
    version, environment, _, has_site, odd = run_one(executor, LOOK_AROUND).value
    assert version >= [3, 11]
    assert set(environment) <= {"PYTHONHASHSEED", "PWD", "LC_CTYPE", "PATH", "HOSTNAME", "HOME"}
    assert not has_site
    assert odd == []


def test_bubblewrap_runs_this_interpreter(bubblewrap_executor):
    version, _, prefix, _, _ = run_one(bubblewrap_executor, LOOK_AROUND).value
    assert version == list(sys.version_info[:3])
    assert os.path.realpath(prefix) == os.path.realpath(sys.base_prefix)


def test_hash_seed_is_that_of_the_executor(kind, executor):
    source = "def solve(): return [hash('a'), list({'alpha', 'beta', 'gamma', 'delta', 'epsilon'})]"
    found = []
    for _ in range(2):
        with open_local(kind, num_workers=1, hash_seed=1) as opened:
            found.append(run_one(opened, source).value)
    assert found[0] == found[1]
    assert run_one(executor, source).value != found[0]  # its seed is 0


def test_arguments_are_fresh_for_each_call_and_each_program(executor):
    source = "def solve(x, y):\n    x.append(1)\n    y['k'].add(5)\n    return [len(x), len(y['k'])]"
    calls = tuple([[], {"k": {"$set": [1]}}] for _ in range(3))
    shared = [[], {"k": {"$set": [1]}}]
    for arguments in (calls, (shared, shared, shared)):
        runs = [Run(source=source, entry_point="solve", calls=arguments)] * 2
        for execution in executor.run(runs, PATIENT):
            assert [result.value for result in execution.results] == [[1, 2]] * 3
    assert shared == [[], {"k": {"$set": [1]}}]


def test_every_limit_is_enforced(executor):
    def status(source, **limits):
        run = Run(source=source, entry_point="solve", calls=([],))
        [execution] = executor.run([run], Limits(**{"cpu_time_s": 10.0, "wall_time_s": 30.0, **limits}))
        return execution.failure or execution.results[0].error

    spin = "import time\ndef solve():\n    end = time.process_time() + 0.6\n    while time.process_time() < end: pass"
    sleep = "import time\ndef solve(): time.sleep(0.6)"
    allocate = "def solve(): bytearray(100 << 20)"
    spread = (
        "import os, time\ndef solve():\n    pid = os.fork()\n    a = bytearray(60 << 20)\n    time.sleep(1.0)\n"
        "    if pid == 0: os._exit(0)"
    )
    speak = "def solve(): return 'x' * 5000"
    assert status(spin) is None
    assert status(spin, cpu_time_s=0.15) is Status.TIMEOUT
    assert status(sleep) is None
    assert status(sleep, wall_time_s=0.15) is Status.TIMEOUT
    assert status(allocate) is None
    assert status(allocate, memory_bytes=90 << 20) is Status.MEMORY
    assert status(spread, memory_bytes=180 << 20) is None
    assert status(spread, memory_bytes=90 << 20) is Status.MEMORY
    assert status(speak) is None
    assert status(speak, output_bytes=4000) is Status.OUTPUT_LIMIT
    assert status(speak, source_bytes=20) is Status.SOURCE_TOO_LONG


def test_arguments_beyond_the_memory_are_infra(executor):
    """Nothing of the program has run when they are read, so it is not to blame; the next one has a fresh sandbox."""
    runs = [
        Run(source="def solve(x): return len(x)", entry_point="solve", calls=([[n] * size],))
        for n, size in ((0, 3), (1, 4_000_000), (2, 5))
    ]
    found = executor.run(runs, Limits(cpu_time_s=10.0, wall_time_s=30.0, memory_bytes=32 << 20))
    assert [execution.failure for execution in found] == [None, Status.INFRA, None]
    assert found[1].detail == "its sandbox could not start it: MemoryError"
    assert [found[0].results[0].value, found[2].results[0].value] == [3, 5]


def test_large_programs_and_results_are_transferred(executor):
    text = "x" * 900_000
    source = "# " + "y" * 60_000 + "\ndef solve(x): return x"
    assert run_one(executor, source, text).value == text


def test_executor_works_from_short_lived_threads(kind):
    found = []
    with open_local(kind, num_workers=1) as opened:
        for _ in range(2):
            thread = threading.Thread(target=lambda: found.append(run_one(opened, "def solve(x): return x", 5).value))
            thread.start()
            thread.join()
        assert opened.stats().num_replaced == 0
    assert found == [5, 5]


def test_closing_leaves_no_process_and_no_descriptor(kind):
    def open_fds():
        return len(os.listdir("/proc/self/fd"))

    before, children = open_fds(), children_of(os.getpid())
    for _ in range(2):
        with open_local(kind, num_workers=2) as opened:
            run_one(opened, "def solve(x): return x", 5)
        assert children_of(os.getpid()) == children
    del opened
    gc.collect()  # connections to the engine
    assert open_fds() <= before + 2


def test_closing_leaves_no_container(docker_engine):
    before = {container.id for container in own_containers(docker_engine, all=True)}
    with open_local("docker", num_workers=2) as opened:
        run_one(opened, "def solve(x): return x", 5)
        assert {container.id for container in own_containers(docker_engine, all=True)} > before
    assert {container.id for container in own_containers(docker_engine, all=True)} == before


def test_auto_never_falls_back_to_a_plain_process(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    with pytest.raises(ValueError, match="no sandbox: .*Docker.*bubblewrap is not installed.*process") as caught:
        open_executor("auto")
    assert "\n" not in str(caught.value)


def test_auto_logs_its_choice_and_the_reason(caplog, monkeypatch, bubblewrap_executor):
    caplog.set_level("INFO")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    with open_executor("auto", num_workers=1) as opened:
        assert opened.description.startswith("bubblewrap: ")
    assert "auto: no Docker engine can be used" in caplog.text


def test_auto_prefers_docker(caplog, docker_engine):
    caplog.set_level("INFO")
    with open_executor("auto", num_workers=1) as opened:
        assert opened.description.startswith("docker: ")
    assert "auto: the first choice" in caplog.text


def test_broken_bubblewrap_raises_one_line(tmp_path, monkeypatch):
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: no permission to make namespaces' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="no permission to make namespaces") as caught:
        open_executor("bubblewrap", num_workers=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"backend": "dcoker"}, "auto, docker, bubblewrap, process"),
        ({"hash_seed": -1}, "hash_seed"),
        ({"num_workers": 0}, "at least 1"),
    ],
)
def test_open_executor_with_bad_arguments_raises_value_error(arguments, words):
    with pytest.raises(ValueError, match=words):
        open_executor(**arguments)


def test_process_backend_works_and_warns(caplog):
    with open_executor("process", num_workers=1) as opened:
        assert "NOT a sandbox" in opened.description
        assert run_one(opened, "def solve(x): return (x, {1})", 5).value == {"$tuple": [5, {"$set": [1]}]}
        [loop] = opened.run(
            [Run(source="def solve():\n    while True: pass", entry_point="solve", calls=([],))],
            Limits(cpu_time_s=0.3, wall_time_s=2.0),
        )
        assert loop.failure is Status.TIMEOUT
    assert "NOT a sandbox" in caplog.text


def test_worker_has_its_own_namespaces_and_few_capabilities():
    if os.geteuid() != 0:
        pytest.skip("not root: another user's namespaces cannot be looked at")
    before = children_of(os.getpid())
    with open_executor("bubblewrap", num_workers=1) as opened:
        run_one(opened, "def solve(): return 1")
        [outer] = children_of(os.getpid()) - before
        [worker] = children_of(outer)
        for kind in ("net", "pid", "ipc", "mnt", "uts"):
            assert os.readlink(f"/proc/{worker}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"), kind
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{worker}/status").read_text().splitlines())
        assert int(status["CapPrm"], 16) == 1 << 5 | 1 << 6 | 1 << 7  # KILL, SETGID, SETUID
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        assert Path(f"/proc/{worker}/oom_score_adj").read_text().strip() == "1000"
        assert Path(f"/proc/{worker}/environ").read_bytes().split(b"\0")[0] == b"PYTHONHASHSEED=0"


def test_candidate_has_no_capabilities_and_no_groups(executor):
    source = """
import ctypes, os, struct
def solve():
    header, data = struct.pack("Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
    assert ctypes.CDLL(None).capget(header, data) == 0
    effective, permitted, _, effective_high, permitted_high, _ = struct.unpack("6I", data.raw)
    capabilities = effective | permitted | effective_high | permitted_high
    return [capabilities, os.getuid() == os.geteuid(), os.getuid(), os.getgroups()]
"""
    capabilities, same, uid, groups = run_one(executor, source).value
    assert capabilities == 0
    assert same
    assert uid >= 1000
    assert groups in ([], [uid], [65534])
