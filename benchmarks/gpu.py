"""What needs a GPU to be measured: utilization in SFT, rollouts, the parts of a PPO iteration, flex attention.

    python benchmarks/gpu.py [--only sft,rollouts,ppo,flex] [--ppo-model FOLDER_OR_ID] [--output FILE.json]
    python benchmarks/gpu.py --smoke        the same code at toy sizes on a CPU; its numbers mean nothing

Goals on one H100 in bfloat16: 50 % of the peak in SFT of a Llama of 1 billion weights; rollouts 5 times as fast as
transformers' `generate` at batch 256. Random weights and token ids serve but for `--ppo-model` (SmolLM2-135M).
"""

# ruff: noqa: E402

import argparse
import json
import logging
import platform
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from datamodules.batches import SFTBatch
from datamodules.packing import Sample, pack
from lightning_modules.generation.generate import generate
from lightning_modules.generation.sampler import Sampling
from lightning_modules.models.compute import ComputeConfig, prepare_causal_lm
from lightning_modules.models.policy import Policy
from lightning_modules.training.device_peaks import peak_flops_per_s
from lightning_modules.training.flops import measure_minibatch, minibatch_flops, training_cost
from lightning_modules.training.packed_loss import completion_loss, packed_mask

CHECKS = ("sft", "rollouts", "ppo", "flex")


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
    """Train on packed rows, dense and flex attention, and say which share of the device's peak that is."""
    found: dict[str, float] = {}
    for attention in ("sdpa", "flex") if device.type == "cuda" else ("sdpa",):
        policy = policy_of(device, sizes, ComputeConfig(attention=attention))
        optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-5, fused=True)
        batch = batch_of(device, sizes)
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


def rollout_speed(device: torch.device, sizes: Sizes) -> dict[str, float]:
    """Sample with `generate` of transformers and with ours; rows stop where a random model happens to stop."""
    model = policy_of(device, sizes, ComputeConfig()).causal_lm.to(torch.bfloat16).eval()
    draw = torch.Generator().manual_seed(0)
    prompts = torch.randint(3, sizes.model["vocab_size"], (sizes.num_prompts, sizes.prompt_tokens), generator=draw)
    rows = {"transformers": [], "ours": []}
    for _ in range(3):
        started_at = now(device)
        with torch.no_grad():
            made = model.generate(
                prompts.to(device), do_sample=True, top_k=0, max_new_tokens=sizes.new_tokens, eos_token_id=2,
                pad_token_id=0,
            )  # fmt: skip
        num_tokens = int((made[:, sizes.prompt_tokens :] != 0).sum())
        rows["transformers"].append(num_tokens / (now(device) - started_at))
        started_at = now(device)
        ours = generate(
            model, prompts.tolist(), list(range(len(prompts))), sampling=Sampling(max_new_tokens=sizes.new_tokens),
            seed=0, eos_id=2, pad_id=0, batch_size=len(prompts),
        )  # fmt: skip
        rows["ours"].append(sum(len(one.token_ids) for one in ours) / (now(device) - started_at))
    speeds = {f"{name}_tokens_per_s": median(values[1:]) for name, values in rows.items()}
    return speeds | {"ratio": speeds["ours_tokens_per_s"] / speeds["transformers_tokens_per_s"]}


def ppo_shares(device: torch.device, sizes: Sizes, model: str | None) -> dict[str, float]:
    """Run iterations of PPO through the Trainer, and say where their time goes; a toy model where none is named."""
    from benchmarks.trainers import material, ours

    logging.disable(logging.INFO)
    ours.judge_at_once()
    with tempfile.TemporaryDirectory() as scratch:
        _, tokenizer = material.make_data(Path(scratch), vocab_size=TOY["vocab_size"])
        if model is None:
            model = f"{scratch}/start"
            policy_of(torch.device("cpu"), SMOKE, ComputeConfig()).causal_lm.save_pretrained(model)
            tokenizer.save_pretrained(model)
        module, data = ours.rl(scratch, "ppo", "shipped", init_from=model, max_new_tokens=min(128, sizes.new_tokens))
        clock, _ = ours.fit(
            module, data, scratch, accelerator=device.type, devices=1, precision="bf16-mixed",
            max_epochs=sizes.num_steps + 1,
        )  # fmt: skip
    step_s = median(clock.steps_s[1:])
    return {"iteration_s": step_s} | {
        part: median(parts[part] for parts in clock.parts_s[1:]) / step_s for part in ours.PARTS
    }


def flex_against_dense(device: torch.device, sizes: Sizes) -> dict[str, float]:
    """Compare the logits of packed rows under the two kinds of mask, in float32."""
    batch = batch_of(device, sizes)
    dense = policy_of(device, SMOKE if device.type == "cpu" else sizes, ComputeConfig())
    everywhere = batch.segment_ids > 0
    with torch.no_grad():
        one, _ = dense(batch.input_ids, packed_mask(batch.segment_ids, flex=False), batch.position_ids, everywhere)
        prepare_causal_lm(dense.causal_lm, ComputeConfig(attention="flex"))
        other, _ = dense(batch.input_ids, packed_mask(batch.segment_ids, flex=True), batch.position_ids, everywhere)
    return {"largest_difference": float((one - other).abs().max()), "largest_logit": float(one.abs().max())}


def policy_of(device: torch.device, sizes: Sizes, engine: ComputeConfig) -> Policy:
    """Build a Llama of random weights."""
    torch.manual_seed(0)
    config = LlamaConfig(**sizes.model, max_position_embeddings=4096, tie_word_embeddings=False)
    with device:
        model = LlamaForCausalLM(config)
    prepare_causal_lm(model, engine)
    return Policy(model).train()


def batch_of(device: torch.device, sizes: Sizes) -> SFTBatch:
    """Pack samples of a quarter of a row each, half of it completion, into full rows."""
    quarter = sizes.row_tokens // 4
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(3, sizes.model["vocab_size"], (4 * sizes.num_rows, quarter), generator=draw).tolist()
    samples = [Sample(row[: quarter // 2], row[quarter // 2 :]) for row in ids]
    batch = pack(samples, max_length=sizes.row_tokens, pad_id=0)
    return SFTBatch(*(field.to(device) if isinstance(field, torch.Tensor) else field for field in batch))


def now(device: torch.device) -> float:
    """Read the clock once the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def main() -> int:
    """Run the checks, print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(CHECKS), help="checks, with commas between")
    parser.add_argument("--ppo-model", default=None, help="folder or hub id, such as HuggingFaceTB/SmolLM2-135M")
    parser.add_argument("--smoke", action="store_true", help="toy sizes, also on a CPU")
    parser.add_argument("--output", type=Path, default=None, help="JSON file")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    if unknown := set(args.only.split(",")) - set(CHECKS):
        parser.error(f"no check {min(unknown)!r}; there are {', '.join(CHECKS)}")
    if not torch.cuda.is_available() and not args.smoke:
        print("benchmarks/gpu.py: no CUDA device here; --smoke runs the same code at toy sizes", file=sys.stderr)
        return 2
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sizes = SMOKE if args.smoke else FULL
    checks = {
        "sft": lambda: sft_utilization(device, sizes),
        "rollouts": lambda: rollout_speed(device, sizes),
        "ppo": lambda: ppo_shares(device, sizes, args.ppo_model),
        "flex": lambda: flex_against_dense(device, sizes),
    }
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    found = {"device": name, "torch": torch.__version__}
    found |= {check: checks[check]() for check in args.only.split(",")}
    print(f"{name}, torch {torch.__version__}\n\n| check | number | value |\n|---|---|---|")
    for check in args.only.split(","):
        for number, value in found[check].items():
            print(f"| {check} | {number} | {value:.4g} |")
    print("\n" + json.dumps(found))
    if args.output is not None:
        args.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
