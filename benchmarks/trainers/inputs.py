"""Writes the inputs that all contestants share: tokenizer, data set, token IDs, initial and trained weights.

    python -m benchmarks.trainers.inputs FOLDER

The model is a Llama of 5.8 million weights (hidden 256, 6 layers, 4 heads, feed-forward 704, 2000 tokens, untied).
Tasks compose one or two atoms and have about 100 tokens; trainers of other projects get them as token IDs.
"""

import json
import random
import sys
from pathlib import Path

from datasets import Dataset, DatasetDict
from transformers import PreTrainedTokenizerFast

from benchmarks.trainers.baselines import train_packed
from datamodules.atoms import ATOMS
from datamodules.encoding.packing import Sample
from datamodules.encoding.prompt_format import encode_completions, encode_prompts
from datamodules.encoding.tokenizer import train_tokenizer
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm

ARCHITECTURE = TinyLlamaConfig(
    hidden_size=256, num_layers=6, num_heads=4, num_kv_heads=4, intermediate_size=704, max_position=512,
    tie_embeddings=False,
)  # fmt: skip
VOCAB_SIZE = 2000
NUM_TASKS = 640
NUM_STEPS = 250
"""Training steps after which completions end where a trained model ends them."""
SPLITS = ("atomic", "synthetic_train", "synthetic_rl", "synthetic_val", "synthetic_test", "synthetic_test_deeper",
          "synthetic_test_held_out_atoms")  # fmt: skip


def write_inputs(folder: Path) -> None:
    """Fill `folder`, unless it is filled."""
    if (folder / "trained" / "config.json").exists():
        return
    rows, tokenizer = write_data(folder, vocab_size=VOCAB_SIZE)
    prompts = encode_prompts(tokenizer, [row["prompt"] for row in rows])
    completions = encode_completions(tokenizer, [row["solution"] for row in rows])
    samples = [Sample(*pair) for pair in zip(prompts, completions, strict=True)]
    (folder / "samples.json").write_text(json.dumps(samples), encoding="utf-8")
    model = build_causal_lm(ARCHITECTURE, tokenizer, 0)
    model.resize_token_embeddings(VOCAB_SIZE)
    for name, num_steps in (("start", 0), ("trained", NUM_STEPS)):
        for _ in train_packed(model, samples, pad_id=tokenizer.pad_token_id, num_steps=num_steps, lr=1e-3):
            pass
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)


def write_data(folder: Path, *, vocab_size: int) -> tuple[list[dict], PreTrainedTokenizerFast]:
    """Write the data set with its tokenizer; returns its rows, the same in all splits."""
    rows = [build_row(number) for number in range(NUM_TASKS)]
    DatasetDict({split: Dataset.from_list(rows) for split in SPLITS}).save_to_disk(str(folder / "data"))
    texts = [f"{row['prompt']}\n{row['solution']}" for row in rows]
    return rows, train_tokenizer(texts, vocab_size, folder / "data" / "tokenizer")


def build_row(number: int) -> dict:
    rng = random.Random(number)
    atoms = rng.sample(sorted(ATOMS.values(), key=lambda atom: atom.name), rng.choice((1, 1, 2)))
    steps = " Then: ".join(f"{rng.choice(atom.phrasings['en'])} ({rng.choice(atom.phrasings['zh'])})" for atom in atoms)
    calls = "".join(f"    value = {atom.name}(value)\n" for atom in atoms)
    source = "".join(atom.source for atom in atoms) if len(atoms) == 1 else ""
    return {
        "task_id": f"benchmark/{number}",
        "prompt": f"Write a Python function `solve`. {steps}",
        "language": "en",
        "solution": f"{source}def solve(value):\n{calls}    return value\n",
        "entry_point": "solve",
        "tests": json.dumps([{"args": [3], "expected": 3}]),
        "reward_tests": json.dumps([{"args": [4], "expected": 4}]),
        "domains": json.dumps([{"kind": "Ints", "low": -20, "high": 50}]),
        "atoms": [atom.name for atom in atoms],
        "depth": len(atoms),
        "skeleton": f"benchmark({number})",
    }


if __name__ == "__main__":
    write_inputs(Path(sys.argv[1]))
    print("{}")
