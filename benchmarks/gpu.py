"""Measures on one GPU: SFT (tokens/s, fraction of the peak FLOP/s) and rollouts (tokens/s).

    python -m benchmarks.gpu [--only sft,rollouts,flex] [--output FILE.json]
    python -m benchmarks.gpu --smoke        the same code at toy sizes, also on a CPU; its numbers mean nothing

`flex` compares the logits of flex attention with those of a dense mask. Weights and token IDs are random. Goals on one
H100 in bfloat16: 50 % of the peak in SFT of a Llama of 1 billion weights, and rollouts 5 times as fast as `generate` of
transformers at batch 256. It has not been run on a GPU. The tags `time/*` of a run have the parts of RL.
"""

import argparse
import json
import platform
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.rounds import build_table
from datamodules.batches import SFTBatch
from datamodules.packing import Sample, pack
from lightning_modules.generation.generate import generate
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.models.compute import ComputeConfig, prepare_causal_lm
from lightning_modules.models.packed_forward import packed_mask
from lightning_modules.models.policy import Policy
from lightning_modules.training.flops import measure_minibatch, minibatch_flops, peak_flops_per_s, training_cost
from lightning_modules.training.packed_loss import completion_loss


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes of the checks."""

    model: dict[str, int]
    row_tokens: int
    num_rows: int
    num_prompts: int
    prompt_tokens: int
    new_tokens: int
    num_steps: int


ONE_BILLION = {
    "hidden_size": 2048, "num_hidden_layers": 18, "num_attention_heads": 16, "num_key_value_heads": 8,
    "intermediate_size": 7168, "vocab_size": 32_000,
}  # fmt: skip
TOY = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 96, "vocab_size": 300,
}  # fmt: skip
FULL = Sizes(
    model=ONE_BILLION, row_tokens=2048, num_rows=8, num_prompts=256, prompt_tokens=128, new_tokens=256, num_steps=10
)
SMOKE = Sizes(model=TOY, row_tokens=256, num_rows=2, num_prompts=8, prompt_tokens=16, new_tokens=12, num_steps=3)


def sft_utilization(device: torch.device, sizes: Sizes) -> dict[str, float]:
    """Train on packed rows with a dense mask and with flex attention."""
    found: dict[str, float] = {}
    for attention in ("sdpa", "flex") if device.type == "cuda" else ("sdpa",):
        policy = build_policy(device, sizes, ComputeConfig(attention=attention))
        optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-5, fused=True)
        batch = build_batch(device, sizes)
        steps_s = []
        for _ in range(sizes.num_steps + 3):
            started_at = now(device)
            with torch.autocast(device.type, torch.bfloat16):
                loss, num_labels = completion_loss(policy, batch)
            (loss / num_labels).backward()
            optimizer.step()
            optimizer.zero_grad()
            steps_s.append(now(device) - started_at)
        step_s = median(steps_s[3:])
        size = measure_minibatch(batch)
        peak = peak_flops_per_s(device, torch.bfloat16)
        found[f"{attention}_tokens_per_s"] = size.num_tokens / step_s
        if peak is not None:
            found[f"{attention}_mfu"] = minibatch_flops(training_cost(policy), size) / step_s / peak
        del policy, optimizer
    return found


class NumberTokenizer:
    """What `generate` needs of a tokenizer, for a model without text."""

    def __init__(self, *, eos_id: int, pad_id: int) -> None:
        self.eos_token_id, self.pad_token_id = eos_id, pad_id

    def decode(self, token_ids: list[int], **_: object) -> str:
        return " ".join(map(str, token_ids))


def rollout_speed(device: torch.device, sizes: Sizes) -> dict[str, float]:
    """Sample with `generate` of transformers and of this project until a random model ends or the limit."""
    model = build_policy(device, sizes, ComputeConfig()).causal_lm.to(torch.bfloat16).eval()
    draw = torch.Generator().manual_seed(0)
    prompts = torch.randint(3, sizes.model["vocab_size"], (sizes.num_prompts, sizes.prompt_tokens), generator=draw)
    rates = {"transformers": [], "atomforge": []}
    for _ in range(3):
        started_at = now(device)
        with torch.no_grad():
            rows = model.generate(
                prompts.to(device), do_sample=True, top_k=0, max_new_tokens=sizes.new_tokens, eos_token_id=2,
                pad_token_id=0,
            )  # fmt: skip
        num_tokens = int((rows[:, sizes.prompt_tokens :] != 0).sum())
        rates["transformers"].append(num_tokens / (now(device) - started_at))
        started_at = now(device)
        completions = generate(
            model, NumberTokenizer(eos_id=2, pad_id=0), prompts.tolist(),
            SamplingParams(max_new_tokens=sizes.new_tokens), stream_ids=range(len(prompts)), seed=0,
            batch_size=len(prompts),
        )  # fmt: skip
        rates["atomforge"].append(sum(len(one.token_ids) for one in completions) / (now(device) - started_at))
    medians = {f"{name}_tokens_per_s": median(values[1:]) for name, values in rates.items()}
    return medians | {"ratio": medians["atomforge_tokens_per_s"] / medians["transformers_tokens_per_s"]}


def flex_against_dense(device: torch.device, sizes: Sizes) -> dict[str, float]:
    """Compare the logits of packed rows under both masks in float32."""
    batch = build_batch(device, sizes)
    dense = build_policy(device, SMOKE if device.type == "cpu" else sizes, ComputeConfig())
    everywhere = batch.segment_ids > 0
    with torch.no_grad():
        one, _ = dense(batch.input_ids, packed_mask(batch.segment_ids, flex=False), batch.position_ids, everywhere)
        prepare_causal_lm(dense.causal_lm, ComputeConfig(attention="flex"))
        other, _ = dense(batch.input_ids, packed_mask(batch.segment_ids, flex=True), batch.position_ids, everywhere)
    return {"largest_difference": float((one - other).abs().max()), "largest_logit": float(one.abs().max())}


def build_policy(device: torch.device, sizes: Sizes, engine: ComputeConfig) -> Policy:
    """Build a Llama of random weights."""
    torch.manual_seed(0)
    config = LlamaConfig(**sizes.model, max_position_embeddings=4096, tie_word_embeddings=False)
    with device:
        model = LlamaForCausalLM(config)
    prepare_causal_lm(model, engine)
    return Policy(model).train()


def build_batch(device: torch.device, sizes: Sizes) -> SFTBatch:
    """Pack samples of a quarter of a row each, half of it completion, into full rows."""
    quarter = sizes.row_tokens // 4
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(3, sizes.model["vocab_size"], (4 * sizes.num_rows, quarter), generator=draw).tolist()
    samples = [Sample(row[: quarter // 2], row[quarter // 2 :]) for row in ids]
    batch = pack(samples, max_length=sizes.row_tokens, pad_id=0)
    return SFTBatch(*(field.to(device) if isinstance(field, torch.Tensor) else field for field in batch))


def now(device: torch.device) -> float:
    """Return the time once the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def main() -> int:
    """Run the checks, print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="sft,rollouts,flex", help="checks, separated by commas")
    parser.add_argument("--smoke", action="store_true", help="toy sizes, also on a CPU")
    parser.add_argument("--output", type=Path, default=None, help="JSON file")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    if not torch.cuda.is_available() and not args.smoke:
        parser.error("no CUDA device; --smoke runs the same code at toy sizes on a CPU")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sizes = SMOKE if args.smoke else FULL
    checks = {
        "sft": lambda: sft_utilization(device, sizes),
        "rollouts": lambda: rollout_speed(device, sizes),
        "flex": lambda: flex_against_dense(device, sizes),
    }
    selected = args.only.split(",")
    if unknown := set(selected) - set(checks):
        parser.error(f"--only {min(unknown)!r}: checks are {', '.join(checks)}")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    found = {check: checks[check]() for check in selected}
    rows = [[check, key, f"{value:.4g}"] for check in selected for key, value in found[check].items()]
    print(f"{name}, torch {torch.__version__}\n\n{build_table(['check', 'number', 'value'], rows)}")
    if args.output is not None:
        text = json.dumps({"device": name, "torch": torch.__version__, **found}, indent=1)
        args.output.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
