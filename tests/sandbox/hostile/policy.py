"""What counts as the right value: our policy, one line each, by the rules of `executor.grading.compare`.

Each row: name, source, the value the test expects (tagged), the tolerance or None, whether it passes.
"""

# ruff: noqa: E501

_R = "def solve(): return "

POLICY = [
    # exact types
    ("bool_is_bool", _R + "True", True, None, True),
    ("int_is_not_bool", _R + "1", True, None, False),
    ("bool_is_not_int", _R + "True", 1, None, False),
    ("int_is_not_float", _R + "1", 1.0, None, False),
    ("float_is_not_int", _R + "1.0", 1, None, False),
    ("none_is_none", _R + "None", None, None, True),
    ("none_is_not_zero", _R + "None", 0, None, False),
    ("empty_list_is_not_none", _R + "[]", None, None, False),
    ("string_is_exact", _R + "'a\\u00e9\\U0001f600\\udc80'", "a\u00e9\U0001f600\udc80", None, True),
    ("string_is_not_normalised", _R + "'e\\u0301'", "\u00e9", None, False),
    ("bytes_are_foreign", _R + "b'a'", "a", None, False),
    # numbers
    ("minus_zero_is_zero", _R + "-0.0", 0.0, None, True),
    ("nan_is_nan", _R + "float('nan')", {"$float": "nan"}, None, True),
    ("minus_nan_is_nan", _R + "-float('nan')", {"$float": "nan"}, None, True),
    ("inf_is_inf", _R + "float('inf')", {"$float": "inf"}, None, True),
    ("inf_is_not_minus_inf", _R + "float('inf')", {"$float": "-inf"}, None, False),
    ("floats_are_exact", _R + "0.1 + 0.2", 0.3, None, False),
    ("floats_within_tolerance", _R + "0.1 + 0.2", 0.3, 1e-9, True),
    ("int_for_float_within_tolerance", _R + "1", 1.0, 1e-9, True),
    ("ints_have_no_tolerance", _R + "1000001", 1000000, 0.1, False),
    ("bool_has_no_tolerance", _R + "True", 1.0, 0.5, False),
    ("nan_within_no_tolerance", _R + "float('nan')", 1.0, 1e9, False),
    ("long_ints", _R + "7 ** 4000", 7**4000, None, True),
    ("too_long_ints", _R + "1 << (1 << 22)", 0, None, False),
    ("denormal", _R + "5e-324", 5e-324, None, True),
    # sequences
    ("tuple_for_list", _R + "(1, 2)", [1, 2], None, True),
    ("list_for_tuple", _R + "[1, 2]", {"$tuple": [1, 2]}, None, False),
    ("nested_tuple_for_list", _R + "[(1, 2), [3]]", [[1, 2], [3]], None, True),
    ("nested_list_for_tuple", _R + "[[1, 2]]", [{"$tuple": [1, 2]}], None, False),
    ("named_tuple_is_a_tuple", "import collections\n" + _R + "collections.namedtuple('P', 'x y')(1, 2)",
     {"$tuple": [1, 2]}, None, True),
    ("subclass_of_a_named_tuple_is_foreign", "import collections\nclass P(collections.namedtuple('P', 'x')): pass\n" + _R + "P(1)",
     {"$tuple": [1]}, None, False),
    ("named_tuple_that_overrides_access_is_foreign", "class P(tuple):\n    _fields = ('x',)\n    def __getitem__(s, i): return 1\n" + _R + "P([1])",
     {"$tuple": [1]}, None, False),
    ("empty_tuple_for_empty_list", _R + "()", [], None, True),
    ("set_is_not_list", _R + "{1}", [1], None, False),
    ("generator_is_foreign", _R + "(x for x in [1])", [1], None, False),
    ("range_is_foreign", _R + "range(2)", [0, 1], None, False),
    ("map_is_foreign", _R + "map(int, '12')", [1, 2], None, False),
    ("deque_is_foreign", "import collections\n" + _R + "collections.deque([1])", [1], None, False),
    ("shared_parts", "def solve():\n    a = [1]\n    return [a, a]", [[1], [1]], None, True),
    ("deep_but_legal", "def solve():\n    a = 1\n    for _ in range(60): a = [a]\n    return a",
     __import__("json").loads("[" * 60 + "1" + "]" * 60), None, True),
    # sets and dicts
    ("set_in_any_order", _R + "{3, 1, 2}", {"$set": [1, 2, 3]}, None, True),
    ("frozenset_is_foreign", _R + "frozenset({1})", {"$set": [1]}, None, False),
    ("set_members_are_exact", _R + "{True}", {"$set": [1]}, None, False),
    ("dict_in_any_order", _R + "{'b': 1, 'a': 2}", {"a": 2, "b": 1}, None, True),
    ("dict_keys_are_exact", _R + "{1: 'a'}", {"$dict": [[True, "a"]]}, None, False),
    ("dict_with_odd_keys", _R + "{(1, 2): None, 'k': 1}", {"$dict": [[{"$tuple": [1, 2]}, None], ["k", 1]]}, None, True),
    ("dict_keys_that_look_like_tags", _R + "{'$tuple': [1]}", {"$dict": [["$tuple", [1]]]}, None, True),
    ("default_dict_is_a_dict", "import collections\n" + _R + "collections.defaultdict(int, a=1)", {"a": 1}, None, True),
    ("counter_is_a_dict", "import collections\n" + _R + "collections.Counter('a')", {"a": 1}, None, True),
    ("ordered_dict_is_a_dict", "import collections\n" + _R + "collections.OrderedDict(a=1)", {"a": 1}, None, True),
    ("dict_view_is_foreign", _R + "{'a': 1}.keys()", ["a"], None, False),
    ("foreign_deep_inside", _R + "[{'a': (1, [b'x'])}]", [{"a": {"$tuple": [1, ["x"]]}}], None, False),
    ("values_within_tolerance_everywhere", _R + "{'a': [1.0000001], 'b': (2,)}", {"a": [1.0], "b": [2.0]}, 1e-3, True),
    # what is not offered
    ("exit_builtin_is_absent", "def solve():\n    try: exit()\n    except NameError: return 1", 1, None, True),
    ("no_third_party_packages", "def solve():\n    try: import numpy\n    except ImportError: return 1", 1, None, True),
    ("no_process_pools", "def solve():\n    import multiprocessing as m\n    try: m.Lock()\n    except OSError: return 1", 1, None, True),
]  # fmt: skip
