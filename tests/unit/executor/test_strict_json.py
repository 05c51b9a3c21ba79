import time

import pytest

from executor.strict_json import parse_tagged

MERSENNE = 2**61 - 1
"""The hash of an integer is its remainder modulo this number."""


@pytest.mark.parametrize("form", ['{"$set":[%s]}', '{"$dict":[%s]}', '[{"$frozenset":[%s]}]'])
def test_parse_tagged_rejects_hash_collisions_quickly(form):
    items = [str(i * MERSENNE) for i in range(43_868)]
    if "dict" in form:
        items = [f"[{item},0]" for item in items]
    text = form % ",".join(items)
    assert len(text) > 1_000_000
    began = time.process_time()
    with pytest.raises(ValueError, match="have the same hash"):
        parse_tagged(text, extended=True)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    "text",
    [
        '{"$tuple": 1}',
        '{"$tuple": [1], "x": 2}',
        '{"$set": [[1]]}',
        '{"$set": [{"a": 1}]}',
        '{"$dict": [[1]]}',
        '{"$dict": {"a": 1}}',
        '{"$dict": [[[1], 2]]}',
        '{"$float": "1.0"}',
        '{"$float": NaN}',
        '{"$frozenset": []}',
        '{"\\u0024set": [[1]]}',
        "[" * 70 + "]" * 70,
        "[" * 100_000,
        '{"a":' * 900 + '{"$x":1}' + "}" * 900,
        "1" * 5000,
        "NaN",
        "[Infinity]",
        "",
        "[1,]",
    ],
)
def test_parse_tagged_malformed_text_raises_value_error(text):
    with pytest.raises(ValueError):  # noqa: PT011  # the messages differ
        parse_tagged(text)


@pytest.mark.parametrize("text", ["1e999", "-1e999", '{"$set": [1e400]}'])
def test_parse_tagged_number_beyond_float_raises_value_error(text):
    with pytest.raises(ValueError, match="out of range for a float"):
        parse_tagged(text)
