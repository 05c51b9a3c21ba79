"""The tester's half of a check, without a sandbox: what it says about programs that are Python functions here."""

import builtins

import pytest

from executor.sandbox.check_harness import verdict_of
from executor.sandbox.codec import decode_value, encode_value

CHECK = "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(3) == 9\n"


@pytest.fixture
def verdict():
    """Run a check against a function: (kind, payload) of the last line."""

    def run(function, check=CHECK, prompt=None, entry_point="solve"):
        def ask(call):
            args, named = call
            try:
                value = function(*map(decode_value, args), **{name: decode_value(arg) for name, arg in named.items()})
            except BaseException as error:
                return "e", type(error).__name__
            return "v", encode_value(value)

        return verdict_of({"prompt": prompt, "check": check, "entry_point": entry_point}, ask)

    return run


def fail(error):
    def function(*_args):
        raise error

    return function


class Odd(Exception):
    pass


def test_right_and_wrong(verdict):
    assert verdict(lambda x: x * x) == ("p", None)
    assert verdict(lambda x: x + 2) == ("w", "AssertionError")
    assert verdict(lambda x: x, "def check(c):\n    assert c(1) == 2, 'told'\n") == ("w", "AssertionError: told")


def test_the_check_may_stumble_over_a_wrong_value(verdict):
    assert verdict(lambda _x: None, "def check(c): assert len(c(1)) == 2")[0] == "w"


def test_what_the_program_raised_comes_through(verdict):
    assert verdict(fail(KeyError("x"))) == ("x", "KeyError")
    assert verdict(fail(Odd())) == ("x", "Odd")
    assert verdict(fail(AssertionError())) == ("x", "AssertionError")
    again = "def check(c):\n    try: c(1)\n    except ValueError as error: raise TypeError from error\n"
    assert verdict(fail(ValueError()), again) == ("x", "ValueError")
    swallowed = "def check(c):\n    try: c(1)\n    except ValueError: pass\n    assert False\n"
    assert verdict(fail(ValueError()), swallowed)[0] == "w"


QUIET_ENDS = {
    "map": "    assert all(map(lambda x: c(x) == x * x, [3, 4]))",
    "zip": "    for got, want in zip(map(c, [3, 4]), [9, 16]): assert got == want",
    "iter": "    for got in iter(lambda: c(3), 9): assert False",
    "merge": "    import heapq\n    for got in heapq.merge(map(c, [3, 4]), []): assert got in (9, 16)",
    "close": "    def squares():\n        try: yield 1\n        finally: assert c(3) == 9\n"
    "    ones = squares()\n    next(ones)\n    ones.close()",
}


@pytest.mark.parametrize("body", QUIET_ENDS.values(), ids=QUIET_ENDS)
@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration, GeneratorExit])
def test_no_exception_ends_an_iteration_of_the_check(verdict, body, error):
    check = f"def check(c):\n{body}\n"
    assert verdict(fail(error()), check) == ("x", error.__name__)
    assert verdict(lambda x: x * x, check) == ("p", None)


def test_a_failed_call_that_python_takes_for_an_end_is_an_error_to_catch(verdict):
    check = "def check(c):\n    try: c(1)\n    except RuntimeError as error: assert str(error) == 'StopIteration'\n"
    assert verdict(fail(StopIteration()), check) == ("p", None)


@pytest.mark.parametrize("name", ["ValueError", "KeyError", "ZeroDivisionError", "IndexError", "OSError"])
def test_exceptions_are_those_the_check_can_expect(verdict, name):
    check = f"def check(c):\n    try: c(1)\n    except {name}: return\n    assert False\n"
    assert verdict(fail(getattr(builtins, name)()), check) == ("p", None)


def test_exceptions_without_a_builtin_name_are_runtime_errors(verdict):
    check = "def check(c):\n    try: c(1)\n    except RuntimeError as error: assert str(error) == 'Odd'\n"
    assert verdict(fail(Odd()), check) == ("p", None)
    assert verdict(fail(UnicodeDecodeError("a", b"", 0, 1, "b")), check.replace("Odd", "UnicodeDecodeError"))[0] == "p"


def test_helpers_of_the_prompt_are_there_and_its_function_is_the_proxy(verdict):
    prompt = "from math import comb\n\ndef double(x):\n    return 2 * x\n\ndef solve(x):\n    '''Twice.'''\n"
    check = "def check(candidate):\n    assert candidate(3) == solve(3) == double(3) == 2 * comb(3, 1)\n"
    assert verdict(lambda x: 2 * x, check, prompt) == ("p", None)
    assert verdict(lambda _x: None, check, prompt)[0] == "w"


@pytest.mark.parametrize("prompt", [None, "def solve(x):", "Write a function that squares!", "  def solve(x):\n", "\0"])
def test_a_prompt_may_be_without_body_or_no_program(verdict, prompt):
    assert verdict(lambda x: x * x, prompt=prompt) == ("p", None)


def test_asserts_may_stand_by_themselves_beside_a_check(verdict):
    check = "assert candidate(2) == 4\ndef check(candidate): pass\n"
    assert verdict(lambda x: x * x, check) == ("p", None)
    assert verdict(lambda x: x, check) == ("w", "AssertionError")


def test_keywords_and_tagged_values_travel(verdict):
    check = "def check(c):\n    assert c((1, 2), y={3}) == {(1, 2): {3}}\n"
    assert verdict(lambda x, y: {x: y}, check) == ("p", None)


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("def check(c:", "SyntaxError"),
        ("raise KeyError", "KeyError"),
        ("def test(c): pass", "does not define check"),
        ("def check(c): c(object())", "cannot be passed on"),
        ("def check(c):\n    try: c(range(3))\n    except BaseException: pass\n", "cannot be passed on"),
        ("def check(c): c(1 << 20000)", "cannot be passed on"),
    ],
)
def test_faults_of_the_check_are_its_own(verdict, check, words):
    kind, said = verdict(lambda x: x, check)
    assert kind == "f"
    assert words in said


def test_chance_in_a_check_is_the_same_every_time(verdict):
    check = "import random\ndef check(c): c(random.random())\n"
    drawn = []
    for _ in range(2):
        assert verdict(drawn.append, check) == ("p", None)
    assert drawn[0] == drawn[1]
