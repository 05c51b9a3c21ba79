"""Plain torch loops on a Hugging Face Llama: packed rows in bfloat16, and padded rows in float32.

python -m benchmarks.trainers.raw FOLDER packed|padded NUM_STEPS
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM

from datamodules.packing import Sample, pack
from lightning_modules.training.packed_loss import block_causal_mask

BATCH_SIZE, MAX_LENGTH = 40, 256


def packed_steps(
    model: torch.nn.Module, samples: Sequence[Sample], *, pad_id: int, num_steps: int, lr: float = 1e-4
) -> Iterator[int]:
    """Train step by step, and give the tokens of each."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, fused=True)
    for step in range(num_steps):
        chosen = [samples[(step * BATCH_SIZE + i) % len(samples)] for i in range(BATCH_SIZE)]
        batch = pack(chosen, max_length=MAX_LENGTH, pad_id=pad_id)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(
                input_ids=batch.input_ids,
                attention_mask=block_causal_mask(batch.segment_ids),
                position_ids=batch.position_ids,
            ).logits
        loss = functional.cross_entropy(logits[:, :-1].float().flatten(0, 1), batch.labels[:, 1:].flatten())
        _step(model, optimizer, loss)
        yield int(torch.count_nonzero(batch.segment_ids))


def padded_steps(model: torch.nn.Module, samples: Sequence[Sample], *, pad_id: int, num_steps: int) -> Iterator[int]:
    """Train on padded rows step by step, and give the tokens of each."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    for step in range(num_steps):
        rows = [samples[(step * BATCH_SIZE + i) % len(samples)] for i in range(BATCH_SIZE)]
        width = max(row.num_tokens() for row in rows)
        ids = torch.full((BATCH_SIZE, width), pad_id)
        labels = torch.full((BATCH_SIZE, width), -100)
        mask = torch.zeros(BATCH_SIZE, width, dtype=torch.long)
        for i, (prompt, completion) in enumerate(rows):
            ids[i, : len(prompt) + len(completion)] = torch.tensor(prompt + completion)
            labels[i, len(prompt) : len(prompt) + len(completion)] = torch.tensor(completion)
            mask[i, : len(prompt) + len(completion)] = 1
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        _step(model, optimizer, loss)
        yield int(mask.sum())


def _step(model: torch.nn.Module, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


def main(folder: str, kind: str, num_steps: str) -> None:
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(f"{folder}/start", dtype=torch.float32).train()
    samples = [Sample(*sample) for sample in json.loads(Path(folder, "samples.json").read_text())]
    train = packed_steps if kind == "packed" else padded_steps
    steps_s, tokens, started_at = [], [], time.perf_counter()
    for num_tokens in train(model, samples, pad_id=0, num_steps=int(num_steps)):
        now = time.perf_counter()
        steps_s.append(now - started_at)
        tokens.append(num_tokens)
        started_at = now
    print(json.dumps({"steps_s": steps_s, "tokens": tokens}))


if __name__ == "__main__":
    main(*sys.argv[1:])
