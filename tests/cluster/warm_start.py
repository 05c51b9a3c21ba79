"""A tiny model that half knows the tasks, so that its programs load, some pass, and reinforcement learning moves."""

from pathlib import Path

import torch

from datamodules.encoding.prompt_format import encode_completions, encode_prompts
from datamodules.eval_data import load_dataset
from lightning_modules.models.loading import load_policy

NUM_STEPS = 60
MAX_NEW_TOKENS = 32
OPTIONS = (
    f"--model.init_args.sampling.max_new_tokens={MAX_NEW_TOKENS}",
    "--model.init_args.optimizer.lr=1e-3",
    "--model.init_args.optimizer.warmup_iterations=1",
)
"""Of `fit`, for a run that starts from it."""


def warm_up(folder: Path) -> None:
    """Train the model in `folder/start` on the solutions of `folder/data`, in place, for some seconds."""
    causal_lm, tokenizer = load_policy(folder / "start")
    rows = load_dataset(folder / "data")["synthetic_rl"]
    samples = [
        (encode_prompts(tokenizer, [row["prompt"]])[0], encode_completions(tokenizer, [row["solution"]])[0])
        for row in rows
    ]
    length = max(len(prompt) + len(completion) for prompt, completion in samples)
    tokens = torch.zeros(len(samples), length, dtype=torch.long)
    labels = torch.full((len(samples), length), -100)
    for index, (prompt, completion) in enumerate(samples):
        end = len(prompt) + len(completion)
        tokens[index, :end] = torch.tensor(prompt + completion)
        labels[index, len(prompt) : end] = torch.tensor(completion)
        assert len(completion) <= MAX_NEW_TOKENS
    torch.set_num_threads(1)
    optimizer = torch.optim.AdamW(causal_lm.parameters(), lr=1e-2)
    for _ in range(NUM_STEPS):
        loss = causal_lm(input_ids=tokens, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    causal_lm.save_pretrained(folder / "start")
