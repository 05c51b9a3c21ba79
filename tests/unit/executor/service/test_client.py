"""`HttpExecutor` and `fetch_service_info`, against a scripted server."""

import threading

import pytest

from executor.api import grade, open_executor
from executor.grading.tasks import parse_task
from executor.service import connection, info
from executor.service.info import fetch_service_info
from executor.types import Status, Submission
from tests.support.fake_clock import RecordedPauses
from tests.support.scripted_service import (
    ScriptedService,
    cut_after,
    find_free_port,
    hang_up,
    make_response,
    pass_all,
    reject,
)
from tests.support.wait import wait_until

TASK = parse_task({"task_id": "t", "entry_point": "f", "tests": [{"args": [], "expected": 1}]})


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ATOMFORGE_EXECUTOR_TOKEN", raising=False)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace the pauses of a client by their lengths in this list."""
    clock = RecordedPauses()
    monkeypatch.setattr(info, "time", clock)
    monkeypatch.setattr(connection, "time", clock)
    return clock.lengths


@pytest.mark.parametrize(
    ("header", "num_connections"), [(None, 2), ("1", 2), ("3", 6), ("0", 2), ("many", 2), ("-4", 2), ("500", 64)]
)
def test_two_connections_per_replica(header: str | None, num_connections: int) -> None:
    headers = {} if header is None else {"Atomforge-Replicas": header}
    with ScriptedService(pass_all, health=[(200, headers)]) as service:
        info = fetch_service_info(service.url, None)
    assert info.num_connections == num_connections
    # a quarter of max_waiting_programs, 100
    assert (info.max_batch_size, info.hash_seed, info.time_factor) == (25, 0, 1.5)


def test_load_balancer_without_ready_replicas_is_retried(pauses: list[float]) -> None:
    health = [(503, {}), (503, {"Retry-After": "9"}), (200, {})]
    with ScriptedService(pass_all, health=health) as service:
        assert fetch_service_info(service.url, None).description == "script"
    assert len(pauses) == 2
    assert all(pause_s <= 0.25 * 2 * 1.25 for pause_s in pauses)


def test_load_balancer_without_replicas_raises_value_error(
    pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(info, "START_TIMEOUT_S", 0.0)
    with (
        ScriptedService(pass_all, health=[(503, {})]) as service,
        pytest.raises(ValueError, match=r"no executor service: .*503"),
    ):
        fetch_service_info(service.url, None)


def test_no_listener_is_an_error() -> None:
    with pytest.raises(ValueError, match="no executor service"):
        open_executor(f"http://127.0.0.1:{find_free_port()}")


def test_another_hash_seed_is_an_error() -> None:
    with ScriptedService(pass_all) as service, pytest.raises(ValueError, match="hash_seed .* is 0, expected 7"):
        open_executor(service.url, hash_seed=7)


def test_samples_without_a_response_are_infra_and_never_wrong(pauses: list[float]) -> None:
    with ScriptedService(cut_after(1), hang_up) as service, open_executor(service.url) as executor:
        outcomes = grade(executor, [Submission(task=TASK, completion="first")])
        assert [outcome.status for outcome in outcomes] == [Status.PASSED]
        outcomes = grade(executor, [Submission(task=TASK, completion="second")])
    assert [outcome.status for outcome in outcomes] == [Status.INFRA]
    assert outcomes[0].reward is None
    assert service.url in outcomes[0].detail


def test_outcomes_are_in_order_and_reported_once() -> None:
    reported: list[int] = []
    with ScriptedService(pass_all) as service, open_executor(service.url) as executor:
        submissions = [Submission(task=TASK, completion=str(n)) for n in range(700)]
        outcomes = grade(executor, submissions, on_result=lambda index, outcome: reported.append(index))
    assert len(outcomes) == 700
    assert sorted(reported) == list(range(700))
    completions = [sample["completion"] for body in service.bodies for sample in body["samples"]]
    assert sorted(map(int, completions)) == list(range(700))
    assert max(len(body["samples"]) for body in service.bodies) <= 25


def test_growing_batch_is_sent_while_it_grows() -> None:
    first = threading.Event()
    with (
        ScriptedService(pass_all) as service,
        open_executor(service.url) as executor,
        executor.grading(on_result=lambda index, outcome: first.set()) as grading,
    ):
        assert grading.add(Submission(task=TASK, completion="x")) == 0
        assert first.wait(30)
        assert grading.add(Submission(task=TASK, completion="y")) == 1
        assert [outcome.status for outcome in grading.outcomes()] == [Status.PASSED] * 2


def test_rejections_and_errors_of_callbacks_reach_the_caller() -> None:
    submissions = [Submission(task=TASK, completion="x")] * 3
    with (
        ScriptedService(reject(413)) as service,
        open_executor(service.url) as executor,
        pytest.raises(ValueError, match="says 413"),
    ):
        grade(executor, submissions)

    def fail(index: int, outcome: object) -> None:
        raise KeyError("of the caller")

    with (
        ScriptedService(pass_all) as service,
        open_executor(service.url) as executor,
        pytest.raises(KeyError, match="of the caller"),
    ):
        grade(executor, submissions, on_result=fail)


def test_bodies_are_split_by_the_limit_of_the_service() -> None:
    with ScriptedService(pass_all) as service, open_executor(service.url) as executor:
        submissions = [Submission(task=TASK, completion="#" * 100_000) for _ in range(40)]
        assert len(grade(executor, submissions)) == 40
        assert max(len(body["samples"]) for body in service.bodies) <= 10  # 1 MiB
        with pytest.raises(ValueError, match="max_body_bytes .* is 1048576"):
            grade(executor, [Submission(task=TASK, completion="#" * (2 << 20))])


def test_leaving_a_batch_discards_later_results() -> None:
    release = threading.Event()
    reported: list[int] = []
    others = set(threading.enumerate())

    def answer_later(num_samples: int) -> bytes:
        release.wait(60)
        return make_response(200, [])

    with ScriptedService(answer_later, pass_all) as service, open_executor(service.url) as executor:
        with executor.grading(on_result=lambda index, outcome: reported.append(index)) as grading:
            grading.add(Submission(task=TASK, completion="x"))
        release.set()
        clients = [thread for thread in threading.enumerate() if thread.name == "executor-client"]
        wait_until(lambda: not any(thread.is_alive() for thread in clients if thread not in others))
    assert reported == []
