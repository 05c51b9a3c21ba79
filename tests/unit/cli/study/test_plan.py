"""Studies as plain records: order of stages, names that stand for nothing, and what an arm's address depends on."""

from pathlib import Path

import pytest
import yaml

from cli.study import address as addresses
from cli.study.address import address, sources_digest
from cli.study.plan import Stage, StudyConfig, load_study
from cli.study.schedule import Arm, run_arms, with_measured_times
from executor.commands.errors import UsageError

STUDY = {
    "name": "tiny",
    "output": "out",
    "seeds": [0, 1],
    "synthesis": "s.yaml",
    "stages": [
        {"name": "rl", "kind": "rl", "layers": ["a.yaml"], "parent": "sft"},
        {"name": "sft", "kind": "sft", "layers": ["a.yaml"], "parent": "base"},
        {"name": "base", "kind": "sft", "layers": ["a.yaml"]},
    ],
    "contrasts": [{"finding": "F2", "better": "rl", "worse": "sft", "split": "synthetic_test"}],
    "measurement": {"splits": {"synthetic_test": 4}},
}


def load(tmp_path: Path, **changes) -> StudyConfig:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY | changes))
    return load_study(str(path))


def test_parents_come_first(tmp_path: Path) -> None:
    study = load(tmp_path)
    assert [stage.name for stage in study.in_order()] == ["base", "sft", "rl"]
    assert study.seeds == (0, 1)
    assert study.stage("rl").parent == "sft"


def stages(**changes) -> list[dict]:
    return [STUDY["stages"][0] | changes, *STUDY["stages"][1:]]


def measured(**changes) -> dict:
    return {"measurement": STUDY["measurement"] | changes}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"sede": 1}, r"unknown key sede; did you mean 'seeds'\?"),
        ({"seeds": []}, "at least one stage and one seed"),
        ({"seeds": [1, 1]}, "seeds holds a seed twice"),
        ({"seeds": ["0"]}, "seeds.0 must be a whole number, not '0'"),
        ({"stages": stages(parent="stf")}, r"stage rl: parent stf is unknown; did you mean 'sft'"),
        ({"stages": stages(parent=None)}, "stage rl: RL starts from a model, name its parent"),
        ({"stages": stages(kind="ppo")}, "stage rl: kind is 'ppo', it must be sft or rl"),
        ({"stages": stages(name="sft")}, "two stages are called sft"),
        ({"stages": [*STUDY["stages"][:2], STUDY["stages"][2] | {"parent": "rl"}]}, "in a circle: rl, sft, base"),
        ({"contrasts": [STUDY["contrasts"][0] | {"worse": "x"}]}, "contrast F2: stage x is unknown"),
        ({"contrasts": [STUDY["contrasts"][0] | {"split": "synthetic_tset"}]}, "did you mean 'synthetic_test'"),
        ({"gate": {"stage": "x", "split": "synthetic_rl", "k": 64, "least": 0.05}}, "gate: stage x is unknown"),
        ({"gate": {"stage": "sft", "split": "synthetic_lr", "k": 64, "least": 0.05}}, "did you mean 'synthetic_rl'"),
        ({"gate": {"stage": "sft", "split": "synthetic_test", "k": 64, "least": 0.05}}, "k is 64, but"),
        ({"measurement": {"splits": {"synthetic_tset": 4}}}, "splits synthetic_tset is unknown; did you mean 'synth"),
        ({"measurement": {"splits": {"synthetic_test": "4"}}}, "must be a number of tasks or null for all, not '4'"),
        ({"contrasts": [*STUDY["contrasts"], *STUDY["contrasts"]]}, "F2 has two contrasts"),
        (
            {"explored": [{"better": "rl", "worse": "bsae", "split": "synthetic_test"}]},
            "explored 1: stage bsae is unknown",
        ),
        ({"explored": [{"better": "rl", "worse": "sft", "split": "atomic"}]}, "explored 1: split atomic is unknown"),
        ({"common": {"sft": "x.yaml"}}, "common.sft must be a list"),
        (measured(num_samples=-1), "measurement: num_samples is -1, it must be at least 0"),
        (measured(temperature=0.0), "measurement: temperature is 0.0, it must be above 0"),
        (measured(max_new_tokens=0), "measurement: max_new_tokens is 0, it must be at least 1"),
        (measured(batch_size=0), "measurement: batch_size is 0, it must be at least 1"),
        (measured(dtype="auto"), "measurement: dtype is 'auto', it must be bfloat16 or float32"),
        (measured(splits={}), "measurement: splits is empty"),
        ({"gate": {"stage": "sft", "split": "synthetic_rl", "k": 0, "least": 0.05}}, "gate: k is 0"),
        ({"gate": {"stage": "sft", "split": "synthetic_rl", "k": 4, "least": 5.0}}, "gate: least is 5.0, it must be a"),
        ({"seeds": [-1]}, "seeds: a seed is -1, it must be at least 0"),
        ({"num_threads": 0}, "num_threads is 0, it must be at least 1"),
        ({"backend": "dokcer"}, "backend is 'dokcer', it must be one of auto, docker"),
    ],
)
def test_wrong_studies_are_one_line(tmp_path: Path, changes: dict, line: str) -> None:
    with pytest.raises(ValueError, match=line) as error:
        load(tmp_path, **changes)
    assert "\n" not in str(error.value)


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    path = tmp_path / "a.yaml"
    path.write_text("trainer: { max_epochs: 3, precision: 32-true } # three\n")
    return path


def address_of(layer: Path, **changes) -> str:
    given = {"seed": 0, "asked": {"splits": {"s": [4, 8]}}, "num_threads": 1, "data": {"sha256": {"s": "x"}}}
    given |= {"parent": "p", "overrides": {"trainer.max_epochs": 4}, "kind": "sft"} | changes
    stage = Stage(name="n", kind=given.pop("kind"), layers=(str(layer),), overrides=given.pop("overrides"))
    return address(stage, given.pop("seed"), **given)


def test_an_address_follows_what_reaches_the_numbers(layer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = address_of(layer)
    assert address_of(layer) == first
    changes = [
        {"seed": 1},
        {"kind": "rl"},
        {"parent": None},
        {"num_threads": 2},
        {"data": {"sha256": {"s": "y"}}},
        {"overrides": {"trainer.max_epochs": 5}},
        {"asked": {"splits": {"s": [5, 8]}}},
        {"asked": {"splits": {"s": [4, 9]}}},
    ]
    found = {address_of(layer, **change) for change in changes}
    assert len(found) == len(changes)
    assert first not in found
    layer.write_text("# another comment\ntrainer: { max_epochs: 3, precision: 32-true }\n")
    assert address_of(layer) == first
    layer.write_text("trainer: { max_epochs: 3, precision: bf16-mixed }\n")
    assert address_of(layer) != first
    monkeypatch.setattr(addresses, "sources_digest", lambda: "other sources")
    assert address_of(layer, overrides={}) != address_of(layer)


def test_a_part_left_out_of_a_mixture_changes_the_address(tmp_path: Path) -> None:
    """Later files replace a mixture and do not add to it, so what an earlier one holds must not hide a change."""
    base, over = tmp_path / "base.yaml", tmp_path / "over.yaml"
    base.write_text("data: { init_args: { mixture: { atomic: {}, synthetic_train: {} } } }\n")
    found = set()
    for mixture in ("{ atomic: {}, synthetic_train: {} }", "{ atomic: {} }"):
        over.write_text(f"data: {{ init_args: {{ mixture: {mixture} }} }}\n")
        stage = Stage(name="n", kind="sft", layers=(str(base), str(over)))
        found.add(address(stage, 0, asked={}, num_threads=1, data={"sha256": {}}, parent=None))
    assert len(found) == 2


def test_documentation_reaches_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = tmp_path / "lightning_modules"
    room.mkdir()
    monkeypatch.setattr(addresses, "ROOT", tmp_path)

    def digest(losses: str, telemetry: str = "") -> str:
        (room / "losses.py").write_text(losses)
        (room / "telemetry.py").write_text(telemetry)
        sources_digest.cache_clear()
        return sources_digest()

    first = digest('"""One."""\nX = 1\n')
    assert digest('"""Two."""\nX = 1  # a comment\n', "Y = 2\n") == first
    assert digest('"""One."""\nX = 2\n') != first
    sources_digest.cache_clear()


def arm(tmp_path: Path, name: str, parent: Path | None = None) -> Arm:
    return Arm(stage=name, seed=0, folder=tmp_path / name, parent=parent, minutes=2.0, spec={})


def test_what_starts_from_a_failed_arm_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from cli.study import schedule

    begun: list[str] = []

    def start(arm: Arm):
        import subprocess

        begun.append(arm.stage)
        arm.folder.mkdir(parents=True, exist_ok=True)
        (arm.folder / "log.txt").write_text("some words\nthe last words\n")
        fails = arm.stage == "broken"
        if not fails:
            (arm.folder / "result.json").write_text("{}")
        return subprocess.Popen([sys.executable, "-c", f"import sys; sys.exit({int(fails)})"])

    monkeypatch.setattr(schedule, "_start", start)
    monkeypatch.setattr(schedule, "read_result", lambda path: type("Result", (), {"minutes": 1.0}))
    good, broken = arm(tmp_path, "good"), arm(tmp_path, "broken")
    arms = [good, broken, arm(tmp_path, "waits", broken.folder), arm(tmp_path, "follows", good.folder)]
    said: list[str] = []
    failed = run_arms(arms, jobs=2, say=said.append)
    assert failed == [broken]
    assert sorted(begun) == ["broken", "follows", "good"]
    assert any("broken (seed 0): failed with exit code 1: the last words" in line for line in said)
    begun.clear()
    run_arms(arms, jobs=1, say=said.append)
    assert begun == ["broken"]  # what is done is not made again, what failed is tried again
    assert with_measured_times(arms)[0].minutes == 1.0
    assert with_measured_times(arms)[1].minutes == 2.0


def test_a_study_extends_another(tmp_path: Path) -> None:
    load(tmp_path)
    larger = tmp_path / "larger.yaml"
    larger.write_text(yaml.safe_dump({"extends": str(tmp_path / "study.yaml"), "seeds": [7]}))
    study = load_study(str(larger))
    assert study.seeds == (7,)
    assert [stage.name for stage in study.in_order()] == ["base", "sft", "rl"]
    larger.write_text(yaml.safe_dump({"extends": str(larger)}))
    with pytest.raises(UsageError, match="in a circle"):
        load_study(str(larger))


def test_common_layers_lie_below(tmp_path: Path) -> None:
    study = load(tmp_path, common={"sft": ["common.yaml"]})
    assert study.layers_of(study.stage("sft"))[0] == "common.yaml"
    assert study.layers_of(study.stage("sft"))[1:] == study.stage("sft").layers
    assert study.layers_of(study.stage("rl")) == study.stage("rl").layers


def test_the_gate_is_asked_of_its_stage_alone(tmp_path: Path) -> None:
    gate = {"stage": "base", "split": "synthetic_rl", "k": 64, "least": 0.05, "num_tasks": 30}
    study = load(tmp_path, gate=gate)
    assert study.asked_of("base")["splits"] == {"synthetic_test": [4, 8], "synthetic_rl": [30, 64]}
    assert study.asked_of("sft")["splits"] == {"synthetic_test": [4, 8]}
