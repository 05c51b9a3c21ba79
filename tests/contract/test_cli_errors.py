"""Whatever a user gets wrong, in any subcommand: exit code 2 and one clear line, no usage, no traceback."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from datasets import Dataset, DatasetDict
from transformers import GPT2Config, GPT2LMHeadModel

from cli.main import SUBCOMMANDS, main
from datamodules.encoding.tokenizer import train_tokenizer, training_texts
from datamodules.eval_data import load_dataset
from tests.support.small_data import write_small_data

DEMO = "lightning.pytorch.demos.boring_classes"
TASK = {"task_id": "t", "entry_point": "f", "tests": [{"args": [1], "expected": 1}]}
SAMPLE = {"task_id": "t", "completion": "def f(x):\n    return x\n"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good inputs and broken ones, under the names the table uses."""
    root = tmp_path_factory.mktemp("cli")
    config = {
        "run_dir": str(root / "run"),
        "model": {"class_path": f"{DEMO}.DemoModel", "init_args": {"out_dim": 2}},
        "data": {"class_path": f"{DEMO}.BoringDataModule"},
        "trainer": {"max_epochs": 1, "limit_train_batches": 1, "limit_val_batches": 0, "accelerator": "cpu"},
    }
    (root / "good.yaml").write_text(yaml.safe_dump(config))
    (root / "broken.yaml").write_text("run_dir: x\nmodel: [\n")
    (root / "good.jsonl").write_text(json.dumps(TASK) + "\n")
    (root / "samples.jsonl").write_text(json.dumps(SAMPLE) + "\n")
    (root / "broken.jsonl").write_text(json.dumps(TASK) + "\n{not json\n")
    (root / "broken_samples.jsonl").write_text(json.dumps(SAMPLE) + "\n{not json\n")
    (root / "wrong_type.jsonl").write_text(json.dumps({**TASK, "tests": 3}) + "\n")
    (root / "unknown_task.jsonl").write_text(json.dumps({**SAMPLE, "task_id": "other"}) + "\n")
    (root / "serve_port.yaml").write_text("port: many\n")
    (root / "serve_open.yaml").write_text("host: 0.0.0.0\n")
    (root / "text.ckpt").write_text("no checkpoint")
    (root / "not_a_dataset").mkdir()
    torch.save({"state_dict": {}}, root / "foreign.ckpt")
    row = {
        "task_id": ["a"], "prompt": ["p"], "language": ["en"], "solution": ["s"], "entry_point": ["solve"],
        "tests": ["[]"], "atoms": [["x"]], "depth": [2],
    }  # fmt: skip
    DatasetDict({"synthetic_test": Dataset.from_dict(row)}).save_to_disk(str(root / "data"))
    write_small_data(root / "small")
    tokenizer = train_tokenizer(training_texts(load_dataset(root / "small")), 300, root / "small" / "tokenizer")
    GPT2LMHeadModel(
        GPT2Config(vocab_size=len(tokenizer), n_embd=8, n_layer=1, n_head=1, n_positions=24)
    ).save_pretrained(root / "gpt2")
    tokenizer.save_pretrained(root / "gpt2")
    return root


def trained_checkpoint(folder: Path) -> None:
    """A run of the good config, once."""
    if not (folder / "run").exists():
        assert main(["fit", "--config", str(folder / "good.yaml")]) == 0


LIGHTNING = {
    "unknown key": (["--config", "good.yaml", "--model.init_args.out_dmi=3"], "out_dmi"),
    "beginning of a key": (["--config", "good.yaml", "--seed=3"], "unknown key seed; did you mean 'seed_everything'?"),
    "two models": (["--config", "sft", "--config", "ppo", "--run_dir=x"], "sft and ppo are for different models"),
    "wrong type": (["--config", "good.yaml", "--trainer.max_epochs=many"], "many"),
    "missing config": (["--config", "none.yaml"], "none.yaml"),
    "broken config": (["--config", "broken.yaml"], "broken.yaml:3"),
    "missing checkpoint": (["--config", "good.yaml", "--ckpt_path", "none.ckpt"], "none.ckpt"),
    "no checkpoint": (["--config", "good.yaml", "--ckpt_path", "text.ckpt"], "text.ckpt"),
    "foreign checkpoint": (["--config", "good.yaml", "--ckpt_path", "foreign.ckpt"], "foreign.ckpt"),
}
FOR_ALL = ("unknown key", "missing config", "broken config", "missing checkpoint", "foreign checkpoint")
_SHIPPED = [
    "--run_dir=refused", "--num_threads=1", "--trainer.accelerator=cpu", "--data.init_args.data_dir=small",
    "--model.init_args.executor_backend=process", "--trainer.fast_dev_run=1",
]  # fmt: skip
SFT = ["--config", "sft", *_SHIPPED, "--trainer.precision=32-true", "--data.init_args.vocab_size=300"]
RL = ["--config", "ppo", *_SHIPPED, "--model.init_args.init_from=gpt2"]
OPTIMIZER = "--model.init_args.optimizer"
TRAINING: dict[str, tuple[list[str], str]] = {
    "betas of SFT": ([*SFT, f"{OPTIMIZER}.betas=[1.5, 0.9]"], "optimizer.betas are [1.5, 0.9]"),
    "betas of RL": ([*RL, f"{OPTIMIZER}.betas=[0.9, 1.0]"], "optimizer.betas are [0.9, 1.0]"),
    "eps": ([*SFT, f"{OPTIMIZER}.eps=-1"], "eps is -1"),
    "weight decay": ([*SFT, f"{OPTIMIZER}.weight_decay=-1"], "weight_decay is -1"),
    "learning rate of SFT": ([*SFT, f"{OPTIMIZER}.lr=-1e-3"], "lr is -0.001"),
    "learning rate of RL": ([*RL, f"{OPTIMIZER}.lr=-1e-3"], "optimizer.lr must be at least 0"),
    "rollouts of SFT": (
        [*SFT, "--log_rollouts.every_n_iterations=5"],
        "log_rollouts.every_n_iterations is 5, but SFTM",
    ),
    "clipping": ([*SFT, "--trainer.gradient_clip_val=-1"], "trainer.gradient_clip_val is -1"),
    "no completions at a time": ([*SFT, "--model.init_args.eval_batch_size=0"], "eval_batch_size is 0"),
    "k1 in the loss": ([*RL, "--model.init_args.kl.apply_to=loss"], "kl.estimator k1 has no gradient in the loss"),
    "a price that cannot move": ([*RL, "--model.init_args.kl.target=2.0"], "kl.init_coef is 0.0"),
    "half precision of SFT": ([*SFT, "--trainer.precision=bf16-true"], "bf16-true is not supported by SFTModule"),
    "half precision": ([*RL, "--trainer.precision=bf16-true"], "trainer.precision bf16-true is not supported"),
    "double precision": ([*RL, "--trainer.precision=64-true"], "trainer.precision 64-true is not supported"),
    "flex on a CPU": ([*SFT, "--model.init_args.compute.attention=flex"], "compute.attention flex"),
    "samples beyond the context": (
        [*SFT, "--model.init_args.init_from=gpt2"],
        "the model's context 24: set data.init_args.max_length to 24 or less",
    ),
}
EVALUATE = ["--checkpoint", "text.ckpt", "--data", "data", "--split", "synthetic_test"]
SAMPLE_RUN = ["--checkpoint", "text.ckpt", "--data", "data", "--split", "synthetic_test", "--output", "new"]
TABLE: dict[str, dict[str, tuple[list[str], str]]] = {
    "fit": LIGHTNING | TRAINING,
    # parsed as those of `fit`
    "validate": {case: LIGHTNING[case] for case in FOR_ALL},
    "test": {case: LIGHTNING[case] for case in FOR_ALL},
    "evaluate": {
        "unknown key": ([*EVALUATE, "--num-smaples", "2"], "--num-samples"),
        "wrong type": ([*EVALUATE, "--num-samples", "two"], "'two'"),
        "missing data": ([*EVALUATE, "--data", "none"], "none"),
        "unknown split": ([*EVALUATE, "--split", "nope"], "synthetic_test"),
        "no checkpoint": (EVALUATE, "text.ckpt"),
        "foreign checkpoint": ([*EVALUATE, "--checkpoint", "foreign.ckpt"], "foreign.ckpt"),
        "missing option": (["--data", "data"], "--checkpoint"),
    },
    "sample": {
        "unknown key": ([*SAMPLE_RUN, "--num-smaples", "2"], "--num-samples"),
        "wrong type": ([*SAMPLE_RUN, "--num-samples", "two"], "'two'"),
        "not positive": ([*SAMPLE_RUN, "--max-kept", "0"], "--max-kept"),
        "missing data": ([*SAMPLE_RUN, "--data", "none"], "none"),
        "unknown split": ([*SAMPLE_RUN, "--split", "nope"], "synthetic_test"),
        "no checkpoint": (SAMPLE_RUN, "text.ckpt"),
        "missing option": (["--data", "data", "--output", "new"], "--checkpoint"),
    },
    "rollouts": {
        "unknown option": (["--run", "data", "--iteratoin", "2"], "'--iteration'"),
        "wrong type": (["--run", "data", "--iteration", "two"], "'two'"),
        "not positive": (["--run", "data", "--num-prompts", "0"], "--num-prompts"),
        "missing run": (["--run", "none"], "none has no stored rollouts"),
        "no rollouts": (["--run", "data"], "log_rollouts.every_n_iterations"),
        "missing option": ([], "--run"),
    },
    "export": {
        "unknown option": (["--checkpoint", "text.ckpt", "--outptu", "new"], "'--output'"),
        "unknown dtype": (["--checkpoint", "text.ckpt", "--output", "new", "--dtype", "float17"], "float17"),
        "output exists": (["--checkpoint", "text.ckpt", "--output", "data"], "data exists already"),
        "missing checkpoint": (["--checkpoint", "none.ckpt", "--output", "new"], "none.ckpt"),
        "missing run": (["--checkpoint", "data/none", "--output", "new"], "there is nothing at data/none (data holds"),
        "no checkpoint": (["--checkpoint", "text.ckpt", "--output", "new"], "text.ckpt"),
        "foreign checkpoint": (["--checkpoint", "foreign.ckpt", "--output", "new"], "foreign.ckpt"),
    },
    "synthesize": {
        "unknown key": (["--config", "good.yaml", "--output", "new"], "good.yaml"),
        "unknown option": (["--config", "good.yaml", "--outptu", "new"], "--outp"),
        "missing config": (["--config", "none.yaml", "--output", "new"], "none.yaml"),
        "broken config": (["--config", "broken.yaml", "--output", "new"], "broken.yaml"),
        "missing option": (["--config", "good.yaml"], "--output"),
        "a file as output": (["--config", "synthesis_small", "--output", "good.yaml"], "good.yaml is a file: a data"),
        "output below a file": (
            ["--config", "synthesis_small", "--output", "good.yaml/x"],
            "cannot create good.yaml/x",
        ),
    },
    "audit": {
        "missing directory": (["none"], "none"),
        "not a data set": (["not_a_dataset"], "not_a_dataset"),
        "a file": (["text.ckpt"], "text.ckpt"),
        "unknown option": (["data", "--fast"], "--fast"),
        "no directory": ([], "required"),
    },
    "grade": {
        "unknown option": (
            ["--tasks", "good.jsonl", "--smaples", "samples.jsonl", "--output", "o.jsonl"],
            "'--samples'",
        ),
        "wrong type": (
            ["--tasks", "wrong_type.jsonl", "--samples", "samples.jsonl", "--output", "o.jsonl"],
            "wrong_type.jsonl",
        ),
        "missing file": (["--tasks", "none.jsonl", "--samples", "samples.jsonl", "--output", "o.jsonl"], "none.jsonl"),
        "broken task row": (
            ["--tasks", "broken.jsonl", "--samples", "samples.jsonl", "--output", "o.jsonl"],
            "broken.jsonl",
        ),
        "broken sample row": (
            ["--tasks", "good.jsonl", "--samples", "broken_samples.jsonl", "--output", "o.jsonl"],
            "broken_samples.jsonl",
        ),
        "unknown task": (["--tasks", "good.jsonl", "--samples", "unknown_task.jsonl", "--output", "o.jsonl"], "other"),
        "unknown backend": (
            ["--tasks", "good.jsonl", "--samples", "samples.jsonl", "--output", "o.jsonl", "--backend", "moon"],
            "moon",
        ),
    },
    "executor": {
        "unknown action": (["biuld"], "'build'"),
        "no action": ([], "required"),
        "unknown option": (["build", "--ofline"], "'--offline'"),
        "contradiction": (["build", "--offline", "--base-image", "python:3.12-slim"], "--base-image"),
        "no value": (["build", "--tag"], "--tag"),
    },
    "serve": {
        "unknown key": (["--config", "good.yaml"], "good.yaml: unknown key"),
        "wrong type": (["--config", "serve_port.yaml"], "port must be a whole number, not 'many'"),
        "out of range": (["--config", "serve_open.yaml"], "ATOMFORGE_EXECUTOR_TOKEN"),
        "missing config": (["--config", "none.yaml"], "none.yaml"),
        "broken config": (["--config", "broken.yaml"], "broken.yaml"),
        "missing option": ([], "--config"),
        "unknown option": (["--config", "serve_open.yaml", "--port", "1"], "--port"),
    },
    "study": {
        "unknown option": (["--config", "good.yaml", "--dry"], "'--dry-run'"),
        "unknown key": (["--config", "good.yaml"], "good.yaml: unknown key"),
        "missing config": (["--config", "none.yaml"], "none.yaml"),
        "broken config": (["--config", "broken.yaml"], "broken.yaml"),
        "no jobs": (["--config", "good.yaml", "--jobs", "0"], "--jobs must be at least 1"),
    },
    "report": {
        "missing directory": (["none"], "none is not the directory"),
        "no study in it": (["data"], "study.yaml does not exist"),
        "another file": (["data", "--config", "good.yaml"], "good.yaml: unknown key"),
        "not a page": (["data", "--output", "x.md"], "--output must end in .html"),
        "unknown option": (["data", "--configs", "x"], "'--config'"),
    },
    "completion": {
        "no_shell": ([], "shell"),
        "unknown_shell": (["fish"], "'fish'"),
        "two_shells": (["bash", "zsh"], "zsh"),
        "unknown_option": (["bash", "--output", "x"], "--output"),
        "shell_as_option": (["--shell", "bash"], "--shell"),
    },
    "doctor": {
        "unknown option": (["--jsn"], "did you mean '--json'"),
        "a value too many": (["--json=1"], "--json"),
        "a word too many": (["docker"], "unrecognized arguments: docker"),
        "two words": (["a", "b"], "unrecognized arguments: a b"),
        "unknown option with value": (["--backend", "docker"], "unknown option --backend"),
    },
    "submit": {
        "no config": ([], "give the config files of the command"),
        "no cluster": (["--config", "good.yaml"], "no --config has a section `slurm`"),
        "missing config": (["--config", "none.yaml"], "none.yaml"),
        "broken config": (["--config", "broken.yaml"], "broken.yaml"),
        "wrong seeds": (["--config", "good.yaml", "--seeds", "a"], "no --config has a section `slurm`"),
    },
    "jobs": {
        "missing directory": (["none"], "none holds no jobs"),
        "no jobs in it": (["data"], "data holds no jobs"),
        "none by default": ([], "runs/slurm holds no jobs"),
        "unknown option": (["data", "--state"], "unknown option --state"),
        "two directories": (["data", "none"], "unrecognized arguments: none"),
    },
    "convert": {
        "unknown format": (["--from", "aps", "--input", "good.jsonl", "--output", "o.jsonl"], "'aps'"),
        "missing file": (["--from", "apps", "--input", "none.jsonl", "--output", "o.jsonl"], "none.jsonl"),
        "another kind of rows": (["--from", "apps", "--input", "text.ckpt", "--output", "o.jsonl"], "text.ckpt"),
        "missing option": (["--from", "apps", "--output", "o.jsonl"], "--input"),
        "unknown option": (["--from", "apps", "--inptu", "x", "--output", "o.jsonl"], "did you mean '--input'"),
        "no number": (["--from", "apps", "--input", "good.jsonl", "--output", "o.jsonl", "--limit", "x"], "--limit"),
    },
    "demo": {
        "unknown option": (["--config", "good.yaml", "--nonsense"], "--nonsense"),
        "unknown key": (["--config", "good.yaml"], "good.yaml"),
        "missing config": (["--config", "none.yaml"], "none.yaml"),
        "broken config": (["--config", "broken.yaml"], "broken.yaml"),
        "missing option": ([], "--config"),
    },
}
CASES = [
    pytest.param(name, arguments, word, id=f"{name}: {case}")
    for name, cases in TABLE.items()
    for case, (arguments, word) in cases.items()
]


def test_every_subcommand_has_five_bad_inputs() -> None:
    assert {name for name, cases in TABLE.items() if len(cases) >= 5} == set(SUBCOMMANDS)


@pytest.fixture
def the_line(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Callable[[list[str]], str]:
    for name in ("lightning.pytorch", "lightning.fabric"):  # what device there is, and the seed
        caplog.set_level(logging.ERROR, logger=name)

    def run(arguments: list[str]) -> str:
        capsys.readouterr()
        assert main(arguments) == 2
        captured = capsys.readouterr()
        lines = [line for line in captured.err.splitlines() if line]
        assert len(lines) == 1, captured.err
        assert "usage:" not in captured.out + captured.err
        assert lines[0].startswith("atomforge: error: ")
        return lines[0]

    return run


@pytest.mark.parametrize(("name", "arguments", "word"), CASES)
def test_one_line(
    name: str, arguments: list[str], word: str, folder: Path, the_line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert word in the_line([name, *arguments])


def test_checkpoint_of_another_architecture(folder: Path, the_line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    trained_checkpoint(folder)
    wider = ["--config", "good.yaml", "--ckpt_path", "run/checkpoints/last.ckpt", "--model.init_args.out_dim=3"]
    assert "model.init_args.out_dim: 2 -> 3" in the_line(["fit", *wider])


def test_checkpoint_of_another_module(folder: Path, the_line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    trained_checkpoint(folder)
    (folder / "other.yaml").write_text(
        (folder / "good.yaml").read_text().replace("DemoModel", "BoringModel").replace("    out_dim: 2", "    {}")
    )
    arguments = ["--config", "other.yaml", "--ckpt_path", "run/checkpoints/last.ckpt"]
    assert "DemoModel" in the_line(["fit", *arguments])
    assert "sample programs" not in the_line(["evaluate", *EVALUATE, "--checkpoint", "run/checkpoints/last.ckpt"])
