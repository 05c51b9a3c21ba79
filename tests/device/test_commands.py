"""The commands on a GPU: SFT and RL from YAML, resume, validate under FSDP2, evaluate in bfloat16, export."""

from pathlib import Path

import pytest

M, D = "--model.init_args", "--data.init_args"

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def atomforge(run_simulated, tmp_path_factory):
    """Run a command; returns the report of rank 0."""

    def run(*words: object, gpus: int = 1):
        report = tmp_path_factory.mktemp("report") / "counts"
        run_simulated("simulated", *words, gpus=gpus, SIMULATED_REPORT=str(report))
        import json

        return json.loads(Path(f"{report}.0").read_text())

    return run


def training(run: Path, data_dir: Path, *config: str) -> list[object]:
    return [
        *(word for name in config for word in ("--config", name)), "--run_dir", run, f"{D}.data_dir", data_dir,
        f"{D}.num_val_tasks", 2, "--trainer.check_val_every_n_epoch", 1, "--trainer.precision", "bf16-mixed",
        "--num_threads", 1, f"{M}.executor_backend", "process",
    ]  # fmt: skip


def test_run_is_trained_resumed_evaluated_and_exported(atomforge, data_dir, policy_dir, tmp_path):
    run = tmp_path / "rl"
    words = [
        *training(run, data_dir, "rl"), f"{M}.init_from", policy_dir, f"{M}.sampling.max_new_tokens", 8,
        f"{D}.prompts_per_iteration", 2, f"{D}.samples_per_prompt", 4, f"{D}.minibatch_size", 8,
    ]  # fmt: skip
    atomforge("fit", *words, "--trainer.max_epochs", 1)
    atomforge("fit", *words, "--trainer.max_epochs", 2, "--ckpt_path", "last")
    evaluation = ("--split", "synthetic_test", "--num-tasks", 2, "--num-samples", 2, "--max-new-tokens", 8)
    report = atomforge(
        "evaluate", "--checkpoint", run, "--data", data_dir, *evaluation, "--dtype", "bfloat16", "--backend", "process"
    )
    assert any(name.startswith("kernel") for name in report["events"])
    atomforge("export", "--checkpoint", run, "--output", tmp_path / "exported")
    assert (tmp_path / "exported/config.json").exists()


def test_fsdp2_validates_a_sharded_run(atomforge, data_dir, policy_dir, tmp_path):
    words = [
        *training(tmp_path / "sft", data_dir, "sft"), f"{M}.init_from", policy_dir, f"{M}.max_new_tokens", 8,
        f"{D}.batch_size", 4, f"{D}.steps_per_epoch", 2, f"{D}.max_length", 128, "--trainer.devices", 2,
        "--trainer.strategy", "fsdp2",
    ]  # fmt: skip
    atomforge("fit", *words, "--trainer.max_epochs", 1, gpus=2)
    atomforge("validate", *words, "--ckpt_path", "last", gpus=2)
