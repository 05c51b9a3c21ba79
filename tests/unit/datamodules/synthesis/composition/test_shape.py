import pytest

from datamodules.synthesis.composition.shape import TreeShape, parse_shape


@pytest.mark.parametrize(
    ("skeleton", "expected"),
    [
        ("f(P0)", TreeShape(1, "chain")),
        ("f(g(P0, C), P1)", TreeShape(2, "chain")),
        ("f(P0, g(h(P1)))", TreeShape(3, "chain")),
        ("f(g(P0), h(P1))", TreeShape(3, "balanced")),
        ("f(g(h(P0)), g(P1))", TreeShape(4, "left")),
        ("f(P0, g(P1), g(h(P0)))", TreeShape(4, "right")),
        ("k(f(g(h(P0)), g(P1)))", TreeShape(5, "left")),  # the root has one call, the call below it two
        ("f(g(P0), g(h(P0), h(P1)))", TreeShape(5, "right")),  # the outermost branching decides
        ("f(g(P0), h(h(P0)), g(P1))", TreeShape(5, "balanced")),  # the first and the last of three
    ],
)
def test_shapes_by_hand(skeleton: str, expected: TreeShape) -> None:
    assert parse_shape(skeleton) == expected


@pytest.mark.parametrize("text", ["", "f(", "P0", "f + g"])
def test_other_texts_are_errors(text: str) -> None:
    with pytest.raises(ValueError, match="not the skeleton"):
        parse_shape(text)
