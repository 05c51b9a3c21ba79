"""Times iterations of PPO on this machine, part by part and on every rank, with verdicts that come at once.

    python -m benchmarks.cost.measure FOLDER STRATEGY NUM_RANKS NUM_PROMPTS NUM_ITERATIONS

The model is that of `configs/model/tiny.yaml` with random weights, so responses go on to the last token and every
iteration is the same work. FOLDER is filled by `make`; each rank writes FOLDER/rank_N.json.
"""

import json
import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from benchmarks.cost.points import MINIBATCH_SIZE, NEW_TOKENS, SAMPLES_PER_PROMPT, VOCAB_SIZE
from benchmarks.trainers import material, ours
from datamodules.batches import RolloutSample, TaskPrompt
from datamodules.rl_data import RLDataModule
from lightning_modules.generation.sampler import Sampling
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm
from lightning_modules.rl.config import AlgorithmConfig, CriticConfig
from lightning_modules.rl_module import RLModule

PARTS = ("generate", "score", "execute", "update")


class TimedModule(RLModule):
    """Keeps what a rank took for each part before the ranks average it, and how many tokens it had."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.own_parts_s: list[dict[str, float]] = []
        self.num_tokens: list[tuple[float, float, int]] = []

    def collect(self, prompts: list[TaskPrompt], iteration: int, **options: Any) -> list[RolloutSample]:
        samples = super().collect(prompts, iteration, **options)
        lengths = [len(sample.response_ids) for sample in samples]
        prompt_tokens = sum(len(sample.prompt_ids) for sample in samples) / len(samples)
        self.num_tokens.append((prompt_tokens, sum(lengths) / len(lengths), max(lengths)))
        return samples

    def log_dict(self, dictionary: Any, *args: Any, **kwargs: Any) -> None:
        if "time/update_s" in dictionary:
            self.own_parts_s.append({part: dictionary[f"time/{part}_s"] for part in PARTS})
        super().log_dict(dictionary, *args, **kwargs)


class Clock(Callback):
    """Wall and processor seconds of each iteration, from the end of the one before."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.ends.append((time.perf_counter(), time.process_time()))

    def spans(self) -> list[tuple[float, float]]:
        return [(b[0] - a[0], b[1] - a[1]) for a, b in zip(self.ends, self.ends[1:], strict=False)]


def make(folder: Path) -> None:
    """Write data set, tokenizer and first weights."""
    _, tokenizer = material.make_data(folder, vocab_size=VOCAB_SIZE)
    model = build_causal_lm(TinyLlamaConfig(), tokenizer, 0)
    model.resize_token_embeddings(VOCAB_SIZE)
    model.save_pretrained(folder / "start")
    tokenizer.save_pretrained(folder / "start")


def main(folder: str, strategy: str, num_ranks: str, num_prompts: str, num_iterations: str) -> None:
    warnings.filterwarnings("ignore")
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    ours.judge_at_once()
    module = TimedModule(
        init_from=f"{folder}/start",
        algorithm=AlgorithmConfig(target_kl=None),
        critic=CriticConfig(warmup_iterations=0),
        sampling=Sampling(max_new_tokens=NEW_TOKENS),
        retest_share=0.0,
    )
    num_samples = int(num_prompts) * SAMPLES_PER_PROMPT
    data = RLDataModule(
        f"{folder}/data", prompts_per_iteration=int(num_prompts), samples_per_prompt=SAMPLES_PER_PROMPT,
        minibatch_size=min(MINIBATCH_SIZE, num_samples), num_sampled_reward_tests=0,
    )  # fmt: skip
    clock = Clock()
    trainer = Trainer(
        accelerator="cpu", devices=int(num_ranks), strategy="auto" if strategy == "one" else strategy,
        precision="bf16-mixed", max_epochs=int(num_iterations) + 1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0, use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1, num_sanity_val_steps=0, gradient_clip_val=1.0, default_root_dir=folder,
        callbacks=[clock],
    )  # fmt: skip
    trainer.fit(module, data)
    iterations = [
        parts | {"wall": wall, "cpu": cpu, "prompt_tokens": tokens[0], "response_tokens": tokens[1],
                 "longest_response": tokens[2]}
        for parts, (wall, cpu), tokens in zip(module.own_parts_s[1:], clock.spans(), module.num_tokens[1:], strict=True)
    ]  # fmt: skip
    Path(folder, f"rank_{trainer.global_rank}.json").write_text(json.dumps(iterations), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
