"""How a run of reinforcement learning is spread over GPUs, and how much each of them has to do. Counts alone."""

from dataclasses import dataclass
from typing import Literal

from lightning_modules.models.policy import Trunk

Strategy = Literal["one", "ddp", "fsdp2"]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Ranks, one a GPU.

    Raises:
        ValueError: the strategy and the number of ranks contradict each other.
    """

    num_nodes: int
    gpus_per_node: int
    strategy: Strategy

    def __post_init__(self) -> None:
        if (self.strategy == "one") != (self.num_ranks == 1):
            raise ValueError(f"layout: {self.num_ranks} ranks and strategy {self.strategy}: one is for one rank alone")

    @property
    def num_ranks(self) -> int:
        return self.num_nodes * self.gpus_per_node

    @property
    def num_shards(self) -> int:
        """Parts into which weights, gradients and optimizer are cut."""
        return self.num_ranks if self.strategy == "fsdp2" else 1

    @property
    def name(self) -> str:
        return f"{self.num_nodes}x{self.gpus_per_node} {self.strategy}"


@dataclass(frozen=True, kw_only=True)
class RunSizes:
    """Sizes of an iteration, named as the keys of `configs/ppo.yaml`; tokens are means unless they say otherwise.

    Raises:
        ValueError: a count is below 1, or the minibatch does not divide the responses.
    """

    prompts_per_iteration: int
    samples_per_prompt: int
    minibatch_size: int
    prompt_tokens: int
    response_tokens: int
    longest_response: int
    """Tokens of the longest response of a batch: so many steps does decoding take."""
    generate_batch_size: int = 128
    score_batch_size: int = 32
    num_ppo_epochs: int = 1
    accumulate_grad_batches: int = 1
    gradient_checkpointing: bool = False
    critic: Trunk | None = "shared"

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, int) and not isinstance(value, bool) and value < 1:
                raise ValueError(f"run: {name} is {value}, at least 1 is needed")
        if self.num_samples % self.minibatch_size:
            raise ValueError(f"run: minibatch_size {self.minibatch_size} does not divide {self.num_samples} responses")

    @property
    def num_samples(self) -> int:
        """Responses of an iteration, all ranks together."""
        return self.prompts_per_iteration * self.samples_per_prompt

    @property
    def row_tokens(self) -> int:
        """Length of a packed row: that of the longest prompt with its answer."""
        return self.prompt_tokens + self.longest_response

    def tokens_of(self, num_samples: float) -> float:
        """Tokens that are read for so many responses, a prompt once for all of its answers."""
        num_prompts = num_samples / min(self.samples_per_prompt, max(1.0, num_samples))
        return num_prompts * self.prompt_tokens + num_samples * (1 + self.response_tokens)

    def pairs_of(self, num_samples: float) -> float:
        """Pairs of a query and a key, counted as in `lightning_modules.training.flops`."""
        num_prompts = num_samples / min(self.samples_per_prompt, max(1.0, num_samples))
        whole = (self.prompt_tokens + self.response_tokens) ** 2
        return num_prompts * self.prompt_tokens**2 + num_samples * (whole - self.prompt_tokens**2)

    @property
    def num_steps(self) -> int:
        """Optimizer steps of an iteration."""
        return self.num_ppo_epochs * self.num_samples // self.minibatch_size

    def micro_batch(self, layout: Layout) -> float:
        """Responses of one forward and backward pass of a rank."""
        return self.minibatch_size / layout.num_ranks / self.accumulate_grad_batches

    def num_scored_passes(self, layout: Layout) -> int:
        """Forward passes in which a rank reads its responses."""
        return -(-self.num_samples // layout.num_ranks // self.score_batch_size)
