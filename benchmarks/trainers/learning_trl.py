"""GRPO of TRL for `benchmarks/learning.py`, in an environment of its own that imports this project's executor.

    TRL_PYTHON benchmarks/trainers/learning_trl.py FOLDER JSON

JSON has `start` (Hugging Face folder), `prompts` (file of `learning_atomforge`, in the order of training),
`samples_per_prompt`, `iterations`, `save_every`, `lr`, `warmup`, `max_new_tokens` and `threads`. An iteration has one
optimizer step. Saves and prints as `learning_atomforge` does.
"""

# ruff: noqa: E402

import json
import logging
import os
import sys
import time
import warnings
from pathlib import Path

os.environ |= {"TRL_EXPERIMENTAL_SILENCE": "1", "HF_HUB_OFFLINE": "1"}
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from executor.integrations.trl import reward

MICRO_BATCH_SIZE = 64
"""Completions per backward pass; gradients of all completions of an iteration are accumulated."""


class Curve(TrainerCallback):
    """Measures each iteration and saves weights after some of them."""

    def __init__(self, folder, save_every):
        self.folder, self.save_every, self.wall_s, self.cpu_s = Path(folder), save_every, [], []

    def on_step_begin(self, args, state, control, **kwargs):
        self.started = time.perf_counter(), time.process_time()

    def on_step_end(self, args, state, control, model, **kwargs):
        self.wall_s.append(time.perf_counter() - self.started[0])
        self.cpu_s.append(time.process_time() - self.started[1])
        if len(self.wall_s) % self.save_every == 0:
            model.save_pretrained(self.folder / str(len(self.wall_s)))


def load_rows(path, tokenizer):
    """Load prompts as rows of a data set; TRL must encode them as they were encoded here."""
    rows = json.loads(Path(path).read_text())
    for row in rows:
        if tokenizer(row["prompt"])["input_ids"] != row.pop("prompt_ids"):
            raise SystemExit(f"TRL encodes this prompt differently: {row['prompt']!r}")
    return rows


def main(folder, settings):
    options = json.loads(settings)
    torch.set_num_threads(options["threads"])
    tokenizer = AutoTokenizer.from_pretrained(options["start"], padding_side="left", split_special_tokens=False)
    rows = load_rows(options["prompts"], tokenizer)
    num_completions = len(rows) // options["iterations"] * options["samples_per_prompt"]
    micro_batch_size = min(MICRO_BATCH_SIZE, num_completions)
    config = GRPOConfig(
        output_dir=str(Path(folder, "trainer")), max_steps=options["iterations"], seed=0, use_cpu=True, bf16=False,
        report_to="none", save_strategy="no", logging_strategy="no", disable_tqdm=True, gradient_checkpointing=False,
        per_device_train_batch_size=micro_batch_size,
        gradient_accumulation_steps=num_completions // micro_batch_size, num_iterations=1, shuffle_dataset=False,
        num_generations=options["samples_per_prompt"], max_completion_length=options["max_new_tokens"],
        temperature=1.0, beta=0.0, epsilon=0.2, epsilon_high=0.28, loss_type="dapo", scale_rewards="group",
        learning_rate=options["lr"], lr_scheduler_type="constant_with_warmup", warmup_steps=options["warmup"],
        adam_beta1=0.9, adam_beta2=0.95, weight_decay=0.0, max_grad_norm=1.0,
    )  # fmt: skip
    curve = Curve(folder, options["save_every"])
    trainer = GRPOTrainer(
        AutoModelForCausalLM.from_pretrained(options["start"], dtype=torch.float32),
        reward_funcs=reward("auto"), args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer,
        callbacks=[curve],
    )  # fmt: skip
    trainer.train()
    print("\n" + json.dumps({"wall_s": curve.wall_s, "cpu_s": curve.cpu_s}))


if __name__ == "__main__":
    main(*sys.argv[1:])
