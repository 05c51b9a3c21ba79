"""Seconds of an iteration of reinforcement learning, by what they go into: a small model with few constants.

Each part is a sum of "how often" times a constant and "how much" over a rate, so constants can be fitted part by part
(`fit`). Nothing overlaps but the executor with the reading of responses; in truth some communication hides behind the
backward pass, so the estimate of many ranks is an upper bound there.
"""

from dataclasses import dataclass, fields
from statistics import NormalDist

from benchmarks.cost.layout import Layout, RunSizes
from benchmarks.cost.machines import Link, Machine
from benchmarks.cost.memory import FLOAT, HALF, kv_bytes_per_token, num_trained
from benchmarks.cost.sizes import ModelSizes

OPTIMIZER_BYTES = 28
"""AdamW reads weight, gradient and two moments, and writes all but the gradient: 7 numbers a weight."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one rank does in an iteration, without any constant of a machine."""

    decode_steps: float
    """Steps of decoding times blocks."""
    decode_flops: float
    decode_bytes: float
    """Weights and caches read from memory."""
    read_passes: float
    """Forward passes of policy and reference times blocks."""
    read_flops: float
    train_passes: float
    """Micro-batches times blocks."""
    train_flops: float
    optimizer_bytes: float
    gathered_bytes: float
    """Received in sampling and scoring; the rest is in `reduced_bytes`."""
    reduced_bytes: float
    """Received in optimizer steps: gradients, and under `fsdp2` weights."""
    num_hops: float
    """Messages that wait for one another, for the latency of the link."""
    num_samples: float
    checks: float
    """Programs for the executors of one node."""


@dataclass(frozen=True, kw_only=True)
class IterationTime:
    """Seconds of the slowest rank."""

    generate: float
    score: float
    update: float
    communicate: float
    execute: float
    """Waiting for verdicts after everything was read."""
    wait: float
    """Waiting for the slowest rank."""
    other: float

    @property
    def total(self) -> float:
        return sum(getattr(self, field.name) for field in fields(self))


def work_of(model: ModelSizes, run: RunSizes, layout: Layout) -> Work:
    """Count what one rank does in an iteration."""
    ranks, layers = layout.num_ranks, model.num_layers
    mine = run.num_samples / ranks
    prompts = mine / run.samples_per_prompt
    batches = -(-run.num_samples // ranks // run.generate_batch_size)
    steps = batches * run.longest_response
    context = run.prompt_tokens + run.response_tokens / 2
    trunk, head = trunk_flops(model, run, mine), 2 * model.num_head_weights * mine * run.response_tokens
    num_trunks = 2 if run.critic == "separate" else 1
    micro_batches = run.num_steps * run.accumulate_grad_batches
    passes = run.num_scored_passes(layout)
    written = mine * run.response_tokens
    prompt_flops = prompts * (
        2 * layers * model.num_block_matrix_weights * run.prompt_tokens
        + pair_flops(model) * run.prompt_tokens**2
        + 2 * model.num_head_weights
    )
    gathered, reduced, hops = traffic(model, run, layout)
    return Work(
        decode_steps=steps * layers,
        decode_flops=prompt_flops + written * (2 * model.num_matrix_weights + pair_flops(model) * context),
        decode_bytes=steps * HALF * model.num_matrix_weights + written * context * kv_bytes_per_token(model),
        read_passes=passes * layers * (1 + num_trunks),
        read_flops=(1 + num_trunks) * trunk + 2 * head,
        train_passes=micro_batches * layers,
        train_flops=run.num_ppo_epochs * (num_trunks * trunk * (4 if run.gradient_checkpointing else 3) + 3 * head),
        optimizer_bytes=run.num_steps * OPTIMIZER_BYTES * num_trained(model, run) / layout.num_shards,
        gathered_bytes=gathered,
        reduced_bytes=reduced,
        num_hops=hops,
        num_samples=mine,
        checks=run.num_samples / layout.num_nodes,
    )


def pair_flops(model: ModelSizes) -> int:
    """Floating point operations of the forward pass for a pair of a query and a key, all layers."""
    return 4 * model.num_layers * model.num_heads * model.head_dim


def trunk_flops(model: ModelSizes, run: RunSizes, num_samples: float) -> float:
    """Floating point operations of reading so many responses once, but for the output layer."""
    weights = model.num_layers * model.num_block_matrix_weights
    return 2 * weights * run.tokens_of(num_samples) + pair_flops(model) * run.pairs_of(num_samples)


def traffic(model: ModelSizes, run: RunSizes, layout: Layout) -> tuple[float, float, float]:
    """Bytes that a rank receives outside and inside optimizer steps, and messages that wait for one another.

    DDP: gradients once an optimizer step, by a ring: 2 (W - 1) / W of them. FSDP2: in each micro-batch the blocks twice
    (forward, backward), what is outside them once, and all gradients; in each scored pass policy and reference; once an
    iteration the weights to sample from. All in float32.
    """
    ranks, trained = layout.num_ranks, num_trained(model, run)
    share = (ranks - 1) / ranks
    if layout.strategy != "fsdp2":
        reduced = run.num_steps * 2 * share * FLOAT * trained if ranks > 1 else 0.0
        return 0.0, reduced, run.num_steps * 2.0 * (ranks - 1)
    micro_batches, passes = run.num_steps * run.accumulate_grad_batches, run.num_scored_passes(layout)
    blocks = model.num_layers * model.num_block_weights
    gathered = share * FLOAT * (passes * (trained + model.num_weights) + model.num_weights)
    reduced = share * FLOAT * micro_batches * (2 * blocks + model.num_outer_weights + trained)
    collectives = micro_batches * 3 * model.num_layers + (2 * passes + 1) * model.num_layers
    return gathered, reduced, float(collectives * (ranks - 1))


def iteration_time(model: ModelSizes, run: RunSizes, layout: Layout, machine: Machine) -> IterationTime:
    """Estimate an iteration.

    Args:
        model: of the policy.
        run: sizes of an iteration.
        layout: the ranks.
        machine: constants of one rank.
    """
    work = work_of(model, run, layout)
    slow = machine.contention if layout.gpus_per_node > 1 else 1.0
    generate = slow * (
        work.decode_steps * machine.decode_layer_s
        + work.decode_flops / machine.decode_flops_per_s
        + work.decode_bytes / machine.memory_bytes_per_s
    )
    score = slow * (work.read_passes * machine.read_layer_s + work.read_flops / machine.read_flops_per_s)
    update = slow * (
        work.train_passes * machine.train_layer_s
        + work.train_flops / machine.train_flops_per_s
        + work.optimizer_bytes / machine.memory_bytes_per_s
    )
    link = link_of(machine, layout)
    return IterationTime(
        generate=generate,
        score=score,
        update=update,
        communicate=(work.gathered_bytes + work.reduced_bytes) / link.bytes_per_s + work.num_hops * link.latency_s,
        execute=max(0.0, work.checks / machine.checks_per_s - score),
        wait=(generate + score) * machine.rank_spread * expected_maximum(layout.num_ranks),
        other=slow * (machine.fixed_s + work.num_samples * machine.sample_s),
    )


def link_of(machine: Machine, layout: Layout) -> Link:
    """Return the link that bounds a ring over all ranks."""
    return machine.within_node if layout.num_nodes == 1 else machine.between_nodes


def expected_maximum(num_draws: int) -> float:
    """Mean of the largest of so many draws from a standard normal distribution (0 for one)."""
    if num_draws == 1:
        return 0.0
    normal, width = NormalDist(), 1e-3
    points = [(i + 0.5) * width for i in range(8000)]
    above = sum(1.0 - normal.cdf(x) ** num_draws for x in points)
    below = sum(normal.cdf(-x) ** num_draws for x in points)
    return (above - below) * width
