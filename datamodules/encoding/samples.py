"""Samples of supervised training: encoded from the rows of a table, within a maximum length, and counted.

A sample is a prompt with the completion that is trained on (`datamodules.encoding.packing.Sample`). Nothing is drawn
or packed here.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from transformers import PreTrainedTokenizerFast

from datamodules.encoding.packing import Sample
from datamodules.encoding.prompt_format import encode_completions, encode_files, encode_prompts


def encode_samples(tokenizer: PreTrainedTokenizerFast, table: Mapping) -> list[Sample]:
    """Encode the columns `prompt` and `solution` in the prompt format of the tokenizer."""
    prompts = encode_prompts(tokenizer, table["prompt"])
    completions = encode_completions(tokenizer, table["solution"])
    return [Sample(prompt, completion) for prompt, completion in zip(prompts, completions, strict=True)]


def encode_file_samples(tokenizer: PreTrainedTokenizerFast, table: Mapping) -> list[Sample]:
    """Encode the same columns as plain files, all of whose tokens are trained on."""
    return [Sample(*ids) for ids in encode_files(tokenizer, table["prompt"], table["solution"])]


def drop_long_samples(samples: list[Sample], max_length: int, *, split: str) -> list[Sample]:
    """Leave out samples of more than `max_length` tokens, with a warning.

    Raises:
        ValueError: no sample is left.
    """
    fitting = [sample for sample in samples if sample.num_tokens() <= max_length]
    if dropped := len(samples) - len(fitting):
        warnings.warn(
            f"{split}: {dropped} of {len(samples)} samples are longer than max_length {max_length}: left out",
            stacklevel=2,
        )
    if not fitting:
        raise ValueError(f"{split}: no sample fits max_length {max_length}; raise max_length")
    return fitting


def count_tokens(
    samples: Mapping[str, Sequence[Sample]], minibatches: Iterable[Sequence[tuple[str, int]]]
) -> dict[str, tuple[int, int]]:
    """Count the tokens of minibatches by split.

    Args:
        samples: by split.
        minibatches: split and index of each sample.

    Returns:
        {split: (all tokens, tokens of completions)}
    """
    lengths = {
        split: np.array([(sample.num_tokens(), len(sample.completion_ids)) for sample in of_split])
        for split, of_split in samples.items()
    }
    drawn: dict[str, list[int]] = {split: [] for split in lengths}
    for minibatch in minibatches:
        for split, index in minibatch:
            drawn[split].append(index)
    counts = {split: lengths[split][indices].sum(axis=0) for split, indices in drawn.items()}
    return {split: (int(tokens), int(labels)) for split, (tokens, labels) in counts.items()}
