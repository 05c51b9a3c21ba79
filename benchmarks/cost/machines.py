"""What processors, links and executors do: constants of the estimate. Those of GPUs are assumed, not measured."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Link:
    """What one rank receives from the others.

    Attributes:
        bytes_per_s: rate of a long message; infinite where there is one rank.
        latency_s: of one hop of a collective.
    """

    bytes_per_s: float = math.inf
    latency_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Speed of one rank and of what it waits for.

    Attributes:
        name: how tables call it.
        decode_flops_per_s: of decoding, beside its steps.
        read_flops_per_s: of forward passes without gradients.
        train_flops_per_s: of forward and backward passes.
        decode_layer_s: a block in one step of decoding, whatever the number of rows.
        read_layer_s: a block in one forward pass without gradients, whatever its size.
        train_layer_s: a block in one micro-batch, whatever its size.
        memory_bytes_per_s: weights and caches read in decoding, and the optimizer's numbers; infinite where this is in
            the constants above.
        fixed_s: of an iteration: samples made, numbers logged, loops set up.
        sample_s: likewise, for each response of a rank.
        contention: times that ranks on one machine take longer side by side than alone; 1 where each has its own GPU.
        rank_spread: standard deviation of the time a rank takes to answer and read, over its mean.
        within_node: link between ranks of one node.
        between_nodes: link of a rank to other nodes.
        checks_per_s: programs that the executors of one node run.
    """

    name: str
    decode_flops_per_s: float
    read_flops_per_s: float
    train_flops_per_s: float
    decode_layer_s: float
    read_layer_s: float
    train_layer_s: float
    memory_bytes_per_s: float = math.inf
    fixed_s: float = 0.0
    sample_s: float = 0.0
    contention: float = 1.0
    rank_spread: float = 0.0
    within_node: Link = Link()
    between_nodes: Link = Link()
    checks_per_s: float = math.inf


H100 = Machine(
    name="H100 (assumed)",
    decode_flops_per_s=400e12,  # 40 % of the maker's 989e12 in bfloat16
    read_flops_per_s=400e12,
    train_flops_per_s=300e12,  # 30 %: attention with a dense mask, weights rounded anew in each step
    decode_layer_s=200e-6,  # some 25 kernels of 8 microseconds, started one by one from Python
    read_layer_s=300e-6,
    train_layer_s=1e-3,
    memory_bytes_per_s=2.0e12,  # 60 % of 3.35e12
    fixed_s=0.5,
    sample_s=0.3e-3,
    rank_spread=0.03,
    within_node=Link(bytes_per_s=250e9, latency_s=10e-6),  # NVLink, 450e9 a direction
    between_nodes=Link(bytes_per_s=40e9, latency_s=20e-6),  # one 400 Gbit/s adapter a GPU
    checks_per_s=32 * 300.0,  # 32 sandboxes a node; 412 a second and core were measured on this project's machine
)
"""Eight of them a node. Every number is an assumption; `docs/scaling.md` says how to put measured ones in its place."""
