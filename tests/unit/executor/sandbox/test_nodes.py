from executor.sandbox.nodes import NodeValue, decode_nodes


def test_nodes_as_records():
    assert decode_nodes("$tree", [1, None, 2, None]) == NodeValue("$tree", (1, None, 2))
    assert decode_nodes("$list", [3]) == NodeValue("$list", (3,))
    assert decode_nodes("$list", []) is None
