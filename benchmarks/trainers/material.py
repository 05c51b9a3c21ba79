"""What all contestants share, made once in a folder: tokenizer, data set, token ids, first weights, trained weights.

    python -m benchmarks.trainers.material FOLDER

The model is a Llama of 5.8 million weights (hidden 256, 6 layers, 4 heads, feed-forward 704, 2000 tokens, untied).
Samples are prompts and solutions made of atoms, of about 100 tokens; the other trainers get them as token ids.
"""

import argparse
import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from datasets import Dataset, DatasetDict
from transformers import PreTrainedTokenizerFast

from datamodules.atoms import ATOMS
from datamodules.packing import Sample
from datamodules.prompt_format import encode_completions, encode_prompts
from datamodules.tokenizer import train_tokenizer
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm

SIZES = TinyLlamaConfig(
    hidden_size=256, num_layers=6, num_heads=4, num_kv_heads=4, intermediate_size=704, max_position=512,
    tie_embeddings=False,
)  # fmt: skip
VOCAB_SIZE = 2000
NUM_SAMPLES = 640
NUM_STEPS = 250
SPLITS = ("atomic", "synthetic_train", "synthetic_rl", "synthetic_val", "synthetic_test", "synthetic_test_deeper",
          "synthetic_test_held_out_atoms")  # fmt: skip


def make(folder: Path) -> None:
    """Fill `folder`; what is there already is left."""
    if (folder / "trained" / "config.json").exists():
        return
    rows, tokenizer = make_data(folder, vocab_size=VOCAB_SIZE)
    prompts = encode_prompts(tokenizer, [row["prompt"] for row in rows])
    completions = encode_completions(tokenizer, [row["solution"] for row in rows])
    samples = [list(pair) for pair in zip(prompts, completions, strict=True)]
    (folder / "samples.json").write_text(json.dumps(samples), encoding="utf-8")
    model = build_causal_lm(SIZES, tokenizer, 0)
    model.resize_token_embeddings(VOCAB_SIZE)
    for name in ("start", "trained"):
        if name == "trained":
            train(model, [Sample(*sample) for sample in samples], tokenizer.pad_token_id)
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    lengths = [len(prompt) + len(completion) for prompt, completion in samples]
    answers = [len(completion) for _, completion in samples]
    print(
        f"{len(samples)} samples of {sum(lengths) / len(lengths):.0f} tokens (most {max(lengths)}), completions of "
        f"{sum(answers) / len(answers):.0f} (most {max(answers)}); {model.num_parameters() / 1e6:.2f} M weights"
    )


def make_data(folder: Path, *, vocab_size: int) -> tuple[list[dict], PreTrainedTokenizerFast]:
    """Write the data set with its tokenizer; returns its tasks, the same in all splits."""
    rows = [row_of(number) for number in range(NUM_SAMPLES)]
    DatasetDict({split: Dataset.from_list(rows) for split in SPLITS}).save_to_disk(str(folder / "data"))
    texts = [f"{row['prompt']}\n{row['solution']}" for row in rows]
    return rows, train_tokenizer(texts, vocab_size, folder / "data" / "tokenizer")


def row_of(number: int) -> dict:
    """Make a task of one or two atoms."""
    draw = random.Random(number)
    atoms = draw.sample(sorted(ATOMS.values(), key=lambda atom: atom.name), draw.choice((1, 1, 2)))
    said = " Then: ".join(
        f"{draw.choice(atom.phrasings['en'])} ({draw.choice(atom.phrasings['zh'])})" for atom in atoms
    )
    calls = [f"    value = {atom.name}(value)\n" for atom in atoms]
    body = "".join(atom.source for atom in atoms) if len(atoms) == 1 else ""
    return {
        "task_id": f"benchmark/{number}",
        "prompt": f"Write a Python function `solve`. {said}",
        "language": "en",
        "solution": f"{body}def solve(value):\n{''.join(calls)}    return value\n",
        "entry_point": "solve",
        "tests": json.dumps([{"args": [3], "expected": 3}]),
        "reward_tests": json.dumps([{"args": [4], "expected": 4}]),
        "domains": json.dumps([{"kind": "Ints", "low": -20, "high": 50}]),
        "atoms": [atom.name for atom in atoms],
        "depth": len(atoms),
        "skeleton": f"benchmark({number})",
    }


def train(model: torch.nn.Module, samples: list[Sample], pad_id: int) -> None:
    """Train a little, so that completions end where such completions end."""
    from benchmarks.trainers.raw import packed_steps

    for _ in packed_steps(model, samples, pad_id=pad_id, num_steps=NUM_STEPS, lr=1e-3):
        pass


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    make(parser.parse_args().folder)
