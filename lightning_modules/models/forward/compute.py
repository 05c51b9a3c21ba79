"""How a policy is computed, which changes speed and memory and not what is trained: settings of SFT and RL alike."""

import inspect
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from transformers import PreTrainedModel

Attention = Literal["sdpa", "flex"]
_TRANSFORMERS_NAME = {"sdpa": "sdpa", "flex": "flex_attention"}


@dataclass(frozen=True, kw_only=True)
class ComputeConfig:
    """How forward and backward passes are computed.

    Args:
        dtype: of the weights that are loaded; bfloat16 halves their memory and is for `lora`, whose adapters stay in
            float32 (whole models are trained in float32: small updates would be rounded away).
        attention: `sdpa` takes the mask of packed rows as a matrix; `flex` skips its empty blocks (for CUDA).
        compile: run the language model through `torch.compile` (needs a C++ compiler; the first steps are slow).
        gradient_checkpointing: compute activations again in the backward pass instead of keeping them.
    """

    dtype: Literal["float32", "bfloat16"] = "float32"
    attention: Attention = "sdpa"
    compile: bool = False
    gradient_checkpointing: bool = False


def weights_dtype(settings: ComputeConfig, *, trains_adapters: bool) -> torch.dtype:
    """Return the type to load weights in.

    Raises:
        ValueError: bfloat16 is requested although all weights are trained.
    """
    if settings.dtype == "bfloat16" and not trains_adapters:
        raise ValueError(
            "compute.dtype bfloat16 is for lora: whole models are trained in float32 (precision: bf16-mixed)"
        )
    return getattr(torch, settings.dtype)


def prepare_causal_lm(causal_lm: PreTrainedModel, settings: ComputeConfig) -> None:
    """Apply what is a property of the causal LM itself, in place.

    Raises:
        ValueError: the architecture does not support it; one line.
    """
    if settings.gradient_checkpointing:
        if not causal_lm.supports_gradient_checkpointing:
            raise ValueError(f"compute.gradient_checkpointing: {type(causal_lm).__name__} does not support it")
        # transformers 5.17 to 5.23: the second name is to replace the first
        enable = getattr(causal_lm, "activation_checkpointing_enable", causal_lm.gradient_checkpointing_enable)
        enable({"use_reentrant": False})
    use_attention(causal_lm, settings.attention)


def choose_attention_kernels() -> None:
    """Turn off cuDNN's attention for this process; the kernels of flash and memory-efficient attention remain.

    torch prefers cuDNN's on Hopper and Blackwell. It builds a plan for every new shape, for tens to hundreds of
    milliseconds, and packed rows and growing caches have a new shape at almost every call
    (https://github.com/sgl-project/sglang/issues/4650 measured 400 ms).
    """
    torch.backends.cuda.enable_cudnn_sdp(False)


def check_packable(causal_lm: PreTrainedModel) -> None:
    """Check that a model can be trained on packed rows.

    A recurrent state would carry over from one sample of a row into the next: the loss of a Jamba on two packed samples
    differs by 6 % from that of the two samples apart.

    Raises:
        ValueError: the model has layers with a recurrent state, or takes no position ids.
    """
    name = type(causal_lm).__name__
    if causal_lm._is_stateful:
        raise ValueError(
            f"{name} has layers with a recurrent state, which would leak between the samples of a packed row: it can "
            "be evaluated, but not trained; choose a model whose only state is a key/value cache"
        )
    if "position_ids" not in inspect.signature(causal_lm.base_model.forward).parameters:
        raise ValueError(f"{name} takes no position_ids, which packed rows need: it can be evaluated, but not trained")


def use_attention(causal_lm: PreTrainedModel, attention: Attention) -> None:
    """Choose the attention of a causal LM, in place."""
    causal_lm.set_attn_implementation(_TRANSFORMERS_NAME[attention])


def uses_flex_attention(causal_lm: PreTrainedModel) -> bool:
    """Whether masks have to be `BlockMask`s."""
    return causal_lm.config._attn_implementation == _TRANSFORMERS_NAME["flex"]


def disable_dropout(module: nn.Module) -> None:
    """Set every dropout rate to 0, in place, so that a policy says the same in training as in sampling.

    A rate is that of a layer, or a number that a module keeps under a name such as `attn_dropout` or `layerdrop`.
    """
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
        for name, value in list(vars(part).items()):
            if isinstance(value, float) and "drop" in name:
                setattr(part, name, 0.0)
