from datamodules.synthesis.verification.rejection import has_dead_argument, is_nearly_constant, is_nearly_equal


def test_predicates():
    assert is_nearly_constant(["1"] * 9 + ["2"])
    assert not is_nearly_constant(["1"] * 8 + ["2"] * 2)
    assert is_nearly_equal([0] * 100, [0] * 96 + [1] * 4)
    assert not is_nearly_equal([0] * 100, [0] * 94 + [1] * 6)
    assert has_dead_argument(["1", "1", "1", "2"], [(0, 1), (1, 2)])
    assert not has_dead_argument(["1", "1", "1", "2"], [(0, 1), (2, 3)])
