import json
import re
from dataclasses import replace

import pytest

from datamodules.atoms import ATOMS
from datamodules.synthesis.audit import audit_dataset, choose_probes
from datamodules.synthesis.build import build, generate_dataset, is_built, write_dataset
from datamodules.synthesis.config import Counts, SynthesisConfig
from datamodules.synthesis.dataset.split import SPLITS, choose_held_out_atoms
from datamodules.synthesis.overlap import describe_first_overlap
from datamodules.synthesis.verification.oracle import build_batch_run, fingerprint_execution
from datamodules.synthesis.verification.probes import ProbeCache
from tests.support.in_process import InProcess
from tests.support.toy_atoms import TOYS, touchy, unstable

CONFIG = SynthesisConfig(
    seed=5, counts=Counts(30, 12, 6, 8, 6, 8), num_held_out_atoms=8, num_tests=8, num_reward_tests=4
)
TOY_CONFIG = replace(CONFIG, num_held_out_atoms=1)


def make(config=CONFIG, atoms=ATOMS):
    return generate_dataset(
        config, executor=InProcess(), verifier=InProcess(1), atoms=atoms, on_progress=lambda number: None
    )


@pytest.fixture(scope="module")
def made():
    return make()


@pytest.fixture
def written(made, tmp_path):
    splits, manifest = made
    write_dataset(tmp_path / "data", splits, manifest, library={})
    return tmp_path / "data"


def compositions(splits):
    return [row for name, rows in splits.items() if name != "atomic" for row in rows]


def test_counts_are_as_asked_for(made):
    splits, manifest = made
    assert list(splits) == list(SPLITS)
    assert [len(splits[name]) for name in SPLITS[1:]] == [30, 12, 6, 8, 6, 8]
    assert len(splits["atomic"]) == 600
    assert manifest["missing"] == {}


def test_no_two_splits_share_anything(made):
    assert describe_first_overlap(made[1]["overlaps"]) is None
    assert len(made[1]["overlaps"]) == 21


def test_depths_and_held_out_atoms(made):
    splits, manifest = made
    held_out = set(manifest["held_out_atoms"])
    assert len({ATOMS[name].topic for name in held_out}) == 8
    for name, rows in splits.items():
        for row in rows:
            depths = {"atomic": {1}, "synthetic_test_deeper": {4, 5}}.get(name, {2, 3})
            assert row["depth"] in depths
            holds = bool(held_out & set(row["atoms"]))
            if name != "atomic":
                assert holds == (name == "synthetic_test_held_out_atoms")


def test_tests_and_reward_tests_are_disjoint_and_true(made):
    from executor.sandbox.codec import decode_value, encode_value

    for row in compositions(made[0]):
        tests, rewards = json.loads(row["tests"]), json.loads(row["reward_tests"])
        assert (len(tests), len(rewards)) == (8, 4)
        seen = {json.dumps(test["args"]) for test in tests + rewards}
        assert len(seen) == 12
        namespace: dict = {}
        exec(row["solution"], namespace)
        for test in tests + rewards:
            args = [decode_value(arg) for arg in test["args"]]
            assert encode_value(namespace["solve"](*args)) == test["expected"]


def test_compositions_are_not_constant_and_not_their_own_argument(made):
    for row in compositions(made[0]):
        tests = json.loads(row["tests"]) + json.loads(row["reward_tests"])
        assert len({json.dumps(test["expected"]) for test in tests}) > 1
        assert any(test["expected"] not in test["args"] for test in tests)


def test_languages_alternate(made):
    assert [row["language"] for row in made[0]["synthetic_train"][:4]] == ["zh", "en", "zh", "en"]


def test_same_seed_same_bytes_and_other_seed_other_data(made, tmp_path):
    splits, manifest = make()
    write_dataset(tmp_path / "one", *made, library={})
    write_dataset(tmp_path / "two", splits, manifest, library={})
    one = {p.relative_to(tmp_path / "one"): p.read_bytes() for p in (tmp_path / "one").rglob("*") if p.is_file()}
    two = {p.relative_to(tmp_path / "two"): p.read_bytes() for p in (tmp_path / "two").rglob("*") if p.is_file()}
    assert one == two
    other, other_manifest = make(replace(CONFIG, seed=6))
    assert other_manifest["held_out_atoms"] != manifest["held_out_atoms"]
    for key in ("prompt", "solution", "tests"):
        shared = {row[key] for row in compositions(splits)} & {row[key] for row in compositions(other)}
        assert len(shared) <= 1, key


def test_a_hash_seed_dependent_atom_stops_the_build():
    with pytest.raises(ValueError, match="atom unstable cannot be a task: differs under another hash seed"):
        make(TOY_CONFIG, {**TOYS, "unstable": unstable})


def test_a_composition_that_depends_on_the_hash_seed_is_dropped():
    splits, manifest = make(replace(TOY_CONFIG, seed=1), {**TOYS, "touchy": touchy})
    assert manifest["rejections"]["differs under another hash seed"] > 0
    assert not any("touchy(doubled(" in row["skeleton"] for row in compositions(splits))


def test_a_small_space_ends_early_and_says_so(monkeypatch):
    monkeypatch.setattr("datamodules.synthesis.dataset.generate.DRAWS_PER_CHECK", 300)
    monkeypatch.setattr("datamodules.synthesis.dataset.generate.MIN_KEPT_PER_CHECK", 3)
    splits, manifest = make(replace(TOY_CONFIG, counts=Counts(5000, 5, 5, 5, 5, 5)), TOYS)
    assert 0 < len(splits["synthetic_train"]) < 5000
    assert manifest["missing"]["synthetic_train"] == 5000 - len(splits["synthetic_train"])
    assert manifest["rejections"]
    assert describe_first_overlap(manifest["overlaps"]) is None


def test_degenerate_compositions_of_toys_are_dropped():
    splits, _ = make(replace(TOY_CONFIG, counts=Counts(40, 5, 5, 5, 5, 5)), TOYS)
    solutions = [row["skeleton"] for row in compositions(splits)]
    assert not any("ordered(ordered(" in s or "ordered(rotate(" in s or "largest(ordered(" in s for s in solutions)
    assert not any("minus(P0, P0)" in s for s in solutions)


def test_no_behaviour_occurs_twice_and_none_is_an_atoms():
    splits, manifest = make(replace(TOY_CONFIG, counts=Counts(200, 20, 5, 5, 5, 5)), TOYS)
    probe_cache = ProbeCache(TOYS)
    solutions = [row["solution"] for row in compositions(splits)]
    solutions += dict.fromkeys(row["solution"] for row in splits["atomic"])
    probes = [choose_probes(solution, probe_cache) for solution in solutions]
    runs = [build_batch_run(solution, probe.calls) for solution, probe in zip(solutions, probes, strict=True)]
    behaviours = [fingerprint_execution(p, e) for p, e in zip(probes, InProcess().run(runs), strict=True)]
    assert len(behaviours) > 100
    assert len(set(behaviours)) == len(behaviours)
    assert manifest["rejections"]["behaves as an atom"] > 0
    assert manifest["rejections"]["behaves as another item"] > 0


def test_held_out_atoms_follow_the_seed():
    chosen = {choose_held_out_atoms(ATOMS, seed=seed, num_held_out_atoms=8) for seed in range(20)}
    assert len(chosen) == 20


def test_the_directory_appears_complete_and_is_recognised(tmp_path):
    target = tmp_path / "deep" / "data"
    assert not is_built(target, TOY_CONFIG, TOYS)
    config = replace(TOY_CONFIG, counts=Counts(5, 2, 1, 1, 1, 1))
    count_kept: list[int] = []
    build(target, config, executor=InProcess(), verifier=InProcess(1), atoms=TOYS, on_progress=count_kept.append)
    assert sum(count_kept) >= 5
    assert [path.name for path in target.parent.iterdir()] == ["data"]
    assert is_built(target, config, TOYS)
    with pytest.raises(ValueError, match="other values of seed"):
        is_built(target, replace(config, seed=9), TOYS)
    with pytest.raises(ValueError, match="other atoms"):
        is_built(target, config, {name: TOYS[name] for name in list(TOYS)[:4]})


def test_a_foreign_directory_is_not_overwritten(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="not a data set of atomforge"):
        is_built(tmp_path, CONFIG)


def test_audit_of_an_honest_directory_is_clean(written):
    found = audit_dataset(written, InProcess())
    assert found.is_clean
    assert found.changed_splits == ()
    assert found.containing_training_item.keys() == {
        "synthetic_test",
        "synthetic_test_deeper",
        "synthetic_test_held_out_atoms",
    }


def disguise(row, *, rename=False, constants=False, rewrite=False):
    """A training row made to look new."""
    head, _, body = row["solution"].rpartition("def solve(")
    if rename:
        body = re.sub(r"\bx\b", "first", re.sub(r"\ba\b", "data", body))
    if constants:
        body = re.sub(r"(, -?\d+)\)\n", r"\g<1>1)\n", body)
    if rewrite:
        body = body.replace("    return ", "    result = ").rstrip("\n") + "\n    return extra(result)\n"
        head = f"def extra(value):\n    return value\n\n\n{head}"
    return {**row, "prompt": f"Anew: {row['prompt']}", "solution": f"{head}def solve({body}"}


@pytest.mark.parametrize(
    ("change", "caught"),
    [
        ({"rename": True}, {"program", "skeleton", "behaviour"}),
        ({"constants": True}, {"skeleton"}),
        ({"rewrite": True}, {"behaviour"}),
    ],
)
@pytest.mark.parametrize("training", ["synthetic_train", "synthetic_rl"])
def test_a_doctored_directory_is_caught(made, tmp_path, change, caught, training):
    splits, manifest = made
    pattern = r", -?\d+\)\n" if "constants" in change else r"return"
    source = next(row for row in splits[training] if re.search(pattern, row["solution"].rpartition("def solve(")[2]))
    doctored = disguise(source, **change)
    assert doctored["solution"] != source["solution"]
    write_dataset(
        tmp_path / "data", {**splits, "synthetic_test": [*splits["synthetic_test"], doctored]}, manifest, library={}
    )
    found = audit_dataset(tmp_path / "data", InProcess())
    assert not found.is_clean
    measures = found.overlaps[f"{training} & synthetic_test"]
    assert caught <= {measure for measure, number in measures.items() if number}
    assert found.changed_splits == ("synthetic_test",)


def test_an_atom_passed_off_as_a_composition_is_caught(made, tmp_path):
    splits, manifest = made
    atomic = next(row for row in splits["atomic"] if row["atoms"] == ["quicksort"])
    row = {**disguise(atomic, rewrite=True), "depth": 2}
    write_dataset(tmp_path / "data", {**splits, "synthetic_val": [row]}, manifest, library={})
    assert audit_dataset(tmp_path / "data", InProcess()).overlaps["atomic & synthetic_val"]["behaviour"] == 1


@pytest.mark.parametrize("damage", ["no manifest", "no data", "not json"])
def test_other_directories_are_refused(written, damage):
    if damage == "no data":
        (written / "dataset_dict.json").unlink()
    elif damage == "no manifest":
        (written / "manifest.json").unlink()
    else:
        (written / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match=r"not a data set|does not load|not readable JSON"):
        audit_dataset(written, InProcess())


@pytest.mark.parametrize("number", [1, 2])
def test_an_older_format_is_named(written, number):
    path = written / "manifest.json"
    path.write_text(path.read_text().replace("atomforge data set 3", f"atomforge data set {number}"))
    with pytest.raises(ValueError, match=f"older version .*atomforge data set {number}"):
        is_built(written, CONFIG)
