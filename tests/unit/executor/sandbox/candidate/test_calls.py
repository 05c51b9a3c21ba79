"""Calls of functions and methods in a worker without a sandbox around it: result lines."""

import json

import pytest

TREE = """
class TreeNode:
    def __init__(self, val=0, left=None, right=None):
        self.val, self.left, self.right = val, left, right
"""
LIST = """
class ListNode:
    def __init__(self, val=0, next=None):
        self.val, self.next = val, next
"""


def test_positional_and_keyword_arguments(driver):
    calls = [[1, 2], {"args": [1], "kwargs": {"y": {"$tuple": [2]}}}, {"args": []}]
    reply, lines = driver.run_calls("def solve(x, y=0): return [x, y]", calls)
    assert lines == ["v[1,2]", 'v[1,{"$tuple":[2]}]', 'e"TypeError"']
    assert (reply["end"], reply["exit_code"]) == (None, 0)


def test_method_has_a_new_instance_for_each_call(driver):
    source = """
class Solution:
    def __init__(self): self.count = 0
    def f(self, step=1):
        self.count += step
        return self.count
"""
    assert driver.run_calls(source, [[], [2], {"args": [], "kwargs": {"step": 3}}], "Solution.f")[1] == [
        "v1",
        "v2",
        "v3",
    ]


@pytest.mark.parametrize("entry_point", ["Solution.g", "Other.f", "other"])
def test_missing_entry_point_does_not_load(driver, entry_point):
    [line] = driver.run_calls("class Solution:\n    def f(self): pass", [[]], entry_point)[1]
    assert line == f'l["NameError","the program does not define {entry_point}"]'


def test_argument_after_the_call_can_be_the_result(driver):
    calls = [{"args": [[3, 1, 2]], "result": "args.0"}, {"args": [5, [1]], "result": "args.1"}, [[2, 1]]]
    source = "def solve(a, b=None):\n    (a if b is None else b).sort()\n    return 'ignored'"
    assert driver.run_calls(source, calls)[1] == ["v[1,2,3]", "v[1]", 'v"ignored"']


def test_prelude_shares_the_namespace_and_may_be_shadowed(driver):
    prelude = "from math import comb\ndef helper(): return 1"
    source = "def helper(): return 2\ndef solve(n): return [helper(), comb(n, 2)]"
    assert driver.run_calls(source, [[4]], prelude=prelude)[1] == ["v[2,6]"]


def test_prelude_that_fails_is_a_fault(driver):
    reply, lines = driver.run_calls("def solve(): return 1", [[]], prelude="import no_such_module")
    assert (reply["end"], reply["clean"], lines) == ("fault", True, [])
    assert reply["why"] == "the prelude of the task failed: ModuleNotFoundError: No module named 'no_such_module'"


def test_exceptions_of_the_program_carry_their_bases_and_message(driver):
    source = """
class Base(ValueError): pass
class Odd(Base, KeyError):
    def __str__(self): return "m" * 1000
class Hidden(type):
    __name__ = property(lambda self: "ValueError")
    __mro__ = property(lambda self: (ValueError,))
    def mro(cls): return type.mro(cls)
class Sly(Exception, metaclass=Hidden):
    def __str__(self): raise SystemExit
class Text(str):
    def __getitem__(self, key): return "ValueError"
Spelled = type(Text("Spelled"), (Exception,), {})
def solve(n):
    raise [ValueError("x"), Odd(), Sly(), Spelled(1), BaseException()][n]
"""
    lines = driver.run_calls(source, [[n] for n in range(5)])[1]
    assert [json.loads(line[1:]) for line in lines] == [
        "ValueError",
        ["Odd", ["Base", "ValueError", "KeyError", "LookupError", "Exception"], "m" * 200],
        ["Sly", ["Exception"], ""],
        ["Spelled", ["Exception"], "1"],
        "BaseException",
    ]


def test_long_integers_are_hexadecimal_in_both_directions(driver):
    lines = driver.run_calls("def solve(n): return n + 1", [[{"$int": hex(1 << 20_000)}], [1]])[1]
    assert lines == [f'v{{"$int":"{hex((1 << 20_000) + 1)}"}}', "v2"]


def test_dicts_of_collections_and_named_tuples_are_plain(driver):
    source = """
from collections import Counter, namedtuple
class Sub(Counter): pass
P = namedtuple("P", "x")
def solve(n): return [Counter("a"), [P(1)], Sub("a"), P][n]
"""
    assert driver.run_calls(source, [[n] for n in range(4)])[1] == [
        'v{"a":1}',
        'v[{"$tuple":[1]}]',
        'u"Sub"',
        'u"type"',
    ]


INVERT = """
class Solution:
    def invert(self, root):
        if root:
            root.left, root.right = self.invert(root.right), self.invert(root.left)
        return root
"""


@pytest.mark.parametrize(("prelude", "own"), [(None, ""), (TREE, ""), (None, TREE), (TREE, TREE)])
def test_trees_are_objects_of_the_programs_class(driver, prelude, own):
    calls = [[{"$tree": [4, 2, 7, 1, None, None, 9]}], [{"$tree": []}], [None]]
    lines = driver.run_calls(own + INVERT, calls, "Solution.invert", prelude=prelude)[1]
    assert lines == ['v{"$tree":[4,7,2,9,null,null,1]}', "vnull", "vnull"]


def test_linked_lists_and_lists_of_them(driver):
    source = LIST + "def solve(heads):\n    return [h.next for h in heads], ListNode(7, ListNode(8))"
    [line] = driver.run_calls(source, [[[{"$list": [1, 2, 3]}, {"$list": [4]}]]])[1]
    assert line == 'v{"$tuple":[[{"$list":[2,3]},null],{"$list":[7,8]}]}'


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("a = ListNode(1)\n    a.next = a\n    return a", "onull"),
        ("return ListNode(1, ListNode([2]))", 'u"ListNode"'),
        ("return ListNode(1, 5)", 'u"ListNode"'),
        ("a = ListNode(1)\n    del a.next\n    return a", 'u"ListNode"'),
        ("return type('ListNode', (ListNode,), {})(1)", 'u"ListNode"'),
        ("return ListNode(1 << 20000)", "onull"),
    ],
)
def test_odd_lists_have_no_value(driver, body, line):
    assert driver.run_calls(f"{LIST}def solve():\n    {body}", [[]])[1] == [line]


def test_arguments_beyond_the_memory_limit_are_a_fault(driver):
    reply, lines = driver.run_calls("def solve(x): return 1", [[[1] * 4_000_000]], memory_bytes=32 << 20)
    assert (reply["end"], reply["why"], lines) == ("fault", "MemoryError", [])
