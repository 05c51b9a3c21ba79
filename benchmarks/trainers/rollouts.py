"""Sampling 64 completions that end where a trained model ends them: transformers' `generate` and ours.

    python -m benchmarks.trainers.rollouts FOLDER transformers|ours|ours_bf16 sampled|greedy NUM_ROUNDS

`tokens` counts those up to the end of each completion. 16 prompts have four completions each, as in reinforcement
learning. Greedy completions are printed, for comparison.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from lightning_modules.generation.generate import SamplingParams, generate

MAX_NEW_TOKENS = 85


def by_transformers(model, tokenizer, prompts: list[list[int]], *, greedy: bool, seed: int) -> list[list[int]]:
    """Complete with `generate`; each list ends with its end token."""
    width = max(map(len, prompts))
    ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    torch.manual_seed(seed)
    config = GenerationConfig(
        do_sample=not greedy, top_k=0, max_new_tokens=MAX_NEW_TOKENS, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    rows = model.generate(ids, attention_mask=mask, generation_config=config)[:, width:].tolist()
    eos = tokenizer.eos_token_id
    return [row[: row.index(eos) + 1] if eos in row else row for row in rows]


def by_us(model, tokenizer, prompts: list[list[int]], *, greedy: bool, seed: int, dtype) -> list[list[int]]:
    """Complete with our loop."""
    sampling = SamplingParams(max_new_tokens=MAX_NEW_TOKENS, temperature=0.0 if greedy else 1.0)
    made = generate(
        model, tokenizer, prompts, sampling, stream_ids=range(len(prompts)), seed=seed, batch_size=len(prompts),
        dtype=dtype,
    )  # fmt: skip
    return [completion.token_ids for completion in made]


def main(folder: str, who: str, how: str, num_rounds: str) -> None:
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(f"{folder}/trained", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(f"{folder}/trained")
    samples = json.loads(Path(folder, "samples.json").read_text())
    prompts = [samples[i][0] for i in range(16) for _ in range(4)]
    steps_s, tokens, rows = [], [], []
    with torch.no_grad():
        for seed in range(int(num_rounds)):
            started_at = time.perf_counter()
            options = {"greedy": how == "greedy", "seed": seed}
            if who == "transformers":
                rows = by_transformers(model, tokenizer, prompts, **options)
            else:
                dtype = torch.bfloat16 if who == "ours_bf16" else None
                rows = by_us(model, tokenizer, prompts, **options, dtype=dtype)
            steps_s.append(time.perf_counter() - started_at)
            tokens.append(sum(map(len, rows)))
    print(json.dumps({"steps_s": steps_s, "tokens": tokens, "rows": rows if how == "greedy" else []}))


if __name__ == "__main__":
    main(*sys.argv[1:])
