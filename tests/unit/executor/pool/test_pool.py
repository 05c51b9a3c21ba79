import json
import threading
import time

import pytest

import executor.pool.connection
import executor.pool.slot
from executor.pool.lifecycle import MAX_FAILED_STARTS
from executor.pool.pool import SandboxPool
from executor.pool.results import parse_execution
from executor.sandbox.framing import pack_frame
from executor.types import Limits, Status
from tests.support.fake_sandbox import FakeBackend, errors, runs, values
from tests.support.wait import wait_until


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_results_are_in_the_order_of_the_programs(num_workers):
    sources = [f"p{i}" for i in range(50)]
    backend = FakeBackend()
    seen = []
    with SandboxPool(backend, num_workers=num_workers) as pool:
        executions = pool.run(runs(*sources), on_result=lambda index, execution: seen.append(index))
        assert values(executions) == sources
        assert values(pool.run(runs("again"))) == ["again"]
    assert sorted(seen) == list(range(50))
    assert backend.num_started <= num_workers
    assert backend.num_killed == backend.num_started


def test_empty_batch_starts_no_sandbox():
    backend = FakeBackend()
    with SandboxPool(backend, num_workers=1) as pool:
        assert pool.run([]) == []
    assert backend.num_started == 0


@pytest.mark.parametrize("num_workers", [1, 2])
def test_program_that_kills_its_sandbox_twice_is_a_crash_and_others_are_unaffected(num_workers):
    sources = ["a", "b", "die", "c", "d", "e", "die", "f"]
    backend = FakeBackend()
    with SandboxPool(backend, num_workers=num_workers) as pool:
        found = values(pool.run(runs(*sources)))
    assert found == ["a", "b", Status.CRASH, "c", "d", "e", Status.CRASH, "f"]
    assert backend.seen.count("die") == 4
    assert all(backend.seen.count(source) == 1 for source in "abcdef")


def test_program_whose_sandbox_dies_once_is_retried():
    backend = FakeBackend(deaths={"b": 1})
    with SandboxPool(backend, num_workers=1) as pool:
        assert values(pool.run(runs("a", "b", "c", "d"))) == ["a", "b", "c", "d"]
        assert pool.stats().num_replaced == 1
    assert backend.seen == ["a", "b", "b", "c", "d"]  # b alone first, then the others


def test_sandbox_without_a_clean_reset_is_replaced():
    backend = FakeBackend()
    with SandboxPool(backend, num_workers=1) as pool:
        assert values(pool.run(runs("a", "dirty", "b", "c"))) == ["a", "dirty", "b", "c"]
    assert backend.num_started == 2
    assert backend.seen == ["a", "dirty", "b", "c"]


def test_sandbox_is_recycled_after_max_programs(monkeypatch):
    monkeypatch.setattr("executor.pool.slot.MAX_PROGRAMS_PER_SANDBOX", 10)
    backend = FakeBackend()
    sources = [f"p{i}" for i in range(35)]
    with SandboxPool(backend, num_workers=1) as pool:
        assert values(pool.run(runs(*sources))) == sources
        assert pool.stats().num_replaced == 0
    assert 3 <= backend.num_started <= 4


def test_hanging_sandbox_is_replaced_and_its_program_is_a_crash(monkeypatch):
    monkeypatch.setattr(executor.pool.connection, "GRACE_S", 0.1)
    with SandboxPool(FakeBackend(), num_workers=2) as pool:
        executions = pool.run(runs("a", "hang", "b", "c"), Limits(wall_time_s=0.1))
    assert values(executions) == ["a", Status.CRASH, "b", "c"]


def test_programs_are_infra_if_no_sandbox_starts():
    backend = FakeBackend(num_failing_starts=10**9)
    seen = []
    with SandboxPool(backend, num_workers=2) as pool:
        executions = pool.run(runs("a", "b", "c"), on_result=lambda index, execution: seen.append(index))
    assert values(executions) == [Status.INFRA] * 3
    assert sorted(seen) == [0, 1, 2]


def test_few_failed_starts_are_retried():
    backend = FakeBackend(num_failing_starts=MAX_FAILED_STARTS - 1)
    with SandboxPool(backend, num_workers=1) as pool:
        assert values(pool.run(runs("a", "b"))) == ["a", "b"]


def test_worker_without_ready_message_is_infra():
    with SandboxPool(FakeBackend(greeting={"hello": 1}), num_workers=1) as pool:
        assert values(pool.run(runs("a"))) == [Status.INFRA]


def test_suspect_is_infra_if_no_sandbox_starts_for_its_retry(monkeypatch):
    monkeypatch.setattr("executor.pool.lifecycle.START_DELAYS_S", (0.0, 0.01, 0.02))

    class Dying(FakeBackend):
        def start(self):
            if self.num_started == 1:
                self.num_failing_starts = 10**9
            return super().start()

    with SandboxPool(Dying(), num_workers=1) as pool:
        assert values(pool.run(runs("a", "die", "b"))) == ["a", Status.INFRA, Status.INFRA]


def test_source_over_the_limit_is_not_sent():
    backend = FakeBackend()
    with SandboxPool(backend, num_workers=1) as pool:
        executions = pool.run(runs("ab", "abc", "ä"), Limits(source_bytes=2))
    assert values(executions) == ["ab", Status.SOURCE_TOO_LONG, "ä"]
    assert backend.seen == ["ab", "ä"]


def test_limit_reported_by_the_worker_overrides_results():
    with SandboxPool(FakeBackend(), num_workers=1) as pool:
        assert values(pool.run(runs("flood"))) == [Status.OUTPUT_LIMIT]


def test_error_in_a_callback_leaves_no_stale_results():
    backend = FakeBackend()

    def fail(index, execution):
        raise RuntimeError("mine")

    with SandboxPool(backend, num_workers=1) as pool:
        with pytest.raises(RuntimeError, match="mine"):
            pool.run(runs("a", "b", "c"), on_result=fail)
        assert values(pool.run(runs("d", "e"))) == ["d", "e"]


def test_zero_workers_raise_value_error():
    with pytest.raises(ValueError, match="at least 1, not 0"):
        SandboxPool(FakeBackend(), num_workers=0)


def test_unreadable_result_is_a_crash_and_the_pool_stays_open(monkeypatch):
    def parse(text, *, extended=False):
        if "bomb" in text:
            raise OverflowError("none of those that readers expect")
        return json.loads(text)

    monkeypatch.setattr("executor.pool.results.parse_tagged", parse)
    with SandboxPool(FakeBackend(), num_workers=1) as pool:
        executions = pool.run(runs("a", "bomb", "b"))
        assert values(executions) == ["a", Status.CRASH, "b"]
        assert "malformed" in executions[1].detail
        assert pool.is_open


@pytest.mark.parametrize("num_chars", [10, 500_000])  # the longer one takes several writes and reads
def test_result_in_the_pipe_counts_even_if_read_after_the_deadline(monkeypatch, num_chars):
    def read_late(run, *rest):
        if run.source == "block":
            time.sleep(1.0)
        return parse_execution(run, *rest)

    backend = FakeBackend()
    limits = Limits(wall_time_s=0.1, source_bytes=1 << 20)
    slow = "nap" + "x" * num_chars
    with SandboxPool(backend, num_workers=2) as pool:
        while not all(slot.candidates.connection is not None and slot.candidates.was_ready for slot in pool._slots):
            pool.run(runs("nap", "nap"))
        monkeypatch.setattr(executor.pool.connection, "GRACE_S", 0.3)
        monkeypatch.setattr(executor.pool.slot, "parse_execution", read_late)
        assert values(pool.run(runs("block", slow), limits)) == ["block", slow]
        assert pool.stats().num_replaced == 0
    assert backend.seen.count(slow) == 1


@pytest.mark.parametrize("kills", [1, 5])
def test_sandbox_killed_from_outside_is_not_attributed_to_its_program(kills):
    backend = FakeBackend(deaths={"killed": kills})
    with SandboxPool(backend, num_workers=1) as pool:
        assert values(pool.run(runs("a", "killed", "b"))) == ["a", "killed", "b"]
        assert pool.stats().num_replaced == kills


def test_queues_are_served_in_turn():
    backend = FakeBackend()
    with SandboxPool(backend, num_workers=1) as pool:
        order = []
        long, short = pool.queue(), pool.queue()
        everything = threading.Semaphore(0)

        def note(name):
            def take(future):
                order.append(name)
                everything.release()

            return take

        for i in range(200):
            long.submit(runs(f"p{i}")[0], Limits()).add_done_callback(note("long"))
        short.submit(runs("lone")[0], Limits()).add_done_callback(note("short"))
        for _ in range(201):
            assert everything.acquire(timeout=20)
    assert order.index("short") < 100


def test_cancelled_queue_runs_and_delivers_nothing_more():
    backend = FakeBackend()
    with SandboxPool(backend, num_workers=1) as pool:
        with pool.queue() as queue:
            futures = [queue.submit(runs(f"p{i}")[0], Limits()) for i in range(1000)]
        num_delivered = sum(future.done() and not future.cancelled() for future in futures)
        assert values(pool.run(runs("after"))) == ["after"]
        assert pool.stats().num_waiting == 0
        assert queue.submit(runs("late")[0], Limits()).cancelled()
    assert all(future.done() for future in futures)
    assert sum(not future.cancelled() for future in futures) <= num_delivered + 1
    assert len(backend.seen) < 1000


def test_time_limits_are_multiplied_by_the_time_factor(monkeypatch):
    sent = []
    monkeypatch.setattr(
        executor.pool.connection, "pack_frame", lambda header, body: sent.append(header) or pack_frame(header, body)
    )
    with SandboxPool(FakeBackend(), num_workers=1, time_factor=2.5) as pool:
        pool.run(runs("a"), Limits(cpu_time_s=2.0, wall_time_s=6.0))
    assert (sent[0]["cpu_time_s"], sent[0]["wall_time_s"]) == (5.0, 15.0)


def test_close_resolves_all_futures_as_infra():
    backend = FakeBackend()
    pool = SandboxPool(backend, num_workers=1)
    queue = pool.queue()
    futures = [queue.submit(runs(source)[0], Limits()) for source in ("hang", "a", "b")]
    wait_until(lambda: "hang" in backend.seen)
    pool.close()
    assert [future.result(timeout=0).failure for future in futures] == [Status.INFRA] * 3
    with pytest.raises(RuntimeError, match="closed"):
        pool.run(runs("late"))


def test_error_in_the_pool_thread_is_infra(monkeypatch):
    are_submitted = threading.Event()

    def fail(*args):
        are_submitted.wait(10)
        raise RuntimeError("a bug")

    monkeypatch.setattr("executor.pool.slot.parse_execution", fail)
    with SandboxPool(FakeBackend(), num_workers=1) as pool:
        queue = pool.queue()
        futures = [queue.submit(run, Limits()) for run in runs("a", "b")]
        are_submitted.set()
        assert errors(future.result(10) for future in futures) == [Status.INFRA] * 2


def test_statuses_and_queue_times_are_counted():
    with SandboxPool(FakeBackend(), num_workers=1) as pool:
        executions = pool.run(runs("a", "raise", "b"))
        assert pool.stats().statuses == {"ok": 3}
    assert all(0 < execution.queued_s < 10 for execution in executions)
