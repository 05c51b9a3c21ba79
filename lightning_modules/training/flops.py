"""Floating point operations of training, counted from the sizes of the model, and the peak rate of a device.

The formula of PaLM (Chowdhery et al. 2022, appendix B): 6 N + 12 L H Q T for each token, with N weights, L layers, H
heads of width Q and T tokens of the sequence; a third of it is the forward pass. What is computed a second time
(gradient checkpointing) does not count, and nothing is taken off for causal attention. Three things differ, as training
here does: N leaves out embeddings, which are look-ups; the output layer counts only where its logits are wanted; a
frozen weight takes 4 instead of 6, since it gets no gradient of its own. The value head is too small to count.

`training_flops` is the short form for whole trainings, without attention, which is a few percent in small models.
"""
# study-fingerprint: ignore (shows or measures results, and does not affect them)

import resource
import time
from typing import NamedTuple

import torch
from torch import Tensor, nn

from datamodules.batches import IGNORE, RolloutBatch, SFTBatch
from lightning_modules.models.policy import Policy, output_layer
from lightning_modules.training.gpu_peaks import gpu_peak_flops_per_s

FORMULAS = {
    "sft": "6 N T",
    "rl": "(6 + 6 E) N T (2 + 6 C more for a separate critic)",
    "rft": "2 N T of sampling and 6 N T of SFT",
}
"""Of `training_flops`, by kind of stage."""
_GEMM_SIZE = 1024
_NUM_TRIALS = 5


class TrainingCost(NamedTuple):
    """Floating point operations of training, forward and backward."""

    per_token: int
    """Of all layers but embedding and output, without attention."""
    per_pair: int
    """Of attention, for each pair of a query and a key."""
    per_prediction: int
    """Of the output layer, for each position it runs at."""


class MinibatchSize(NamedTuple):
    """What a packed minibatch holds."""

    num_samples: int
    num_positions: int
    """Rows times their length, with padding."""
    num_tokens: int
    """Positions without padding."""
    num_pairs: int
    """Pairs of tokens of one sample: the squared lengths of the samples, summed; what samples share counts once."""
    num_predictions: int
    """Positions at which the output layer runs."""


def training_cost(policy: Policy) -> TrainingCost:
    """Compute the training cost of a policy; a `separate` critic costs as much per token, in steps of its own."""
    config = policy.causal_lm.config.get_text_config()
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    per_pair = 12 * config.num_hidden_layers * config.num_attention_heads * width
    return TrainingCost(
        per_token=_cost_of_weights(policy.causal_lm.base_model),
        per_pair=per_pair,
        per_prediction=_cost_of_weights(output_layer(policy.causal_lm)),
    )


def measure_minibatch(batch: SFTBatch | RolloutBatch) -> MinibatchSize:
    """Count; on a GPU this waits for the work queued before."""
    is_token = batch.segment_ids > 0
    if isinstance(batch, SFTBatch):
        predicted = batch.labels[:, 1:] != IGNORE
    else:
        predicted = batch.loss_mask & (not batch.trains_critic)
    counts: list[Tensor] = [
        _count_completions(batch) if isinstance(batch, RolloutBatch) else batch.segment_ids.amax(dim=1).sum(),
        torch.count_nonzero(is_token),
        (2 * batch.position_ids + 1)[is_token].sum(),  # 1 + 3 + 5 + ... up to length l is l squared
        torch.count_nonzero(predicted),
    ]
    num_samples, num_tokens, num_pairs, num_predictions = torch.stack(counts).tolist()
    return MinibatchSize(num_samples, is_token.numel(), num_tokens, num_pairs, num_predictions)


def minibatch_flops(cost: TrainingCost, size: MinibatchSize) -> int:
    """Count the floating point operations of training on a minibatch."""
    return (
        cost.per_token * size.num_tokens + cost.per_pair * size.num_pairs + cost.per_prediction * size.num_predictions
    )


def training_flops(
    num_weights: int, num_tokens: int, *, num_ppo_epochs: int | None = None, num_critic_epochs: int | None = None
) -> float:
    """Count the floating point operations of a whole training by `FORMULAS`.

    Args:
        num_weights: N, from `count_multiplied_weights`.
        num_tokens: T, of prompts and completions without padding; in RL each prompt counts once per iteration.
        num_ppo_epochs: E; null for supervised training. Sampling, and the log-probabilities of policy and reference
            policy, take 2 N per token each, an update 6 N.
        num_critic_epochs: C, of a separate critic, whose values take 2 N per token and an update 6 N; null without one.
    """
    per_token = 6.0 if num_ppo_epochs is None else 6.0 + 6.0 * num_ppo_epochs
    if num_critic_epochs is not None:
        per_token += 2.0 + 6.0 * num_critic_epochs
    return per_token * num_weights * num_tokens


def count_multiplied_weights(causal_lm: nn.Module) -> int:
    """Count the weights that a token is multiplied with: all but adapters and embeddings that are only looked up.

    An embedding that is also the output layer counts once.
    """
    modules = list(causal_lm.modules())
    looked_up = {id(weight) for part in modules if isinstance(part, nn.Embedding) for weight in part.parameters()}
    looked_up -= {id(part.weight) for part in modules if isinstance(part, nn.Linear)}
    named = causal_lm.named_parameters()
    return sum(weight.numel() for name, weight in named if id(weight) not in looked_up and "lora_" not in name)


def training_dtype(precision: str) -> torch.dtype:
    """Return the type of matrix products under a precision of the Trainer (`bf16-mixed`, `32-true`, ...)."""
    if precision.startswith("bf16"):
        return torch.bfloat16
    return {"16": torch.float16, "64": torch.float64}.get(precision.partition("-")[0], torch.float32)


def peak_flops_per_s(device: torch.device, dtype: torch.dtype) -> float | None:
    """Return the peak rate of a device, floating point operations per second; None for an unknown GPU.

    For a GPU this is the manufacturer's number, for a CPU the measured rate of a matrix product.
    """
    if device.type == "cpu":
        return measured_gemm_flops_per_s(dtype)
    return gpu_peak_flops_per_s(torch.cuda.get_device_name(device), dtype)


def measured_gemm_flops_per_s(dtype: torch.dtype) -> float:
    """Measure the rate of matrix products on the CPU with the threads of this process; return the best of a few."""
    square = torch.ones(_GEMM_SIZE, _GEMM_SIZE, dtype=dtype)
    durations_s = []
    for _ in range(_NUM_TRIALS):
        started_at = time.perf_counter()
        torch.mm(square, square)
        durations_s.append(time.perf_counter() - started_at)
    return 2 * _GEMM_SIZE**3 / min(durations_s)


def peak_memory_mib(device: torch.device) -> float:
    """Return the peak memory so far, MiB: allocated on a GPU, else resident in this process (Linux counts KiB)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _count_completions(batch: RolloutBatch) -> Tensor:
    """Count the starts of branches."""
    starts = batch.branch_ids > 0
    starts[:, 1:] &= (batch.branch_ids.diff(dim=1) != 0) | (batch.segment_ids.diff(dim=1) != 0)
    return torch.count_nonzero(starts)


def _cost_of_weights(module: nn.Module) -> int:
    embeddings = [part for part in module.modules() if isinstance(part, nn.Embedding)]
    looked_up = {weight for part in embeddings for weight in part.parameters()}
    weights = [weight for weight in module.parameters() if weight not in looked_up]
    return sum((6 if weight.requires_grad else 4) * weight.numel() for weight in weights)
