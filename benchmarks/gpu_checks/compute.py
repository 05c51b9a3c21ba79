"""Training and sampling speed, and flex attention against a dense mask. Weights and token ids are random."""

import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from benchmarks.gpu_checks import SMOKE, Line, Sizes
from datamodules.batches import SFTBatch
from datamodules.encoding.packing import Sample, pack
from lightning_modules.generation.generate import generate
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.models.forward.compute import ComputeConfig, choose_attention_kernels, prepare_causal_lm
from lightning_modules.models.forward.packed_forward import packed_mask
from lightning_modules.models.initialization import cast_parameters
from lightning_modules.models.policy import Policy
from lightning_modules.training.flops import measure_minibatch, minibatch_flops, peak_flops_per_s, training_cost
from lightning_modules.training.packed_loss import completion_loss

MIN_MFU = 0.5
MIN_SPEEDUP = 5.0
MAX_DIFFERENCE = 1e-3
"""Of logits in float32; kernels add in another order."""
_WARM_UP_STEPS = 3


class NumberTokenizer:
    """What `generate` needs of a tokenizer, for a model without text."""

    def __init__(self, *, eos_id: int, pad_id: int) -> None:
        self.eos_token_id, self.pad_token_id = eos_id, pad_id

    def decode(self, token_ids: list[int], **_: object) -> str:
        return " ".join(map(str, token_ids))


def check_sft(device: torch.device, sizes: Sizes) -> Iterator[Line]:
    """Train on packed rows, with a dense mask and on CUDA also with flex attention."""
    for attention in ("sdpa", "flex") if device.type == "cuda" else ("sdpa",):
        policy = build_policy(device, sizes, ComputeConfig(attention=attention))
        optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-5, fused=True)
        batch = build_batch(device, sizes)
        steps_s = []
        for _ in range(sizes.num_steps + _WARM_UP_STEPS):
            started_at = now(device)
            with torch.autocast(device.type, torch.bfloat16):
                loss, num_labels = completion_loss(policy, batch)
            (loss / num_labels).backward()
            optimizer.step()
            optimizer.zero_grad()
            steps_s.append(now(device) - started_at)
        step_s, size = median(steps_s[_WARM_UP_STEPS:]), measure_minibatch(batch)
        yield Line(f"{attention}: tokens/s", f"{size.num_tokens / step_s:.0f}")
        peak = peak_flops_per_s(device, torch.bfloat16)
        if peak is None:
            yield Line(f"{attention}: model FLOPs utilization", "the peak of this GPU is unknown")
        else:
            mfu = minibatch_flops(training_cost(policy), size) / step_s / peak
            has_goal = device.type == "cuda" and attention == "sdpa"
            what = f"{attention}: model FLOPs utilization" + (f", at least {MIN_MFU}" if has_goal else "")
            yield Line(what, f"{mfu:.3f}", mfu >= MIN_MFU if has_goal else None)
        yield Line(f"{attention}: the loss is finite", f"{float(loss):.4g}", bool(torch.isfinite(loss)))
        del policy, optimizer, batch, loss


def check_rollouts(device: torch.device, sizes: Sizes) -> Iterator[Line]:
    """Sample with `generate` of transformers, of this project, and of vLLM if it is installed."""
    model = build_policy(device, sizes, ComputeConfig()).causal_lm.eval()
    cast_parameters(model, torch.bfloat16)
    draw = torch.Generator().manual_seed(0)
    shape = (sizes.num_prompts, sizes.prompt_tokens)
    prompts = torch.randint(3, sizes.model["vocab_size"], shape, generator=draw)
    theirs, ours = [], []
    for _ in range(3):
        theirs.append(measure_transformers(model, prompts, sizes, device))
        ours.append(measure_native(model, prompts, sizes, device))
    rates = {"transformers": median(theirs[1:]), "native": median(ours[1:])}
    for name, rate in rates.items():
        yield Line(f"{name}: tokens/s", f"{rate:.0f}")
    speedup = rates["native"] / rates["transformers"]
    is_gpu = device.type == "cuda"
    what = "native over transformers" + (f", at least {MIN_SPEEDUP:g}" if is_gpu else "")
    yield Line(what, f"{speedup:.2f}", speedup >= MIN_SPEEDUP if is_gpu else None)
    greedy = [sample(model, prompts[:4], sizes, dtype=dtype) for dtype in (None, torch.bfloat16)]
    agreed = sum(one.token_ids == other.token_ids for one, other in zip(*greedy, strict=True))
    yield Line("native: greedy completions of equal weights agree", f"{agreed} of 4", agreed == 4)


def check_vllm(device: torch.device, sizes: Sizes) -> Iterator[Line]:
    """Sample with the engine `rollout.engine: vllm`; skipped without the package or on a CPU."""
    if find_spec("vllm") is None or device.type != "cuda":
        yield Line("vllm", "skipped: not installed, or no GPU")
        return
    from datamodules.encoding.tokenizer import train_tokenizer
    from lightning_modules.generation.vllm.engine import VllmEngine

    with tempfile.TemporaryDirectory() as scratch:
        tokenizer = train_tokenizer(["def solve(x):\n    return x\n"] * 3, 300, Path(scratch, "tokenizer"))
    model = build_policy(device, sizes, ComputeConfig()).causal_lm.eval()
    draw = torch.Generator().manual_seed(0)
    prompts = torch.randint(3, len(tokenizer), (sizes.num_prompts, sizes.prompt_tokens), generator=draw)
    native_rates = [measure_native(model, prompts, sizes, device) for _ in range(2)]
    engine = VllmEngine(tokenizer, batch_size=sizes.num_prompts, dtype=torch.bfloat16, gpu_memory_utilization=0.4)
    try:
        engine.update_weights(model, version=0)
        rates = []
        for iteration in range(3):
            started_at = now(device)
            completions = engine.generate(
                prompts.tolist(), SamplingParams(max_new_tokens=sizes.new_tokens),
                stream_ids=range(len(prompts)), seed=0, iteration=iteration,
            )  # fmt: skip
            rates.append(sum(len(one.token_ids) for one in completions) / (now(device) - started_at))
    finally:
        engine.close()
    yield Line("vllm: tokens/s", f"{median(rates[1:]):.0f}", all(one.token_ids for one in completions))
    yield Line("native over vllm", f"{native_rates[1] / median(rates[1:]):.2f}")


def check_flex(device: torch.device, sizes: Sizes) -> Iterator[Line]:
    """Compare the logits of packed rows under a dense mask and under flex attention, in float32."""
    batch = build_batch(device, sizes)
    policy = build_policy(device, SMOKE if device.type == "cpu" else sizes, ComputeConfig())
    everywhere = batch.segment_ids > 0
    logits = []
    with torch.no_grad():
        for attention in ("sdpa", "flex"):
            prepare_causal_lm(policy.causal_lm, ComputeConfig(attention=attention))
            mask = packed_mask(batch.segment_ids, flex=attention == "flex")
            logits.append(policy(batch.input_ids, mask, batch.position_ids, everywhere)[0])
    difference = float((logits[0] - logits[1]).abs().max())
    what = f"largest difference of logits, at most {MAX_DIFFERENCE:g}"
    yield Line(what, f"{difference:.2g} of {float(logits[0].abs().max()):.2g}", difference <= MAX_DIFFERENCE)


def measure_transformers(model: PreTrainedModel, prompts: torch.Tensor, sizes: Sizes, device: torch.device) -> float:
    """Return tokens per second of `generate` of transformers."""
    started_at = now(device)
    with torch.no_grad():
        rows = model.generate(  # pyright: ignore[reportCallIssue]
            prompts.to(device), do_sample=True, top_k=0, max_new_tokens=sizes.new_tokens, eos_token_id=2,
            pad_token_id=0,
        )  # fmt: skip
    return int((rows[:, prompts.shape[1] :] != 0).sum()) / (now(device) - started_at)


def measure_native(model: PreTrainedModel, prompts: torch.Tensor, sizes: Sizes, device: torch.device) -> float:
    """Return tokens per second of `lightning_modules.generation`."""
    started_at = now(device)
    completions = sample(model, prompts, sizes, dtype=torch.bfloat16, temperature=1.0)
    return sum(len(one.token_ids) for one in completions) / (now(device) - started_at)


def sample(model: PreTrainedModel, prompts: torch.Tensor, sizes: Sizes, *, dtype=None, temperature: float = 0.0):
    """Complete each prompt once."""
    return generate(
        model, NumberTokenizer(eos_id=2, pad_id=0),  # pyright: ignore[reportArgumentType]
        prompts.tolist(), SamplingParams(max_new_tokens=sizes.new_tokens, temperature=temperature),
        stream_ids=range(len(prompts)), seed=0, batch_size=len(prompts), dtype=dtype,
    )  # fmt: skip


def build_policy(device: torch.device, sizes: Sizes, settings: ComputeConfig) -> Policy:
    """Build a Llama of random weights."""
    choose_attention_kernels()
    torch.manual_seed(0)
    config = LlamaConfig(**sizes.model, max_position_embeddings=4096, tie_word_embeddings=False)
    with device:
        model = LlamaForCausalLM(config)
    prepare_causal_lm(model, settings)
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
