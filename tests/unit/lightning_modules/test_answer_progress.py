"""Who shows progress is told of every answer of an iteration and of validation; lines are few and say the rate."""

from pathlib import Path

import pytest
from lightning.pytorch import Trainer

from cli.progress import PlainProgress
from datamodules.eval_data import load_dataset
from datamodules.rl_data import RLDataModule
from datamodules.tokenizer import load_tokenizer, train_tokenizer, training_texts
from executor.commands import progress as count_progress
from executor.commands.progress import CountLines
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm
from lightning_modules.rl_module import RLModule
from lightning_modules.training import run_executor
from tests.support.fake_clock import Clock
from tests.support.fake_executor import FakeExecutor
from tests.support.small_data import write_small_data

TINY = TinyLlamaConfig(
    hidden_size=32, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=48, max_position=128
)


class Told(PlainProgress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, int, int]] = []
        self._lines.show = lambda *call: self.calls.append(call)  # type: ignore[method-assign]


def test_lines_have_a_rate_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    monkeypatch.setattr(count_progress, "time", clock)
    lines = CountLines(interval_s=10.0)
    for second, done in ((0, 0), (4, 5), (9.9, 12), (10, 20), (15, 30), (20, 40), (300, 0), (301, 128)):
        clock.now = 100.0 + second
        lines.show("iteration 3: completions", done, 128)
    # after 10 s 20 are done, 2 a second, 108 left; after 20 s 40, 88 left; the next batch begins anew and is quick
    assert capsys.readouterr().err.splitlines() == [
        "iteration 3: completions 20/128 · 2/s · 0:54 left",
        "iteration 3: completions 40/128 · 2/s · 0:44 left",
    ]


def test_every_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_executor, "open_executor", lambda backend, **_: FakeExecutor())
    data_dir = write_small_data(tmp_path / "small")
    train_tokenizer(training_texts(load_dataset(data_dir)), 300, data_dir / "tokenizer")
    tokenizer = load_tokenizer(data_dir / "tokenizer")
    build_causal_lm(TINY, tokenizer, 1).save_pretrained(tmp_path / "start")
    tokenizer.save_pretrained(tmp_path / "start")
    told = Told()
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        default_root_dir=tmp_path,
        callbacks=[told],
    )
    module = RLModule(
        init_from=str(tmp_path / "start"), sampling=SamplingParams(max_new_tokens=4), rollout_batch_size=2
    )
    data = RLDataModule(str(data_dir), prompts_per_iteration=2, samples_per_prompt=3, minibatch_size=6, num_val_tasks=1)
    trainer.fit(module, data)
    validation = [("synthetic_val: completions", done, 1) for done in range(2)]
    iterations = [[(f"iteration {number}: completions", done, 6) for done in range(7)] for number in range(2)]
    assert told.calls == [*iterations[0], *validation, *iterations[1], *validation]
