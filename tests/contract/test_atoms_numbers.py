"""The forty atoms of arithmetic, number theory, bits and lists: examples, independent oracles, totality."""

import itertools
import math
import time
from collections import Counter
from copy import deepcopy
from fractions import Fraction
from random import Random

import pytest

from datamodules.atoms import arithmetic, bits, lists, number_theory
from datamodules.atoms.registry import Atom, collect_atoms

MODULES = (arithmetic, number_theory, bits, lists)
ATOMS = collect_atoms(MODULES)
NAMES = list(ATOMS)

HAND_WORKED: dict[str, list[tuple]] = {
    # arithmetic: (arguments..., expected)
    "digit_sum": [(0, 0), (-1905, 15), (9999, 36)],
    "reverse_digits": [(120, 21), (-37, -73), (0, 0)],
    "integer_sqrt": [(15, 3), (16, 4), (-4, 0)],
    "round_to_multiple": [(7, 5, 5), (8, 5, 10), (3, 6, 6), (-3, 6, 0), (-4, 6, -6), (7, 0, 7)],
    "bounce": [(3, 5, 3), (7, 5, 3), (10, 5, 0), (-1, 5, 1), (5, 5, 5), (3, 0, 1)],
    "make_change": [(88, [50, 20, 10, 5, 2, 1]), (0, []), (249, [20, 20, 5, 2, 2]), (-1, [50, 20, 20, 5, 2, 2])],
    "propagate_carries": [([15, 9, 3], [5, 0, 4]), ([99], [9]), ([-1, 0], [9, 9]), ([], [])],
    "polynomial_value": [([1, 2, 3], 10, 123), ([2, 0, -1], -3, 17), ([], 4, 0), ([5, 0, 0, 0], 10, 0)],
    "running_means": [([1, 2, 4], [1.0, 1.5, 2.33]), ([-5], [-5.0]), ([], [])],
    "rescale_to_unit": [
        ([2.0, 4.0, 3.0], [0.0, 1.0, 0.5]),
        ([7.0, 7.0], [0.0, 0.0]),
        ([], []),
        ([0.0, 1.0, 3.0], [0.0, 0.333, 1.0]),
    ],
    # number theory
    "greatest_common_divisor": [(12, 18, 6), (-12, 8, 4), (0, 0, 0), (0, 7, 7)],
    "primes_up_to": [(20, [2, 3, 5, 7, 11, 13, 17, 19]), (1, []), (-7, [])],
    "prime_factors": [(360, [2, 2, 2, 3, 3, 5]), (-7, [7]), (0, []), (1, []), (2 * 101, [2, 101]), (97 * 97, [97, 97])],
    "collatz_steps": [(6, 8), (1, 0), (27, 111), (-5, 0)],
    "power_modulo": [(2, 10, 54), (5, 0, 1), (-1, 3, 96), (97, 2, 0)],
    "is_happy": [(19, True), (-7, True), (4, False), (0, False), (1, True), (2, False)],
    "bezout_coefficients": [(240, 46, (-9, 47)), (0, 5, (0, 1)), (7, 0, (1, 0))],
    "base_digits": [(10, 2, [1, 0, 1, 0]), (0, 7, [0]), (-255, 16, [15, 15]), (5, 0, [1, 0, 1])],
    "residue_counts": [([1, 2, 4, -1], 3, [0, 2, 2]), ([], 2, [0, 0]), ([5], 0, [1]), ([8], 100, [0] * 8 + [1])],
    "coprime_to": [([1, 2, 9, 10, 0], 6, [1]), ([-5, 4], 9, [-5, 4]), ([0, 1, 2, -1], 0, [1, -1])],
    # bits
    "count_set_bits": [(7, 3), (-8, 1), (0, 0)],
    "gray_to_number": [(2, 3), (3, 2), (4, 7), (0, 0)],
    "longest_run_of_ones": [(0b1101110, 3), (0, 0), (-5, 1), (255, 8)],
    "rotate_byte_left": [(0b10000001, 1, 0b00000011), (1, 8, 1), (257, 1, 2), (-1, 3, 255)],
    "running_xor": [([1, 3, 2], [1, 2, 0]), ([], []), ([5], [5])],
    "select_by_mask": [([10, 20, 30], 5, [10, 30]), ([1, 2], 0, []), ([], 7, []), ([1, 2], -1, [1, 2])],
    "bit_positions": [(10, [1, 3]), (0, []), (-4, [2])],
    "pack_parities": [([1, 2, 3], 5), ([], 0), ([1] + [0] * 8, 0), ([-1, 4], 2)],
    "to_binary": [(5, "101"), (0, "0"), (-2, "-10"), (1, "1")],
    "has_alternating_bits": [(5, True), (6, False), (0, True), (-10, True), (11, False)],
    # lists
    "rotate_left": [
        ([1, 2, 3, 4], 1, [2, 3, 4, 1]),
        ([1, 2, 3], 5, [3, 1, 2]),
        ([], 3, []),
        ([1, 2, 3], -1, [3, 1, 2]),
    ],
    "prefix_sums": [([1, 2, 3], [1, 3, 6]), ([], []), ([-1, 1], [-1, 0])],
    "sliding_maximum": [([1, 3, 2, 0], 2, [3, 3, 2]), ([4], 2, []), ([4, 5], 0, [4, 5])],
    "interleave_halves": [([1, 2, 3, 4], [1, 3, 2, 4]), ([1, 2, 3, 4, 5], [1, 4, 2, 5, 3]), ([], [])],
    "reverse_blocks": [([1, 2, 3, 4, 5], 2, [2, 1, 4, 3, 5]), ([1, 2, 3, 4, 5], 3, [3, 2, 1, 5, 4]), ([], 2, [])],
    "chunk_list": [([1, 2, 3], 2, [[1, 2], [3]]), ([], 2, []), ([1, 2], 0, [[1], [2]])],
    "value_runs": [([3, 3, 1, 3], [(3, 2), (1, 1), (3, 1)]), ([], []), ([0], [(0, 1)])],
    "longest_rising_run": [([1, 2, 2, 3, 4], 3), ([], 0), ([5, 4], 1)],
    "peak_positions": [([0.0, 2.0, 1.0, 3.0, 3.0], [1]), ([1.0, 0.0], []), ([0.0, 1.5, 0.0, 1.5, 0.0], [1, 3])],
    "count_signs": [
        ([-1, 0, 3, 4], {"negative": 1, "zero": 1, "positive": 2}),
        ([], {"negative": 0, "zero": 0, "positive": 0}),
    ],
}

ADVERSARIAL = {
    "int": (0, 1, -1, 999_999, -1_000_000, 2**31, -(2**63), 10**30, -(10**30) + 1, 2**101 - 1),
    "list[int]": ([], [0], [10**30, -(10**30)], [-1] * 300, list(range(500)), [10**6 - i for i in range(500)]),
    "list[float]": (
        [],
        [0.0],
        [1e308, -1e308],
        [math.inf, -math.inf, math.nan],
        [5e-324, 0.0],
        [0.5 * i for i in range(500)],
    ),
}


def arguments_of(atom: Atom, rng: Random) -> tuple:
    return tuple(parameter.domain.sample(rng) for parameter in atom.parameters)


def samples(name: str, count: int = 200) -> list[tuple]:
    rng = Random(name)
    return [arguments_of(ATOMS[name], rng) for _ in range(count)]


def type_of(value: object) -> str:
    """The type spelled as in annotations; the item type of an empty container reads `?`."""
    if isinstance(value, list):
        return f"list[{type_of(value[0]) if value else '?'}]"
    if isinstance(value, tuple):
        return f"tuple[{', '.join(map(type_of, value))}]"
    if isinstance(value, dict):
        return "dict[str, int]"
    return type(value).__name__


@pytest.mark.parametrize("module", MODULES)
def test_a_topic_holds_ten_atoms(module):
    assert len(collect_atoms([module])) == 10


def test_every_atom_has_hand_worked_examples():
    assert sorted(HAND_WORKED) == sorted(NAMES)
    assert all(len(examples) >= 2 for examples in HAND_WORKED.values())


@pytest.mark.parametrize("name", NAMES)
def test_hand_worked_examples(name):
    for *args, expected in HAND_WORKED[name]:
        result = ATOMS[name](*args)
        assert result == expected
        assert type(result) is type(expected)


def bezout_holds(n: int, k: int) -> bool:
    x, y = ATOMS["bezout_coefficients"](n, k)
    return n * x + k * y == math.gcd(n, k)


def fewest_coins(amount: int) -> int:
    """By dynamic programming, not greedily."""
    fewest = [0]
    for value in range(1, amount % 100 + 1):
        fewest.append(1 + min(fewest[value - coin] for coin in (1, 2, 5, 10, 20, 50) if coin <= value))
    return fewest[-1]


def is_prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, n))


ORACLES = {
    "digit_sum": lambda n: sum(map(int, str(abs(n)))),
    "reverse_digits": lambda n: int(str(abs(n))[::-1]) * (-1 if n < 0 else 1),
    "integer_sqrt": lambda n: math.isqrt(max(n, 0)),
    "round_to_multiple": lambda n, step: math.floor(Fraction(n, step) + Fraction(1, 2)) * step,
    "bounce": lambda n, k: next(itertools.islice(itertools.cycle([*range(k), *range(k, 0, -1)]), abs(n), None)),
    "polynomial_value": lambda values, x: sum(c * x**p for p, c in enumerate(reversed(values))) % 1000,
    "running_means": lambda values: [round(sum(values[:i]) / i, 2) for i in range(1, len(values) + 1)],
    "greatest_common_divisor": math.gcd,
    "primes_up_to": lambda n: [p for p in range(61) if p <= n and is_prime(p)],
    "power_modulo": lambda n, k: pow(n, k, 97),
    "residue_counts": lambda values, k: [Counter(v % k for v in values)[r] for r in range(k)],
    "coprime_to": lambda values, k: [v for v in values if math.gcd(v, k) == 1],
    "count_set_bits": lambda n: abs(n).bit_count(),
    "longest_run_of_ones": lambda n: max(map(len, bin(abs(n))[2:].split("0"))),
    "rotate_byte_left": lambda n, k: int((f"{n % 256:08b}" * 2)[k : k + 8], 2),
    "running_xor": lambda values: list(itertools.accumulate(values, lambda a, b: a ^ b)),
    "select_by_mask": lambda values, mask: list(itertools.compress(values, map(int, f"{mask:064b}"[::-1]))),
    "bit_positions": lambda n: [i for i, bit in enumerate(reversed(bin(abs(n))[2:])) if bit == "1"],
    "pack_parities": lambda values: int("0" + "".join(str(v % 2) for v in values), 2) % 256,
    "to_binary": lambda n: f"{n:b}",
    "has_alternating_bits": lambda n: "00" not in (digits := f"{abs(n):b}") and "11" not in digits,
    "prefix_sums": lambda values: list(itertools.accumulate(values)),
    "value_runs": lambda values: [(v, len(list(run))) for v, run in itertools.groupby(values)],
    "reverse_blocks": lambda values, k: [v for chunk in ATOMS["chunk_list"](values, k) for v in reversed(chunk)],
    "sliding_maximum": lambda values, k: list(map(max, zip(*(values[i:] for i in range(k)), strict=False))),
    "interleave_halves": lambda values: values[:1] and [
        values[i // 2 + (i % 2) * ((len(values) + 1) // 2)] for i in range(len(values))
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", list(ORACLES))
def test_agrees_with_an_independent_oracle(name):
    for args in samples(name):
        assert ATOMS[name](*args) == ORACLES[name](*deepcopy(args)), args


def test_change_is_exact_and_uses_the_fewest_coins():
    for amount in range(-100, 200):
        coins = ATOMS["make_change"](amount)
        assert sum(coins) == amount % 100
        assert len(coins) == fewest_coins(amount)
        assert coins == sorted(coins, reverse=True)


def test_carrying_keeps_the_value_modulo_the_power_of_ten():
    for (values,) in samples("propagate_carries"):
        digits = ATOMS["propagate_carries"](values)
        assert all(0 <= digit <= 9 for digit in digits)
        as_number = sum(digit * 10**place for place, digit in enumerate(digits))
        assert as_number == sum(value * 10**place for place, value in enumerate(values)) % 10 ** len(values)


def test_prime_factors_multiply_back_and_are_prime():
    for n in range(1, 1500):
        factors = ATOMS["prime_factors"](-n)
        assert math.prod(factors) == n
        assert factors == sorted(factors)
        assert all(map(is_prime, factors))


def test_bezout_combination_is_the_gcd():
    assert all(bezout_holds(n, k) for n, k in samples("bezout_coefficients"))


def test_base_digits_read_back():
    for n, base in samples("base_digits"):
        digits = ATOMS["base_digits"](n, base)
        assert sum(d * base**p for p, d in enumerate(reversed(digits))) == abs(n)
        assert all(0 <= d < base for d in digits)


def test_gray_codes_of_neighbours_are_decoded():
    assert [ATOMS["gray_to_number"](n ^ n >> 1) for n in range(300)] == list(range(300))


def test_happy_numbers_below_fifty():
    known = [1, 7, 10, 13, 19, 23, 28, 31, 32, 44, 49]
    assert [n for n in range(50) if ATOMS["is_happy"](n)] == known


def test_rotations_and_chunks_keep_all_items():
    for values, k in samples("rotate_left"):
        rotated = ATOMS["rotate_left"](values, k)
        assert ATOMS["rotate_left"](rotated, -k) == values
        assert list(itertools.chain(*ATOMS["chunk_list"](values, k))) == values


@pytest.mark.parametrize("name", NAMES)
def test_total_cheap_and_leaves_arguments_alone(name):
    atom = ATOMS[name]
    pools = [(*p.domain.edges(), *ADVERSARIAL[p.type_name]) for p in atom.parameters]
    inputs = [*itertools.product(*pools), *samples(name)]
    for args in inputs:
        kept = repr(args)
        seconds = []
        for _ in range(3):
            start = time.process_time()
            result = atom(*args)
            seconds.append(time.process_time() - start)
            if seconds[-1] < 0.02:
                break
        assert min(seconds) < 0.02, args
        assert repr(args) == kept
        assert len(repr(result)) < 40_000, args
        shape = type_of(result)
        assert shape == atom.return_type or "?" in shape, args


@pytest.mark.parametrize("name", NAMES)
def test_not_dull_on_its_own_domain(name):
    results = Counter(repr(ATOMS[name](*args)) for args in samples(name))
    assert len(results) >= 2
    assert results.most_common(1)[0][1] <= 180


def signature(atom: Atom) -> tuple[str, ...]:
    return (*(parameter.type_name for parameter in atom.parameters), atom.return_type)


def test_atoms_of_one_signature_behave_differently():
    groups: dict[tuple[str, ...], list[Atom]] = {}
    for atom in ATOMS.values():
        groups.setdefault(signature(atom), []).append(atom)
    for members in groups.values():
        for first, second in itertools.combinations(members, 2):
            rng = Random(f"{first.name}/{second.name}")
            inputs = [arguments_of(rng.choice((first, second)), rng) for _ in range(200)]
            differing = sum(first(*args) != second(*args) for args in inputs)
            assert differing >= 20, (first.name, second.name, differing)


@pytest.mark.parametrize("name", NAMES)
def test_source_is_short_and_bare(name):
    source = ATOMS[name].source
    assert len(source.splitlines()) <= 18
    assert source.startswith(f"def {name}(")
    assert '"""' not in source
    assert "#" not in source
    assert "import" not in source


@pytest.mark.parametrize("name", NAMES)
def test_phrasings_are_clauses(name):
    for text in ATOMS[name].phrasings["en"]:
        assert text[0].islower() or text.startswith("{")
        assert not text.endswith(".")
        assert len(text.split()) <= 16, text
    for text in ATOMS[name].phrasings["zh"]:
        assert not text.endswith("。")
        assert any("\u4e00" <= character <= "\u9fff" for character in text)
