import pytest
from fake_sandbox import FakeBackend

import executor.channel
from executor.pool import MAX_FAILED_STARTS, SandboxPool
from executor.schema import Limits, Run, Status


def runs(*sources):
    return [Run(source=source, entry_point="solve", calls=([1],)) for source in sources]


def values(executions):
    return [execution.results[0].value if execution.failure is None else execution.failure for execution in executions]


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_answers_come_in_the_order_of_the_programs(num_workers):
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


def test_an_empty_batch_starts_nothing():
    backend = FakeBackend()
    with SandboxPool(backend, num_workers=1) as pool:
        assert pool.run([]) == []
    assert backend.num_started == 0


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_program_that_takes_its_sandbox_down_twice_has_crashed_and_harms_no_other(num_workers):
    sources = ["a", "b", "die", "c", "d", "e", "die", "f"]
    backend = FakeBackend()
    with SandboxPool(backend, num_workers=num_workers) as pool:
        found = values(pool.run(runs(*sources)))
    assert found == ["a", "b", Status.CRASH, "c", "d", "e", Status.CRASH, "f"]
    assert backend.seen.count("die") == 4
    assert all(backend.seen.count(source) == 1 for source in "abcdef")


def test_a_sandbox_that_dies_once_costs_nobody_the_verdict():
    backend = FakeBackend(deaths={"b": 1})
    with SandboxPool(backend, num_workers=1) as pool:
        assert values(pool.run(runs("a", "b", "c", "d"))) == ["a", "b", "c", "d"]
        assert pool.num_replaced == 1
    assert backend.seen == ["a", "b", "b", "c", "d"]  # b alone first, then the others


def test_a_sandbox_that_is_not_proven_clean_is_replaced():
    backend = FakeBackend()
    with SandboxPool(backend, num_workers=1) as pool:
        assert values(pool.run(runs("a", "dirty", "b", "c"))) == ["a", "dirty", "b", "c"]
    assert backend.num_started == 2
    assert backend.seen == ["a", "dirty", "b", "c"]


def test_a_sandbox_is_recycled_after_enough_programs(monkeypatch):
    monkeypatch.setattr("executor.pool.MAX_CANDIDATES_PER_SANDBOX", 10)
    backend = FakeBackend()
    sources = [f"p{i}" for i in range(35)]
    with SandboxPool(backend, num_workers=1) as pool:
        assert values(pool.run(runs(*sources))) == sources
        assert pool.num_replaced == 0
    assert 3 <= backend.num_started <= 4


def test_a_sandbox_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(executor.channel, "GRACE_S", 0.1)
    with SandboxPool(FakeBackend(), num_workers=2) as pool:
        executions = pool.run(runs("a", "hang", "b", "c"), Limits(wall_time_s=0.1))
    assert values(executions) == ["a", Status.CRASH, "b", "c"]


def test_without_any_sandbox_everything_is_infra():
    backend = FakeBackend(num_failing_starts=10**9)
    seen = []
    with SandboxPool(backend, num_workers=2) as pool:
        executions = pool.run(runs("a", "b", "c"), on_result=lambda index, execution: seen.append(index))
    assert values(executions) == [Status.INFRA] * 3
    assert sorted(seen) == [0, 1, 2]


def test_a_few_failed_starts_are_no_harm():
    backend = FakeBackend(num_failing_starts=MAX_FAILED_STARTS - 1)
    with SandboxPool(backend, num_workers=1) as pool:
        assert values(pool.run(runs("a", "b"))) == ["a", "b"]


def test_a_worker_that_is_none_is_infra():
    with SandboxPool(FakeBackend(greeting={"hello": 1}), num_workers=1) as pool:
        assert values(pool.run(runs("a"))) == [Status.INFRA]


def test_a_suspect_whose_retry_cannot_start_is_infra_and_not_its_crash():
    class Dying(FakeBackend):
        def start(self):
            if self.num_started == 1:
                self.num_failing_starts = 10**9
            return super().start()

    with SandboxPool(Dying(), num_workers=1) as pool:
        assert values(pool.run(runs("a", "die", "b"))) == ["a", Status.INFRA, Status.INFRA]


def test_long_sources_are_never_sent():
    backend = FakeBackend()
    with SandboxPool(backend, num_workers=1) as pool:
        executions = pool.run(runs("ab", "abc", "ä"), Limits(source_bytes=2))
    assert values(executions) == ["ab", Status.SOURCE_TOO_LONG, "ä"]
    assert backend.seen == ["ab", "ä"]


def test_the_worker_s_limit_outranks_the_program_s_words():
    with SandboxPool(FakeBackend(), num_workers=1) as pool:
        assert values(pool.run(runs("flood"))) == [Status.OUTPUT_LIMIT]


def test_an_error_in_a_callback_leaves_no_stale_answers():
    backend = FakeBackend()

    def fail(index, execution):
        raise RuntimeError("mine")

    with SandboxPool(backend, num_workers=1) as pool:
        with pytest.raises(RuntimeError, match="mine"):
            pool.run(runs("a", "b", "c"), on_result=fail)
        assert values(pool.run(runs("d", "e"))) == ["d", "e"]


def test_no_workers_are_refused():
    with pytest.raises(ValueError, match="at least 1, not 0"):
        SandboxPool(FakeBackend(), num_workers=0)
