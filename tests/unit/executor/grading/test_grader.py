"""Grading over a fake sandbox that returns the source of a program from every call of it."""

import threading
import tracemalloc
from concurrent.futures import Future

import pytest

from executor.backends.process import ProcessBackend
from executor.grading.grader import LocalGrading
from executor.grading.rewards import RewardConfig
from executor.pool.pool import SandboxPool
from executor.types import CallResult, Execution, Limits, Outcome, Status, Submission, Task, Test
from tests.support.fake_sandbox import FakeBackend
from tests.support.wait import wait_until


def program(name):
    return f"def solve():\n    {name}\n"


def expecting(source, *, num_tests=2):
    tests = tuple(Test(args=[i], expected=source) for i in range(num_tests))
    return Task(task_id="t", entry_point="solve", tests=tests)


def grading_over(pool, **options):
    return LocalGrading(options.pop("queue", None) or pool.queue(), limits=Limits(), **options)


@pytest.fixture
def backend():
    return FakeBackend()


@pytest.fixture
def pool(backend):
    with SandboxPool(backend, num_workers=1) as opened:
        yield opened


def graded(pool, submissions, **options):
    with grading_over(pool, **options) as grading:
        assert [grading.add(submission) for submission in submissions] == list(range(len(submissions)))
        return grading.outcomes()


def test_outcomes_come_in_the_order_of_adding(pool):
    names = [f"p{i}" for i in range(20)]
    submissions = [Submission(task=expecting(program("p3")), completion=program(name)) for name in names]
    statuses = [outcome.status for outcome in graded(pool, submissions)]
    assert statuses == [Status.PASSED if name == "p3" else Status.WRONG for name in names]


def test_more_can_be_added_after_the_first_are_done(pool):
    with grading_over(pool) as grading:
        grading.add(Submission(task=expecting(program("a")), completion=program("a")))
        assert [outcome.status for outcome in grading.outcomes()] == ["passed"]
        grading.add(Submission(task=expecting(program("a")), completion=program("b")))
        assert [outcome.status for outcome in grading.outcomes()] == ["passed", "wrong"]


def test_equal_programs_with_equal_tests_run_once_and_are_graded_by_their_own_task(pool, backend):
    right, wrong = expecting(program("a")), expecting("something else")
    more_calls = expecting(program("a"), num_tests=3)
    submissions = [Submission(task=task, completion=program("a")) for task in [right, wrong] * 5 + [more_calls]]
    outcomes = graded(pool, submissions)
    assert [outcome.status for outcome in outcomes] == ["passed", "wrong"] * 5 + ["passed"]
    assert backend.seen.count(program("a")) == 3  # by tests, not by submissions


class ManualQueue:
    """A queue whose programs end when the test says so."""

    def __init__(self):
        self.waiting = []
        self.checked = []

    def submit(self, run, limits, *, calls=None):
        future = Future()
        self.waiting.append((run, future))
        return future

    def submit_check(self, task, program, limits, *, prelude=""):
        self.checked.append(program)
        future = Future()
        future.set_result(Outcome(status=Status.PASSED, num_passed=1, num_tests=1, duration_s=0.0))
        return future

    def cancel(self):
        pass

    def answer(self, value):
        """End the program that was submitted first."""
        run, future = self.waiting.pop(0)
        results = tuple(CallResult(value=value) for _ in run.calls)
        future.set_result(Execution(failure=None, results=results, duration_s=0.0))


def test_batch_keeps_outcomes_and_no_values():
    queue = ManualQueue()
    by_tests, by_ref = expecting("x", num_tests=1), by_reference(program("right"), inputs=([1],))
    tracemalloc.start()
    try:
        with LocalGrading(queue, limits=Limits()) as grading:
            for i in range(5):
                grading.add(Submission(task=by_ref, completion=program(f"r{i}")))
                grading.add(Submission(task=by_tests, completion=program(f"t{i}")))
            queue.answer("right")  # the reference, which came first
            before, _ = tracemalloc.get_traced_memory()
            while queue.waiting:
                queue.answer([{} for _ in range(4_000)])  # over 256 KiB: 64 bytes each, and 8 in the list
            after, peak = tracemalloc.get_traced_memory()
            assert [outcome.status for outcome in grading.outcomes()] == ["wrong"] * 10
    finally:
        tracemalloc.stop()
    assert peak - before > 256 << 10
    assert after - before < 256 << 10


def test_programs_are_submitted_after_their_reference():
    queue = ManualQueue()
    with LocalGrading(queue, limits=Limits()) as grading:
        for name in "ab":
            grading.add(Submission(task=by_reference(program("right")), completion=program(name)))
        assert [run.source for run, _ in queue.waiting] == [program("right")]
        queue.answer(1)
        assert [run.source for run, _ in queue.waiting] == [program("a"), program("b")]
        queue.answer(1)
        queue.answer(2)
        assert [outcome.status for outcome in grading.outcomes()] == ["passed", "wrong"]


def test_calls_equal_in_python_but_of_other_types_run_separately(pool, backend):
    tasks = [
        Task(task_id="t", entry_point="solve", tests=(Test(args=[value], expected=program("a")),))
        for value in (1, True, 1.0)
    ]
    graded(pool, [Submission(task=task, completion=program("a")) for task in tasks])
    assert backend.seen.count(program("a")) == 3


def test_timeout_is_not_shared_between_equal_programs(pool, backend):
    submissions = [Submission(task=expecting("x"), completion=program("late")) for _ in range(3)]
    assert [outcome.status for outcome in graded(pool, submissions)] == ["timeout"] * 3
    assert backend.seen.count(program("late")) == 3


def by_reference(reference, inputs=([1], [2])):
    return Task(task_id="r", entry_point="solve", reference=reference, inputs=inputs)


def test_reference_runs_once_a_batch(pool, backend):
    task = by_reference(program("right"))
    completions = [program(name) for name in ("right", "b", "c")]
    outcomes = graded(pool, [Submission(task=task, completion=text) for text in completions])
    assert [outcome.status for outcome in outcomes] == ["passed", "wrong", "wrong"]
    assert outcomes[0].num_tests == 2
    assert backend.seen.count(program("right")) == 2  # as the reference, and as a candidate


def test_reference_added_later_is_awaited(pool):
    task = by_reference(program("a"))
    with grading_over(pool) as grading:
        grading.add(Submission(task=expecting("x"), completion=program("early")))
        for _ in range(2):
            grading.add(Submission(task=task, completion=program("a")))
        assert [outcome.status for outcome in grading.outcomes()] == ["wrong", "passed", "passed"]


@pytest.mark.parametrize("reference", ["raise", "late"])
def test_failed_reference_is_infra(pool, reference):
    [outcome] = graded(
        pool,
        [Submission(task=by_reference(program(reference)), completion=program("a"))],
        rewards=RewardConfig(loads_coef=1.0),
    )
    assert outcome.status is Status.INFRA
    assert "the reference of task r" in outcome.detail
    assert outcome.reward is None


def test_rewards_are_computed_if_configured(pool):
    task = expecting(program("a"))
    submissions = [Submission(task=task, completion=program(name)) for name in "ab"]
    assert [outcome.reward for outcome in graded(pool, submissions)] == [None, None]
    rewarded = graded(pool, submissions, rewards=RewardConfig(passed_coef=2.0, loads_coef=0.5))
    totals = [outcome.reward.total for outcome in rewarded if outcome.reward is not None]
    assert totals == [2.5, 0.5]


def test_equal_programs_are_checked_once():
    queue = ManualQueue()
    task = Task(task_id="c", entry_point="solve", prompt="", check="def check(f): pass")
    with LocalGrading(queue, limits=Limits()) as grading:
        for name in "aab":
            grading.add(Submission(task=task, completion=program(name)))
        assert [outcome.passed for outcome in grading.outcomes()] == [True] * 3
    assert queue.checked == [program("a"), program("b")]
    assert queue.waiting == []


def test_completion_without_an_answer_is_a_load_error_that_is_not_run(pool, backend):
    submissions = [
        Submission(task=expecting(program("a"), num_tests=3), completion="<think>\nFirst, let me"),
        Submission(task=expecting(program("a")), completion=program("a")),
    ]
    seen = []
    outcomes = graded(pool, submissions, on_result=lambda index, outcome: seen.append(index))
    assert [outcome.status for outcome in outcomes] == ["load_error", "passed"]
    assert (outcomes[0].detail, outcomes[0].num_passed, outcomes[0].num_tests) == (
        "no answer after the reasoning",
        0,
        3,
    )
    assert sorted(seen) == [0, 1]
    assert len(backend.seen) == 1


def test_error_in_a_callback_is_raised_to_the_caller(pool):
    def fail(index, outcome):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        graded(pool, [Submission(task=expecting("x"), completion=program("a"))], on_result=fail)
    assert [outcome.status for outcome in graded(pool, [Submission(task=expecting("x"), completion="b")])] == ["wrong"]


def test_leaving_a_batch_drops_programs_not_started(pool, backend):
    with grading_over(pool) as grading:
        for i in range(500):
            grading.add(Submission(task=expecting("x"), completion=program(f"'nap {i}'")))  # 0.1 s each
    assert pool.stats().num_waiting == 0
    wait_until(lambda: pool.stats().num_busy == 0)
    assert len(backend.seen) < 250


def test_threads_add_concurrently(pool):
    task = expecting(program("p7"))
    with grading_over(pool) as grading:

        def add(first):
            for i in range(first, first + 50):
                grading.add(Submission(task=task, completion=program(f"p{i % 10}")))

        threads = [threading.Thread(target=add, args=(first,)) for first in (0, 50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        outcomes = grading.outcomes()
    assert len(outcomes) == 100
    assert sum(outcome.passed for outcome in outcomes) == 10


def test_program_of_a_submission_holds_no_expected_value():
    queue = ManualQueue()
    with LocalGrading(queue, limits=Limits()) as grading:
        grading.add(Submission(task=expecting("the-secret"), completion=program("a")))
    [(run, _)] = queue.waiting
    assert "the-secret" not in repr(run)


def test_inputs_on_which_the_reference_raises_are_not_counted():
    """In real processes: the fake sandbox has no arguments."""
    task = by_reference("def solve(x):\n    return 6 // x\n", inputs=([1], [0], [2]))
    completions = {
        "def solve(x):\n    return 6 // x\n": ("passed", 2, 2),
        "def solve(x):\n    return 6 // x if x else 99\n": ("passed", 2, 2),
        "def solve(x):\n    return 6 if x == 1 else 0\n": ("wrong", 1, 2),
        "import os\ndef solve(x):\n    return 6 if x == 1 else os._exit(0)\n": ("crash", 1, 2),
    }
    with SandboxPool(ProcessBackend(), num_workers=1) as pool:
        outcomes = graded(pool, [Submission(task=task, completion=text) for text in completions])
    found = [(outcome.status, outcome.num_passed, outcome.num_tests) for outcome in outcomes]
    assert found == [*completions.values()]
