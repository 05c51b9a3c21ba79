"""Baselines without Lightning: a plain torch loop on packed rows, and sampling with `generate` of transformers.

    python -m benchmarks.trainers.baselines FOLDER torch_loop|transformers|atomforge|atomforge_bf16 NUM_STEPS

A step of `torch_loop` trains on 40 packed samples in bfloat16. A step of the others samples 64 completions of at most
85 tokens, four for each of 16 prompts, from a trained model; `atomforge` uses this project's `generate`. Prints seconds
and tokens (without padding) of each step.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from datamodules.encoding.packing import Sample, pack
from lightning_modules.generation.generate import Sampling, generate
from lightning_modules.models.forward.packed_forward import block_causal_mask

BATCH_SIZE, MAX_LENGTH, MAX_NEW_TOKENS = 40, 256, 85


def train_packed(
    model: torch.nn.Module, samples: Sequence[Sample], *, pad_id: int, num_steps: int, lr: float = 1e-4
) -> Iterator[int]:
    """Train step by step, and yield the number of tokens of each."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, fused=True)
    for step in range(num_steps):
        selected = [samples[(step * BATCH_SIZE + i) % len(samples)] for i in range(BATCH_SIZE)]
        batch = pack(selected, max_length=MAX_LENGTH, pad_id=pad_id)
        mask = block_causal_mask(batch.segment_ids)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(input_ids=batch.input_ids, attention_mask=mask, position_ids=batch.position_ids).logits
        functional.cross_entropy(logits[:, :-1].float().flatten(0, 1), batch.labels[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        yield int(torch.count_nonzero(batch.segment_ids))


def sample_transformers(model, tokenizer, prompts: list[list[int]], *, num_steps: int) -> Iterator[int]:
    """Sample with `generate` of transformers, and yield the tokens up to the end of each completion."""
    width, eos_id = max(map(len, prompts)), tokenizer.eos_token_id
    ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    config = GenerationConfig(
        do_sample=True, top_k=0, max_new_tokens=MAX_NEW_TOKENS, eos_token_id=eos_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    for seed in range(num_steps):
        torch.manual_seed(seed)
        rows = model.generate(ids, attention_mask=mask, generation_config=config)[:, width:].tolist()
        yield sum(row.index(eos_id) + 1 if eos_id in row else len(row) for row in rows)


def sample_atomforge(model, tokenizer, prompts: list[list[int]], *, num_steps: int, dtype) -> Iterator[int]:
    """Sample with this project's `generate`, and yield the tokens of each step."""
    for seed in range(num_steps):
        completions = generate(
            model, prompts, list(range(len(prompts))), sampling=Sampling(max_new_tokens=MAX_NEW_TOKENS), seed=seed,
            eos_id=tokenizer.eos_token_id, pad_id=tokenizer.pad_token_id, batch_size=len(prompts), dtype=dtype,
        )  # fmt: skip
        yield sum(len(completion.token_ids) for completion in completions)


def main(folder: str, contestant: str, num_steps: str) -> None:
    torch.set_num_threads(1)
    start = f"{folder}/{'start' if contestant == 'torch_loop' else 'trained'}"
    model = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(start)
    samples = [Sample(*sample) for sample in json.loads(Path(folder, "samples.json").read_text())]
    prompts = [samples[i].prompt_ids for i in range(16) for _ in range(4)]
    if contestant == "torch_loop":
        steps = train_packed(model.train(), samples, pad_id=tokenizer.pad_token_id, num_steps=int(num_steps))
    elif contestant == "transformers":
        steps = sample_transformers(model.eval(), tokenizer, prompts, num_steps=int(num_steps))
    else:
        dtype = torch.bfloat16 if contestant == "atomforge_bf16" else None
        steps = sample_atomforge(model.eval(), tokenizer, prompts, num_steps=int(num_steps), dtype=dtype)
    steps_s, tokens, started_at = [], [], time.perf_counter()
    with torch.set_grad_enabled(contestant == "torch_loop"):
        for num_tokens in steps:
            now = time.perf_counter()
            steps_s.append(now - started_at)
            tokens.append(num_tokens)
            started_at = now
    print(json.dumps({"steps_s": steps_s, "tokens": tokens}))


if __name__ == "__main__":
    main(*sys.argv[1:])
