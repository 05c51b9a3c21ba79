"""Bytes of a rank, by what they are for: arithmetic on sizes, for whole models trained in float32 with bf16-mixed.

What is kept and in which type follows this code base, not a general rule: under `fsdp2` weights are gathered in float32
and rounded by autocast, whose copies live until the backward pass; a rank samples from a whole copy of the weights and
from the stacked matrices of `LlamaDecoder`; gradients stay where they are until the next backward pass begins.

Not counted: the context of CUDA, buffers of NCCL, fragmentation. Leave a tenth of the device for them.
"""

from dataclasses import dataclass, fields

from benchmarks.cost.layout import Layout, RunSizes
from benchmarks.cost.sizes import ModelSizes
from lightning_modules.models.chunked_logits import LOGITS_AT_ONCE

FLOAT, HALF = 4, 2
GIB = 2**30
BYTES_A_LOGIT = 18
"""bfloat16, float32, and three passes over it for the entropy of the policy."""
LOGITS_OF_SAMPLING = 3 * FLOAT
"""As they are, their exponentials, and the sums that a token is drawn by."""


@dataclass(frozen=True, kw_only=True)
class RankMemory:
    """Bytes of one rank. What is kept throughout comes first, then what one phase alone needs."""

    weights: int
    gradients: int
    optimizer: int
    reference: int
    reference_whole: int
    """Under `fsdp2` what the reference has outside its blocks: it stays whole once it was read, for no backward pass
    lets go of it."""
    ddp_buckets: int
    """DDP's own copy of the gradients, in the parts it sends."""
    sampling_weights: int
    kv_cache: int
    sampling_logits: int
    autocast_weights: int
    """Weights in bfloat16, from the forward to the end of the backward pass."""
    gathered: int
    """Weights that are whole for a moment under `fsdp2`: two blocks, and all that is outside blocks with gradients."""
    activations: int
    logits: int

    @property
    def kept(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.reference + self.reference_whole + self.ddp_buckets

    @property
    def generating(self) -> int:
        """Most bytes while responses are written."""
        return self.kept + self.sampling_weights + self.kv_cache + self.sampling_logits

    @property
    def updating(self) -> int:
        """Most bytes in an optimizer step; reading the responses again needs no more."""
        return self.kept + self.autocast_weights + self.gathered + self.activations + self.logits

    @property
    def peak(self) -> int:
        return max(self.generating, self.updating)

    def in_gib(self) -> dict[str, float]:
        """Every part, and the sums."""
        parts = {field.name: getattr(self, field.name) / GIB for field in fields(self)}
        return parts | {name: getattr(self, name) / GIB for name in ("kept", "generating", "updating", "peak")}


def rank_memory(model: ModelSizes, run: RunSizes, layout: Layout) -> RankMemory:
    """Add up what a rank holds when a whole model is trained by reinforcement learning.

    Args:
        model: of the policy; the reference is a second one.
        run: sizes of an iteration.
        layout: the ranks.
    """
    trained = num_trained(model, run)
    shards, sharded = layout.num_shards, layout.strategy == "fsdp2"
    outer = model.num_outer_weights
    rows_at_once = min(run.generate_batch_size, -(-run.num_samples // layout.num_ranks))
    positions = min(run.micro_batch(layout) * run.response_tokens, max(1, LOGITS_AT_ONCE // model.vocab_size))
    return RankMemory(
        weights=FLOAT * trained // shards,
        gradients=FLOAT * trained // shards,
        optimizer=2 * FLOAT * trained // shards,
        reference=FLOAT * model.num_weights // shards,
        reference_whole=FLOAT * outer * (shards - 1) // shards,
        ddp_buckets=FLOAT * trained if layout.strategy == "ddp" else 0,
        sampling_weights=HALF * (model.num_matrix_weights + (model.num_weights if sharded else 0)),
        kv_cache=rows_at_once * (run.prompt_tokens + run.longest_response) * kv_bytes_per_token(model),
        sampling_logits=rows_at_once * model.vocab_size * LOGITS_OF_SAMPLING,
        autocast_weights=HALF * model.num_matrix_weights * (2 if run.critic == "separate" else 1),
        gathered=FLOAT * (2 * model.num_block_weights + 2 * outer) if sharded else 0,
        activations=activation_bytes(model, run, layout),
        logits=int(positions * model.vocab_size * BYTES_A_LOGIT),
    )


def num_trained(model: ModelSizes, run: RunSizes) -> int:
    """Weights of the policy, with its critic."""
    if run.critic is None:
        return model.num_weights
    trunk = model.num_layers * model.num_block_weights + model.num_head_weights + model.hidden_size
    return model.num_weights + model.hidden_size + 1 + (trunk if run.critic == "separate" else 0)


def kv_bytes_per_token(model: ModelSizes, *, bytes_a_number: int = HALF) -> int:
    """Keys and values of one token in all layers (float32 on CPUs)."""
    return 2 * model.num_layers * model.kv_size * bytes_a_number


def block_bytes_per_token(model: ModelSizes) -> int:
    """Count what a block keeps of a token for the backward pass under bf16 autocast, without its mask.

    float32: both residual streams and what the norms made of them (16 D). bfloat16: five rounded inputs of linear
    layers (10 D), query, key, value (keys and values once a query head) and result of attention (8 D), four tensors of
    the feed-forward layer (8 F). Then the logarithms of attention (4 a head) and two roots of the norms (8).
    """
    return 34 * model.hidden_size + 8 * model.intermediate_size + 4 * model.num_heads + 8


def activation_bytes(model: ModelSizes, run: RunSizes, layout: Layout) -> int:
    """Count what a micro-batch keeps in the blocks; each block has a bfloat16 copy of the mask (of SDPA)."""
    tokens = run.tokens_of(run.micro_batch(layout))
    block = tokens * (block_bytes_per_token(model) + HALF * run.row_tokens)
    if not run.gradient_checkpointing:
        return int(model.num_layers * block)
    return int(model.num_layers * tokens * FLOAT * model.hidden_size + block)
