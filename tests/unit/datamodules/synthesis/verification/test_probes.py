import json

import pytest

from datamodules.atoms import ATOMS
from datamodules.synthesis.verification.probes import NUM_PROBES, ProbeCache, fingerprint, spell_value
from tests.support.toy_atoms import TOYS

BOOK = ProbeCache(ATOMS)
SIGNATURES = [("int",), ("str",), ("int", "int"), ("list[int]", "int"), ("str", "str", "str"), ("int", "str", "int")]


def outputs(types, function):
    return [json.dumps(function(*call)) for call in BOOK.probes(types).calls]


@pytest.mark.parametrize("types", SIGNATURES)
def test_there_are_enough_distinct_probes(types):
    calls = BOOK.probes(types).calls
    assert len({spell_value(call) for call in calls}) == len(calls) >= NUM_PROBES


def test_probes_of_every_atom_are_enough():
    for atom in ATOMS.values():
        assert len(BOOK.probes([slot.type_name for slot in atom.parameters]).calls) >= NUM_PROBES


def test_probes_depend_on_types_and_declared_domains_alone():
    assert ProbeCache(ATOMS).probes(("list[int]", "int")) == BOOK.probes(("list[int]", "int"))


def test_pairs_differ_in_their_parameter_alone():
    probes = BOOK.probes(("int", "str", "int"))
    for position, pairs in enumerate(probes.pairs):
        assert len(pairs) >= 40
        for i, j in pairs:
            left, right = probes.calls[i], probes.calls[j]
            assert [k for k in range(3) if left[k] != right[k]] == [position]


def test_fingerprint_is_the_same_for_swapped_parameters_of_one_type():
    probes = BOOK.probes(("int", "int"))
    minus, swapped = outputs(("int", "int"), lambda a, b: a - b), outputs(("int", "int"), lambda a, b: b - a)
    assert minus != swapped
    assert fingerprint(probes, minus) == fingerprint(probes, swapped)


def test_fingerprint_is_the_same_over_all_orders_of_three():
    types = ("int", "int", "int")
    functions = [
        lambda a, b, c: a * 7 + b * 3 - c,
        lambda a, b, c: c * 7 + a * 3 - b,
        lambda a, b, c: b * 7 + c * 3 - a,
    ]
    assert len({fingerprint(BOOK.probes(types), outputs(types, f)) for f in functions}) == 1


def test_fingerprint_is_the_same_for_another_order_of_types():
    one = fingerprint(BOOK.probes(("list[int]", "int")), outputs(("list[int]", "int"), lambda a, b: [b, *a]))
    other = fingerprint(BOOK.probes(("int", "list[int]")), outputs(("int", "list[int]"), lambda a, b: [a, *b]))
    assert one == other


def test_fingerprint_tells_behaviours_apart():
    probes = BOOK.probes(("int", "int"))
    assert fingerprint(probes, outputs(("int", "int"), lambda a, b: a - b)) != fingerprint(
        probes, outputs(("int", "int"), lambda a, b: abs(a - b))
    )


def test_spelling_ignores_the_order_of_sets_and_dictionaries_but_not_of_lists():
    assert spell_value({"$set": [2, 1]}) == spell_value({"$set": [1, 2]})
    assert spell_value([{"$dict": [[2, 0], [1, 0]]}]) == spell_value([{"$dict": [[1, 0], [2, 0]]}])
    assert spell_value({"b": 1, "a": 2}) == spell_value({"a": 2, "b": 1})
    assert spell_value([2, 1]) != spell_value([1, 2])
    assert spell_value(True) != spell_value(1)


def test_toy_types_are_probed_too():
    assert ProbeCache(TOYS).probes(("int",)).calls
