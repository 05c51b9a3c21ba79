"""Strict JSON from untrusted sources, plain or as tagged values.

The standard parser accepts NaN, infinities and numbers beyond the range of float; these functions reject them. Tagged
values are defined in `executor.sandbox.codec`.
"""

import json
from typing import Any, NoReturn

from executor.sandbox.codec import MAX_DEPTH, decode_value


def parse_json(text: str) -> Any:
    """Parse strict JSON from an untrusted source.

    Raises:
        ValueError: it is malformed or nested too deeply, or contains NaN, an infinity, a number beyond the range of
            float or an integer with too many digits.
    """
    try:
        return _STRICT.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def reject_constant(name: str) -> NoReturn:
    """Raise ValueError for NaN or an infinity in JSON: a `parse_constant`."""
    raise ValueError(f'{name} is not JSON; write {{"$float": ...}}')


def parse_finite(text: str) -> float:
    """Parse the text of a JSON number, or raise ValueError if it exceeds the range of float: a `parse_float`."""
    value = float(text)
    if value - value != 0.0:
        raise ValueError(f'{text[:40]} is out of range for a float; write {{"$float": "inf"}}')
    return value


_STRICT = json.JSONDecoder(parse_constant=reject_constant, parse_float=parse_finite)


def parse_tagged(text: str, *, extended: bool = False) -> Any:
    """Parse the JSON text of a tagged value and validate it; return it still tagged. `extended` as in `encode_value`.

    Raises:
        ValueError: it is not JSON or not a tagged value.
    """
    tagged = parse_json(text)
    if "$" in text or "\\u0024" in text or text.count("[") + text.count("{") > MAX_DEPTH:
        decode_value(tagged, extended=extended)
    return tagged
