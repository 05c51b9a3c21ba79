"""The trainers of TRL on the same model and data, in an environment of their own without this project.

    TRL_PYTHON benchmarks/trainers/trl_trainers.py FOLDER sft_packed|sft|grpo|ppo NUM_STEPS float32|bfloat16

Prints seconds of each optimizer step (RL: iteration) and the tokens of SFT steps. Rewards depend on the length of a
completion.
"""

# ruff: noqa: E402

import json
import logging
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

os.environ |= {"TRL_EXPERIMENTAL_SILENCE": "1", "HF_HUB_OFFLINE": "1"}
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import torch
from datasets import Dataset
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback


class Clock(TrainerCallback):
    """Measures each step; `tokens` counts those that are not padding."""

    def __init__(self):
        self.steps_s, self.tokens, self.last = [], [], time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        now = time.perf_counter()
        self.steps_s.append(now - self.last)
        self.last = now


def build_options(num_steps, dtype):
    return {
        "output_dir": tempfile.mkdtemp(), "use_cpu": True, "bf16": dtype == "bfloat16", "report_to": "none",
        "save_strategy": "no", "logging_strategy": "no", "max_steps": num_steps, "gradient_checkpointing": False,
        "disable_tqdm": True,
    }  # fmt: skip


def load_policy(folder):
    return AutoModelForCausalLM.from_pretrained(f"{folder}/start", dtype=torch.float32)


def load_prompts(folder, tokenizer, num):
    samples = json.loads(Path(folder, "samples.json").read_text())
    return [tokenizer.decode(samples[i % len(samples)][0][1:]) for i in range(num)]


def run_sft(folder, num_steps, dtype, *, packing):
    from trl import SFTConfig, SFTTrainer

    samples = json.loads(Path(folder, "samples.json").read_text())
    rows = [
        {"input_ids": prompt + completion, "completion_mask": [0] * len(prompt) + [1] * len(completion)}
        for prompt, completion in samples
    ]
    clock = Clock()
    config = SFTConfig(
        per_device_train_batch_size=16 if packing else 40, max_length=256, packing=packing, completion_only_loss=True,
        learning_rate=1e-4, **build_options(num_steps, dtype),
    )  # fmt: skip
    trainer = SFTTrainer(
        load_policy(folder), config,
        train_dataset=Dataset.from_list(rows), processing_class=AutoTokenizer.from_pretrained(f"{folder}/start"),
        callbacks=[clock],
    )  # fmt: skip
    step = trainer.training_step

    def counted(model, inputs, *args, **kwargs):
        mask = inputs.get("attention_mask")
        clock.tokens.append(int(inputs["input_ids"].numel() if mask is None else mask.sum()))
        return step(model, inputs, *args, **kwargs)

    trainer.training_step = counted
    trainer.train()
    return clock


def run_grpo(folder, num_steps, dtype):
    from trl import GRPOConfig, GRPOTrainer

    tokenizer = AutoTokenizer.from_pretrained(f"{folder}/start")
    clock = Clock()
    config = GRPOConfig(
        per_device_train_batch_size=32, num_generations=4, max_completion_length=64, beta=0.02, learning_rate=3e-5,
        **build_options(num_steps, dtype),
    )  # fmt: skip
    trainer = GRPOTrainer(
        load_policy(folder), args=config, processing_class=tokenizer, callbacks=[clock],
        reward_funcs=lambda completions, **_: [float(len(text) % 2) for text in completions],
        train_dataset=Dataset.from_list([{"prompt": text} for text in load_prompts(folder, tokenizer, 8 * num_steps)]),
    )  # fmt: skip
    trainer.train()
    return clock


class RewardByLength(nn.Module):
    """A reward module without a model: the PPO of TRL takes no reward function."""

    base_model_prefix = "backbone"

    def __init__(self):
        super().__init__()
        self.backbone = self._backbone
        self.weight = nn.Parameter(torch.zeros(1))

    @staticmethod
    def _backbone(input_ids, **_):
        rewards = (input_ids.sum(1, keepdim=True) % 2)[:, :, None].float()
        return SimpleNamespace(hidden_states=[rewards.expand(-1, input_ids.shape[1], 1)])

    def score(self, hidden):
        return hidden


def run_ppo(folder, num_steps, dtype):
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    tokenizer = AutoTokenizer.from_pretrained(f"{folder}/start", padding_side="left")
    rows = [{"input_ids": tokenizer(text)["input_ids"]} for text in load_prompts(folder, tokenizer, 32 * num_steps)]

    clock = Clock()
    options = {key: value for key, value in build_options(num_steps, dtype).items() if key != "max_steps"}
    config = PPOConfig(
        per_device_train_batch_size=32, num_ppo_epochs=1, num_mini_batches=1, response_length=64, learning_rate=3e-5,
        local_rollout_forward_batch_size=32, num_sample_generations=0, total_episodes=32 * num_steps, **options,
    )  # fmt: skip
    value_model = AutoModelForSequenceClassification.from_pretrained(f"{folder}/start", num_labels=1)
    trainer = PPOTrainer(
        config,
        tokenizer,
        load_policy(folder),
        load_policy(folder),
        RewardByLength(),
        Dataset.from_list(rows),
        value_model,
        callbacks=[clock],
    )
    trainer.train()
    return clock


def main(folder, what, num_steps, dtype):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if what.startswith("sft"):
        clock = run_sft(folder, int(num_steps), dtype, packing=what == "sft_packed")
    else:
        clock = {"grpo": run_grpo, "ppo": run_ppo}[what](folder, int(num_steps), dtype)
    print("\n" + json.dumps({"steps_s": clock.steps_s, "tokens": clock.tokens}))


if __name__ == "__main__":
    main(*sys.argv[1:])
