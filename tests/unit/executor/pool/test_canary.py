"""Failures count only after a canary has passed in the same sandbox behind them."""

from executor.pool.pool import SandboxPool
from executor.types import Status
from tests.support.fake_sandbox import FakeBackend, errors, runs


def test_failures_wait_for_a_canary_and_passes_do_not():
    backend = FakeBackend()
    with SandboxPool(backend, num_workers=1) as pool:
        assert errors(pool.run(runs("a", "b", "c"))) == ["ok"] * 3
        assert backend.num_canaries == 0
        assert errors(pool.run(runs("a", "raise", "c"))) == ["ok", "ValueError", "ok"]
        assert backend.num_canaries == 1
        assert pool.stats().num_failed_canaries == 0


def test_failures_before_a_failed_canary_are_run_again_alone():
    backend = FakeBackend(bad_canaries=1)
    with SandboxPool(backend, num_workers=1) as pool:
        # "nap" keeps the sandbox busy until all are queued
        assert errors(pool.run(runs("nap", "raise 1", "a", "raise 2"))) == ["ok", "ValueError", "ok", "ValueError"]
        stats = pool.stats()
    assert (stats.num_failed_canaries, stats.num_replaced, stats.num_retried) == (1, 1, 2)
    assert backend.num_started == 2
    assert backend.seen == ["nap", "raise 1", "a", "raise 2", "raise 1", "raise 2"]
    assert backend.num_canaries == 3  # the bad one, and one behind each retry


def test_program_whose_canaries_fail_repeatedly_is_a_crash():
    backend = FakeBackend(bad_canaries=3)
    with SandboxPool(backend, num_workers=1) as pool:
        assert errors(pool.run(runs("raise", "a"))) == [Status.CRASH, "ok"]


def test_failures_in_a_sandbox_that_dies_before_its_canary_are_run_again():
    backend = FakeBackend(deaths={"killed": 1})
    with SandboxPool(backend, num_workers=1) as pool:
        # "nap" keeps the sandbox busy until all are queued
        assert errors(pool.run(runs("nap", "raise", "killed", "a"))) == ["ok", "ValueError", "ok", "ok"]
    assert backend.seen.count("raise") == 2
