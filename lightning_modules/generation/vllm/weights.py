"""The weights of a policy as vLLM loads them: names, tensors and files of a Hugging Face checkpoint.

The model is a plain one: adapters are merged and shards gathered (`Policy.sampling_model`).
"""

import copy
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.core_model_loading import revert_weight_conversion


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
    partial.mkdir(parents=True)
    # all of them, also those that are tied: vLLM would keep the output layer of its former weights
    weights = {name: tensor.cpu().clone() for name, tensor in checkpoint_weights(causal_lm, dtype).items()}
    save_file(weights, partial / "model.safetensors", metadata={"format": "pt"})
    config = copy.deepcopy(causal_lm.config)
    config.architectures = [type(causal_lm).__name__]
    config.dtype = dtype or causal_lm.dtype
    if hasattr(config, "quantization_config"):  # of a GGUF file, whose weights are dequantized
        delattr(config, "quantization_config")
    config.save_pretrained(partial)
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
