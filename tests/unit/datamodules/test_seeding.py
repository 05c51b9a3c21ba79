from datamodules.seeding import keyed_fraction, keyed_random


def test_draws_depend_on_every_part_of_their_name_and_on_nothing_else():
    draws = {(s, p, i): keyed_random(s, p, i).random() for s in (0, 1) for p in ("a", "b") for i in range(50)}
    assert len(set(draws.values())) == len(draws)
    assert keyed_random(0, "a", 7).random() == draws[0, "a", 7]


def test_fractions_fill_the_unit_interval():
    values = [keyed_fraction(3, "x", i) for i in range(2000)]
    assert all(0 <= value < 1 for value in values)
    assert 0.45 < sum(values) / len(values) < 0.55
