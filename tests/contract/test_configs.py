"""Every YAML file shipped under configs/ is understood by the command it is for."""

import copy
import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from cli.config.cli import build_run, build_run_from_arguments
from cli.config.files import flatten, load_config
from cli.evaluation.plan import parse_plan
from cli.study.fingerprint import compute_fingerprint
from cli.study.load import load_study
from datamodules.encoding.tokenizer import train_tokenizer
from datamodules.sampler import MixtureSampler
from datamodules.synthesis.config import SynthesisConfig
from executor.commands.config import parse_dataclass
from executor.commands.errors import UsageError
from executor.service.settings import ServiceConfig
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
TRAINING_KEYS = {"model", "data", "trainer", "checkpoint", "num_threads"}


@functools.cache
def content(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return str(path.relative_to(CONFIGS))


FILES = sorted(CONFIGS.rglob("*.yaml"))
TRAINING = [path for path in FILES if {"model", "data"} <= set(content(path)) and "run_dir" in content(path)]
STUDIES = [path for path in FILES if {"stages", "extends"} & set(content(path))]
EVALUATION = [path for path in FILES if "suites" in content(path)]
CLUSTER = [path for path in FILES if "slurm" in content(path)]
OTHERS = [*TRAINING, *STUDIES, *EVALUATION]
OVERLAYS = [path for path in FILES if path not in OTHERS and TRAINING_KEYS & set(content(path))]
SYNTHESIS = [path for path in FILES if path.name.startswith("synthesis")]
SERVICE = [path for path in FILES if path.name == "executor.yaml"]


@pytest.fixture(scope="module")
def required(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What a config leaves to the command line, as its header says."""
    policy = tmp_path_factory.mktemp("policy")
    tokenizer = train_tokenizer(["def solve(x): return x"], 280, policy / "tokenizer")
    sizes = TinyLlamaConfig(hidden_size=16, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=16)
    build_causal_lm(sizes, tokenizer, 0).save_pretrained(policy)
    tokenizer.save_pretrained(policy)
    (policy / "tasks.jsonl").write_text("")  # read in setup only
    from_policy = ["--model.init_args.init_from", str(policy)]
    on_tasks = [*from_policy, "--data.tasks", str(policy / "tasks.jsonl")]
    return {"rl.yaml": from_policy, "ppo.yaml": from_policy, "code_rl.yaml": on_tasks, "code_sft.yaml": on_tasks}


def test_every_file_is_of_a_known_kind() -> None:
    assert sorted(FILES) == sorted([*TRAINING, *OVERLAYS, *STUDIES, *EVALUATION, *SYNTHESIS, *SERVICE, *CLUSTER])
    assert {path.name for path in TRAINING} >= {"sft.yaml", "rl.yaml", "ppo.yaml"}
    assert SYNTHESIS


def test_ppo_differs_from_rl_in_estimator_critic_and_kl() -> None:
    rl, ppo = (copy.deepcopy(content(CONFIGS / f"{name}.yaml")) for name in ("rl", "ppo"))
    model = ppo["model"]["init_args"]
    critic, algorithm, kl = model.pop("critic"), model.pop("algorithm"), model.pop("kl")
    base = rl["model"]["init_args"]
    assert base.pop("critic") is None
    assert critic is not None
    changed = {key for key, value in base.pop("algorithm").items() if algorithm[key] != value}
    assert changed == {"estimator", "whiten", "filter_zero_variance_groups"}
    assert set(kl) == set(base.pop("kl"))
    assert (rl.pop("run_dir"), ppo.pop("run_dir")) == ("runs/rl", "runs/ppo")
    sizes = [
        [config["data"]["init_args"].pop(key) for key in ("prompts_per_iteration", "samples_per_prompt")]
        for config in (rl, ppo)
    ]
    assert sizes == [[32, 16], [256, 2]]
    assert ppo == rl


@pytest.mark.parametrize("path", SERVICE, ids=name_of)
def test_the_service_s_config_names_every_key_with_its_default(path: Path) -> None:
    assert parse_dataclass(ServiceConfig, content(path), source=path.name) == ServiceConfig()
    assert list(content(path)) == [field.name for field in dataclasses.fields(ServiceConfig)]


@pytest.mark.parametrize("path", TRAINING, ids=name_of)
@pytest.mark.parametrize("subcommand", ["fit", "validate"])
def test_training_configs_build_model_data_and_trainer(
    path: Path, subcommand: str, required: dict[str, list[str]]
) -> None:
    cli = build_run_from_arguments(subcommand, ["--config", str(path), *required.get(path.name, [])], stage="built")
    given = content(path)
    assert type(cli.model).__name__ == given["model"]["class_path"].rpartition(".")[2]
    assert type(cli.datamodule).__name__ == given["data"]["class_path"].rpartition(".")[2]
    assert cli.trainer.max_epochs == given["trainer"]["max_epochs"]
    assert cli.trainer.log_dir is not None
    assert cli.trainer.log_dir.startswith(given["run_dir"])


def most_alike(path: Path) -> list[Path]:
    """Order the bases by how many keys they share with an overlay: building one takes a second."""
    keys = flatten(content(path)).keys()
    return sorted(TRAINING, key=lambda base: len(keys - flatten(content(base)).keys()))


@pytest.mark.parametrize("path", OVERLAYS, ids=name_of)
def test_overlays_fit_a_base(path: Path, required: dict[str, list[str]]) -> None:
    refused = []
    loads_a_model = content(path).get("model", {}).get("init_args", {}).get("init_from") is not None
    for base in most_alike(path):
        files = ["--config", str(base), "--config", str(path)]
        if loads_a_model:  # a tiny one in its place: there may be no network
            files += required["ppo.yaml"]
        if content(path).get("trainer", {}).get("accelerator") == "gpu" and not torch.cuda.is_available():
            files += ["--trainer.accelerator", "cpu"]
        try:
            build_run_from_arguments("fit", [*files, *required.get(base.name, [])], stage="built")
        except UsageError as error:
            refused.append(f"on {base.name}: {error}")
        else:
            return
    pytest.fail("; ".join(refused))


@pytest.mark.parametrize("path", sorted((CONFIGS / "model").glob("*_*.yaml")), ids=name_of)
def test_overlays_of_models_fit_sft_and_rl_alike(path: Path, required: dict[str, list[str]]) -> None:
    for base in (CONFIGS / "sft.yaml", CONFIGS / "rl.yaml"):
        files = ["--config", str(base), "--config", str(path)]
        cli = build_run_from_arguments("fit", [*files, *required.get(base.name, required["ppo.yaml"])], stage="built")
        wanted = content(path)["model"]["init_args"]["lora"]
        assert cli.model.lora is not None
        assert cli.model.lora.r == wanted["r"]
        assert cli.datamodule.prompt.completion_format == "fenced"


@pytest.mark.parametrize("path", STUDIES, ids=name_of)
def test_studies_are_read_with_all_their_layers(path: Path) -> None:
    study = load_study(str(path))
    assert (CONFIGS.parent / study.synthesis).exists()
    for layer in {layer for stage in study.stages for layer in study.list_configs(stage)}:
        assert (CONFIGS.parent / layer).exists(), layer


def fingerprint_stages(path: Path) -> dict[str, str]:
    """Hash what the arms of each stage depend on, but for data and parent."""
    study = load_study(str(path))
    return {
        stage.name: compute_fingerprint(
            dataclasses.replace(stage, configs=[str(CONFIGS.parent / layer) for layer in study.list_configs(stage)]),
            0,
            measurement=study.measurement_for(stage),
            num_threads=study.num_threads,
            data={"sha256": {}},
            parent=None,
        )
        for stage in study.stages
    }


@pytest.mark.parametrize(
    "path", [path for path in STUDIES if "extends" in content(path) and "output" not in content(path)], ids=name_of
)
def test_a_study_that_extends_another_in_its_directory_shares_its_arms(path: Path) -> None:
    """A difference in the stages that both list would train the arms of the first again."""
    mine, theirs = (fingerprint_stages(file) for file in (path, CONFIGS.parent / content(path)["extends"]))
    assert (shared := mine.keys() & theirs.keys())
    assert {name: mine[name] for name in shared} == {name: theirs[name] for name in shared}


@functools.cache
def built_module(*arguments: str) -> str:
    """Build a training and name its module; studies have stages in common."""
    return type(build_run_from_arguments("fit", arguments, stage="built").model).__name__


@pytest.mark.parametrize("path", STUDIES, ids=name_of)
def test_every_stage_of_a_study_is_a_training(path: Path, required: dict[str, list[str]]) -> None:
    study = load_study(str(path))
    for stage in study.stages:
        files = [word for layer in study.list_configs(stage) for word in ("--config", str(CONFIGS.parent / layer))]
        single = [word for name, value in stage.overrides.items() for word in (f"--{name}", json.dumps(value))]
        is_loaded = stage.kind == "rl" or any("configs/model/" in layer for layer in study.list_configs(stage))
        needed = required["ppo.yaml"] if is_loaded else []
        assert (
            built_module(*files, *single, *needed)
            == {"sft": "SFTModule", "rft": "SFTModule", "rl": "RLModule"}[stage.kind]
        )


def test_arms_of_f1_see_the_same_synthetic_completions() -> None:
    study = load_study(str(CONFIGS / "studies" / "paper.yaml"))
    draws = {}
    for name in ("sft_both", "sft_synthetic"):
        layers = [content(CONFIGS.parent / layer) for layer in study.list_configs(study.stage(name))]
        mixture = layers[-1]["data"]["init_args"]["mixture"]
        sizes = {"atomic": 300, "synthetic_train": 2000}
        sizes = {split: sizes[split] for split in mixture}
        weights = {split: part["weight"] or 1.0 for split, part in mixture.items()}
        plan = MixtureSampler(sizes, weights, batch_size=layers[-1]["data"]["init_args"]["batch_size"], seed=3)
        draws[name] = [index for step in range(60) for split, index in plan.batch(step) if split == "synthetic_train"]
    assert len(draws["sft_both"]) >= 60 * 24
    assert draws["sft_both"] == draws["sft_synthetic"]


@pytest.mark.parametrize("path", EVALUATION, ids=name_of)
def test_evaluation_configs_are_read(path: Path) -> None:
    assert len(parse_plan(content(path), source=path.name).suites) == len(content(path)["suites"])


@pytest.mark.parametrize("estimator", ["rloo", "reinforce_pp"])
def test_estimators_are_overlays_of_rl(estimator: str, required: dict[str, list[str]]) -> None:
    files = ["--config", str(CONFIGS / "rl.yaml"), "--config", str(CONFIGS / "rl" / f"{estimator}.yaml")]
    module = build_run_from_arguments("fit", [*files, *required["ppo.yaml"]], stage="built").model
    assert module.rl_config.algorithm.estimator == estimator
    assert module.rl_config.critic is None
    assert module.policy.value_head is None
    assert module.rl_config.algorithm.clip_ratio_high == 0.28  # from rl.yaml


@pytest.mark.parametrize("name", ["gspo", "cispo"])
def test_policy_losses_are_overlays(name: str, required: dict[str, list[str]]) -> None:
    files = ["--config", str(CONFIGS / "ppo.yaml"), "--config", str(CONFIGS / "rl" / f"{name}.yaml")]
    config = build_run_from_arguments("fit", [*files, *required["ppo.yaml"]], stage="built").model.rl_config
    assert (config.algorithm.policy_loss, config.algorithm.estimator, config.critic) == (name, "grpo", None)


def test_an_estimator_and_a_critic_that_do_not_fit_are_refused(required: dict[str, list[str]]) -> None:
    files = ["--config", str(CONFIGS / "ppo.yaml"), "--model.init_args.algorithm.estimator", "grpo"]
    with pytest.raises(UsageError, match="estimator is grpo, which takes no critic: set critic to null"):
        build_run_from_arguments("fit", [*files, *required["ppo.yaml"]], stage="built")
    files = ["--config", str(CONFIGS / "ppo.yaml"), "--model.init_args.critic", "null"]
    with pytest.raises(UsageError, match="gae, which needs a critic"):
        build_run_from_arguments("fit", [*files, *required["ppo.yaml"]], stage="built")


@pytest.mark.parametrize("path", SYNTHESIS, ids=name_of)
def test_synthesis_configs_are_read(path: Path) -> None:
    assert load_config(SynthesisConfig, path).seed == content(path).get("seed", 0)


def test_an_override_changes_one_key_of_a_mixture() -> None:
    files = [CONFIGS / "sft.yaml", CONFIGS / "experiments" / "sft_both.yaml"]
    overrides = {"data.init_args.mixture.synthetic_train.count": 50, "run_dir": "r", "data.data_dir": "d"}
    mixture = build_run("fit", files, overrides, stage="parsed").config.data.init_args.mixture
    assert {split: part.count for split, part in mixture.items()} == {"atomic": None, "synthetic_train": 50}


@pytest.mark.parametrize("path", TRAINING, ids=name_of)
def test_shipped_configs_train_on_one_device(path: Path) -> None:
    """`auto` would start as many ranks as GPUs, whose number need not divide a minibatch."""
    assert content(path)["trainer"].get("devices", 1) == 1
