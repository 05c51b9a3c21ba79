"""`atomforge serve` as a process: the same outcomes as in this process, and resistance to abuse.

One service is shared by all tests but those that end it or need another configuration.
"""

import contextlib
import json
import os
import signal
import socket
import statistics
import threading
import time
from pathlib import Path

import pytest

from cli.main import main
from executor.api import grade, open_executor
from executor.grading.rewards import RewardConfig
from executor.grading.tasks import parse_task
from executor.service.connection import ServiceConnection
from executor.types import Limits, Run, Status, Submission
from tests.support.running_service import TOKEN, Served, head_of, read_answer, rows, running_service
from tests.support.wait import wait_until

ADD = {
    "task_id": "add",
    "entry_point": "add",
    "tests": [{"args": [1, 2], "expected": 3}, {"args": [2, 2], "expected": 4}],
}
GOOD = "def add(a, b):\n    return a + b\n"
SLOW = "import time\ndef add(a, b):\n    time.sleep({})\n    return a + b\n"
MAX_BODY = 1 << 20
QUICK = Limits(cpu_time_s=0.4, wall_time_s=1.5)


def make_request(*completions: str, **more) -> dict:
    return {"tasks": [ADD], "samples": [{"task": 0, "completion": text} for text in completions], **more}


def make_slow_request(number: int, seconds: float) -> dict:
    """Programs that differ, so that each is run."""
    return make_request(*(SLOW.format(seconds) + f"# {position}\n" for position in range(number)))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("service")
    with running_service(folder, max_body_bytes=MAX_BODY, max_waiting_programs=2000) as service:
        yield service


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATOMFORGE_EXECUTOR_TOKEN", TOKEN)


def time_one_check(served: Served) -> float:
    began = time.monotonic()
    status, _, body = served.post("/v1/grade", make_request(GOOD))
    assert (status, rows(body)[0]["status"]) == (200, "passed")
    return time.monotonic() - began


MIXED = [
    (ADD, GOOD, Status.PASSED, 1.5),
    (ADD, "def add(a, b):\n    return 3\n", Status.WRONG, 0.25),
    (ADD, "def add(a, b):\n    return float(a + b)\n", Status.WRONG, 0.0),
    (ADD, "def add(a, b):\n    raise KeyError\n", Status.EXCEPTION, 0.0),
    (ADD, "def other(a, b):\n    return a + b\n", Status.LOAD_ERROR, 0.0),
    (ADD, "def add(a, b:\n", Status.LOAD_ERROR, 0.0),
    (ADD, "def add(a, b):\n    while True: pass\n", Status.TIMEOUT, 0.0),
    (ADD, "import os\ndef add(a, b):\n    os._exit(0)\n", Status.CRASH, 0.0),
    ({"task_id": "r", "entry_point": "f", "reference": "def f(x):\n    return {x}\n", "inputs": [[1], [2]]},
     "def f(x):\n    return set([x])\n", Status.PASSED, 1.5),
    ({"task_id": "c", "entry_point": "g", "check": "def check(c):\n    assert c(2) == 4\n", "prompt": ""},
     "def g(x):\n    return x * x\n", Status.PASSED, 1.5),
]  # fmt: skip
REWARDS = RewardConfig(passed_coef=1.0, fraction_coef=0.5)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_outcomes_equal_those_of_a_local_executor(
    kind: str, served: Served, bubblewrap_executor, tmp_path: Path
) -> None:
    submissions = [Submission(task=parse_task(task), completion=text) for task, text, _, _ in MIXED]
    here = grade(bubblewrap_executor, submissions, QUICK, rewards=REWARDS)
    seen: dict[int, Status] = {}
    if kind == "tcp":
        with open_executor(served.address) as remote:
            there = grade(remote, submissions, QUICK, lambda index, outcome: seen.update({index: outcome.status}),
                          rewards=REWARDS)  # fmt: skip
    else:
        path = tmp_path / "service.sock"
        with running_service(tmp_path, wait_for_listening=False, unix_socket=str(path)) as local:
            assert local.accepts()  # as soon as the address is printed
            assert path.stat().st_mode & 0o777 == 0o600
            with open_executor(f"http+unix://{path}") as remote:
                there = grade(remote, submissions, QUICK, lambda index, outcome: seen.update({index: outcome.status}),
                              rewards=REWARDS)  # fmt: skip
            assert local.stop() == 0
        assert not path.exists()
    assert [outcome.status for outcome in there] == [status for _, _, status, _ in MIXED]
    assert [outcome.reward.total for outcome in there if outcome.reward] == [total for _, _, _, total in MIXED]
    facts = [[(o.status, o.num_passed, o.num_tests, o.detail, o.reward) for o in some] for some in (here, there)]
    assert facts[0] == facts[1]
    assert seen == dict(enumerate(outcome.status for outcome in there))


def test_runs_are_returned_in_order(served: Served, bubblewrap_executor) -> None:
    runs = [Run(source=f"def f(x):\n    return (x, {n})\n", entry_point="f", calls=([n], ["a"])) for n in range(30)]
    with open_executor(served.address) as remote:
        there = remote.run(runs, QUICK)
    here = bubblewrap_executor.run(runs, QUICK)
    assert [execution.results for execution in there] == [execution.results for execution in here]
    assert there[7].results[0].value == {"$tuple": [7, 7]}


WHOLE_PROGRAMS = [
    ("print(input(), sum(map(int, input().split())))", "é\n1 2\n", (None, "é 3\n", 0)),
    (
        "import sys\nif __name__ == '__main__':\n    print(len(sys.stdin.read()))",
        "ab\n" * 50_000,
        (None, "150000\n", 0),
    ),
    ("print('a')\nraise SystemExit(3)", "", ("exception", "a\n", 3)),
    ("print('a')\ninput()", "", ("exception", "a\n", 1)),  # EOFError
    ("import sys\nsys.stdout.buffer.write(b'\\xff')", "", (None, "\ufffd", 0)),
    ("print('a', flush=True)\nwhile True: pass", "", ("timeout", "a\n", ...)),  # by CPU time -24, by wall time None
    ("print(", "", ("load_error", "", 1)),
]


def test_whole_programs_read_stdin(served: Served, bubblewrap_executor) -> None:
    """As raw rows of /v1/run, and through the client in the same way as on a local executor."""
    request = {
        "runs": [{"source": source, "stdin": stdin} for source, stdin, _ in WHOLE_PROGRAMS],
        "limits": {"cpu_time_s": QUICK.cpu_time_s, "wall_time_s": QUICK.wall_time_s},
    }
    status, _, body = served.post("/v1/run", request)
    *lines, last = rows(body)
    lines.sort(key=lambda line: line["index"])
    assert (status, last) == (200, {"done": True})
    for line, (_, _, expected) in zip(lines, WHOLE_PROGRAMS, strict=True):
        exit_code = ... if line["failure"] == "timeout" else line["exit_code"]
        assert (line["failure"], line["stdout"], exit_code) == expected
    runs = [Run(source=source, stdin=stdin.encode()) for source, stdin, _ in WHOLE_PROGRAMS]
    with open_executor(served.address) as remote:
        there = remote.run(runs, QUICK)
    here = bubblewrap_executor.run(runs, QUICK)
    facts = [
        [(one.failure, one.failure != "timeout" and one.exit_code, one.detail) for one in some]
        for some in (here, there)
    ]
    assert facts[0] == facts[1]
    outputs = [(one.stdout or b"").decode("utf-8", "replace") for one in here]
    assert outputs == [(one.stdout or b"").decode("utf-8") for one in there]


def test_last_line_has_counts_and_pass_at_k(served: Served) -> None:
    _, _, body = served.post("/v1/grade", make_request(GOOD, "no", GOOD + "#\n", ks=[1, 2, 4], rewards={}))
    last = rows(body)[-1]
    assert last["done"] is True
    [count] = last["report"]["tasks"]
    assert (count["task_id"], count["num_samples"], count["num_correct"]) == ("add", 3, 2)
    # 1 - C(1,1)/C(3,1), 1 - C(1,2)/C(3,2); four of three cannot be drawn
    assert count["pass_at_k"] == pytest.approx({"1": 2 / 3, "2": 1.0})


@pytest.mark.parametrize("path", ["/v1/grade", "/v1/run", "/metrics"])
@pytest.mark.parametrize("wrong", [None, "", "another-token-of-the-same-sort", TOKEN + "x", TOKEN[:-1], "\xe9" * 20])
def test_wrong_token_is_rejected(path: str, wrong: str | None, served: Served) -> None:
    head = head_of(path, 2, token=None, method="GET" if path == "/metrics" else "POST")
    if wrong is not None:
        head = head.replace(b"\r\n\r\n", b"\r\nAuthorization: Bearer " + wrong.encode("latin-1") + b"\r\n\r\n")
    status, _, body = served.request(head, b"{}")
    assert status == 401
    assert "\n" not in json.loads(body)["error"]


def test_health_needs_no_token_and_no_token_is_logged(served: Served) -> None:
    status, _, body = served.request(head_of("/healthz", None, token=None, method="GET"))
    assert status == 200
    health = json.loads(body)
    assert "bubblewrap" in health["description"]
    assert health["time_factor"] >= 1.0
    served.post("/v1/grade", make_request(GOOD))
    with pytest.raises(ValueError, match="token"):
        open_executor(served.address, token="another-token-of-the-same-sort")
    assert any('"batch finished"' in line for line in served.log)
    assert not any(TOKEN in line or "return a + b" in line or "another-token" in line for line in served.log)
    for line in served.log:
        assert line.startswith("atomforge: serving at ") or json.loads(line)


def test_documentation_and_metrics_are_served(served: Served) -> None:
    status, _, body = served.request(head_of("/openapi.json", None, token=None, method="GET"))
    assert status == 200
    assert "samples" in json.loads(body)["components"]["schemas"]["GradeRequest"]["properties"]
    assert served.request(head_of("/docs", None, token=None, method="GET"))[0] == 200
    before = served.metric("atomforge_executor_verdicts_total")
    served.post("/v1/grade", make_request(GOOD, "no"))
    assert served.metric("atomforge_executor_verdicts_total") == before + 2
    assert served.metric("atomforge_executor_slots") == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"", 400),
        (b"\xff\xfe", 400),
        (b'{"tasks": [], "samples": NaN}', 400),
        (b"[" * 100_000, 400),
        (b"1" * 5000, 400),
        (b"[]", 422),
        (b"{}", 422),
        (json.dumps(make_request(GOOD, limits={"cpu_time_s": 1e9})).encode(), 422),
        (json.dumps(make_request(GOOD, ks=[0])).encode(), 422),
        (b'{"tasks": [], "samples": [{"task": 0, "completion": ""}]}', 422),
    ],
)
def test_invalid_bodies_are_rejected_in_one_line(body: bytes, status: int, served: Served) -> None:
    answered, _, text = served.post("/v1/grade", body)
    assert answered == status
    error = json.loads(text)["error"]
    assert error
    assert "\n" not in error
    time_one_check(served)


def test_unknown_paths_and_methods(served: Served) -> None:
    assert served.post("/v1/nothing", {})[0] == 404
    assert served.request(head_of("/v1/grade", None, method="GET"))[0] == 405
    assert served.request(b"\0\1\2\3 nonsense\r\n\r\n")[0] == 400


def test_oversized_body_is_rejected_by_its_declared_length(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(head_of("/v1/grade", MAX_BODY + 1))  # and not one byte of it
        status, _, body = read_answer(connection)
    assert (status, str(MAX_BODY) in json.loads(body)["error"]) == (413, True)
    time_one_check(served)


def test_oversized_chunked_body_is_rejected_while_it_arrives(served: Served) -> None:
    head = head_of("/v1/grade", None).replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with served.connect() as connection:
        connection.sendall(head)
        connection.sendall(chunk * (MAX_BODY // 0x10000))  # as much as is allowed
        connection.sendall(b"1\r\n \r\n")  # one more, and no end
        assert read_answer(connection)[0] == 413
    time_one_check(served)


def test_client_rejects_a_program_over_the_body_limit(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client knows the limit from /healthz, so it does not send the body."""
    monkeypatch.setattr("executor.service.connection.MAX_ATTEMPTS", 1)
    with open_executor(served.address) as remote, pytest.raises(ValueError, match="max_body_bytes .* 1048576"):
        grade(remote, [Submission(task=parse_task(ADD), completion="#" * (8 << 20))])


def test_client_splits_what_is_too_large_for_one_request(served: Served) -> None:
    submissions = [Submission(task=parse_task(ADD), completion=f"#{'x' * 50_000}\n{GOOD}") for _ in range(60)]
    with open_executor(served.address) as remote:
        assert all(outcome.passed for outcome in grade(remote, submissions))


def test_another_hash_seed_is_an_error(served: Served) -> None:
    """Otherwise a data set that needs two seeds would be checked with one."""
    with pytest.raises(ValueError, match="hash_seed .* is 0, expected 7"):
        open_executor(served.address, hash_seed=7)


def test_half_closed_connections_are_closed(served: Served) -> None:
    whole = json.dumps(make_request(GOOD)).encode()
    for sent in (b"", b"POST /v1/gr", head_of("/v1/grade", len(whole)), head_of("/v1/grade", len(whole)) + whole[:20]):
        with served.connect() as connection:
            connection.sendall(sent)
            connection.shutdown(1)
            began = time.monotonic()
            read_answer(connection)  # any response, but not after the 30 s in which headers must arrive
            assert time.monotonic() - began < 15
    time_one_check(served)


def test_two_hundred_idle_connections_do_not_slow_others(served: Served) -> None:
    usual_s = statistics.median(time_one_check(served) for _ in range(15))
    idle = [served.connect() for _ in range(200)]
    try:
        for number, connection in enumerate(idle):
            connection.sendall((b"", b"POST /v1/grade HT", head_of("/v1/grade", 100))[number % 3])
        crowded_s = statistics.median(time_one_check(served) for _ in range(15))
    finally:
        for connection in idle:
            connection.close()
    assert crowded_s < 5 * usual_s + 0.1


def test_idle_connections_leave_descriptors_for_the_sandboxes(tmp_path: Path) -> None:
    with running_service(tmp_path, num_descriptors=256) as flooded, contextlib.ExitStack() as idle:
        connection = ServiceConnection(flooded.address, TOKEN)
        idle.callback(connection.close)
        batch = json.dumps(make_request(GOOD)).encode()

        def statuses() -> list[str]:
            return [row["status"] for row in connection.stream_rows("/v1/grade", batch) if "index" in row]

        assert statuses() == ["passed"]  # the connection stays open
        for _ in range(300):
            one = idle.enter_context(socket.socket())
            one.settimeout(2)
            with contextlib.suppress(OSError):  # closed at the other end, or not accepted
                one.connect(("127.0.0.1", flooded.port))
                one.sendall(b"G")
        time.sleep(2.0)  # an accept that fails is tried again every second, and must not fill the log
        assert statuses() == ["passed"]
        killed = sandboxes(flooded)
        for sandbox in killed:
            os.kill(sandbox, signal.SIGKILL)
        wait_until(lambda: not killed & sandboxes(flooded))
        assert statuses() == ["passed"]
        assert sum(len(line) for line in flooded.log) < 20_000


def sandboxes(served: Served) -> set[int]:
    """First processes of the sandboxes of a service."""
    children = Path(f"/proc/{served.process.pid}/task").glob("*/children")
    return {int(pid) for path in children for pid in path.read_text().split()}


@pytest.mark.slow
def test_incomplete_headers_end_the_connection(served: Served) -> None:
    with served.connect() as nothing, served.connect() as part:
        part.sendall(b"POST /v1/grade HTTP/1.1\r\nHost: ")
        began = time.monotonic()
        for connection in (nothing, part):
            connection.settimeout(40)
            assert read_answer(connection)[0] in (0, 400, 408)
        assert time.monotonic() - began < 35


def test_unbounded_headers_are_rejected(served: Served) -> None:
    """Clients without a token must not fill the memory of the service."""
    before = memory_bytes(served)
    piece = b"x" * (1 << 20)
    with served.connect() as connection:
        connection.sendall(b"POST /v1/grade HTTP/1.1\r\nHost: service\r\nX-Long: ")
        with contextlib.suppress(OSError):  # the service has closed the connection
            for _ in range(64):
                connection.sendall(piece)
        read_answer(connection)
        assert memory_bytes(served) - before < 32 << 20
    time_one_check(served)


def memory_bytes(served: Served) -> int:
    lines = Path(f"/proc/{served.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS"))


@pytest.mark.parametrize("num_lines_read", [0, 1])
def test_waiting_programs_of_a_disconnected_client_are_dropped(served: Served, num_lines_read: int) -> None:
    body = json.dumps(make_slow_request(100, 0.3)).encode()  # 30 seconds of work
    with served.connect() as connection:
        connection.sendall(head_of("/v1/grade", len(body)) + body)
        if num_lines_read:
            assert b'"index"' in b"".join(connection.recv(4096) for _ in range(2))
        else:
            wait_until(lambda: served.metric("atomforge_executor_busy_slots") == 1)
    wait_until(lambda: served.metric("atomforge_executor_queue_depth") == 0, 15)
    assert time_one_check(served) < 15


def test_programs_added_after_a_disconnect_are_dropped(served: Served) -> None:
    body = json.dumps(make_slow_request(550, 0.2)).encode()  # 220 seconds of work, three times
    num_accepted = count_log_lines(served, "batch accepted")
    for _ in range(3):
        with served.connect() as connection:
            connection.sendall(head_of("/v1/grade", len(body)) + body)
    wait_until(lambda: count_log_lines(served, "batch accepted") == num_accepted + 3)
    wait_until(lambda: served.metric("atomforge_executor_queue_depth") == 0)
    assert time_one_check(served) < 15


def count_log_lines(served: Served, event: str) -> int:
    return sum(f'"{event}"' in line for line in served.log)


def test_lone_check_does_not_wait_behind_a_batch(served: Served) -> None:
    answers: list[list[dict]] = []

    def long_batch() -> None:
        answers.append(rows(served.post("/v1/grade", make_slow_request(200, 0.02))[2]))

    thread = threading.Thread(target=long_batch)
    thread.start()
    wait_until(lambda: served.metric("atomforge_executor_queue_depth") > 150)
    for _ in range(3):
        time_one_check(served)
    assert served.metric("atomforge_executor_queue_depth") > 75  # of 8 s of work
    thread.join(120)
    [lines] = answers
    assert [line["status"] for line in lines[:-1]] == ["passed"] * 200
    assert sorted(line["index"] for line in lines[:-1]) == list(range(200))


def test_full_queue_is_429_with_retry_after(tmp_path: Path) -> None:
    with running_service(tmp_path, max_waiting_programs=10) as small:
        status, _, body = small.post("/v1/grade", make_slow_request(11, 0.0))
        assert (status, "11" in json.loads(body)["error"]) == (413, True)
        thread = threading.Thread(target=small.post, args=("/v1/grade", make_slow_request(10, 0.2)))
        thread.start()
        wait_until(lambda: small.metric("atomforge_executor_queue_depth") > 4)
        status, headers, _ = small.post("/v1/grade", make_slow_request(8, 0.0))
        assert status == 429
        assert 1 <= int(headers["retry-after"]) <= 60
        with open_executor(small.address) as remote:  # the client retries
            task = parse_task(ADD)
            outcomes = grade(remote, [Submission(task=task, completion=SLOW.format(0) + f"#{n}") for n in range(8)])
        assert [outcome.status for outcome in outcomes] == [Status.PASSED] * 8
        thread.join(60)


@pytest.mark.parametrize("drain_s", [60.0, 0.5])
def test_sigterm_lets_batches_finish_within_drain_s(drain_s: float, tmp_path: Path) -> None:
    with running_service(tmp_path, drain_s=drain_s) as ending:
        body = json.dumps(make_slow_request(8, 0.2)).encode()  # two calls each: 3.2 seconds
        with ending.connect() as connection:
            connection.sendall(head_of("/v1/grade", len(body)) + body)
            wait_until(lambda: ending.metric("atomforge_executor_busy_slots") == 1)
            ending.process.terminate()
            _, _, answer = read_answer(connection)
        assert ending.process.wait(60) == 0
    lines = rows(answer)
    is_whole = drain_s == 60.0
    assert ("done" in lines[-1] if lines else False) == is_whole
    assert [line["status"] for line in lines if "index" in line] == ["passed"] * (8 if is_whole else len(lines))


def test_result_beyond_the_floats_is_a_crash_and_others_are_served(served: Served) -> None:
    """1e999 is JSON, and infinite; a program may forge such a result."""
    forger = (
        "import os\ndef f(x):\n    for fd in range(3, 64):\n        try:\n            os.write(fd, b'v1e999\\n')\n"
        "        except OSError:\n            pass\n    os._exit(0)\n"
    )
    body = json.dumps({"runs": [{"source": forger, "entry_point": "f", "calls": [[1]]}]}).encode()
    with served.connect() as connection:
        connection.sendall(head_of("/v1/run", len(body)) + body)
        status, _, answer = read_answer(connection)
    assert (status, rows(answer)[0]["failure"]) == (200, "crash")
    time_one_check(served)  # other clients are served


def test_infinite_argument_is_rejected(served: Served) -> None:
    task = json.dumps(make_request(GOOD)).replace("[1, 2]", "[1e999, 2]").encode()
    assert served.post("/v1/grade", task)[0] == 400
    run = b'{"runs": [{"source": "def f(x): return x", "entry_point": "f", "calls": [[1e999]]}]}'
    assert served.post("/v1/run", run)[0] == 400
    time_one_check(served)


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"host": "0.0.0.0"}, "token"),
        ({"max_waiting_program": 5}, "max_waiting_programs"),
        ({"port": "http"}, "port"),
        ({"docker": {"img": "x"}}, "docker.img"),
        ({"backend": "http://127.0.0.1:1"}, "backend"),
        ({"token_file": "/nonexistent/token"}, "token_file"),
    ],
)
def test_invalid_config_is_one_line(keys: dict, named: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.delenv("ATOMFORGE_EXECUTOR_TOKEN")
    config = tmp_path / "service.yaml"
    config.write_text(json.dumps(keys))
    assert main(["serve", "--config", str(config)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert named in line
