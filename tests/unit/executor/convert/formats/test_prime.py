"""PRIME's layouts, Eurus and DeepCoder: all end in the forms of APPS or LiveCodeBench."""

import json

import pytest

from executor.convert.columns import SkipRow
from executor.convert.formats.prime import convert_prime
from executor.convert.json_values import MAX_LITERAL_CHARS
from tests.unit.executor.convert.example_rows import ADD, PRIME, PRIME_GENESYS, PRIME_OPEN_R1, TWICE


def test_a_python_literal():
    assert convert_prime(PRIME) == {
        "task_id": "vcp_17",
        "prompt": "Print the sum of two integers.\n\n"
        "Write a Python program that reads standard input and writes standard output.\n",
        "tests": [{"stdin": "1 2\n", "stdout": "3\n"}],
        "solution": ADD,
        "language": "en",
        "group": "taco",
        "metadata": {"source": "taco", "in_source_id": "17"},
    }


def test_texts_of_calls():
    task = convert_prime(PRIME_OPEN_R1)
    assert (task["task_id"], task["entry_point"], task["solution"]) == ("vcp_18", "Solution.twice", TWICE)
    assert task["tests"] == [{"args": [3], "expected": 6}]


def test_genesys():
    task = convert_prime(PRIME_GENESYS)
    assert (task["task_id"], task["entry_point"]) == ("primeintellect_19", "twice")
    assert task["tests"] == [{"args": [3], "expected": 6}]


def test_calls_of_lists_keep_strings():
    case = {"type": "function_call", "fn_name": "f", "input": ["1"], "output": ["2"]}
    task = convert_prime({**PRIME, "verification_info": {"test_cases": [case]}})
    assert task["tests"] == [{"args": ["1"], "expected": "2"}]


def test_outputs_that_are_not_all_literals_are_strings():
    cases = [
        {"type": "function_call", "fn_name": "f", "input": "[1]", "output": "12"},
        {"type": "function_call", "fn_name": "f", "input": "['a']", "output": "no literal"},
    ]
    task = convert_prime({**PRIME, "verification_info": {"test_cases": cases}})
    assert task["tests"] == [{"args": [1], "expected": "12"}, {"args": ["a"], "expected": "no literal"}]


def info(**case):
    whole = {"type": "stdin_stdout", "fn_name": None, "input": "1", "output": "1", **case}
    return {"verification_info": repr({"language": "python", "test_cases": [whole]})}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"verification_info": "__import__('os').getcwd()"},
            "malformed: verification_info is neither JSON nor a Python",
        ),
        ({"verification_info": "{'test_cases': [1 + 1]}"}, "malformed: verification_info is neither JSON nor a Python"),
        ({"verification_info": "(" * 10_000}, "malformed: verification_info is neither JSON nor a Python"),
        ({"verification_info": "{'a': '" + "x" * MAX_LITERAL_CHARS + "'}"}, "neither JSON nor a Python literal"),
        ({"verification_info": ""}, "malformed: verification_info is empty"),
        ({"verification_info": None}, "malformed: verification_info has no test_cases"),
        ({"verification_info": "{'test_cases': []}"}, "no tests"),
        ({"verification_info": "{'test_cases': None}"}, "no tests"),
        ({"verification_info": "{'test_cases': [1]}"}, "malformed: test_cases must be a list of objects"),
        ({"verification_info": "{'test_cases': 'x'}"}, "malformed: test_cases is neither JSON nor a Python literal"),
        ({"verification_info": "{'language': 'rust', 'test_cases': []}"}, "asks for another language than Python"),
        ({"task_type": "verifiable_math", "verification_info": "{'ground_truth': '4'}"}, "not a coding task"),
        (info(type="unknown"), "malformed: the type of test_cases must be stdin_stdout or function_call"),
        (info(type=None), "malformed: type is null"),
        (info(input=None), "malformed: an input must be a string, not null"),
        (info(type="function_call", input=[1]), "malformed: test_cases have no fn_name"),
        (info(type="function_call", fn_name="f", input="[1"), "an input of test_cases is neither JSON nor a Python"),
        (
            {
                "verification_info": {
                    "test_cases": [
                        {"type": "stdin_stdout", "input": "1", "output": "1"},
                        {"type": "function_call", "fn_name": "f", "input": [1], "output": [1]},
                    ]
                }
            },
            "malformed: test_cases mix types or functions",
        ),
        ({"verification_info": {"test_cases": [{"type": "stdin_stdout", "input": "1"}]}}, "has no input or no output"),
        ({"prompt": None}, "malformed: prompt is null"),
    ],
)
def test_rows_that_are_skipped(changes, words):
    with pytest.raises(SkipRow) as caught:
        convert_prime({**PRIME, **changes})
    assert words in caught.value.reason


def test_a_row_without_an_id_is_named_after_its_statement():
    row = {key: value for key, value in PRIME.items() if key != "problem_id"}
    assert convert_prime(row)["task_id"].startswith("prime/")
    assert json.dumps(convert_prime(row)) == json.dumps(convert_prime(dict(row)))
