import pytest

from executor.grading.outcome import grade_execution
from executor.pool.results import parse_execution
from executor.types import CallResult, Limits, Run, Status, Task, Test

RUN = Run(source="", entry_point="solve", calls=([1], [2], [3]))
TASK = Task(task_id="t", entry_point="solve", tests=tuple(Test(args=[n], expected=[n]) for n in (1, 2, 3)))


def execution(body, *, end=None, exit_code=0, cpu_s=0.1):
    reply = {"end": end, "exit_code": exit_code, "cpu_s": cpu_s, "wall_s": 0.2}
    return parse_execution(RUN, Limits(), reply, body)


def test_result_lines_of_every_kind_are_parsed():
    found = execution(b'v{"$tuple":[1]}\ne"KeyError"\nu"Sly"\n')
    assert found.failure is None
    assert found.duration_s == 0.2
    assert found.results == (
        CallResult(value={"$tuple": [1]}),
        CallResult(error="KeyError"),
        CallResult(error="UnsupportedType"),
    )
    assert execution(b"v1\nv2\no\n").results[2] == CallResult(error="OversizedValue")


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ({"end": "timeout", "exit_code": -9}, Status.TIMEOUT),
        ({"end": "output_limit", "exit_code": -9}, Status.OUTPUT_LIMIT),
        ({"exit_code": -24}, Status.TIMEOUT),  # SIGXCPU
        ({"exit_code": -9, "cpu_s": 2.1}, Status.TIMEOUT),
        ({"exit_code": -9}, Status.CRASH),
        ({"exit_code": -11}, Status.CRASH),
        ({"exit_code": -64}, Status.CRASH),
        ({"exit_code": 0}, Status.CRASH),
        ({"exit_code": 1}, Status.CRASH),
    ],
)
def test_early_end_is_its_status_and_earlier_results_count(ending, status):
    found = execution(b"v[1]\nv[2]\nv[", **ending)
    assert found.failure is status
    assert len(found.results) == 2
    outcome = grade_execution(TASK, found)
    assert (outcome.status, outcome.num_passed, outcome.num_tests) == (status, 2, 3)


@pytest.mark.parametrize(
    "line",
    [b"", b"x1", b"v", b"v[", b"vNaN", b"e1", b"\xff", "vä".encode(), b'v{"$x":1}', b'l["a"]', b'l["a","b"]', b"v1 v2"],
)
def test_malformed_line_is_a_crash(line):
    found = execution(b"v1\n" + line + b"\nv2\n")
    assert found.failure is Status.CRASH
    assert found.results == (CallResult(value=1),)


def test_load_failure_is_load_error_or_memory():
    found = execution(b'l["SyntaxError","bad"]\n')
    assert (found.failure, found.detail, found.results) == (Status.LOAD_ERROR, "SyntaxError: bad", ())
    assert execution(b'l["MemoryError",""]\n').failure is Status.MEMORY
    assert len(execution(b'l["E","' + b"x" * 9999 + b'"]\n').detail) < 500


@pytest.mark.parametrize(
    ("body", "status", "num_passed"),
    [
        (b"v[1]\nv[2]\nv[3]\n", Status.PASSED, 3),
        (b'v{"$tuple":[1]}\nv[2]\nv[3]\n', Status.PASSED, 3),
        (b"v[1]\nv[true]\nv[3]\n", Status.WRONG, 2),
        (b'v[1]\ne"KeyError"\nv[0]\n', Status.EXCEPTION, 1),
        (b'v[0]\ne"KeyError"\nv[3]\n', Status.WRONG, 1),
        (b'v[1]\ne"MemoryError"\nv[3]\n', Status.MEMORY, 2),
        (b"v[1]\no\nv[3]\n", Status.OUTPUT_LIMIT, 2),
        (b'v[1]\nu"X"\nv[3]\n', Status.WRONG, 2),
    ],
)
def test_results_are_graded_by_the_first_failed_test(body, status, num_passed):
    outcome = grade_execution(TASK, execution(body))
    assert (outcome.status, outcome.num_passed) == (status, num_passed)
    assert outcome.passed is (status is Status.PASSED)


def test_float_tol_of_the_task_is_used():
    tests = (Test(args=[1], expected=0.3),)
    run = Run(source="", entry_point="solve", calls=([1],))
    reply = {"end": None, "exit_code": 0, "cpu_s": 0.0, "wall_s": 0.0}
    found = parse_execution(run, Limits(), reply, b"v0.30000000000000004\n")
    for tolerance, status in ((None, Status.WRONG), (1e-9, Status.PASSED)):
        task = Task(task_id="t", entry_point="solve", tests=tests, float_tol=tolerance)
        assert grade_execution(task, found).status is status
