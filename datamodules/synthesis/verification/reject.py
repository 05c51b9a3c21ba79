"""Why a composition is dropped: pure predicates over what its steps returned.

Exact degeneracy (constant, identity) is not enough: a step that matters on one input in a hundred teaches nothing and
is not tested by the task's inputs, so every predicate has a share. What is the same as an atom or an item already taken
is decided by fingerprints (`stream`), not here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

COMMONEST_SHARE = 0.8
NO_EFFECT_SHARE = 0.95
MIN_INFLUENCE_SHARE = 0.05
MAX_RAISING_PROBES_SHARE = 0.05
MAX_VALUE_CHARS = 1000


def is_nearly_constant(outputs: Sequence[str]) -> bool:
    """Whether one output covers more than `COMMONEST_SHARE` of all."""
    return Counter(outputs).most_common(1)[0][1] > COMMONEST_SHARE * len(outputs)


def is_nearly_equal(left: Sequence[Any], right: Sequence[Any]) -> bool:
    """Whether two columns of tagged values of one type agree on at least `NO_EFFECT_SHARE` of the rows."""
    allowed = (1 - NO_EFFECT_SHARE) * len(left)
    num_different = 0
    for one, other in zip(left, right, strict=True):
        if one != other:
            num_different += 1
            if num_different > allowed:
                return False
    return True


def lacks_influence(outputs: Sequence[str], pairs: Sequence[tuple[int, int]]) -> bool:
    """Whether changing one parameter alone changes the output in less than `MIN_INFLUENCE_SHARE` of the pairs."""
    num_changed = sum(outputs[i] != outputs[j] for i, j in pairs)
    return num_changed < MIN_INFLUENCE_SHARE * len(pairs) or num_changed == 0


def is_too_large(outputs: Sequence[str]) -> bool:
    """Whether an output is spelled with more than `MAX_VALUE_CHARS` characters."""
    return any(len(output) > MAX_VALUE_CHARS for output in outputs)
