"""LiveCodeBench: both kinds of tests, and private tests that attack the reader."""

import base64
import io
import json
import os
import pickle
import zlib

import pytest

from executor.convert.columns import SkipRow
from executor.convert.formats import livecodebench
from executor.convert.formats.livecodebench import convert_livecodebench, read_pickle
from tests.unit.executor.convert.example_rows import LIVECODEBENCH_CALL, LIVECODEBENCH_STDIN, pack


def reason(**changes):
    with pytest.raises(SkipRow) as caught:
        convert_livecodebench({**LIVECODEBENCH_STDIN, **changes})
    return caught.value.reason


def test_stdin():
    assert convert_livecodebench(LIVECODEBENCH_STDIN) == {
        "task_id": "abc301_a",
        "prompt": "Print the sum of two integers.\n\n"
        "Write a Python program that reads standard input and writes standard output.\n",
        "tests": [{"stdin": "1 2\n", "stdout": "3\n"}, {"stdin": "3 4\n", "stdout": "7"}],
        "float_tol": 0,
        "time_limit_s": 6.0,
        "language": "en",
        "group": "easy",
        "metadata": {
            "question_title": "Sum",
            "platform": "atcoder",
            "contest_id": "abc301",
            "contest_date": "2023-05-13T00:00:00",
            "difficulty": "easy",
        },
    }


def test_functional():
    task = convert_livecodebench(LIVECODEBENCH_CALL)
    assert (task["task_id"], task["entry_point"], task["prelude"]) == ("2727", "Solution.join", "leetcode")
    assert task["tests"] == [
        {"args": [["a", "b"], 2], "expected": "abab"},
        {"args": [[], 3], "expected": ""},
    ]
    assert (task["float_tol"], task["time_limit_s"]) == (0, 6.0)
    assert "    def join(self, words: List[str], times: int) -> str:\n```\n" in task["prompt"]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("text", ["", "short", "é" * 300, "x" * 100_000])
def test_pickles_of_text(protocol, text):
    assert read_pickle(pickle.dumps(text, protocol), "c") == text


def test_the_layout_of_sandbox_fusion():
    tests = json.dumps({"inputs": ['["a"]\n2'], "outputs": ['"aa"'], "fn_name": "join"})
    row = {
        "content": "Join them.\n```python\nclass Solution:\n    def join(self, words, times):\n```",
        "id": 1,
        "canonical_solution": "import sys; sys.exit(0)",
        "labels": json.dumps({"task_id": "leetcode/1", "category": "leetcode", "difficulty": "easy"}),
        "test": pack({"input_output": tests}),
    }
    task = convert_livecodebench(row)
    assert (task["task_id"], task["prompt"], task["entry_point"]) == ("leetcode/1", row["content"], "Solution.join")
    assert task["tests"] == [{"args": [["a"], 2], "expected": "aa"}]


class Attack:
    """Unpickling it would create a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_hostile_pickle_does_not_run(tmp_path):
    for hostile in (
        Attack(tmp_path / "made"),
        [Attack(tmp_path / "made")],
        {"input_output": Attack(tmp_path / "made")},
    ):
        assert "a pickle of something other than text" in reason(private_test_cases=pack(hostile))
    assert not (tmp_path / "made").exists()
    pickle.load(io.BytesIO(pickle.dumps(Attack(tmp_path / "made"))))  # it would have worked
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"r\xff\xff\xff\x7f.",  # a memo of 2 GiB entries
        b"\x8d" + (1 << 60).to_bytes(8, "little") + b"x.",  # a string of 2**60 bytes
        b"\x96" + (1 << 40).to_bytes(8, "little") + b".",  # a bytearray of 1 TiB
        b"}}s.",
        b"s.",
        b"u.",
        b".",
        b"",
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x8c\x01x" * 100_000 + b".",
        b"]h\x05.",
        b"]]Nu.",
        pickle.dumps({3}),
        pickle.dumps(b"x"),
        pickle.dumps("x")[:-1],
    ],
)
def test_other_opcodes_are_refused(data):
    with pytest.raises(SkipRow, match="a pickle of something other than text"):
        read_pickle(data, "c")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_values_are_read(protocol):
    test = {"input": "1\n", "output": "é", "testtype": None, "x": [1, 300, -70_000, 1 << 40, 0.5, True, False, [], {}]}
    assert read_pickle(pickle.dumps([test, test, "1\n"], protocol), "c") == [test, test, "1\n"]


def test_a_bomb_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(livecodebench, "MAX_TESTS_BYTES", 1 << 20)
    bomb = base64.b64encode(zlib.compress(b"0" * (100 << 20))).decode()
    assert reason(private_test_cases=bomb) == "tests of over 1 MiB"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"private_test_cases": "%%%"}, "malformed: private_test_cases is neither JSON nor base64"),
        ({"private_test_cases": "é"}, "malformed: private_test_cases is neither JSON nor base64"),
        ({"private_test_cases": "AAAA"}, "malformed: private_test_cases is not compressed with zlib"),
        (
            {"private_test_cases": base64.b64encode(zlib.compress(bytes(range(256)))[:-9]).decode()},
            "malformed: private_test_cases is truncated",
        ),
        ({"private_test_cases": pack("no JSON")}, "malformed: private_test_cases is not JSON"),
        ({"private_test_cases": pack({"a": "b"})}, "malformed: the pickle of private_test_cases must be a string"),
        ({"private_test_cases": "[1]"}, "malformed: private_test_cases must be a list of objects"),
        ({"private_test_cases": 3}, "malformed: private_test_cases must be a string, not int"),
        ({"public_test_cases": '{"input": 1}'}, "malformed: public_test_cases must be a list, not dict"),
        ({"public_test_cases": "", "private_test_cases": "[]"}, "no tests"),
        ({"public_test_cases": '[{"input": "1", "output": "1"}]'}, "malformed: testtype is missing"),
        (
            {"public_test_cases": '[{"input": "1", "output": "1", "testtype": "functional"}]'},
            "malformed: testtype must be stdin or functional, the same in all tests",
        ),
        ({"public_test_cases": '[{"input": null, "output": "1", "testtype": "stdin"}]'}, "malformed: input is null"),
        ({"question_id": ""}, "malformed: question_id is empty"),
        ({"question_content": 3}, "malformed: question_content must be a string, not int"),
    ],
)
def test_rows_that_are_skipped(changes, words):
    assert words in reason(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metadata": "{}"}, "malformed: func_name is missing"),
        ({"metadata": "{"}, "malformed: metadata is not JSON"),
        ({"private_test_cases": '[{"input": "[1", "output": "1", "testtype": "functional"}]'}, "an input is not JSON"),
        ({"private_test_cases": '[{"input": "1", "output": "", "testtype": "functional"}]'}, "an output is empty"),
    ],
)
def test_functional_rows_that_are_skipped(changes, words):
    with pytest.raises(SkipRow) as caught:
        convert_livecodebench({**LIVECODEBENCH_CALL, **changes})
    assert words in caught.value.reason
