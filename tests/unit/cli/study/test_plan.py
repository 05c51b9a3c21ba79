"""Settings of studies: order of stages, unknown names, renamed keys, and the evaluation of each stage."""

from pathlib import Path

import pytest
import yaml

from cli.study.load import load_study
from cli.study.plan import StudyConfig
from executor.commands.errors import UsageError

STUDY = {
    "name": "tiny",
    "output": "out",
    "seeds": [0, 1],
    "synthesis": "s.yaml",
    "stages": [
        {"name": "rl", "kind": "rl", "configs": ["a.yaml"], "parent": "sft"},
        {"name": "sft", "kind": "sft", "configs": ["a.yaml"], "parent": "base"},
        {"name": "base", "kind": "sft", "configs": ["a.yaml"]},
    ],
    "contrasts": [{"hypothesis": "F2", "treatment": "rl", "control": "sft", "split": "synthetic_test"}],
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
        ({"seeds": [1, 1]}, "seeds contains a seed twice"),
        ({"seeds": ["0"]}, "seeds.0 must be a whole number, not '0'"),
        ({"stages": stages(parent="stf")}, r"stage rl: parent stf is unknown; did you mean 'sft'"),
        ({"stages": stages(parent=None)}, "stage rl: kind rl starts from a model, set parent"),
        ({"stages": stages(kind="ppo")}, "stage rl: kind is 'ppo', it must be one of sft, rl, rft"),
        ({"stages": stages(name="sft")}, "two stages are called sft"),
        ({"stages": [*STUDY["stages"][:2], STUDY["stages"][2] | {"parent": "rl"}]}, "form a cycle: rl, sft, base"),
        ({"contrasts": [STUDY["contrasts"][0] | {"control": "x"}]}, "contrast F2: control x is unknown"),
        ({"contrasts": [STUDY["contrasts"][0] | {"split": "synthetic_tset"}]}, "did you mean 'synthetic_test'"),
        ({"gate": {"stage": "x", "split": "synthetic_rl", "k": 64, "min_score": 0.05}}, "gate: stage x is unknown"),
        (
            {"gate": {"stage": "sft", "split": "synthetic_lr", "k": 64, "min_score": 0.05}},
            "did you mean 'synthetic_rl'",
        ),
        ({"gate": {"stage": "sft", "split": "synthetic_test", "k": 64, "min_score": 0.05}}, "k is 64, above"),
        ({"measurement": {"splits": {"synthetic_tset": 4}}}, "splits synthetic_tset is unknown; did you mean 'synth"),
        ({"measurement": {"splits": {"synthetic_test": "4"}}}, "must be a number of tasks or null for all, not '4'"),
        ({"contrasts": [*STUDY["contrasts"], *STUDY["contrasts"]]}, "F2 has two contrasts"),
        (
            {"exploratory": [{"treatment": "rl", "control": "bsae", "split": "synthetic_test"}]},
            "exploratory 1: control bsae is unknown",
        ),
        (
            {"exploratory": [{"treatment": "rl", "control": "sft", "split": "atomic"}]},
            "exploratory 1: split atomic is unknown",
        ),
        ({"common": {"sft": "x.yaml"}}, "common.sft must be a list"),
        ({"stages": stages(minutes=5)}, r"minutes was renamed to \w+.estimated_minutes"),
        ({"stages": stages(layers=["a.yaml"])}, r"layers was renamed to \w+.configs"),
        ({"stages": stages(max_tasks=0)}, "stage rl: max_tasks is 0, it must be at least 1"),
        ({"explored": []}, "explored was renamed to exploratory"),
        ({"contrasts": [{"finding": "F2"}]}, r"finding was renamed to \w+.hypothesis"),
        (
            {"gate": {"stage": "sft", "split": "synthetic_rl", "k": 4, "least": 0.1}},
            r"least was renamed to \w+.min_score",
        ),
        (measured(num_samples=-1), "measurement: num_samples is -1, it must be at least 0"),
        (measured(temperature=0.0), "measurement: temperature is 0.0, it must be above 0"),
        (measured(max_new_tokens=0), "measurement: max_new_tokens is 0, it must be at least 1"),
        (measured(batch_size=0), "measurement: batch_size is 0, it must be at least 1"),
        (measured(dtype="half"), "measurement: dtype is 'half', it must be bfloat16, float32 or auto"),
        (measured(splits={}), "measurement: splits is empty"),
        ({"gate": {"stage": "sft", "split": "synthetic_rl", "k": 0, "min_score": 0.05}}, "gate: k is 0"),
        (
            {"gate": {"stage": "sft", "split": "synthetic_rl", "k": 4, "min_score": 5.0}},
            "gate: min_score is 5.0, it must be from",
        ),
        ({"seeds": [-1]}, "seeds: a seed is -1, it must be at least 0"),
        ({"num_threads": 0}, "num_threads is 0, it must be at least 1"),
        ({"backend": "dokcer"}, "backend is 'dokcer', it must be one of auto, docker"),
    ],
)
def test_invalid_studies(tmp_path: Path, changes: dict, line: str) -> None:
    with pytest.raises(ValueError, match=line) as error:
        load(tmp_path, **changes)
    assert "\n" not in str(error.value)


def test_a_study_extends_another(tmp_path: Path) -> None:
    load(tmp_path)
    larger = tmp_path / "larger.yaml"
    larger.write_text(yaml.safe_dump({"extends": str(tmp_path / "study.yaml"), "seeds": [7]}))
    study = load_study(str(larger))
    assert study.seeds == (7,)
    assert [stage.name for stage in study.in_order()] == ["base", "sft", "rl"]
    larger.write_text(yaml.safe_dump({"extends": str(larger)}))
    with pytest.raises(UsageError, match="in a cycle"):
        load_study(str(larger))


def test_common_files_come_first(tmp_path: Path) -> None:
    study = load(tmp_path, common={"sft": ["common.yaml"]})
    assert study.list_configs(study.stage("sft"))[0] == "common.yaml"
    assert study.list_configs(study.stage("sft"))[1:] == study.stage("sft").configs
    assert study.list_configs(study.stage("rl")) == study.stage("rl").configs


def test_the_split_of_the_gate_is_measured_for_its_stage_alone(tmp_path: Path) -> None:
    gate = {"stage": "base", "split": "synthetic_rl", "k": 64, "min_score": 0.05, "num_tasks": 30}
    study = load(tmp_path, gate=gate)
    assert study.measurement_for(study.stage("base"))["splits"] == {"synthetic_test": [4, 8], "synthetic_rl": [30, 64]}
    assert study.measurement_for(study.stage("sft"))["splits"] == {"synthetic_test": [4, 8]}


def test_a_stage_may_limit_its_tasks(tmp_path: Path) -> None:
    study = load(tmp_path, stages=stages(max_tasks=3), measurement={"splits": {"synthetic_test": 4, "atomic": None}})
    assert study.measurement_for(study.stage("rl"))["splits"] == {"synthetic_test": [3, 8], "atomic": [3, 8]}
    assert study.measurement_for(study.stage("sft"))["splits"] == {"synthetic_test": [4, 8], "atomic": [None, 8]}
