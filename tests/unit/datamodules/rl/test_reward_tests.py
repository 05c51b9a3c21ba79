import random
import re

import pytest

from datamodules.atoms import ATOMS
from datamodules.atoms.domain_json import domains_from_json, domains_to_json
from datamodules.atoms.domains import Bools, Dicts, Floats, Grids, Ints, Lists, Sentences, Texts, Tuples
from datamodules.rl.reward_tests import sample_inputs

EVERY_KIND = (
    Ints(-3, 4),
    Floats(0.5, 2.0, digits=1),
    Bools(),
    Texts(alphabet="aé\n", max_length=3, examples=("x", "")),
    Sentences(2, ("one", "two")),
    Lists(Tuples((Ints(), Lists(Bools(), min_length=2)))),
    Grids(Dicts(Ints(), Texts()), max_rows=2),
)


def draw(domains, **changes):
    options = {"seed": 0, "iteration": 0, "task_id": "t", "excluded": [], "num_inputs": 6} | changes
    return sample_inputs(domains, **options)


def test_every_domain_of_the_atoms_survives_json():
    slots = [tuple(slot.domain for slot in atom.parameters) for atom in ATOMS.values()]
    assert len(slots) == 100
    for domains in [*slots, EVERY_KIND]:
        read = domains_from_json(domains_to_json(domains))
        assert read == domains
        for before, after in zip(domains, read, strict=True):
            assert after.sample(random.Random(1)) == before.sample(random.Random(1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "domains are not readable JSON"),
        ("{}", "domains must be a list with one domain for each parameter"),
        ('["Ints"]', "domain 0: kind is None; known are Ints,"),
        ('[{"kind": "Bools"}, {"kind": ["Ints"]}]', "domain 1: kind is ['Ints']; known are"),
        ('[{"kind": "Integers"}]', "domain 0: kind is 'Integers'; known are"),
        ('[{"kind": "Bools", "low": 1}]', "domain 0: Bools has exactly the fields (none), not ['kind', 'low']"),
        ('[{"kind": "Ints", "low": true, "high": 2}]', "domain 0.low must be a whole number, not True"),
        ('[{"kind": "Ints", "low": 3, "high": 2}]', "domain 0: low is 3, above high, which is 2"),
        ('[{"kind": "Floats", "low": NaN, "high": 2, "digits": 1}]', "domain 0.low must be a finite number, not nan"),
        ('[{"kind": "Lists", "item": {"kind": "Bools"}, "max_length": 1, "min_length": "0"}]',
         "domain 0.min_length must be a whole number, not '0'"),
        ('[{"kind": "Tuples", "items": [{"kind": "Bools"}, 3]}]', "domain 0.items[1]: kind is None"),
        ('[{"kind": "Grids", "item": {"kind": "Bools"}, "max_rows": 0, "max_columns": 1}]',
         "domain 0: max_rows is 0, at least 1 is needed"),
        ('[{"kind": "Sentences", "max_words": 2, "vocabulary": "abc"}]', "domain 0.vocabulary must be a list"),
    ],
)  # fmt: skip
def test_reading_is_strict(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        domains_from_json(text)


def test_draws_belong_to_seed_iteration_and_task():
    base = draw(EVERY_KIND)
    assert base == draw(EVERY_KIND)
    for change in ({"seed": 1}, {"iteration": 1}, {"task_id": "u"}):
        other = draw(EVERY_KIND, **change)
        assert not [args for args in other if args in base]


def test_draws_are_new_and_all_different():
    excluded = [[value] for value in range(10)]
    drawn = draw((Ints(0, 15),), excluded=excluded, num_inputs=6)
    assert sorted(drawn) == [[value] for value in range(10, 16)]
    assert draw((Ints(0, 15),), excluded=excluded, num_inputs=7) is None
    assert draw((Bools(),), excluded=[[True], [False]], num_inputs=1) is None
    # equal dictionaries are one input, in whichever order they are written
    two = (Dicts(Ints(0, 1), Ints(5, 5), max_length=2),)
    full = {"$dict": [[1, 5], [0, 5]]}
    assert [full] not in draw(two, excluded=[[full]], num_inputs=2)
    assert {str(sorted(args[0].get("$dict", []))) for args in draw(two, excluded=[[full]], num_inputs=3)} == {
        "[]", "[[0, 5]]", "[[1, 5]]"
    }  # fmt: skip


def test_values_are_tagged():
    [[pair]] = draw((Tuples((Ints(7, 7), Bools())),), num_inputs=1)
    assert pair in ({"$tuple": [7, True]}, {"$tuple": [7, False]})
