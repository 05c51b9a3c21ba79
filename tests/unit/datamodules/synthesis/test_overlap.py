import pytest

from datamodules.synthesis.composition.normalise import normalised_hash
from datamodules.synthesis.overlap import Keys, first_overlap, num_containing, overlaps

PROGRAM = """def clip(values: list[int], top: int) -> list[int]:
    kept = [value for value in values if value < top]
    return kept


def solve(a: list[int]) -> list[int]:
    return clip(a, 3)
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("value ", "v "),
        ("kept", "answer"),
        ("values", "numbers"),
        ("solve(a: ", "solve(q: "),
        ("return kept", "return  kept  # x"),
    ],
)
def test_names_layout_and_comments_do_not_count(old, new):
    changed = PROGRAM.replace(old, new)
    if old == "value ":
        changed = PROGRAM.replace("[value for value in values if value", "[v for v in values if v")
    if old == "solve(a: ":
        changed = changed.replace("clip(a,", "clip(q,")
    assert changed != PROGRAM
    assert normalised_hash(changed) == normalised_hash(PROGRAM)


def test_docstrings_and_the_order_of_functions_do_not_count():
    helper, solve = PROGRAM.split("\n\n\n")
    documented = helper.replace(":\n    kept", ':\n    """Clip."""\n    kept')
    assert normalised_hash(f"{solve}\n\n{documented}\n") == normalised_hash(PROGRAM)


@pytest.mark.parametrize(
    ("old", "new"), [("< top", "<= top"), ("(a, 3)", "(a, 4)"), ("list[int]) ->", "list[str]) ->"), ("clip", "cut")]
)
def test_everything_else_counts(old, new):
    assert normalised_hash(PROGRAM.replace(old, new)) != normalised_hash(PROGRAM)


def test_swapping_two_names_is_not_a_renaming():
    assert normalised_hash("def f(a, b):\n    return a - b\n") != normalised_hash("def f(a, b):\n    return b - a\n")


def test_nested_functions_are_local_names():
    one = "def f(n):\n    def g(k):\n        return k\n    return g(n)\n"
    assert normalised_hash(one) == normalised_hash(one.replace("g(", "inner("))


def test_overlaps_count_each_measure_of_each_pair():
    splits = {
        "one": [Keys("p1", "q1", "s1", "b1"), Keys("p2", "q2", "s1", "b2")],
        "two": [Keys("p3", "q2", "s1", "b2")],
        "three": [Keys("p4", "q4", "s4", "b1")],
    }
    counts = overlaps(splits)
    assert counts == {
        "one & two": {"prompt": 0, "program": 1, "skeleton": 1, "behaviour": 1},
        "one & three": {"prompt": 0, "program": 0, "skeleton": 0, "behaviour": 1},
        "two & three": {"prompt": 0, "program": 0, "skeleton": 0, "behaviour": 0},
    }
    assert first_overlap(counts) == "one & two share items: 1 by program, 1 by skeleton, 1 by behaviour"
    assert first_overlap({"a & b": {"prompt": 0}}) is None


def test_containment_counts_items_with_a_proper_part_elsewhere():
    tests = ["f(g(P0))", "h(f(g(P0)))", "h(P0, f(g(P1)))", "g(f(P0))"]
    assert num_containing(tests, ["f(g(P0))"]) == 2
