from datamodules.synthesis.overlap import Keys, count_containing, count_overlaps, describe_first_overlap

PROGRAM = """def clip(values: list[int], top: int) -> list[int]:
    kept = [value for value in values if value < top]
    return kept


def solve(a: list[int]) -> list[int]:
    return clip(a, 3)
"""


def test_overlaps_count_each_measure_of_each_pair():
    splits = {
        "one": [Keys("p1", "q1", "s1", "b1"), Keys("p2", "q2", "s1", "b2")],
        "two": [Keys("p3", "q2", "s1", "b2")],
        "three": [Keys("p4", "q4", "s4", "b1")],
    }
    counts = count_overlaps(splits)
    assert counts == {
        "one & two": {"prompt": 0, "program": 1, "skeleton": 1, "behaviour": 1},
        "one & three": {"prompt": 0, "program": 0, "skeleton": 0, "behaviour": 1},
        "two & three": {"prompt": 0, "program": 0, "skeleton": 0, "behaviour": 0},
    }
    assert describe_first_overlap(counts) == "one & two share items: 1 by program, 1 by skeleton, 1 by behaviour"
    assert describe_first_overlap({"a & b": {"prompt": 0}}) is None


def test_containment_counts_items_with_a_proper_part_elsewhere():
    tests = ["f(g(P0))", "h(f(g(P0)))", "h(P0, f(g(P1)))", "g(f(P0))"]
    assert count_containing(tests, ["f(g(P0))"]) == 2
