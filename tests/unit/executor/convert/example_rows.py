"""One small hand-written row of each format, in the columns of its public data set."""

import base64
import json
import pickle
import zlib

ADD = "a, b = map(int, input().split())\nprint(a + b)\n"
TWICE = "class Solution:\n    def twice(self, x):\n        return 2 * x\n"


def pack(value):
    """Pack private tests as LiveCodeBench does."""
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


APPS_STDIN = {
    "problem_id": 7,
    "question": "Print the sum of two integers.\r\n",
    "solutions": json.dumps(["print sum(map(int, raw_input().split()))", "print(raw_input())", ADD]),
    "input_output": json.dumps({"inputs": ["1 2\n", ["3", "4"]], "outputs": ["3\n", ["7"]]}),
    "difficulty": "interview",
    "url": "https://example.org/7",
    "starter_code": "",
}
APPS_CALL = {
    "problem_id": 8,
    "question": "Return whether the number is even.",
    "solutions": json.dumps(["def other(n):\n    return True", "def is_even(n):\n    return n % 2 == 0"]),
    "input_output": json.dumps({"fn_name": "is_even", "inputs": [[1], [2]], "outputs": [[False], [True]]}),
    "difficulty": "introductory",
    "url": "https://example.org/8",
    "starter_code": "def is_even(n):\n\t",
}
TACO = {
    "question": "Print the sum of two integers.",
    "solutions": json.dumps([ADD]),
    "starter_code": "",
    "input_output": json.dumps({"inputs": ["1 2\n"], "outputs": ["3\n"]}),
    "difficulty": "EASY",
    "raw_tags": "['implementation']",
    "name": None,
    "source": "codeforces",
    "tags": "['Implementation']",
    "skill_types": "[]",
    "url": "https://example.org/9",
    "Expected Auxiliary Space": None,
    "time_limit": "2.0 seconds",
    "date": "2019-12-31",
    "picture_num": "0",
    "memory_limit": "256.0 megabytes",
    "Expected Time Complexity": None,
}
TACO_NEMO_GYM = {
    "responses_create_params": {"input": [{"role": "user", "content": "Use Python. Print the sum."}]},
    "verifier_metadata": {"unit_tests": {"inputs": ["1 2\n"], "outputs": ["3\n"]}},
    "hash_id": "c0ffee",
    "dataset": "taco",
    "source": "codeforces",
}
CODE_CONTESTS = {
    "name": "1_A. Sum",
    "description": "Print the sum of two integers.",
    "public_tests": {"input": ["1 2\n"], "output": ["3\n"]},
    "private_tests": {"input": ["3 4\n", "1 2\n"], "output": ["7\n", "3\n"]},
    "generated_tests": {"input": [], "output": []},
    "source": 2,
    "difficulty": 7,
    "solutions": {"language": [2, 1, 3, 4], "solution": ["int main() {}", "print 1", ADD, "class A {}"]},
    "incorrect_solutions": {"language": [3], "solution": ["print(0)"]},
    "cf_contest_id": 1,
    "cf_index": "A",
    "cf_points": 0.0,
    "cf_rating": 800,
    "cf_tags": ["math", ""],
    "is_description_translated": False,
    "untranslated_description": "",
    "time_limit": {"seconds": 1, "nanos": 500000000},
    "memory_limit_bytes": 256000000,
    "input_file": "",
    "output_file": "",
}
LIVECODEBENCH_STDIN = {
    "question_title": "Sum",
    "question_content": "Print the sum of two integers.",
    "platform": "atcoder",
    "question_id": "abc301_a",
    "contest_id": "abc301",
    "contest_date": "2023-05-13T00:00:00",
    "starter_code": "",
    "difficulty": "easy",
    "public_test_cases": json.dumps([{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]),
    "private_test_cases": pack(json.dumps([{"input": "3 4\n", "output": "7", "testtype": "stdin"}])),
    "metadata": "{}",
}
LIVECODEBENCH_CALL = {
    **LIVECODEBENCH_STDIN,
    "question_id": "2727",
    "platform": "leetcode",
    "starter_code": "class Solution:\n    def join(self, words: List[str], times: int) -> str:\n        ",
    "public_test_cases": json.dumps([{"input": '["a", "b"]\n2', "output": '"abab"', "testtype": "functional"}]),
    "private_test_cases": json.dumps([{"input": "[]\n3", "output": '""', "testtype": "functional"}]),
    "metadata": json.dumps({"func_name": "join"}),
}
CODEFORCES = {
    "id": "1/A",
    "aliases": None,
    "contest_id": "1",
    "contest_name": "Round 1",
    "contest_type": "CF",
    "contest_start": 1,
    "contest_start_year": 2010,
    "index": "A",
    "time_limit": 1.0,
    "memory_limit": 32.0,
    "title": "Two numbers",
    "description": "Print any two numbers with the given sum.",
    "input_format": "One integer.",
    "output_format": "Two integers.",
    "interaction_format": None,
    "note": "There are many.",
    "examples": [{"input": "3", "output": "1 2"}],
    "editorial": None,
    "rating": 800,
    "tags": ["math"],
    "testset_size": 2,
    "official_tests": [{"input": "3", "output": "1 2"}],
    "official_tests_complete": False,
    "input_mode": "stdio",
    "generated_checker": "import sys\nprint(1)\n",
    "executable": True,
    "generated_tests": 0,
}
PRIME = {
    "source": "taco",
    "task_type": "verifiable_code",
    "in_source_id": "17",
    "prompt": "Print the sum of two integers.",
    "gold_standard_solution": f"```python\n{ADD}```",
    "verification_info": repr(
        {
            "language": "python",
            "test_cases": [{"type": "stdin_stdout", "fn_name": None, "input": "1 2\n", "output": "3\n"}],
        }
    ),
    "metadata": "{'difficulty': 'EASY'}",
    "problem_id": "vcp_17",
}
PRIME_OPEN_R1 = {
    "source": "apps",
    "task_type": "verifiable_code",
    "in_source_id": "18",
    "problem_statement": "Return twice the number.",
    "gold_standard_solution": f"```python\n{TWICE}```",
    "problem_id": "vcp_18",
    "metadata": {"difficulty": "easy", "memory_limit": None, "time_limit": None},
    "verification_info": {
        "language": "python",
        "test_cases": [{"fn_name": "twice", "input": "[3]", "output": "[6]", "type": "function_call"}],
    },
}
PRIME_GENESYS = {
    "problem_id": "primeintellect_19",
    "task_type": "verifiable_code",
    "prompt": "Return twice the number.",
    "verification_info": json.dumps(
        {"test_cases": json.dumps({"inputs": [[3]], "outputs": [[6]]}), "fn_name": "twice", "language": "python"}
    ),
}
EURUS = {
    "data_source": "taco",
    "prompt": [
        {"role": "system", "content": "Think first."},
        {"role": "user", "content": "Print the sum of two integers."},
    ],
    "ability": "code",
    "reward_model": {"style": "rule", "ground_truth": json.dumps({"inputs": ["1 2\n"], "outputs": ["3\n"]})},
    "extra_info": {"split": "train", "index": 5},
}
EURUS_CALL = {
    **EURUS,
    "prompt": [{"role": "user", "content": "Write repeat(text, times)."}],
    "reward_model": {
        "ground_truth": json.dumps({"inputs": ['"ab"\n2'], "outputs": ['"abab"'], "fn_name": "repeat"}),
    },
}
DEEPCODER_TACO = {
    "problem": "Print the sum of two integers.",
    "solutions": [f"```python\n{ADD}```"],
    "tests": json.dumps({"inputs": ["1 2\n"], "outputs": ["3\n"]}),
}
DEEPCODER_PRIME = {
    "problem": "Return twice the number.",
    "solutions": [f"```python\n{TWICE}```"],
    "tests": json.dumps([{"type": "function_call", "fn_name": "twice", "input": [3], "output": [6]}]),
}
DEEPCODER_LCB = {
    "problem": "Return twice the number.",
    "starter_code": "class Solution:\n    def twice(self, x: int) -> int:\n        ",
    "tests": json.dumps([{"input": "3", "output": "6", "testtype": "functional"}]),
    "metadata": {"func_name": "twice"},
}
DEEPCODER_CODEFORCES = {
    "problem": "Print the sum of two integers.",
    "solutions": [f"```python\n{ADD}```"],
    "tests": json.dumps([{"input": "1 2\n", "output": "3\n"}]),
}
LEETCODE = {
    "task_id": "twice",
    "prompt": "import math\n",
    "completion": TWICE,
    "entry_point": "Solution().twice",
    "test": "def check(candidate):\n    assert candidate(x = 3) == 6\n",
    "query": "Return twice the number.",
    "response": "It is twice.",
    "input_output": [{"input": "x = 3", "output": "6"}],
    "meta": {"question_id": 5, "difficulty": "Easy"},
}
LEETCODE_NODES = {
    **LEETCODE,
    "task_id": "mirror",
    "completion": "class Solution:\n    def mirror(self, root, head):\n        ...\n",
    "entry_point": "Solution().mirror",
    "test": (
        "def check(candidate):\n"
        "    assert is_same_tree(candidate(root = tree_node([1,None,2]), head = list_node([])), "
        "tree_node([1,2,None]))\n"
        "    assert candidate(tree_node([]), list_node([1,2])) == True\n"
    ),
}
HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": 'def twice(x):\n    """Two times x."""\n',
    "entry_point": "twice",
    "canonical_solution": "    return 2 * x\n",
    "test": "def check(candidate):\n    assert candidate(2) == 4\n",
}
HUMANEVAL_PLUS = {
    **HUMANEVAL,
    "test": (
        "import numpy as np\n\n"
        "def is_floats(x):\n"
        "    if isinstance(x, np.ndarray):\n"
        "        return x.dtype == np.float64 or x.dtype == np.float32\n"
        "    return isinstance(x, float)\n\n\n"
        "def assertion(out, exp, atol):\n"
        "    if atol == 0 and is_floats(exp):\n"
        "        atol = 1e-6\n"
        "    if out != exp and atol != 0:\n"
        "        assert np.allclose(out, exp, rtol=1e-07, atol=atol)\n"
        "    else:\n"
        "        assert out == exp\n\n\n"
        "def check(candidate):\n"
        "    inputs = [[2], [0.5], [[1.0, 2.0]]]\n"
        "    results = [4, 1.0000000001, [1.0, 2.0, 1.0, 2.0]]\n"
        "    for i, (inp, exp) in enumerate(zip(inputs, results)):\n"
        "        assertion(candidate(*inp), exp, 0)\n"
    ),
}
MBPP = {
    "task_id": 3,
    "text": "Write a function that doubles.\r\n",
    "code": "import math\r\ndef twice(x):\r\n    return 2 * x",
    "test_setup_code": "",
    "test_list": ["assert twice(2) == 4", "assert twice(math.inf) == math.inf"],
    "challenge_test_list": [],
}
MBPP_PLUS = {
    "task_id": 3,
    "prompt": "Write a function that doubles.",
    "code": "def twice(x):\n    return 2 * x",
    "source_file": "Benchmark Questions Verification V2.ipynb",
    "test_imports": [],
    "test_list": ["assert twice(2) == 4"],
    "test": (
        "import numpy as np\n\n"
        "def assertion(out, exp, atol):\n"
        "    if out != exp and atol != 0:\n"
        "        assert np.allclose(out, exp, rtol=1e-07, atol=atol)\n"
        "    else:\n"
        "        assert out == exp\n\n"
        "inputs = [[2], [3]]\n"
        "results = [4, 6]\n"
        "for i, (inp, exp) in enumerate(zip(inputs, results)):\n"
        "    assertion(twice(*inp), exp, 0)\n"
    ),
}
ACECODE = {
    "id": "oss_1",
    "source": "oss",
    "question": "Write twice(x).",
    "test_cases": ["assert twice(2) == 4", "assert twice(0) == 0"],
    "inferences": [
        {"completion": "def twice(x):\n    return x", "completion_id": 0, "model_name": "m", "pass_rate": 0.5},
        {"completion": "def twice(x):\n    return 2 * x", "completion_id": 1, "model_name": "m", "pass_rate": 1.0},
    ],
    "context_messages": [{"content": "Write twice(x).", "role": "user"}],
}
EXAMPLES = [
    ("apps", APPS_STDIN),
    ("apps", APPS_CALL),
    ("taco", TACO),
    ("taco", TACO_NEMO_GYM),
    ("code_contests", CODE_CONTESTS),
    ("livecodebench", LIVECODEBENCH_STDIN),
    ("livecodebench", LIVECODEBENCH_CALL),
    ("codeforces", CODEFORCES),
    ("prime", PRIME),
    ("prime", PRIME_OPEN_R1),
    ("prime", PRIME_GENESYS),
    ("eurus", EURUS),
    ("eurus", EURUS_CALL),
    ("deepcoder", DEEPCODER_TACO),
    ("deepcoder", DEEPCODER_PRIME),
    ("deepcoder", DEEPCODER_LCB),
    ("deepcoder", DEEPCODER_CODEFORCES),
    ("leetcode", LEETCODE),
    ("leetcode", LEETCODE_NODES),
    ("humaneval", HUMANEVAL),
    ("humaneval_plus", HUMANEVAL_PLUS),
    ("mbpp", MBPP),
    ("mbpp_plus", MBPP_PLUS),
    ("acecode", ACECODE),
]
