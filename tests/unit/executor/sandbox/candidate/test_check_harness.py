"""The check harness without a sandbox: programs are Python functions, called directly."""

import builtins

import pytest

from executor.sandbox.candidate.check_harness import run_check
from executor.sandbox.candidate.exceptions import describe_exception
from executor.sandbox.codec import decode_value, encode_value
from executor.sandbox.nodes import NodeValue

CHECK = "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(3) == 9\n"


@pytest.fixture
def final_line():
    """Run a check against a function; returns (kind, payload) of the final line."""

    def run(function, check=CHECK, prompt=None, entry_point="solve"):
        def call(arguments):
            args, kwargs = arguments
            try:
                value = function(*map(decode_value, args), **{name: decode_value(arg) for name, arg in kwargs.items()})
            except BaseException as error:
                return "e", describe_exception(error, always_full=True)
            return "v", encode_value(value)

        return run_check({"prompt": prompt, "check": check, "entry_point": entry_point}, call)

    return run


def fail(error):
    def function(*_args):
        raise error

    return function


class Odd(Exception):
    pass


class OddValue(ValueError):
    pass


class OddEnd(StopIteration):
    pass


def test_check_of_right_and_wrong_programs(final_line):
    assert final_line(lambda x: x * x) == ("p", None)
    assert final_line(lambda x: x + 2) == ("w", "AssertionError")
    assert final_line(lambda x: x, "def check(c):\n    assert c(1) == 2, 'twice'\n") == ("w", "AssertionError: twice")


def test_check_raising_on_a_wrong_value_is_wrong(final_line):
    assert final_line(lambda _x: None, "def check(c): assert len(c(1)) == 2")[0] == "w"


def test_exception_of_the_program_is_reported_by_name(final_line):
    assert final_line(fail(KeyError("x"))) == ("x", "KeyError")
    assert final_line(fail(Odd())) == ("x", "Odd")
    assert final_line(fail(AssertionError())) == ("x", "AssertionError")
    again = "def check(c):\n    try: c(1)\n    except ValueError as error: raise TypeError from error\n"
    assert final_line(fail(ValueError()), again) == ("x", "ValueError")
    swallowed = "def check(c):\n    try: c(1)\n    except ValueError: pass\n    assert False\n"
    assert final_line(fail(ValueError()), swallowed)[0] == "w"


ITERATIONS = {
    "map": "    assert all(map(lambda x: c(x) == x * x, [3, 4]))",
    "zip": "    for got, want in zip(map(c, [3, 4]), [9, 16]): assert got == want",
    "iter": "    for got in iter(lambda: c(3), 9): assert False",
    "merge": "    import heapq\n    for got in heapq.merge(map(c, [3, 4]), []): assert got in (9, 16)",
    "close": "    def squares():\n        try: yield 1\n        finally: assert c(3) == 9\n"
    "    ones = squares()\n    next(ones)\n    ones.close()",
}


@pytest.mark.parametrize("body", ITERATIONS.values(), ids=ITERATIONS)
@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration, GeneratorExit])
def test_program_exception_does_not_end_an_iteration_of_the_check(final_line, body, error):
    check = f"def check(c):\n{body}\n"
    assert final_line(fail(error()), check) == ("x", error.__name__)
    assert final_line(lambda x: x * x, check) == ("p", None)


def test_stop_iteration_of_the_program_is_a_runtime_error(final_line):
    check = "def check(c):\n    try: c(1)\n    except RuntimeError as error: assert str(error) == 'StopIteration'\n"
    assert final_line(fail(StopIteration()), check) == ("p", None)


@pytest.mark.parametrize("name", ["ValueError", "KeyError", "ZeroDivisionError", "IndexError", "OSError"])
def test_builtin_exception_can_be_caught_by_its_type(final_line, name):
    check = f"def check(c):\n    try: c(1)\n    except {name}: return\n    assert False\n"
    assert final_line(fail(getattr(builtins, name)()), check) == ("p", None)


CATCHES = "def check(c):\n    try: c(1)\n    except {} as error: assert str(error) == {!r}\n    else: assert False\n"


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ValueError("no digits"), "ValueError", "no digits"),
        (KeyError("k"), "KeyError", "'k'"),
        (KeyError(5), "KeyError", "5"),
        (Odd("strange"), "Exception", "strange"),
        (OddValue("strange"), "ValueError", "strange"),
        (UnicodeDecodeError("ascii", b"x", 0, 1, "bad"), "UnicodeDecodeError", ""),
        (OddEnd("over"), "RuntimeError", "OddEnd"),
        (OSError(2, "gone"), "OSError", "[Errno 2] gone"),
        (ExceptionGroup("many", [ValueError()]), "Exception", "many (1 sub-exception)"),
    ],
)
def test_exception_reaches_the_check_as_its_first_builtin_class(final_line, error, kind, message):
    assert final_line(fail(error), CATCHES.format(kind, message)) == ("p", None)


def test_exception_without_bases_is_a_builtin_one_or_a_runtime_error():
    def call(name):
        return lambda _arguments: ("e", name)

    for name, kind, message in (("Odd", "RuntimeError", "Odd"), ("ValueError", "ValueError", "")):
        task = {"prompt": None, "check": CATCHES.format(kind, message), "entry_point": "solve"}
        assert run_check(task, call(name)) == ("p", None)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("assert c(1) == missing", "NameError in the check: name 'missing' is not defined"),
        ("import no_such_module", "ModuleNotFoundError in the check: No module named 'no_such_module'"),
        ("from math import no_such_name", "ImportError in the check: cannot import name 'no_such_name'"),
        ("assert c(1) == 2 or helper()", "NameError in the check: name 'helper' is not defined"),
    ],
)
def test_mistake_of_the_check_is_a_fault_and_not_the_programs(final_line, body, message):
    kind, detail = final_line(lambda x: x, f"def check(c):\n    {body}\n")
    assert kind == "f"
    assert detail.startswith(message)


@pytest.mark.parametrize("value", ["missing", "import os", "__import__('no_such_module')"])
def test_source_that_the_program_returned_is_not_the_checks_mistake(final_line, value):
    assert final_line(lambda _: value, "def check(c): assert eval(c(1)) == 1")[0] == "w"


@pytest.mark.parametrize("error", [NameError("x"), ImportError("x")])
def test_name_error_of_the_program_is_its_own(final_line, error):
    assert final_line(fail(error)) == ("x", type(error).__name__)


def test_trees_and_lists_cross_as_objects_of_the_checks_classes(final_line):
    prompt = (
        "class TreeNode:\n    def __init__(self, val=0):\n        self.val, self.left, self.right = val, None, None\n"
    )
    check = "def check(c):\n    root = TreeNode(1)\n    root.right = TreeNode(2)\n    assert c(root).left.val == 5\n"

    def solve(record):
        assert record == NodeValue("$tree", (1, None, 2))
        return NodeValue("$tree", (3, 5))

    assert final_line(solve, check, prompt) == ("p", None)


def test_numpy_values_cross_as_plain_values(final_line):
    pytest.importorskip("numpy")
    check = (
        "import numpy as np\ndef check(c):\n"
        "    got = c(np.array([[1.0, 2.0]]), np.int64(3))\n    assert np.allclose(got, [[3.0, 6.0]])\n"
    )

    def solve(rows, factor):
        assert (rows, type(factor)) == ([[1.0, 2.0]], int)
        return [[factor * x for x in row] for row in rows]

    assert final_line(solve, check) == ("p", None)


def test_prompt_provides_helpers_and_entry_point_is_the_proxy(final_line):
    prompt = "from math import comb\n\ndef double(x):\n    return 2 * x\n\ndef solve(x):\n    '''Twice.'''\n"
    check = "def check(candidate):\n    assert candidate(3) == solve(3) == double(3) == 2 * comb(3, 1)\n"
    assert final_line(lambda x: 2 * x, check, prompt) == ("p", None)
    assert final_line(lambda _x: None, check, prompt)[0] == "w"


@pytest.mark.parametrize(
    "prompt", [None, "def solve(x):", "Write a function that squares!", "  def solve(x):\n", "\0", "square"]
)
def test_prompt_without_body_or_program_is_accepted(final_line, prompt):
    assert final_line(lambda x: x * x, prompt=prompt) == ("p", None)


def test_module_level_asserts_count(final_line):
    check = "assert candidate(2) == 4\ndef check(candidate): pass\n"
    assert final_line(lambda x: x * x, check) == ("p", None)
    assert final_line(lambda x: x, check) == ("w", "AssertionError")


def test_keyword_arguments_and_tagged_values_are_passed(final_line):
    check = "def check(c):\n    assert c((1, 2), y={3}) == {(1, 2): {3}}\n"
    assert final_line(lambda x, y: {x: y}, check) == ("p", None)


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ("def check(c:", "SyntaxError"),
        ("raise KeyError", "KeyError"),
        ("def test(c): pass", "does not define check"),
        ("def check(c): c(object())", "cannot be passed on"),
        ("def check(c):\n    try: c(range(3))\n    except BaseException: pass\n", "cannot be passed on"),
        ("def check(c): c(1 << (1 << 22))", "cannot be passed on"),
    ],
)
def test_fault_of_the_check_is_reported_as_its_own(final_line, check, message):
    kind, detail = final_line(lambda x: x, check)
    assert kind == "f"
    assert message in detail


def test_random_numbers_of_a_check_are_reproducible(final_line):
    check = "import random\ndef check(c): c(random.random())\n"
    drawn = []
    for _ in range(2):
        assert final_line(drawn.append, check) == ("p", None)
    assert drawn[0] == drawn[1]
