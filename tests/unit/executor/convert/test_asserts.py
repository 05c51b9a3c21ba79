"""From asserts to checks: which function they are about, and what the check says of right and wrong ones."""

import pytest

from executor.convert.asserts import find_entry_point, find_unknown_names, write_check


def runs(check, function):
    """Whether a function passes a check, run right here."""
    namespace = {}
    exec(check, namespace)
    try:
        namespace["check"](function)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize(
    ("asserts", "options", "name"),
    [
        (["assert f(1) == 2"], {}, "f"),
        (["assert set(f((1, 2))) == {1}"], {}, "f"),
        (["assert sorted(abs(x) for x in f([1])) == [1]"], {}, "f"),
        (["assert math.isclose(f(1.5), 2.25, rel_tol=1e-3)"], {"preamble": "import math"}, "f"),
        (["assert isclose(f(1.5), 2.25)"], {"preamble": "from math import isclose"}, "f"),
        (["assert not f('a')", "assert f('b')"], {}, "f"),
        (["assert f(2) == f(-2)"], {}, "f"),
        (["assert f(g(2)) == 1"], {}, "f"),
        (["assert f(g(2)) == 1"], {"solution": "def g(x):\n    return x\n"}, "g"),
        (["assert f(h(2)) == 1", "assert h(1) == f(1)"], {"solution": "def h(x): ...\ndef f(x): ...\n"}, "f"),
        (["assert h(2) == f(2)", "assert f(1) == 1"], {}, "f"),
        (["assert f(Pair(1, 2)) == 3"], {"solution": "class Pair: ...\ndef f(x): ...\n"}, "f"),
        (["assert Pair(f(1), 2) == 3"], {"solution": "class Pair: ...\ndef f(x): ...\n"}, "f"),
        (["assert f(Pair(1, 2)) == 3"], {"preamble": "class Pair: ...\n"}, "f"),
        (["assert Stack().size() == 0"], {"solution": "class Stack: ...\n"}, "Stack"),
        (["assert f(1) == 2"], {"solution": "print 'of another Python'"}, "f"),
        (["x = f(1)\nassert x == 2"], {}, "f"),
        (["assert max(1) == 2"], {"solution": "def max(x): ...\n"}, "max"),
    ],
)
def test_the_function_that_asserts_are_about(asserts, options, name):
    assert find_entry_point(asserts, **options) == name


@pytest.mark.parametrize(
    ("asserts", "options", "words"),
    [
        (["assert 1 == 1"], {}, "'assert 1 == 1' calls no function of the candidate"),
        (["assert sorted([1]) == [1]"], {}, "calls no function of the candidate"),
        (["assert f(1) == 1"], {"solution": "def g(x): ...\n"}, "calls no function of the candidate"),
        (["assert f(1) == 1", "assert g(1) == 2"], {}, r"'assert g\(1\) == 2' does not call f"),
        (["assert f(1) = 1"], {}, r"the assert 'assert f\(1\) = 1' is not valid Python"),
        (["assert f(1) == 1"], {"preamble": "import ("}, r"the code before the asserts 'import \(' is not valid"),
        ([], {}, "no asserts"),
    ],
)
def test_asserts_about_no_function(asserts, options, words):
    with pytest.raises(ValueError, match=words):
        find_entry_point(asserts, **options)


@pytest.mark.parametrize(
    ("asserts", "preamble", "right", "wrong"),
    [
        (["assert set(f([1, 1])) == {1}"], "", lambda x: x, lambda _x: [2]),
        (["assert sorted(f([2, 1])) == [1, 2]"], "", lambda x: x, lambda _x: [1]),
        (["assert math.isclose(f(2.0), 4.0000001, rel_tol=1e-3)"], "import math", lambda x: x * x, lambda _x: 4.1),
        (["assert f(1, (2, 3)) == (3, 2, 1)"], "", lambda x, y: (*y[::-1], x), lambda _x, _y: [3, 2, 1]),
        (["assert f(2) == f(-2)", "assert not f(0)"], "", abs, lambda x: x),
        (["assert f('''a\n    b''') == 'a\\n    b'"], "", lambda x: x, str.title),
        (["x = f(1)\nif x:\n    assert x == 2"], "", lambda x: x + 1, lambda x: x),
        (["assert f(box.size) == 3"], "class Box:\n    size = 2\nbox = Box()", lambda x: x + 1, lambda x: x),
        (["assert f(1) == LONG"], 'LONG = """two\n  lines"""\n', lambda _x: "two\n  lines", lambda _x: "two\nlines"),
        (["assert f(1) == 2", "assert f(2) == 3"], "f = None", lambda x: x + 1, lambda _x: 2),
    ],
)
def test_a_check_of_asserts(asserts, preamble, right, wrong):
    check = write_check(asserts, function="f", preamble=preamble)
    assert runs(check, right)
    assert not runs(check, wrong)


def test_a_function_may_be_called_candidate():
    check = write_check(["assert candidate(1) == 2"], function="candidate")
    assert runs(check, lambda x: x + 1)
    assert not runs(check, lambda x: x)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def check(candidate):\n    f = candidate\n    assert f([x for x in range(3)]) == len\n", []),
        ("root = Node(1)\ndef check(candidate):\n    assert candidate(root)\n", ["Node"]),
        ("import math\nclass A: size = math.pi\ndef check(c):\n    assert c(A.size) == sys.maxsize\n", ["sys"]),
        ("from math import *\ndef check(c):\n    assert c(pi)\n", []),
        ("def check(c):\n    assert [far(x) for x in c(1)] == (lambda y: y + far(y))(1)\n", ["far"]),
    ],
)
def test_names_that_nothing_defines(source, names):
    assert find_unknown_names(source) == names
