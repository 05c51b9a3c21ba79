"""The tables of `docs/scaling.md` and `docs/results/scaling.md`, in Markdown, and the sizes that they are about."""

from collections.abc import Sequence
from statistics import fmean

from benchmarks.cost.fit import Comparison, Point
from benchmarks.cost.layout import Layout, RunSizes
from benchmarks.cost.machines import H100, Machine
from benchmarks.cost.memory import RankMemory, rank_memory
from benchmarks.cost.sizes import QWEN_0_5B, QWEN_1_5B, QWEN_7B, ModelSizes
from benchmarks.cost.step import IterationTime, iteration_time

ONE = Layout(num_nodes=1, gpus_per_node=1, strategy="one")
DDP_1X8 = Layout(num_nodes=1, gpus_per_node=8, strategy="ddp")
FSDP_1X8 = Layout(num_nodes=1, gpus_per_node=8, strategy="fsdp2")
DDP_4X8 = Layout(num_nodes=4, gpus_per_node=8, strategy="ddp")
FSDP_4X8 = Layout(num_nodes=4, gpus_per_node=8, strategy="fsdp2")
GPU_LAYOUTS = (
    (QWEN_1_5B, ONE), (QWEN_1_5B, DDP_1X8), (QWEN_1_5B, FSDP_1X8), (QWEN_1_5B, DDP_4X8),
    (QWEN_7B, FSDP_1X8), (QWEN_7B, FSDP_4X8),
)  # fmt: skip
MEMORY_LAYOUTS = (
    (QWEN_0_5B, DDP_1X8), (QWEN_1_5B, ONE), (QWEN_1_5B, DDP_1X8), (QWEN_1_5B, FSDP_1X8),
    (QWEN_7B, DDP_1X8), (QWEN_7B, FSDP_1X8), (QWEN_7B, FSDP_4X8),
)  # fmt: skip
NUM_SAMPLES = (256, 1024, 4096)
MICRO_BATCH = 8
"""Responses of a rank in one forward and backward pass."""
TIME_PARTS = ("generate", "score", "update", "communicate", "execute", "wait", "other")
_MEMORY_ROWS = {
    "weights": "weights, fp32",
    "gradients": "gradients, fp32",
    "optimizer": "AdamW's moments, fp32",
    "reference": "reference, fp32",
    "reference_whole": "... left whole",
    "ddp_buckets": "DDP's buckets",
    "kept": "**kept throughout**",
    "sampling_weights": "weights to sample from, bf16",
    "kv_cache": "cache of keys and values, bf16",
    "sampling_logits": "logits of sampling",
    "generating": "**while generating**",
    "autocast_weights": "weights rounded by autocast",
    "gathered": "gathered for a moment",
    "activations": "activations",
    "logits": "logits, in parts",
    "updating": "**while updating**",
}


def gpu_run(num_samples: int, layout: Layout) -> RunSizes:
    """Choose the sizes of a computed iteration: 8 answers a prompt, 256 tokens each way, steps of 256 answers."""
    return RunSizes(
        prompts_per_iteration=num_samples // 8,
        samples_per_prompt=8,
        minibatch_size=256,
        prompt_tokens=256,
        response_tokens=256,
        longest_response=512,
        accumulate_grad_batches=256 // (MICRO_BATCH * layout.num_ranks),
        gradient_checkpointing=True,
    )


def of_constants(machine: Machine) -> str:
    """List the fitted constants in units that can be read."""
    link = machine.within_node
    rates = (machine.decode_flops_per_s, machine.read_flops_per_s, machine.train_flops_per_s)
    decoding, reading, training = (f"{rate / 1e9:.1f} GFLOP/s" for rate in rates)
    rows = [
        ("decoding", decoding, f"{machine.decode_layer_s * 1e6:.0f} us a block and step"),
        ("reading", reading, f"{machine.read_layer_s * 1e3:.1f} ms a block and pass"),
        ("training", training, f"{machine.train_layer_s * 1e3:.1f} ms a block and micro-batch"),
        ("the rest", f"{machine.sample_s * 1e3:.1f} ms a response", f"{machine.fixed_s * 1e3:.0f} ms an iteration"),
        ("gloo, two ranks", f"{link.bytes_per_s / 1e6:.0f} MB/s", f"{link.latency_s * 1e3:.2f} ms a hop"),
        ("two ranks on two cores", f"{machine.contention:.2f} times the time", f"spread {machine.rank_spread:.2f}"),
    ]
    return _table(["", "how much", "how often"], rows)


def of_comparisons(comparisons: Sequence[Comparison]) -> str:
    """Put measured and estimated seconds side by side, and say how far off the points outside the fit are."""
    rows = [
        (
            point.model.name, point.layout.name, str(point.run.num_samples), "fit" if point.is_fitted else "check",
            *(f"{a:.2f} / {b:.2f}" for a, b in (c.generate, c.score, c.update, c.other, c.cpu)), f"{c.error:+.0%}",
            f"{c.wall[0]:.2f} / {c.wall[1]:.2f}", f"{c.wall_error:+.0%}", f"{c.cores_had:.1f}",
        )
        for c in comparisons for point in (c.point,)
    ]  # fmt: skip
    titles = [
        "model", "ranks", "responses", "used to", "generate", "score", "update", "rest", "processor s", "error",
        "wall s", "error", "cores had",
    ]  # fmt: skip
    outside = [c for c in comparisons if not c.point.is_fitted]
    if not outside:
        return _table(titles, rows)
    errors, walls = [abs(c.error) for c in outside], [abs(c.wall_error) for c in outside]
    return _table(titles, rows) + (
        f"\nOutside the fit: processor seconds off by {fmean(errors):.0%} in the mean, {max(errors):.0%} at most; "
        f"wall time by {fmean(walls):.0%} and {max(walls):.0%}.\n"
    )


def of_gpus() -> str:
    """Compute iterations on GPUs, and what more of them bring."""
    rows = []
    for model, layout in GPU_LAYOUTS:
        for num_samples in NUM_SAMPLES:
            time = computed(model, layout, num_samples)
            rate = num_samples / time.total
            rows.append(
                (model.name, layout.name, str(num_samples), *(f"{getattr(time, part):.1f}" for part in TIME_PARTS),
                 f"**{time.total:.1f}**", f"{rate:.0f}", f"{rate / layout.num_ranks:.1f}")
            )  # fmt: skip
    titles = ["model", "GPUs", "responses", *TIME_PARTS, "iteration, s", "responses/s", "a GPU"]
    return _table(titles, rows)


def computed(model: ModelSizes, layout: Layout, num_samples: int) -> IterationTime:
    """Estimate an iteration on the assumed GPU."""
    return iteration_time(model, gpu_run(num_samples, layout), layout, H100)


def memory_of(model: ModelSizes, layout: Layout) -> RankMemory:
    """Add up a rank of the computed iterations, at 4096 responses of which 128 are decoded together."""
    return rank_memory(model, gpu_run(NUM_SAMPLES[-1], layout), layout)


def of_memory() -> str:
    """List GiB of a rank by what they are for, a column for each model and layout."""
    found = [memory_of(model, layout).in_gib() for model, layout in MEMORY_LAYOUTS]
    rows = [(label, *(f"{parts[name]:.1f}" for parts in found)) for name, label in _MEMORY_ROWS.items()]
    return _table(["GiB a rank", *(f"{model.name}, {layout.name}" for model, layout in MEMORY_LAYOUTS)], rows)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _other_model() -> ModelSizes:
    return ModelSizes(
        name="6 layers", hidden_size=256, num_layers=6, num_heads=4, num_kv_heads=4, intermediate_size=704,
        vocab_size=2000, tie_embeddings=False,
    )  # fmt: skip


def _of_training_page(wall_s: float, shares: tuple[float, float, float]) -> Point:
    """Make a point of a row of `docs/results/training.md`: 32 responses of 64 tokens to prompts of about 50."""
    run = RunSizes(
        prompts_per_iteration=8, samples_per_prompt=4, minibatch_size=32, prompt_tokens=50, response_tokens=64,
        longest_response=64,
    )  # fmt: skip
    generate, score, update = (share * wall_s for share in shares)
    return Point(
        model=_other_model(), run=run, layout=ONE, is_fitted=False, generate_s=generate, score_s=score,
        update_s=update, other_s=wall_s - generate - score - update, wall_s=wall_s, rank_spread=0.0,
    )  # fmt: skip


POINTS_OF_OTHER_PAGES = (_of_training_page(2.81, (0.33, 0.24, 0.41)),)
"""PPO as shipped in `docs/results/training.md`: another model, measured on another day."""
