"""The weights of a policy as vLLM loads them: names, tensors and files of a Hugging Face checkpoint.

The model is a plain one: adapters are merged and shards gathered (`Policy.sampling_model`).
"""

import shutil
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.core_model_loading import revert_weight_conversion

from lightning_modules.models.pretrained import hide_progress_bars


def checkpoint_weights(causal_lm: PreTrainedModel, dtype: torch.dtype | None) -> dict[str, Tensor]:
    """Return the weights under their names in a checkpoint.

    Args:
        causal_lm: A plain model.
        dtype: Of floating-point weights; None = unchanged.
    """
    weights: dict[str, Tensor] = revert_weight_conversion(causal_lm, _cast_weights(causal_lm, dtype))
    return weights


def write_checkpoint(
    causal_lm: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path, dtype: torch.dtype | None
) -> None:
    """Write model and tokenizer as a Hugging Face folder, which appears under its name when it is complete.

    Args:
        causal_lm: A plain model.
        tokenizer: Of the model; vLLM detects stop strings with it.
        folder: To create; its parent is created, too.
        dtype: Of floating-point weights; None = unchanged.
    """
    partial = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(partial, ignore_errors=True)
    with hide_progress_bars():
        causal_lm.save_pretrained(partial, state_dict=None if dtype is None else _cast_weights(causal_lm, dtype))
    tokenizer.save_pretrained(partial)
    partial.rename(folder)


def _cast_weights(causal_lm: PreTrainedModel, dtype: torch.dtype | None) -> dict[str, Tensor]:
    """Cast the weights; those that are tied stay the same tensor."""
    cast: dict[tuple[int, torch.Size], Tensor] = {}
    result = {}
    for name, tensor in causal_lm.state_dict().items():
        target = dtype if tensor.is_floating_point() else None
        result[name] = cast.setdefault((tensor.data_ptr(), tensor.shape), tensor.detach().to(target))
    return result
