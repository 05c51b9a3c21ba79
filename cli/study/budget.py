"""What an arm's training took: tokens by kind, and floating point operations by one printed formula.

    SFT   6 N T                       T: tokens trained on, prompts and completions, without padding
    RL    (6 + 6 E) N T               T: tokens of all responses, and of each prompt once; E: epochs over them
                                      sampling, reading by policy and by reference 2 N each, an update 6 N

N counts the weights that are multiplied with: all but an embedding that is only looked up. Attention's products of
pairs are left out; in models this small they are a few percent. Nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FORMULAS = {"sft": "6 N T", "rl": "(6 + 6 E) N T"}
NOT_SYNTHETIC = ("atomic", "tensor_atomic", "pretraining")


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What one training took; without the stages it started from."""

    total_tokens: int
    """Prompts and completions."""
    completion_tokens: int
    """Of them, those a loss fell on; of RL, those that were sampled."""
    synthetic_completion_tokens: int
    """Of them, those of compositions that an SFT or RL prompt asks for."""
    flops: float

    def to_json(self) -> dict[str, float]:
        """Write as plain values."""
        return asdict(self)


def sft_budget(trained: Mapping[str, tuple[int, int]], *, num_weights: int) -> Budget:
    """Add up an SFT.

    Args:
        trained: by split, all tokens and those the loss fell on, over all steps.
        num_weights: N.
    """
    total = sum(tokens for tokens, _ in trained.values())
    return Budget(
        total_tokens=total,
        completion_tokens=sum(labels for _, labels in trained.values()),
        synthetic_completion_tokens=sum(n for split, (_, n) in trained.items() if split not in NOT_SYNTHETIC),
        flops=6.0 * num_weights * total,
    )


def rl_budget(
    *, response_tokens: float, prompt_tokens: float, num_ppo_epochs: int, splits: list[str], num_weights: int
) -> Budget:
    """Add up an RL; prompts of several splits count as synthetic where all splits are.

    Args:
        response_tokens: of all responses of all iterations.
        prompt_tokens: of their prompts, each once an iteration.
        num_ppo_epochs: E.
        splits: where the prompts came from.
        num_weights: N.
    """
    completion, total = round(response_tokens), round(response_tokens + prompt_tokens)
    return Budget(
        total_tokens=total,
        completion_tokens=completion,
        synthetic_completion_tokens=0 if any(split in NOT_SYNTHETIC for split in splits) else completion,
        flops=(6.0 + 6.0 * num_ppo_epochs) * num_weights * total,
    )


def num_multiplied_weights(causal_lm: PreTrainedModel) -> int:
    """Count N of a model: a tied embedding is the output layer too and counts, any other is looked up and does not."""
    from torch.nn import Embedding, Linear

    embedding, head = causal_lm.get_input_embeddings(), causal_lm.get_output_embeddings()
    total = sum(weight.numel() for weight in causal_lm.parameters())
    assert isinstance(embedding, Embedding)
    assert isinstance(head, Linear)
    return total if embedding.weight is head.weight else total - embedding.weight.numel()


def budget_of(
    kind: str,
    config: Mapping[str, Any],
    *,
    run: Path,
    curves: Mapping[str, list[list[float]]],
    causal_lm: PreTrainedModel,
) -> Budget:
    """Work out what a finished run took.

    Args:
        kind: sft or rl.
        config: all keys of the training, resolved.
        run: its directory; the tokenizer is in the final checkpoint.
        curves: its scalars.
        causal_lm: the trained model.
    """
    num_weights, data = num_multiplied_weights(causal_lm), config["data"]["init_args"]
    if kind == "sft":
        num_steps = config["trainer"]["max_epochs"] * data["steps_per_epoch"]
        return sft_budget(_trained(data, run, num_steps), num_weights=num_weights)
    num_prompts = data["prompts_per_iteration"]

    def summed(tag: str) -> float:
        return sum(value for _, value in curves[tag])

    return rl_budget(
        response_tokens=summed("completions/mean_length") * num_prompts * data["samples_per_prompt"],
        prompt_tokens=summed("rollout/prompt_tokens") * num_prompts,
        num_ppo_epochs=data["num_ppo_epochs"],
        splits=data["splits"],
        num_weights=num_weights,
    )


def _trained(init_args: Mapping[str, Any], run: Path, num_steps: int) -> dict[str, tuple[int, int]]:
    """Draw the minibatches of the run again, and count."""
    from datamodules.sampler import MixturePart
    from datamodules.sft_data import SFTDataModule

    mixture = {split: MixturePart(**part) for split, part in init_args["mixture"].items()}
    tokenizer = str(run / "checkpoints" / "final.ckpt")
    data = SFTDataModule(**{**init_args, "mixture": mixture, "tokenizer": tokenizer, "prompt": None})
    data.setup("fit")
    return data.num_trained(num_steps)
