"""Computes the memory and the time of an RL iteration on GPUs under `configs/cluster/`; measures nothing.

    python -m benchmarks.scaling        prints the two tables of docs/scaling.md

Memory (GiB of one rank) is arithmetic on sizes; `tests/unit/benchmarks/test_scaling.py` and
`tests/cluster/test_scaling_shares.py` compare it with the bytes that torch holds on one and on two CPU ranks. Time
(seconds of one iteration) follows from operation and byte counts and from the constants in `Gpu`, which are assumed,
not measured. `benchmarks/training.py` measures one and two ranks on CPU cores; `benchmarks/gpu.py` measures one GPU.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

from lightning_modules.models.chunked_logits import LOGITS_AT_ONCE

FLOAT, HALF = 4, 2
"""Bytes of a float32 and of a bfloat16 number."""
GIB = 2**30
LOGIT_BYTES = 18
"""Of one logit in an update: bfloat16, float32, and three float32 temporaries of the entropy."""
SAMPLING_LOGIT_BYTES = 3 * FLOAT
"""Of one logit in generation: the logit, its exponential, and the cumulative sum that a token is drawn by."""
OPTIMIZER_BYTES = 7 * FLOAT
"""AdamW reads weight, gradient and two moments of a parameter, and writes weight and moments."""


@dataclass(frozen=True, kw_only=True)
class ModelSizes:
    """A decoder with grouped-query attention and a gated feed-forward layer, such as Llama or Qwen2."""

    name: str
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    intermediate_size: int
    vocab_size: int
    tie_embeddings: bool
    qkv_bias: bool = False

    @property
    def kv_size(self) -> int:
        """Number of key elements of a token in one layer; values have as many."""
        return self.num_kv_heads * self.hidden_size // self.num_heads

    @property
    def block_matrix_weights(self) -> int:
        """Matrix weights of one block."""
        return 2 * self.hidden_size * (self.hidden_size + self.kv_size) + 3 * self.hidden_size * self.intermediate_size

    @property
    def block_weights(self) -> int:
        """Weights of one block, with biases and norms."""
        biases = self.hidden_size + 2 * self.kv_size if self.qkv_bias else 0
        return self.block_matrix_weights + biases + 2 * self.hidden_size

    @property
    def head_weights(self) -> int:
        """Weights of the output layer, tied or not."""
        return self.vocab_size * self.hidden_size

    @property
    def outer_weights(self) -> int:
        """Weights outside the blocks: embedding, last norm, untied output layer."""
        return (1 if self.tie_embeddings else 2) * self.head_weights + self.hidden_size

    @property
    def matrix_weights(self) -> int:
        """Weights that each token is multiplied with."""
        return self.num_layers * self.block_matrix_weights + self.head_weights

    @property
    def num_weights(self) -> int:
        return self.num_layers * self.block_weights + self.outer_weights

    @property
    def num_trained(self) -> int:
        """Weights of the policy and of a value head on its trunk."""
        return self.num_weights + self.hidden_size + 1

    @property
    def kv_bytes(self) -> int:
        """Bytes of the keys and values of one token in all layers, in bfloat16."""
        return 2 * self.num_layers * self.kv_size * HALF

    @property
    def pair_flops(self) -> int:
        """Forward operations of attention for one query-key pair in all layers."""
        return 4 * self.num_layers * self.hidden_size


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Ranks, one a GPU."""

    num_nodes: int
    gpus_per_node: int
    strategy: Literal["one", "ddp", "fsdp2"]

    @property
    def num_ranks(self) -> int:
        return self.num_nodes * self.gpus_per_node

    @property
    def num_shards(self) -> int:
        """Number of parts that weights, gradients and optimizer states are divided into."""
        return self.num_ranks if self.strategy == "fsdp2" else 1

    @property
    def name(self) -> str:
        return f"{self.num_nodes}x{self.gpus_per_node} {self.strategy}"


@dataclass(frozen=True, kw_only=True)
class RunSizes:
    """Sizes of an iteration of all ranks, named as the keys of the RL config; tokens are means."""

    num_completions: int
    minibatch_size: int
    accumulate_grad_batches: int = 1
    samples_per_prompt: int = 8
    prompt_tokens: int = 256
    completion_tokens: int = 256
    max_new_tokens: int = 512
    """Length of the longest completion: the number of decoding steps."""
    rollout_batch_size: int = 128
    logprob_batch_size: int = 32
    gradient_checkpointing: bool = True

    @property
    def num_steps(self) -> int:
        """Optimizer steps of an iteration."""
        return self.num_completions // self.minibatch_size

    def num_logprob_passes(self, layout: Layout) -> int:
        """Return the number of forward passes in which a rank computes log-probabilities."""
        return -(-self.num_completions // layout.num_ranks // self.logprob_batch_size)

    def micro_batch(self, layout: Layout) -> float:
        """Return the number of completions in one forward and backward pass of a rank."""
        return self.minibatch_size / layout.num_ranks / self.accumulate_grad_batches

    def num_tokens(self, num_completions: float) -> float:
        """Return the tokens of a forward pass, in which the completions of a prompt share it."""
        num_prompts = num_completions / min(self.samples_per_prompt, max(1.0, num_completions))
        return num_prompts * self.prompt_tokens + num_completions * (1 + self.completion_tokens)

    def num_pairs(self, num_completions: float) -> float:
        """Return the query-key pairs of a forward pass, counted as in `lightning_modules.training.flops`."""
        num_prompts = num_completions / min(self.samples_per_prompt, max(1.0, num_completions))
        whole, prompt = (self.prompt_tokens + self.completion_tokens) ** 2, self.prompt_tokens**2
        return num_prompts * prompt + num_completions * (whole - prompt)


@dataclass(frozen=True, kw_only=True)
class RankMemory:
    """Bytes of one rank in RL of all weights in float32 with bf16 autocast and a value head.

    Not counted: the CUDA context, NCCL buffers, fragmentation. A tenth of the device covers them.
    """

    weights: int
    gradients: int
    optimizer: int
    reference: int
    reference_whole: int
    """What `fsdp2` leaves gathered of the reference: its weights outside the blocks have no backward pass that frees
    them."""
    ddp_buckets: int
    sampling_weights: int
    kv_cache: int
    sampling_logits: int
    autocast_weights: int
    gathered: int
    """Whole under `fsdp2` for a moment: two blocks, and the weights outside the blocks with their gradients."""
    activations: int
    logits: int

    @property
    def kept(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.reference + self.reference_whole + self.ddp_buckets

    @property
    def generating(self) -> int:
        return self.kept + self.sampling_weights + self.kv_cache + self.sampling_logits

    @property
    def updating(self) -> int:
        return self.kept + self.autocast_weights + self.gathered + self.activations + self.logits

    def in_gib(self) -> dict[str, float]:
        """Return the parts and the sums in GiB, by name."""
        names = [*(field.name for field in fields(self)), "kept", "generating", "updating"]
        return {name: getattr(self, name) / GIB for name in names}


def compute_memory(model: ModelSizes, run: RunSizes, layout: Layout) -> RankMemory:
    """Compute the bytes of a rank whose policy and reference are of the same size."""
    trained, shards, is_sharded = model.num_trained, layout.num_shards, layout.strategy == "fsdp2"
    rows = min(run.rollout_batch_size, -(-run.num_completions // layout.num_ranks))
    positions = min(run.micro_batch(layout) * run.completion_tokens, max(1, LOGITS_AT_ONCE // model.vocab_size))
    return RankMemory(
        weights=FLOAT * trained // shards,
        gradients=FLOAT * trained // shards,
        optimizer=2 * FLOAT * trained // shards,
        reference=FLOAT * model.num_weights // shards,
        reference_whole=FLOAT * model.outer_weights * (shards - 1) // shards,
        ddp_buckets=FLOAT * trained if layout.strategy == "ddp" else 0,
        sampling_weights=HALF * (model.matrix_weights + (model.num_weights if is_sharded else 0)),
        kv_cache=rows * (run.prompt_tokens + run.max_new_tokens) * model.kv_bytes,
        sampling_logits=rows * model.vocab_size * SAMPLING_LOGIT_BYTES,
        autocast_weights=HALF * model.matrix_weights,
        gathered=FLOAT * 2 * (model.block_weights + model.outer_weights) if is_sharded else 0,
        activations=count_activation_bytes(model, run, layout),
        logits=int(positions * model.vocab_size * LOGIT_BYTES),
    )


def count_activation_bytes(model: ModelSizes, run: RunSizes, layout: Layout) -> int:
    """Count what the blocks keep of a micro-batch for the backward pass under bf16 autocast.

    A block keeps of a token, with hidden size D and feed-forward size F: in float32 both residual streams and norm
    outputs (16 D); in bfloat16 five inputs of linear layers (10 D), query, repeated key and value, attention output
    (8 D) and four feed-forward tensors (8 F); the log-sum-exp of attention (4 a head), two norm scales (8), and a
    bfloat16 row of the mask. With checkpointing, each block keeps its float32 input, and one block everything.
    """
    tokens = run.num_tokens(run.micro_batch(layout))
    per_token = 34 * model.hidden_size + 8 * model.intermediate_size + 4 * model.num_heads + 8
    block = tokens * (per_token + HALF * (run.prompt_tokens + run.max_new_tokens))
    if not run.gradient_checkpointing:
        return int(model.num_layers * block)
    return int(model.num_layers * tokens * FLOAT * model.hidden_size + block)


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """Assumed constants of an H100. `*_layer_s`: least time of one block in one pass, whatever the number of rows."""

    generate_flops_per_s: float = 400e12  # 40 % of the vendor's 989e12 in bfloat16
    forward_flops_per_s: float = 400e12
    train_flops_per_s: float = 300e12  # 30 %: attention with a dense mask, weights rounded in every step
    generate_layer_s: float = 200e-6  # some 25 kernels of 8 us, launched one by one from Python
    forward_layer_s: float = 300e-6
    train_layer_s: float = 1e-3
    memory_bytes_per_s: float = 2.0e12  # 60 % of the vendor's 3.35e12
    iteration_s: float = 0.5  # data, logging
    completion_s: float = 0.3e-3  # of each completion of a rank
    node_bytes_per_s: float = 250e9  # received by a rank from its node; NVLink has 450e9 a direction
    network_bytes_per_s: float = 40e9  # received by a rank from other nodes; one 400 Gbit/s adapter a GPU
    node_latency_s: float = 10e-6
    network_latency_s: float = 20e-6


@dataclass(frozen=True, kw_only=True)
class IterationTime:
    """Seconds of a rank. The parts do not overlap; programs run while completions and log-probabilities are made."""

    generate: float
    logprob: float
    update: float
    communicate: float
    other: float

    @property
    def total(self) -> float:
        return sum(getattr(self, field.name) for field in fields(self))


def compute_time(model: ModelSizes, run: RunSizes, layout: Layout, gpu: Gpu) -> IterationTime:
    """Estimate the time of an iteration of PPO with a value head and a reference policy."""
    mine, layers = run.num_completions / layout.num_ranks, model.num_layers
    steps = -(-run.num_completions // layout.num_ranks // run.rollout_batch_size) * run.max_new_tokens
    context = run.prompt_tokens + run.completion_tokens / 2
    written = mine * run.completion_tokens
    generate = (
        steps * layers * gpu.generate_layer_s
        + count_generation_flops(model, run, mine) / gpu.generate_flops_per_s
        + (steps * HALF * model.matrix_weights + written * context * model.kv_bytes) / gpu.memory_bytes_per_s
    )
    forward, head = count_forward_flops(model, run, mine), 2 * model.head_weights * written
    passes = run.num_logprob_passes(layout)
    logprob = 2 * (passes * layers * gpu.forward_layer_s + (forward + head) / gpu.forward_flops_per_s)
    trained = (4 if run.gradient_checkpointing else 3) * forward + 3 * head
    update = (
        run.num_steps * run.accumulate_grad_batches * layers * gpu.train_layer_s
        + trained / gpu.train_flops_per_s
        + run.num_steps * OPTIMIZER_BYTES * model.num_trained / layout.num_shards / gpu.memory_bytes_per_s
    )
    is_one_node = layout.num_nodes == 1
    num_bytes, num_messages = count_traffic(model, run, layout)
    return IterationTime(
        generate=generate,
        logprob=logprob,
        update=update,
        communicate=num_bytes / (gpu.node_bytes_per_s if is_one_node else gpu.network_bytes_per_s)
        + num_messages * (gpu.node_latency_s if is_one_node else gpu.network_latency_s),
        other=gpu.iteration_s + mine * gpu.completion_s,
    )


def count_forward_flops(model: ModelSizes, run: RunSizes, num_completions: float) -> float:
    """Count the operations of the blocks in one forward pass."""
    weights = model.num_layers * model.block_matrix_weights
    return 2 * weights * run.num_tokens(num_completions) + model.pair_flops * run.num_pairs(num_completions)


def count_generation_flops(model: ModelSizes, run: RunSizes, num_completions: float) -> float:
    """Count the operations of prompts, each computed once for its completions, and of sampled tokens."""
    blocks = 2 * model.num_layers * model.block_matrix_weights
    prompt = blocks * run.prompt_tokens + model.pair_flops * run.prompt_tokens**2 + 2 * model.head_weights
    token = 2 * model.matrix_weights + model.pair_flops * (run.prompt_tokens + run.completion_tokens / 2)
    return num_completions / run.samples_per_prompt * prompt + num_completions * run.completion_tokens * token


def count_traffic(model: ModelSizes, run: RunSizes, layout: Layout) -> tuple[float, float]:
    """Return the bytes that a rank receives in an iteration, and the messages that wait for one another.

    Of W ranks, all in float32: `ddp` sends gradients round a ring, 2 (W - 1) / W of them in each optimizer step.
    `fsdp2` receives (W - 1) / W of: the blocks twice, the other weights once and all gradients in each micro-batch;
    policy and reference in each pass for log-probabilities; the policy once to sample from it.
    """
    ranks, trained = layout.num_ranks, model.num_trained
    share = (ranks - 1) / ranks
    if layout.strategy != "fsdp2":
        return run.num_steps * 2 * share * FLOAT * trained, run.num_steps * 2.0 * (ranks - 1)
    micro_batches, passes = run.num_steps * run.accumulate_grad_batches, run.num_logprob_passes(layout)
    gathered = passes * (trained + model.num_weights) + model.num_weights
    reduced = micro_batches * (2 * model.num_layers * model.block_weights + model.outer_weights + trained)
    collectives = (micro_batches * 3 + 2 * passes + 1) * model.num_layers
    return share * FLOAT * (gathered + reduced), float(collectives * (ranks - 1))


_QWEN = {"vocab_size": 151_936, "tie_embeddings": True, "qkv_bias": True, "num_kv_heads": 2}
QWEN_0_5B = ModelSizes(
    name="Qwen2.5-Coder-0.5B", hidden_size=896, num_layers=24, num_heads=14, intermediate_size=4864, **_QWEN
)
QWEN_1_5B = ModelSizes(
    name="Qwen2.5-Coder-1.5B", hidden_size=1536, num_layers=28, num_heads=12, intermediate_size=8960, **_QWEN
)
QWEN_7B = ModelSizes(
    name="Qwen2.5-Coder-7B", hidden_size=3584, num_layers=28, num_heads=28, num_kv_heads=4, intermediate_size=18_944,
    vocab_size=152_064, tie_embeddings=False, qkv_bias=True,
)  # fmt: skip
ONE = Layout(num_nodes=1, gpus_per_node=1, strategy="one")
DDP_1X8 = Layout(num_nodes=1, gpus_per_node=8, strategy="ddp")
FSDP_1X8 = Layout(num_nodes=1, gpus_per_node=8, strategy="fsdp2")
DDP_4X8 = Layout(num_nodes=4, gpus_per_node=8, strategy="ddp")
FSDP_4X8 = Layout(num_nodes=4, gpus_per_node=8, strategy="fsdp2")
CASES = (
    (QWEN_0_5B, DDP_1X8), (QWEN_1_5B, ONE), (QWEN_1_5B, DDP_1X8), (QWEN_1_5B, FSDP_1X8), (QWEN_1_5B, DDP_4X8),
    (QWEN_7B, FSDP_1X8), (QWEN_7B, FSDP_4X8),
)  # fmt: skip
NUM_COMPLETIONS = (256, 1024, 4096)


def build_run(num_completions: int, layout: Layout) -> RunSizes:
    """Build an iteration with optimizer steps of 256 completions and micro-batches of 8."""
    accumulate = 256 // (8 * layout.num_ranks)
    return RunSizes(num_completions=num_completions, minibatch_size=256, accumulate_grad_batches=accumulate)


def build_memory_table() -> str:
    """Build the Markdown table of GiB of a rank at 4096 completions."""
    columns = [compute_memory(model, build_run(4096, layout), layout).in_gib() for model, layout in CASES]
    rows = [[name.replace("_", " "), *(f"{column[name]:.1f}" for column in columns)] for name in columns[0]]
    return build_table(["GiB of a rank", *(f"{model.name}, {layout.name}" for model, layout in CASES)], rows)


def build_time_table() -> str:
    """Build the Markdown table of seconds of an iteration on H100 GPUs."""
    rows = []
    for model, layout in CASES:
        for num in NUM_COMPLETIONS:
            time = compute_time(model, build_run(num, layout), layout, Gpu())
            parts = [f"{getattr(time, field.name):.1f}" for field in fields(time)]
            rows.append([model.name, layout.name, str(num), *parts, f"**{time.total:.1f}**", f"{num / time.total:.0f}"])
    parts = [field.name for field in fields(IterationTime)]
    return build_table(["model", "GPUs", "completions", *parts, "iteration, s", "completions/s"], rows)


def build_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in (titles, ["---"] * len(titles), *rows))


if __name__ == "__main__":
    print(build_memory_table())
    print(build_time_table())
