"""Sequences of fresh tasks over toy atoms: what they hold, and that neither batches nor restarts change them."""

import json
from collections import Counter
from itertools import permutations, product

import pytest

from datamodules.synthesis import fresh
from datamodules.synthesis.composition.canonical import parse_skeleton
from datamodules.synthesis.composition.sample import AtomSampler
from datamodules.synthesis.config import SynthesisConfig
from datamodules.synthesis.dataset.candidates import GenerationContext
from datamodules.synthesis.fresh import ExcludedTasks, FreshTasks
from datamodules.synthesis.verification.oracle import build_batch_run, fingerprint_execution
from datamodules.synthesis.verification.probes import ProbeCache
from datamodules.synthesis.wording.prompts import choose_wording
from executor.sandbox.codec import decode_value, encode_value
from tests.support.in_process import InProcess
from tests.support.toy_atoms import TOYS

CONFIG = SynthesisConfig(num_tests=1, num_reward_tests=6)
LISTS = [[], [7], [3, 1, 2], [-4, 9, 9, 0], [5, -20, 33, 8, 1], [50, 49, 2, 2, -7, 6]]
INTS = [-11, -1, 0, 1, 2, 3, 4, 5, 40]


def start(depths=(1, 2, 3), *, skeletons=(), behaviours=(), seed=0, config=CONFIG, **options) -> FreshTasks:
    wording = choose_wording(TOYS, seed=0, num_held_out_frames=3, languages=config.languages)
    context = GenerationContext(config, ProbeCache(TOYS), wording, InProcess(), None)
    excluded = ExcludedTasks(frozenset(skeletons), frozenset(behaviours))
    return FreshTasks(context, AtomSampler(tuple(TOYS.values())), depths, excluded, seed=seed, **options)


def call(row, args):
    namespace: dict = {}
    exec(row["solution"], namespace)
    return namespace["solve"](*args)


def behave(row) -> tuple:
    """What a program returns on a grid of arguments, the same for any order of its parameters."""
    types = [part.split(": ")[1] for part in row["solution"].rpartition("solve(")[2].split(")")[0].split(", ")]
    order = sorted(range(len(types)), key=types.__getitem__)
    grid = list(product(*(LISTS if types[i].startswith("list") else INTS for i in order)))
    results = []
    for permuted in permutations(order):
        if [types[i] for i in permuted] == sorted(types):
            rows = ([args[permuted.index(i)] for i in range(len(types))] for args in grid)
            results.append(tuple(json.dumps(call(row, args)) for args in rows))
    return (tuple(sorted(types)), min(results))


def test_a_sequence_depends_on_neither_batches_nor_restarts():
    whole = start().take({1: 4, 2: 20, 3: 9})
    first = start()
    rows = first.take({2: 3})
    first.prepare({2: 11, 3: 1})  # what was not taken is generated again
    second = start()
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    rows += second.take({2: 8, 3: 9}) + second.take({1: 4}) + second.take({2: 9})
    assert sorted(rows, key=lambda row: row["task_id"]) == sorted(whole, key=lambda row: row["task_id"])
    assert second.state_dict() != first.state_dict()
    other = start(seed=1).take({2: 20})
    assert {row["solution"] for row in other} != {row["solution"] for row in whole if row["depth"] == 2}


def test_tasks_have_their_depth_and_true_tests_and_none_behaves_as_another():
    rows = start().take({2: 25, 3: 25})
    assert Counter(row["depth"] for row in rows) == {2: 25, 3: 25}
    assert {row["language"] for row in rows} == {"en", "zh"}
    assert len({row["task_id"] for row in rows}) == 50
    for row in rows:
        assert row["skeleton"] == parse_skeleton(row["solution"])
        assert len(json.loads(row["reward_tests"])) == 6
        for test in json.loads(row["tests"]) + json.loads(row["reward_tests"]):
            assert encode_value(call(row, [decode_value(arg) for arg in test["args"]])) == test["expected"]
    for depth in (2, 3):
        counts = Counter(behave(row) for row in rows if row["depth"] == depth)
        assert counts.most_common(1)[0][1] == 1


def test_excluded_skeletons_and_behaviours_do_not_occur():
    rows = start().take({2: 24})
    probes = ProbeCache(TOYS)
    skeletons = {row["skeleton"] for row in rows[0::2]}
    behaviours = set()
    for row in rows[1::2]:
        types = [part.split(": ")[1] for part in row["solution"].rpartition("solve(")[2].split(")")[0].split(", ")]
        run = build_batch_run(row["solution"], probes.probes(types).calls)
        behaviours.add(fingerprint_execution(probes.probes(types), InProcess().run([run])[0]))
    other = start(skeletons=skeletons, behaviours=behaviours).take({2: 24})
    assert not skeletons & {parse_skeleton(row["solution"]) for row in other}
    assert not {behave(row) for row in rows[1::2]} & {behave(row) for row in other}


def test_an_exhausted_depth_says_so_once_and_repeats_its_oldest_tasks(monkeypatch, caplog):
    monkeypatch.setattr(fresh, "MAX_FRUITLESS_DRAWS", 60)
    tasks = start((1, 3))
    rows = tasks.take({1: 150, 3: 2})
    size = len({row["solution"] for row in rows if row["depth"] == 1})
    assert 0 < size < 70
    assert rows[size : 2 * size] == rows[:size]
    assert rows[2 * size : 150] == rows[: 150 - 2 * size]
    [record] = caplog.records
    assert record.getMessage() == (
        f"fresh_prompts: 60 draws gave no new composition of depth 1 after {size} tasks: the oldest are used again"
    )
    resumed = start((1, 3))
    resumed.load_state_dict(tasks.state_dict())
    assert resumed.take({1: 5, 3: 2}) == tasks.take({1: 5, 3: 2})
    assert len(caplog.records) == 1
    assert resumed.state_dict() == tasks.state_dict()


def test_a_restart_just_before_the_end_of_a_sequence_repeats_the_same_tasks(monkeypatch):
    monkeypatch.setattr(fresh, "MAX_FRUITLESS_DRAWS", 60)
    whole = start((1,)).take({1: 40})
    first = start((1,))
    rows = first.take({1: 4})
    first.prepare({1: 40})  # reaches the end with tasks that were not taken
    second = start((1,))
    second.load_state_dict(first.state_dict())
    assert rows + second.take({1: 36}) == whole


def test_no_composition_at_all_is_an_error(monkeypatch):
    monkeypatch.setattr(fresh, "MAX_FRUITLESS_DRAWS", 60)
    with pytest.raises(ValueError, match="fresh_prompts: there is no composition of depth 2 that"):
        start(accepts_prompt=lambda prompt: False).take({2: 1})


def test_prompts_that_are_not_accepted_do_not_occur():
    rows = start(accepts_prompt=lambda prompt: len(prompt) <= 90).take({2: 10})
    assert max(len(row["prompt"]) for row in rows) <= 90 < max(len(row["prompt"]) for row in start().take({2: 10}))
