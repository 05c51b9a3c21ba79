"""The executor of this process over fake sandboxes: whether all of its pools live, and what a left batch does."""

import threading

import pytest

from executor.api import LocalExecutor, open_executor
from executor.pool.pool import SandboxPool
from executor.types import Run, Submission, Task, Test
from tests.support.fake_sandbox import FakeBackend
from tests.support.wait import wait_until

BY_TESTS = Task(task_id="t", entry_point="solve", tests=(Test(args=[], expected=1),))
BY_CHECK = Task(task_id="c", entry_point="solve", check="def check(f): pass")
BY_REFERENCE = Task(task_id="r", entry_point="solve", reference="right", inputs=([1],))


def test_executor_is_open_while_the_pools_of_all_profiles_are():
    with LocalExecutor(FakeBackend(), num_workers=1) as executor:
        other = SandboxPool(FakeBackend(), num_workers=1)
        executor._profiles["torch"] = FakeBackend(), other
        assert executor.is_open
        other.close()
        assert not executor.is_open


@pytest.mark.parametrize("task", [BY_TESTS, BY_CHECK, BY_REFERENCE])
def test_adding_to_a_batch_after_it_was_left_starts_nothing(task):
    """The service adds large batches in a thread, and its client may leave before that thread has begun."""
    backend = FakeBackend()
    with LocalExecutor(backend, num_workers=1) as executor:
        with executor.grading() as grading:
            pass
        for number in range(3):
            grading.add(Submission(task=task, completion=f"def solve(): {number}"))
        assert (executor.stats().num_waiting, backend.num_started) == (0, 0)
        executor.run([Run(source="later", entry_point="solve", calls=([],))])
    assert backend.seen == ["later"]
    assert backend.num_started == 1


def test_programs_added_by_a_thread_while_the_batch_is_left_are_dropped():
    backend, left = FakeBackend(), threading.Event()
    with LocalExecutor(backend, num_workers=1) as executor:
        grading = executor.grading()

        def add() -> None:
            for number in range(100):
                if number == 50:
                    left.wait(30)
                grading.add(Submission(task=BY_TESTS, completion=f"def solve(): {number}"))

        adder = threading.Thread(target=add)
        with grading:
            adder.start()
            wait_until(lambda: backend.seen)
        left.set()
        adder.join()
        assert executor.stats().num_waiting == 0
        executor.run([Run(source="later", entry_point="solve", calls=([],))])
    assert backend.seen[-1] == "later"  # what was added after the batch was left never starts
    assert not {f"def solve(): {number}" for number in range(50, 100)} & set(backend.seen)


def test_given_time_factor_replaces_the_measured_one():
    with open_executor("process", num_workers=1, time_factor=7.5) as opened:
        assert opened.time_factor == 7.5
        assert "times x 7.5" in opened.description


def test_time_factor_below_one_raises_value_error():
    with pytest.raises(ValueError, match=r"time_factor must be at least 1.0, not 0.5"):
        open_executor("process", time_factor=0.5)
