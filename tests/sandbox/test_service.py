"""The service as a process of its own: the same verdicts as in this process, and no rudeness that stops it."""

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from executor.api import grade, open_executor
from executor.grading.rewards import RewardConfig
from executor.grading.tasks import parse_task
from executor.service.courier import Courier
from executor.types import Limits, Run, Status, Submission
from tests.support.running_service import ROOT, TOKEN, Served, head_of, read_answer, rows, running_service, wait_until

ADD = {
    "task_id": "add",
    "entry_point": "add",
    "tests": [{"args": [1, 2], "expected": 3}, {"args": [2, 2], "expected": 4}],
}
GOOD = "def add(a, b):\n    return a + b\n"
SLOW = "import time\ndef add(a, b):\n    time.sleep({})\n    return a + b\n"
MAX_BODY = 1 << 20
QUICK = Limits(cpu_time_s=0.4, wall_time_s=1.5)


def request_of(*completions: str, **more) -> dict:
    return {"tasks": [ADD], "samples": [{"task": 0, "completion": text} for text in completions], **more}


def slow_batch(number: int, seconds: float) -> dict:
    """Programs that differ, so that each is run."""
    return request_of(*(SLOW.format(seconds) + f"# {position}\n" for position in range(number)))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("service")
    with running_service(folder, max_body_bytes=MAX_BODY, max_waiting_programs=600) as service:
        yield service


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATOMFORGE_EXECUTOR_TOKEN", TOKEN)


def lone_check_s(served: Served) -> float:
    began = time.monotonic()
    status, _, body = served.post("/v1/grade", request_of(GOOD))
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
def test_verdicts_are_those_of_this_process(kind: str, served: Served, bubblewrap_executor, tmp_path: Path) -> None:
    submissions = [Submission(task=parse_task(task), completion=text) for task, text, _, _ in MIXED]
    here = grade(bubblewrap_executor, submissions, QUICK, rewards=REWARDS)
    seen: dict[int, Status] = {}
    if kind == "tcp":
        with open_executor(served.address) as remote:
            there = grade(remote, submissions, QUICK, lambda index, outcome: seen.update({index: outcome.status}),
                          rewards=REWARDS)  # fmt: skip
    else:
        path = tmp_path / "service.sock"
        with running_service(tmp_path, unix_socket=str(path)) as local:
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


def test_runs_come_back_in_order(served: Served, bubblewrap_executor) -> None:
    runs = [Run(source=f"def f(x):\n    return (x, {n})\n", entry_point="f", calls=([n], ["a"])) for n in range(30)]
    with open_executor(served.address) as remote:
        there = remote.run(runs, QUICK)
    here = bubblewrap_executor.run(runs, QUICK)
    assert [execution.results for execution in there] == [execution.results for execution in here]
    assert there[7].results[0].value == {"$tuple": [7, 7]}


def test_the_last_line_counts(served: Served) -> None:
    _, _, body = served.post("/v1/grade", request_of(GOOD, "no", GOOD + "#\n", ks=[1, 2, 4], rewards={}))
    last = rows(body)[-1]
    assert last["done"] is True
    [count] = last["report"]["tasks"]
    assert (count["task_id"], count["num_samples"], count["num_correct"]) == ("add", 3, 2)
    # 1 - C(1,1)/C(3,1), 1 - C(1,2)/C(3,2); four of three cannot be drawn
    assert count["pass_at_k"] == pytest.approx({"1": 2 / 3, "2": 1.0})


@pytest.mark.parametrize("path", ["/v1/grade", "/v1/run", "/metrics"])
@pytest.mark.parametrize("wrong", [None, "", "another-token-of-the-same-sort", TOKEN + "x", TOKEN[:-1], "\xe9" * 20])
def test_a_wrong_token_is_refused(path: str, wrong: str | None, served: Served) -> None:
    head = head_of(path, 2, token=None, method="GET" if path == "/metrics" else "POST")
    if wrong is not None:
        head = head.replace(b"\r\n\r\n", b"\r\nAuthorization: Bearer " + wrong.encode("latin-1") + b"\r\n\r\n")
    status, _, body = served.request(head, b"{}")
    assert status == 401
    assert "\n" not in json.loads(body)["error"]


def test_health_needs_no_token_and_the_log_has_none(served: Served) -> None:
    status, _, body = served.request(head_of("/healthz", None, token=None, method="GET"))
    assert status == 200
    health = json.loads(body)
    assert "bubblewrap" in health["description"]
    assert health["time_factor"] >= 1.0
    served.post("/v1/grade", request_of(GOOD))
    with pytest.raises(ValueError, match="token"):
        open_executor(served.address, token="another-token-of-the-same-sort")
    assert any('"batch finished"' in line for line in served.log)
    assert not any(TOKEN in line or "return a + b" in line or "another-token" in line for line in served.log)
    for line in served.log:
        assert line.startswith("atomforge: serving at ") or json.loads(line)


def test_the_page_and_the_metrics_are_there(served: Served) -> None:
    status, _, body = served.request(head_of("/openapi.json", None, token=None, method="GET"))
    assert status == 200
    assert "samples" in json.dumps(json.loads(body)["paths"]["/v1/grade"]["post"]["requestBody"])
    assert served.request(head_of("/docs", None, token=None, method="GET"))[0] == 200
    before = served.metric("atomforge_executor_verdicts_total")
    served.post("/v1/grade", request_of(GOOD, "no"))
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
        (json.dumps(request_of(GOOD, limits={"cpu_time_s": 1e9})).encode(), 422),
        (json.dumps(request_of(GOOD, ks=[0])).encode(), 422),
        (b'{"tasks": [], "samples": [{"task": 0, "completion": ""}]}', 422),
    ],
)
def test_nonsense_is_refused_in_one_line(body: bytes, status: int, served: Served) -> None:
    answered, _, text = served.post("/v1/grade", body)
    assert answered == status
    error = json.loads(text)["error"]
    assert error
    assert "\n" not in error
    lone_check_s(served)


def test_unknown_paths_and_methods(served: Served) -> None:
    assert served.post("/v1/nothing", {})[0] == 404
    assert served.request(head_of("/v1/grade", None, method="GET"))[0] == 405
    assert served.request(b"\0\1\2\3 nonsense\r\n\r\n")[0] == 400


def test_an_oversized_body_is_refused_as_soon_as_it_is_told(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(head_of("/v1/grade", MAX_BODY + 1))  # and not one byte of it
        status, _, body = read_answer(connection)
    assert (status, str(MAX_BODY) in json.loads(body)["error"]) == (413, True)
    lone_check_s(served)


def test_an_oversized_body_in_chunks_is_refused_while_it_comes(served: Served) -> None:
    head = head_of("/v1/grade", None).replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with served.connect() as connection:
        connection.sendall(head)
        connection.sendall(chunk * (MAX_BODY // 0x10000))  # as much as is allowed
        connection.sendall(b"1\r\n \r\n")  # one more, and no end
        assert read_answer(connection)[0] == 413
    lone_check_s(served)


def test_the_client_says_that_a_program_is_too_large(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows the limit from the service: one that is cut off while it sends would not read why."""
    monkeypatch.setattr("executor.service.courier.MAX_ATTEMPTS", 1)
    with open_executor(served.address) as remote, pytest.raises(ValueError, match="takes 1048576"):
        grade(remote, [Submission(task=parse_task(ADD), completion="#" * (8 << 20))])


def test_the_client_splits_what_is_too_large_for_one_request(served: Served) -> None:
    submissions = [Submission(task=parse_task(ADD), completion=f"#{'x' * 50_000}\n{GOOD}") for _ in range(60)]
    with open_executor(served.address) as remote:
        assert all(outcome.passed for outcome in grade(remote, submissions))


def test_a_service_with_another_hash_seed_is_refused(served: Served) -> None:
    """Else a data set whose programs are run under two seeds would be checked under one."""
    with pytest.raises(ValueError, match="PYTHONHASHSEED 0, and 7 is wanted"):
        open_executor(served.address, hash_seed=7)


def test_half_closed_connections_are_let_go(served: Served) -> None:
    whole = json.dumps(request_of(GOOD)).encode()
    for sent in (b"", b"POST /v1/gr", head_of("/v1/grade", len(whole)), head_of("/v1/grade", len(whole)) + whole[:20]):
        with served.connect() as connection:
            connection.sendall(sent)
            connection.shutdown(1)
            began = time.monotonic()
            read_answer(connection)  # whatever it is, it ends
            assert time.monotonic() - began < 5
    lone_check_s(served)


def test_two_hundred_idle_connections_slow_nobody(served: Served) -> None:
    usual_s = statistics.median(lone_check_s(served) for _ in range(15))
    idle = [served.connect() for _ in range(200)]
    try:
        for number, connection in enumerate(idle):
            connection.sendall((b"", b"POST /v1/grade HT", head_of("/v1/grade", 100))[number % 3])
        crowded_s = statistics.median(lone_check_s(served) for _ in range(15))
    finally:
        for connection in idle:
            connection.close()
    assert crowded_s < 3 * usual_s + 0.02


def test_connections_of_strangers_leave_descriptors_for_the_sandboxes(tmp_path: Path) -> None:
    with running_service(tmp_path, num_descriptors=256) as flooded, contextlib.ExitStack() as strangers:
        courier = Courier(flooded.address, TOKEN)
        strangers.callback(courier.close)
        batch = json.dumps(request_of(GOOD)).encode()

        def statuses() -> list[str]:
            return [row["status"] for row in courier.lines("/v1/grade", batch) if "index" in row]

        assert statuses() == ["passed"]  # the connection stays open
        for _ in range(300):
            stranger = strangers.enter_context(socket.socket())
            stranger.settimeout(2)
            with contextlib.suppress(OSError):  # closed at the other end, or not accepted
                stranger.connect(("127.0.0.1", flooded.port))
                stranger.sendall(b"G")
        time.sleep(3.0)  # an accept that fails is tried again every second
        assert statuses() == ["passed"]
        children = Path(f"/proc/{flooded.process.pid}/task").glob("*/children")
        for sandbox in " ".join(path.read_text() for path in children).split():
            os.kill(int(sandbox), signal.SIGKILL)
        time.sleep(1.0)
        assert statuses() == ["passed"]
        assert sum(len(line) for line in flooded.log) < 20_000


@pytest.mark.slow
def test_a_head_that_never_ends_is_cut(served: Served) -> None:
    with served.connect() as nothing, served.connect() as part:
        part.sendall(b"POST /v1/grade HTTP/1.1\r\nHost: ")
        began = time.monotonic()
        for connection in (nothing, part):
            connection.settimeout(40)
            assert read_answer(connection)[0] in (0, 400, 408)
        assert time.monotonic() - began < 35


def test_a_head_without_bounds_is_refused(served: Served) -> None:
    """Nobody without a token may fill the memory of the service."""
    before = memory_bytes(served)
    piece = b"x" * (1 << 20)
    with served.connect() as connection:
        connection.sendall(b"POST /v1/grade HTTP/1.1\r\nHost: service\r\nX-Long: ")
        with contextlib.suppress(OSError):  # it has closed: right
            for _ in range(64):
                connection.sendall(piece)
        time.sleep(0.5)
        assert memory_bytes(served) - before < 32 << 20
    lone_check_s(served)


def memory_bytes(served: Served) -> int:
    lines = Path(f"/proc/{served.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS"))


@pytest.mark.parametrize("num_lines_read", [0, 1])
def test_what_a_client_that_left_had_waiting_is_dropped(served: Served, num_lines_read: int) -> None:
    body = json.dumps(slow_batch(100, 0.3)).encode()  # 30 seconds of work
    with served.connect() as connection:
        connection.sendall(head_of("/v1/grade", len(body)) + body)
        if num_lines_read:
            assert b'"index"' in b"".join(connection.recv(4096) for _ in range(2))
        else:
            assert wait_until(lambda: served.metric("atomforge_executor_busy_slots") == 1, within_s=5)
    assert wait_until(lambda: served.metric("atomforge_executor_queue_depth") == 0, within_s=3)
    assert lone_check_s(served) < 3


def test_a_client_that_left_while_its_batch_was_put_in_line(tmp_path: Path) -> None:
    body = json.dumps(slow_batch(550, 0.2)).encode()
    with running_service(tmp_path) as left:
        for _ in range(3):
            with left.connect() as connection:
                connection.sendall(head_of("/v1/grade", len(body)) + body)
        time.sleep(1.0)
        assert wait_until(lambda: left.metric("atomforge_executor_queue_depth") == 0, within_s=3)


def test_a_lone_check_does_not_wait_behind_a_batch(served: Served) -> None:
    answers: list[list[dict]] = []

    def long_batch() -> None:
        answers.append(rows(served.post("/v1/grade", slow_batch(500, 0.01))[2]))

    thread = threading.Thread(target=long_batch)
    thread.start()
    assert wait_until(lambda: served.metric("atomforge_executor_queue_depth") > 300, within_s=5)
    waits = [lone_check_s(served) for _ in range(3)]
    assert not answers, "the batch must still be at work for this to say anything"
    assert max(waits) < 1.0
    thread.join(60)
    [lines] = answers
    assert [line["status"] for line in lines[:-1]] == ["passed"] * 500
    assert sorted(line["index"] for line in lines[:-1]) == list(range(500))


def test_it_listens_when_it_says_so(tmp_path: Path) -> None:
    with running_service(tmp_path, wait_for_listening=False) as started:
        assert started.accepts()


def test_a_full_service_says_when_to_come_again(tmp_path: Path) -> None:
    with running_service(tmp_path, max_waiting_programs=10) as small:
        status, _, body = small.post("/v1/grade", slow_batch(11, 0.0))
        assert (status, "11" in json.loads(body)["error"]) == (413, True)
        thread = threading.Thread(target=small.post, args=("/v1/grade", slow_batch(10, 0.2)))
        thread.start()
        assert wait_until(lambda: small.metric("atomforge_executor_queue_depth") > 4, within_s=5)
        status, headers, _ = small.post("/v1/grade", slow_batch(8, 0.0))
        assert status == 429
        assert 1 <= int(headers["retry-after"]) <= 60
        with open_executor(small.address) as remote:  # comes again by itself
            task = parse_task(ADD)
            outcomes = grade(remote, [Submission(task=task, completion=SLOW.format(0) + f"#{n}") for n in range(8)])
        assert [outcome.status for outcome in outcomes] == [Status.PASSED] * 8
        thread.join(30)


@pytest.mark.parametrize("drain_s", [20.0, 1.0])
def test_sigterm_lets_it_finish_within_its_time(drain_s: float, tmp_path: Path) -> None:
    with running_service(tmp_path, drain_s=drain_s) as ending:
        body = json.dumps(slow_batch(20, 0.2)).encode()  # two calls each: 8 seconds
        with ending.connect() as connection:
            connection.sendall(head_of("/v1/grade", len(body)) + body)
            assert wait_until(lambda: ending.metric("atomforge_executor_busy_slots") == 1, within_s=5)
            ending.process.terminate()
            _, _, answer = read_answer(connection)
        assert ending.process.wait(10) == 0
    lines = rows(answer)
    is_whole = drain_s == 20.0
    assert ("done" in lines[-1] if lines else False) == is_whole
    assert [line["status"] for line in lines if "index" in line] == ["passed"] * (20 if is_whole else len(lines))


def test_a_number_beyond_all_floats_does_no_harm(tmp_path: Path) -> None:
    """1e999 is JSON, and infinite; a program may forge such a result."""
    forger = (
        "import os\ndef f(x):\n    for fd in range(3, 64):\n        try:\n            os.write(fd, b'v1e999\\n')\n"
        "        except OSError:\n            pass\n    os._exit(0)\n"
    )
    body = json.dumps({"runs": [{"source": forger, "entry_point": "f", "calls": [[1]]}]}).encode()
    with running_service(tmp_path) as harmed:
        with harmed.connect() as connection:
            connection.sendall(head_of("/v1/run", len(body)) + body)
            connection.settimeout(4)
            with contextlib.suppress(TimeoutError):
                read_answer(connection)
        lone_check_s(harmed)  # whatever became of that one, another client is served


def test_an_infinite_argument_is_refused(served: Served) -> None:
    task = json.dumps(request_of(GOOD)).replace("[1, 2]", "[1e999, 2]").encode()
    assert served.post("/v1/grade", task)[0] == 400
    run = b'{"runs": [{"source": "def f(x): return x", "entry_point": "f", "calls": [[1e999]]}]}'
    assert served.post("/v1/run", run)[0] == 400
    lone_check_s(served)


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
def test_a_wrong_config_is_one_line(keys: dict, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ATOMFORGE_EXECUTOR_TOKEN")
    config = tmp_path / "service.yaml"
    config.write_text(json.dumps(keys))
    command = [sys.executable, "-m", "cli.main", "serve", "--config", str(config)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert named in line
