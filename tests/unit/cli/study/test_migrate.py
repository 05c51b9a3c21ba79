"""Studies of version 0.1 as studies of this version."""

import json
import lzma
from pathlib import Path

import pytest
import yaml

from cli.study.load import load_study
from cli.study.migrate import migrate_config, migrate_path, migrate_result, migrate_study_text, migrate_tag
from cli.study.results import ArmResult, load_results
from executor.commands.errors import UsageError
from tests.support.study_results import arm, evaluation

STUDY = """# A study. better: this comment stays.
name: old
output: out
seeds: [0]
synthesis: s.yaml
common: { sft: [a.yaml] }
stages:
  - { name: base, kind: sft, layers: [b.yaml], minutes: 3 } # minutes: a guess
  - name: sft
    kind: sft
    parent: base
    layers:
    - c.yaml
    minutes: 2
    note: "better: or worse"
contrasts:
- finding: F1
  better: sft
  worse: base
  split: synthetic_test
explored:
  - { better: sft, worse: base, split: synthetic_test }
gate: { stage: base, split: synthetic_rl, k: 4, least: 0.05 }
measurement: { splits: { synthetic_test: 4 } }
"""


def old_result() -> dict:
    content = arm("sft", 0, {"synthetic_test": evaluation(True, False)}).to_json()
    content["address"] = content.pop("fingerprint")
    content["format"] = 2
    for task in content["evaluation"]["synthetic_test"]["tasks"]:
        task["wording"] = "seen"
    content["config"] = {
        "checkpoint": {"keep": 2},
        "trainer": {"callbacks": [{"class_path": "lightning_modules.callbacks.SampleTexts"}]},
        "model": {"init_args": {"kl": {"place": "loss"}, "engine": {"compile": False}, "executor_backend": "node"}},
        "data": {"init_args": {"prompt": {"answer": "code", "user": "code"}}},
    }
    content["curves"] = {
        "reward/retest_gap": [[1, 0.5]],
        "failures/atomic/wrong": [[1, 0.25]],
        "loss/train": [[1, 2.0]],
    }
    return content


def test_the_file_of_a_study(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    assert migrate_path(path) == [path]
    study = load_study(str(path))
    assert study.stage("sft").configs == ("c.yaml",)
    assert study.stage("sft").note == "better: or worse"
    assert study.stage("base").estimated_minutes == 3
    assert (study.contrasts[0].treatment, study.contrasts[0].control) == ("sft", "base")
    assert study.exploratory[0].treatment == "sft"
    assert study.gate is not None
    assert study.gate.min_score == 0.05
    assert path.read_text().startswith("# A study. better: this comment stays.\n")
    assert migrate_path(path) == []
    assert migrate_study_text(path.read_text()) == path.read_text()


def test_a_result_keeps_its_numbers() -> None:
    new = migrate_result(old_result())
    result = ArmResult.from_json(json.loads(json.dumps(new)))
    assert result.evaluation["synthetic_test"].greedy_scores() == {"t/00000": 1.0, "t/00001": 0.0}
    assert {task.wording for task in result.evaluation["synthetic_test"].tasks} == {"in_distribution"}
    assert result.curves == {
        "reward/probe_fail_rate": [[1, 0.5]],
        "status/atomic/wrong": [[1, 0.25]],
        "loss/train": [[1, 2.0]],
    }
    assert migrate_result(new) == new
    with pytest.raises(ValueError, match="format 1"):
        migrate_result({"format": 1})


def test_keys_classes_and_values_of_a_config() -> None:
    assert migrate_config(old_result()["config"]) == {
        "checkpoint": {"keep_last_n": 2},
        "trainer": {"callbacks": [{"class_path": "lightning_modules.training.sample_texts.SampleTexts"}]},
        "model": {
            "init_args": {"kl": {"apply_to": "loss"}, "compute": {"compile": False}, "executor_backend": "per_node"}
        },
        "data": {"init_args": {"prompt": {"completion_format": "raw", "user": "code"}}},
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rollout/status/wrong", "status/rollout/wrong"),
        ("response/atomic/num_tokens", "completions/atomic/mean_length"),
        ("rollout/padding_share", "rollout/padding_frac"),
        ("time/share_score", "time/logprob_frac"),
        ("time/share_update", "time/update_frac"),
        ("pass_at_k/atomic/greedy", "pass_at_k/atomic/greedy"),
    ],
)
def test_tags(old: str, new: str) -> None:
    assert migrate_tag(old) == new


def test_an_output_directory_with_an_archive(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    folder = tmp_path / "arms" / "sft" / "seed0-f"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(old_result()))
    with lzma.open(tmp_path / "arms.jsonl.xz", "wt") as file:
        file.write(json.dumps(old_result() | {"seed": 1}) + "\n")
    with pytest.raises(UsageError, match=r"python -m cli\.study\.migrate .* converts"):
        load_results(tmp_path)
    assert len(migrate_path(tmp_path)) == 3
    assert [(one.stage, one.seed) for one in load_results(tmp_path)] == [("sft", 0), ("sft", 1)]
    assert yaml.safe_load((tmp_path / "study.yaml").read_text())["exploratory"]
    with pytest.raises(UsageError, match="neither the file nor the directory"):
        migrate_path(folder / "none")
