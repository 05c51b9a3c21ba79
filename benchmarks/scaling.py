"""Computes the memory of a rank, and what ranks send each other, under `configs/cluster/`; measures nothing.

    python -m benchmarks.scaling        prints the two tables of docs/scaling.md

Memory (GiB of one rank) and traffic (GB that a rank receives in one RL iteration) are arithmetic on sizes.
`tests/unit/benchmarks/test_scaling.py` and `tests/cluster/test_scaling_shares.py` compare memory with the bytes that
torch holds on one and on two CPU ranks. `benchmarks/training.py` measures the time of one and two ranks on CPU cores,
`benchmarks/gpu.py` that of one GPU.
"""

from dataclasses import dataclass
from typing import Literal

from benchmarks.rounds import build_table
from lightning_modules.models.forward.chunked_logits import MAX_CHUNK_LOGITS

FLOAT, HALF = 4, 2
"""Bytes of a float32 and of a bfloat16 number."""
GIB = 2**30
LOGIT_BYTES = 18
"""Of one logit in an update: bfloat16, float32, and three float32 temporaries of the entropy."""
SAMPLING_LOGIT_BYTES = 3 * FLOAT
"""Of one logit in generation: the logit, its exponential, and the cumulative sum that a token is drawn by."""


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


def compute_memory(model: ModelSizes, run: RunSizes, layout: Layout) -> dict[str, int]:
    """Compute the bytes of a rank in RL of all weights in float32 with bf16 autocast, a value head and a reference.

    Not counted: the CUDA context, NCCL buffers, fragmentation. A tenth of the device covers them.
    """
    trained, shards, is_sharded = model.num_trained, layout.num_shards, layout.strategy == "fsdp2"
    rows = min(run.rollout_batch_size, -(-run.num_completions // layout.num_ranks))
    positions = min(run.micro_batch(layout) * run.completion_tokens, max(1, MAX_CHUNK_LOGITS // model.vocab_size))
    kept = {
        "weights": FLOAT * trained // shards,
        "optimizer": 2 * FLOAT * trained // shards,
        "reference": FLOAT * model.num_weights // shards,
        # no backward pass frees what fsdp2 gathers of the reference outside its blocks
        "reference_whole": FLOAT * model.outer_weights * (shards - 1) // shards,
        "ddp_buckets": FLOAT * trained if layout.strategy == "ddp" else 0,  # gradients are views of them
    }
    generating = {
        "sampling_weights": HALF * (model.matrix_weights + (model.num_weights if is_sharded else 0)),
        # each distinct prompt once
        "kv_cache": (-(-rows // run.samples_per_prompt) * run.prompt_tokens + rows * run.max_new_tokens)
        * model.kv_bytes,
        "sampling_logits": rows * model.vocab_size * SAMPLING_LOGIT_BYTES,
    }
    updating = {
        # freed at the end of an iteration
        "gradients": 0 if layout.strategy == "ddp" else FLOAT * trained // shards,
        "autocast_weights": HALF * model.matrix_weights,
        # two blocks, and the weights outside the blocks with their gradients
        "gathered": FLOAT * 2 * (model.block_weights + model.outer_weights) if is_sharded else 0,
        "activations": count_activation_bytes(model, run, layout),
        "logits": int(positions * model.vocab_size * LOGIT_BYTES),
    }
    sums = {"kept": sum(kept.values())}
    sums |= {"generating": sums["kept"] + sum(generating.values()), "updating": sums["kept"] + sum(updating.values())}
    return kept | generating | updating | sums


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


def count_traffic(model: ModelSizes, run: RunSizes, layout: Layout) -> float:
    """Count the bytes that a rank receives in an iteration of PPO with a value head and a reference.

    Of W ranks, all in float32: `ddp` sends gradients round a ring, 2 (W - 1) / W of them in each optimizer step.
    `fsdp2` receives (W - 1) / W of: the blocks twice, the other weights once and all gradients in each micro-batch;
    policy and reference in each pass for log-probabilities; the policy once to sample from it.
    """
    share, trained = (layout.num_ranks - 1) / layout.num_ranks, model.num_trained
    if layout.strategy != "fsdp2":
        return run.num_steps * 2 * share * FLOAT * trained
    gathered = run.num_logprob_passes(layout) * (trained + model.num_weights) + model.num_weights
    reduced = 2 * model.num_layers * model.block_weights + model.outer_weights + trained
    return share * FLOAT * (gathered + run.num_steps * run.accumulate_grad_batches * reduced)


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


def build_run(num_completions: int, layout: Layout) -> RunSizes:
    """Build an iteration with optimizer steps of 256 completions and micro-batches of 8."""
    accumulate = 256 // (8 * layout.num_ranks)
    return RunSizes(num_completions=num_completions, minibatch_size=256, accumulate_grad_batches=accumulate)


def print_tables() -> None:
    """Print GiB of a rank at 4096 completions, then GB that a rank receives in an iteration."""
    columns = [compute_memory(model, build_run(4096, layout), layout) for model, layout in CASES]
    rows = [[name.replace("_", " "), *(f"{column[name] / GIB:.1f}" for column in columns)] for name in columns[0]]
    titles = [f"{model.name}, {layout.name}" for model, layout in CASES]
    print(build_table(["GiB of a rank", *titles], rows))
    rows = [
        [str(num), *(f"{count_traffic(model, build_run(num, layout), layout) / 1e9:.1f}" for model, layout in CASES)]
        for num in (256, 1024, 4096)
    ]
    print(build_table(["completions", *titles], rows))


if __name__ == "__main__":
    print_tables()
