"""Sizes of Llama-style causal LMs and how many weights they come to. It loads no model."""

from dataclasses import dataclass

from lightning_modules.models.tiny_llama import TinyLlamaConfig


@dataclass(frozen=True, kw_only=True)
class ModelSizes:
    """A decoder with grouped-query attention and a gated feed-forward layer, as Llama and Qwen2 have it.

    Attributes:
        name: how tables call it.
        hidden_size: width of the residual stream.
        num_layers: transformer blocks.
        num_heads: query heads.
        num_kv_heads: key and value heads.
        intermediate_size: width of the feed-forward layer.
        vocab_size: tokens.
        tie_embeddings: whether the output layer is the input embedding.
        qkv_bias: whether query, key and value projections have biases (Qwen2).
    """

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
    def head_dim(self) -> int:
        return self.hidden_size // self.num_heads

    @property
    def kv_size(self) -> int:
        """Width of the keys of a token, all heads together; values are as wide."""
        return self.num_kv_heads * self.head_dim

    @property
    def num_block_matrix_weights(self) -> int:
        """Weights of one block that are multiplied with tokens."""
        attention = 2 * self.hidden_size * self.hidden_size + 2 * self.hidden_size * self.kv_size
        return attention + 3 * self.hidden_size * self.intermediate_size

    @property
    def num_block_weights(self) -> int:
        biases = self.hidden_size + 2 * self.kv_size if self.qkv_bias else 0
        return self.num_block_matrix_weights + biases + 2 * self.hidden_size

    @property
    def num_head_weights(self) -> int:
        """Weights of the output layer, whether they are the embedding's or not."""
        return self.vocab_size * self.hidden_size

    @property
    def num_outer_weights(self) -> int:
        """Weights outside the blocks: embedding, last norm, and the output layer where it is its own."""
        return (1 if self.tie_embeddings else 2) * self.num_head_weights + self.hidden_size

    @property
    def num_matrix_weights(self) -> int:
        """Weights that are multiplied with tokens, the output layer among them."""
        return self.num_layers * self.num_block_matrix_weights + self.num_head_weights

    @property
    def num_weights(self) -> int:
        return self.num_layers * self.num_block_weights + self.num_outer_weights


def sizes_of(architecture: TinyLlamaConfig, *, name: str, vocab_size: int) -> ModelSizes:
    """Take over the sizes of a model from scratch."""
    return ModelSizes(
        name=name,
        hidden_size=architecture.hidden_size,
        num_layers=architecture.num_layers,
        num_heads=architecture.num_heads,
        num_kv_heads=architecture.num_kv_heads,
        intermediate_size=architecture.intermediate_size,
        vocab_size=vocab_size,
        tie_embeddings=architecture.tie_embeddings,
    )


QWEN_0_5B = ModelSizes(
    name="Qwen2.5-Coder-0.5B", hidden_size=896, num_layers=24, num_heads=14, num_kv_heads=2, intermediate_size=4864,
    vocab_size=151_936, tie_embeddings=True, qkv_bias=True,
)  # fmt: skip
QWEN_1_5B = ModelSizes(
    name="Qwen2.5-Coder-1.5B", hidden_size=1536, num_layers=28, num_heads=12, num_kv_heads=2, intermediate_size=8960,
    vocab_size=151_936, tie_embeddings=True, qkv_bias=True,
)  # fmt: skip
QWEN_7B = ModelSizes(
    name="Qwen2.5-Coder-7B", hidden_size=3584, num_layers=28, num_heads=28, num_kv_heads=4, intermediate_size=18_944,
    vocab_size=152_064, tie_embeddings=False, qkv_bias=True,
)  # fmt: skip
MODELS = (QWEN_0_5B, QWEN_1_5B, QWEN_7B)
