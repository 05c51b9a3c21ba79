"""What the sandboxed executor promises beyond verdicts: secrecy, survival, order, one interpreter, one hash seed."""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from executor import channel, wire
from executor.client import grade, open_executor
from executor.schema import Limits, Run, Status, Submission, Task, Test

PATIENT = Limits(cpu_time_s=10.0, wall_time_s=30.0)


def run_one(executor, source, *args, limits=PATIENT):
    [execution] = executor.run([Run(source=source, entry_point="solve", calls=(list(args),))], limits)
    assert execution.failure is None, execution
    return execution.results[0]


def test_expected_values_never_leave_for_the_sandbox(executor, monkeypatch):
    sent = []

    def record(header, body=b""):
        sent.append(wire.pack_frame(header, body))
        return sent[-1]

    monkeypatch.setattr(channel, "pack_frame", record)
    tests = (Test(args=["the-argument"], expected="the-secret-answer"), Test(args=[1], expected=987654321012345))
    task = Task(task_id="the-secret-id", entry_point="solve", tests=tests, prompt="the-secret-prompt", float_tol=0.125)
    for completion in ("def solve(x):\n    return x\n", "nothing", "```python\ndef solve(x): return 1\n```"):
        grade(executor, [Submission(task=task, completion=completion)], PATIENT)
    everything = b"".join(sent)
    assert everything.count(b"the-argument") == 3
    for secret in (b"the-secret-answer", b"987654321012345", b"the-secret-id", b"0.125"):
        assert secret not in everything


def test_only_our_four_files_are_in_the_sandbox(executor):
    source = "import os\ndef solve(): return [sorted(os.listdir(p)) for p in ('/app', '/', '/dev')]"
    app, root, devices = run_one(executor, source).value
    assert app == ["candidate.py", "values.py", "wire.py", "worker.py"]
    assert set(root) <= {
        "app",
        "bin",
        "dev",
        "etc",
        "lib",
        "lib32",
        "lib64",
        "libx32",
        "sbin",
        "tmp",
        "usr",
        "root",
        "home",
        "opt",
    }
    assert devices == ["full", "null", "random", "urandom", "zero"]


def test_the_interpreter_is_this_one_without_site_and_environment(executor):
    source = (
        "import os, sys\n"
        "def solve(): return [list(sys.version_info[:3]), sorted(os.environ), sys.base_prefix,"
        " 'site' in sys.modules, [p for p in sys.path if 'site-packages' in p or p in ('', '.', '/app')]]"
    )
    version, environment, prefix, has_site, suspicious = run_one(executor, source).value
    assert version == list(sys.version_info[:3])
    assert set(environment) <= {"PYTHONHASHSEED", "PWD", "LC_CTYPE"}
    assert os.path.realpath(prefix) == os.path.realpath(sys.base_prefix)
    assert not has_site
    assert suspicious == []


def test_the_hash_seed_is_the_one_asked_for():
    source = "def solve(): return [hash('a'), list({'alpha', 'beta', 'gamma', 'delta', 'epsilon'})]"
    found = {}
    for seed in (0, 1, 1):
        with open_executor("bubblewrap", num_workers=1, hash_seed=seed) as opened:
            value = run_one(opened, source).value
        assert found.setdefault(seed, value) == value
    assert found[0] != found[1]


def test_arguments_are_fresh_for_each_call_and_each_program(executor):
    source = "def solve(x, y):\n    x.append(1)\n    y['k'].add(5)\n    return [len(x), len(y['k'])]"
    calls = tuple([[], {"k": {"$set": [1]}}] for _ in range(3))
    shared = [[], {"k": {"$set": [1]}}]
    for arguments in (calls, (shared, shared, shared)):
        runs = [Run(source=source, entry_point="solve", calls=arguments)] * 2
        for execution in executor.run(runs, PATIENT):
            assert [result.value for result in execution.results] == [[1, 2]] * 3
    assert shared == [[], {"k": {"$set": [1]}}]


def test_every_limit_bites(executor):
    def status(source, **limits):
        run = Run(source=source, entry_point="solve", calls=([],))
        [execution] = executor.run([run], Limits(**{"cpu_time_s": 10.0, "wall_time_s": 30.0, **limits}))
        return execution.failure or execution.results[0].error

    spin = "import time\ndef solve():\n    end = time.process_time() + 1.0\n    while time.process_time() < end: pass"
    sleep = "import time\ndef solve(): time.sleep(1.0)"
    allocate = "def solve(): bytearray(100 << 20)"
    speak = "def solve(): return 'x' * 5000"
    assert status(spin) is None
    assert status(spin, cpu_time_s=0.3) is Status.TIMEOUT
    assert status(sleep) is None
    assert status(sleep, wall_time_s=0.3) is Status.TIMEOUT
    assert status(allocate) is None
    assert status(allocate, memory_bytes=90 << 20) == "MemoryError"
    assert status(speak) is None
    assert status(speak, output_bytes=4000) is Status.OUTPUT_LIMIT
    assert status(speak, source_bytes=20) is Status.SOURCE_TOO_LONG


def test_large_programs_and_answers_pass_through(executor):
    text = "x" * 900_000
    source = "# " + "y" * 60_000 + "\ndef solve(x): return x"
    assert run_one(executor, source, text).value == text


def test_a_killed_sandbox_costs_no_program_its_verdict():
    """Each sandbox is killed from outside several times while it works."""
    source = "import time\ndef solve(x):\n    time.sleep(0.01)\n    return x"
    runs = [Run(source=source, entry_point="solve", calls=([i],)) for i in range(120)]
    with open_executor("bubblewrap", num_workers=2) as opened:
        done = []

        def kill_now_and_then(index, execution):
            done.append(index)
            if len(done) in (20, 50, 80):
                slot = next(slot for slot in opened._slots if slot.channel is not None)
                os.kill(slot.channel.sandbox._process.pid, signal.SIGKILL)

        executions = opened.run(runs, PATIENT, kill_now_and_then)
        assert opened.num_replaced >= 3
    assert [execution.results[0].value for execution in executions] == list(range(120))


def test_a_batch_of_nothing_but_bombs_ends_and_the_next_one_is_right(executor):
    bomb = "import os\ndef solve(x):\n    while True:\n        try: os.fork()\n        except OSError: pass"
    fast = Limits(cpu_time_s=0.3, wall_time_s=0.6)
    executions = executor.run([Run(source=bomb, entry_point="solve", calls=([0],))] * 6, fast)
    assert all(execution.failure in (Status.TIMEOUT, Status.CRASH) for execution in executions)
    assert run_one(executor, "def solve(x): return x", 5).value == 5


def test_it_works_from_a_thread_that_ends(executor):
    found = []
    with open_executor("bubblewrap", num_workers=1) as opened:
        for _ in range(2):
            thread = threading.Thread(target=lambda: found.append(run_one(opened, "def solve(x): return x", 5).value))
            thread.start()
            thread.join()
        assert opened.num_replaced == 0
    assert found == [5, 5]


def test_closing_leaves_no_process_and_no_descriptor():
    def open_fds():
        return len(os.listdir("/proc/self/fd"))

    before = open_fds()
    for _ in range(2):
        with open_executor("bubblewrap", num_workers=2) as opened:
            run_one(opened, "def solve(x): return x", 5)
            processes = [slot.channel.sandbox._process for slot in opened._slots if slot.channel is not None]
        assert all(process.returncode is not None for process in processes)
    assert open_fds() <= before + 2  # the selector


def test_auto_never_falls_back_to_a_plain_process(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ValueError, match="bubblewrap is not installed.*process"):
        open_executor("auto")


def test_auto_says_what_it_chose(caplog):
    caplog.set_level("INFO")
    with open_executor("auto", num_workers=1) as opened:
        assert opened.description.startswith("bubblewrap: ")
    assert "auto" in caplog.text


def test_a_bubblewrap_that_does_not_work_is_one_clear_line(tmp_path, monkeypatch):
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
        ({"backend": "dcoker"}, "auto, bubblewrap, process"),
        ({"hash_seed": -1}, "hash_seed"),
        ({"num_workers": 0}, "at least 1"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        open_executor(**arguments)


def test_the_plain_process_works_and_says_what_it_is(caplog):
    with open_executor("process", num_workers=1) as opened:
        assert "NOT a sandbox" in opened.description
        assert run_one(opened, "def solve(x): return (x, {1})", 5).value == {"$tuple": [5, {"$set": [1]}]}
        [loop] = opened.run(
            [Run(source="def solve():\n    while True: pass", entry_point="solve", calls=([],))],
            Limits(cpu_time_s=0.3, wall_time_s=2.0),
        )
        assert loop.failure is Status.TIMEOUT
    assert "NOT a sandbox" in caplog.text


def test_the_worker_has_namespaces_and_capabilities_of_its_own():
    if os.geteuid() != 0:
        pytest.skip("not root: another user's namespaces cannot be looked at")
    with open_executor("bubblewrap", num_workers=1) as opened:
        run_one(opened, "def solve(): return 1")
        outer = opened._slots[0].channel.sandbox._process.pid
        [worker] = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
        for kind in ("net", "pid", "ipc", "mnt", "uts"):
            assert os.readlink(f"/proc/{worker}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"), kind
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{worker}/status").read_text().splitlines())
        assert int(status["CapPrm"], 16) == 1 << 5 | 1 << 6 | 1 << 7  # KILL, SETGID, SETUID
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        assert Path(f"/proc/{worker}/oom_score_adj").read_text().strip() == "1000"
        assert Path(f"/proc/{worker}/environ").read_bytes().split(b"\0")[0] == b"PYTHONHASHSEED=0"


def test_a_candidate_is_nobody_and_may_nothing(executor):
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
