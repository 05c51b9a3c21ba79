"""Completions from a causal language model: the interface of the package.

Prompts are sorted by length and decoded in batches by an engine. Each completion is reported as soon as it ends. Which
engine decodes does not change which tokens are sampled.
"""

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from lightning_modules.generation.engine import Engine, NativeEngine
from lightning_modules.generation.kv_cache import BufferedCache, supports_buffered_cache
from lightning_modules.generation.llama_decoder import LlamaDecoder, can_decode
from lightning_modules.generation.sampler import Completion, GenerationState, SamplingParams
from lightning_modules.generation.text import StopStrings, decode_completion
from lightning_modules.generation.transformers_engine import TransformersEngine
from lightning_modules.models.policy import get_context_length

Decoder = Literal["native", "transformers"]
"""`native`: the fastest engine for the architecture; `transformers`: always `generate` of transformers."""
OnCompletion = Callable[[int, Completion], None]
"""Called with (index of the prompt, completion) as each completion ends."""


def ignore_completion(index: int, completion: Completion) -> None:
    """Do nothing when a completion ends."""


@torch.no_grad()
def generate(
    causal_lm: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[list[int]],
    sampling: SamplingParams,
    *,
    stream_ids: Sequence[int],
    seed: int,
    iteration: int = 0,
    batch_size: int,
    dtype: torch.dtype | None = None,
    decoder: Decoder = "native",
    on_completion: OnCompletion = ignore_completion,
) -> list[Completion]:
    """Complete each prompt once.

    Args:
        causal_lm: Model; it is in eval mode during the call.
        tokenizer: Of the model, with `<eos>` and `<pad>`.
        prompts: N token lists, none empty. Equal prompts of a batch are run through the model once.
        sampling: Length, temperature and stop strings.
        stream_ids: N random streams, one per completion.
        seed: Seed of the run.
        iteration: Iteration of reinforcement learning, else 0.
        batch_size: Completions decoded together.
        dtype: Decode with a copy of the weights in this type (bfloat16 is 1.5 to 2 times as fast on CPUs that support
            it); None decodes with the weights as they are.
        decoder: What runs the model.
        on_completion: Called with (index, completion) as each completion ends.

    Returns:
        N completions, in the order of `prompts`.

    Raises:
        ValueError: A prompt is empty or leaves no room for a token in the model's context.
    """
    context = get_context_length(causal_lm)
    check_prompts(prompts, stream_ids, context)
    eos_id, pad_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    assert isinstance(eos_id, int)  # checked when the tokenizer is loaded
    assert isinstance(pad_id, int)
    if not prompts:
        return []  # an engine copies or stacks the weights
    stop_strings = StopStrings(tokenizer, sampling.stop) if sampling.stop else None
    was_training = causal_lm.training
    causal_lm.eval()
    engine = select_engine(causal_lm, dtype, pad_id=pad_id, decoder=decoder)
    completions: dict[int, Completion] = {}
    order = sorted(range(len(prompts)), key=lambda index: (len(prompts[index]), prompts[index]))
    for first in range(0, len(order), batch_size):
        batch = order[first : first + batch_size]
        state = GenerationState(
            np.array([stream_ids[index] for index in batch], dtype=np.uint64),
            np.array([min(sampling.max_new_tokens, context - len(prompts[index])) for index in batch]),
            temperature=sampling.temperature,
            seed=seed,
            iteration=iteration,
            eos_id=eos_id,
            stop_strings=stop_strings,
        )
        for row in engine.decode([prompts[index] for index in batch], state):
            index = batch[row]
            token_ids, logprobs, finished = state.result(row)
            text = decode_completion(tokenizer, prompts[index], token_ids, sampling.stop)
            completions[index] = Completion(text, token_ids, logprobs, finished)
            on_completion(index, completions[index])
    causal_lm.train(was_training)
    return [completions[index] for index in range(len(prompts))]


def check_prompts(prompts: Sequence[list[int]], stream_ids: Sequence[int], context: int) -> None:
    """Check that every prompt has a random stream and leaves room for a token in a context of `context` tokens.

    Raises:
        ValueError: One has not, or does not.
    """
    if len(prompts) != len(stream_ids):
        raise ValueError(f"{len(prompts)} prompts but {len(stream_ids)} stream ids; there must be one for each")
    for index, prompt in enumerate(prompts):
        if not 0 < len(prompt) < context:
            raise ValueError(f"prompt {index} has {len(prompt)} tokens; the model takes 1 to {context - 1}")


def select_engine(
    causal_lm: PreTrainedModel, dtype: torch.dtype | None, *, pad_id: int, decoder: Decoder = "native"
) -> Engine:
    """Choose the fastest engine that can decode a model.

    Args:
        causal_lm: Model in eval mode.
        dtype: Of the weights while decoding; None = as they are.
        pad_id: Padding token.
        decoder: `transformers` leaves no choice.
    """
    if decoder == "native" and can_decode(causal_lm):
        llama = LlamaDecoder(causal_lm, dtype)
        return NativeEngine(llama, llama.new_cache, causal_lm.device, pad_id=pad_id)
    model = causal_lm if dtype is None else _cast_parameters(causal_lm, dtype)
    if decoder == "native" and supports_buffered_cache(model):
        forward = functools.partial(model, use_cache=True, logits_to_keep=1)
        new_cache = functools.partial(BufferedCache, model.config)
        return NativeEngine(forward, new_cache, model.device, pad_id=pad_id)
    return TransformersEngine(model, pad_id=pad_id)


def decoding_dtype(precision: str) -> torch.dtype | None:
    """Return the `dtype` of `generate` that goes with a precision of the Trainer."""
    return torch.bfloat16 if precision == "bf16-mixed" else None


def _cast_parameters(causal_lm: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """Copy a model with parameters of another type; buffers stay, because rotary frequencies must not be rounded."""
    duplicate = copy.deepcopy(causal_lm)
    for parameter in duplicate.parameters():
        parameter.data = parameter.data.to(dtype)
    return duplicate
