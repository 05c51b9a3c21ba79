from executor.grading.tasks.preludes import PRELUDES, expand_prelude


def test_leetcode_prelude_defines_its_names():
    names: dict = {}
    exec(expand_prelude("leetcode"), names)
    tree = names["TreeNode"](1, names["TreeNode"](2))
    assert (tree.val, tree.left.val, tree.left.left, tree.right) == (1, 2, None, None)
    assert names["ListNode"](1, names["ListNode"]()).next.val == 0
    assert names["Counter"]("aab") == {"a": 2, "b": 1}
    assert type(names["OrderedDict"]()).__module__ == "collections"
    assert names["pow"](2, 10, 1000) == 24
    assert (names["inf"], names["gcd"](4, 6), names["ascii_lowercase"][:3]) == (float("inf"), 2, "abc")
    assert names["Optional"][names["List"][int]]
    assert names["heapq"].heappop([1]) == names["heappop"]([1]) == 1
    assert list(names["pairwise"]([1, 2, 3])) == [(1, 2), (2, 3)]
    assert names["cache"](len)("ab") == names["bisect_left"]([1, 2, 3], 3) == len(names["deque"]([1, 2]))


def test_expand_prelude_accepts_names_and_source():
    assert expand_prelude("x = 1") == "x = 1"
    assert expand_prelude(None) == ""
    assert list(PRELUDES) == ["leetcode"]
