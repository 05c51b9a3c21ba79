"""The byte-level BPE of a data set: trained on its texts, saved next to it, loaded as a transformers tokenizer.

Sequences must be short for a model that trains on a laptop, so pieces, which no merge crosses, are large: a line of
code (a `def` line or an indented one) is one piece, so a line that many solutions share becomes one token; prose is cut
at white space, at the end of a word with the punctuation after it, and at the border of Chinese text. Where solutions
are steps that call a library (`solution_form: solve`), a step is cut into its name, its call and its arguments
(`STEP_PIECES`), so that a step is spelled the same way at every position. Nothing is learnt from evaluation splits
(`training_texts`).
"""

import json
import pickle
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from datamodules.files import replace_atomically
from datamodules.synthesis.dataset.library import read_library

PAD, BOS, EOS = "<pad>", "<s>", "</s>"
TRAINING_SPLITS = ("atomic", "synthetic_train")
TENSOR_TRAINING_SPLITS = ("tensor_atomic", "tensor_train")
"""In data sets that have them."""
MIN_VOCAB_SIZE = 256 + 3  # every byte, and the three special tokens
RECIPE_FILE = "recipe.json"

_CJK = r"\u2E80-\u9FFF\uF900-\uFAFF\uFF00-\uFFEF"
PIECES = (
    r"\Adef [^\n]*|\n+(?:[ \t]+|def )[^\n]*"  # a line of code with the new lines before it
    rf"|\n+[ \t]*"  # new lines with the indentation that follows
    rf"|[{_CJK}]+"  # a run of Chinese text and punctuation
    rf"| ?[A-Za-z0-9_]+[^\sA-Za-z0-9_{_CJK}]*"  # one word, the blank before it, the punctuation after it
    rf"| ?[^\sA-Za-z0-9_{_CJK}]+"  # punctuation that follows no word
    rf"|\s"  # any other white space, one by one
)
_CALL_END = r"[^\n()]*\)(?:\n|\Z)"
STEP_PIECES = (
    rf"\n    [a-z] = (?=\w+\({_CALL_END})"  # the name of a step's result, with the new line before it
    rf"|\n    return (?=\w+\({_CALL_END})"
    rf"|\w+\((?={_CALL_END})"  # the name of the function that is called
    rf"|{PIECES}"
)


def train_tokenizer(
    texts: Iterable[str], vocab_size: int, directory: Path, *, pieces: str = PIECES
) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE on `texts` and save it as `directory`, which appears whole or not at all.

    A `directory` that holds something is left as it is and loaded.

    Raises:
        ValueError: `vocab_size` is below 259, or `directory` holds a tokenizer of another `vocab_size` or of
            other pieces.
    """
    if vocab_size < MIN_VOCAB_SIZE:
        raise ValueError(f"vocab_size is {vocab_size}: a byte-level vocabulary needs at least {MIN_VOCAB_SIZE}")
    directory = Path(directory)
    if not _holds_something(directory):
        _save_whole(_train(texts, vocab_size, pieces), directory, vocab_size, pieces)
    recipe = _recipe(directory)
    if (saved := recipe["vocab_size"]) != vocab_size:
        raise ValueError(
            f"{directory} was trained with vocab_size {saved}, not {vocab_size}: set vocab_size to {saved} or delete it"
        )
    if recipe.get("pieces") != pieces:
        raise ValueError(f"{directory} was trained by a version that cuts texts into other pieces: delete it")
    return load_tokenizer(directory)


def load_tokenizer(source: str | Path) -> PreTrainedTokenizerFast:
    """Load a tokenizer from a folder, from a hub id, or out of a checkpoint (`.ckpt`) of this project.

    Raises:
        ValueError: there is none at `source`, or it has no end-of-text token.
    """
    try:
        is_checkpoint = Path(source).suffix == ".ckpt"
        tokenizer = _from_checkpoint(Path(source)) if is_checkpoint else AutoTokenizer.from_pretrained(str(source))
    except (OSError, ValueError, KeyError, RuntimeError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"no tokenizer at {source}: give a tokenizer folder, a hub id or a .ckpt of this project"
        ) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast) or tokenizer.eos_token_id is None:
        raise ValueError(f"the tokenizer of {source} is not a fast one with an end-of-text token")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def training_texts(dataset: Any) -> Iterator[str]:
    """Prompts and solutions of the training splits of a DatasetDict, in its order."""
    for split in (*TRAINING_SPLITS, *(split for split in TENSOR_TRAINING_SPLITS if split in dataset)):
        for column in ("prompt", "solution"):
            yield from dataset[split][column]


def choose_pieces(dataset: Any) -> str:
    """Choose how the texts of a DatasetDict are cut: `STEP_PIECES` where its solutions call a library."""
    return STEP_PIECES if read_library(dataset[TRAINING_SPLITS[0]]) else PIECES


def pre_tokenizer(pieces: str = PIECES) -> pre_tokenizers.PreTokenizer:
    """Build the cut into pieces, then bytes; no merge crosses a border of pieces."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pieces), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _train(texts: Iterable[str], vocab_size: int, pieces: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer(pieces)  # type: ignore[assignment]
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=[PAD, BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _save_whole(tokenizer: Tokenizer, directory: Path, vocab_size: int, pieces: str) -> None:
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        clean_up_tokenization_spaces=False,
        split_special_tokens=True,  # the text "</s>" in a prompt is text, not the end of it
    )
    try:
        with replace_atomically(directory) as unfinished:
            wrapped.save_pretrained(unfinished)
            (unfinished / RECIPE_FILE).write_text(json.dumps({"vocab_size": vocab_size, "pieces": pieces}) + "\n")
    except OSError:
        if not _holds_something(directory):  # else another process wrote the same tokenizer first
            raise


def _holds_something(directory: Path) -> bool:
    return directory.is_dir() and any(directory.iterdir())


def _from_checkpoint(path: Path) -> PreTrainedTokenizerFast:
    payload = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["atomforge"]
    core = Tokenizer.from_str(payload["tokenizer"])
    return PreTrainedTokenizerFast(tokenizer_object=core, **json.loads(payload["tokenizer_config"]))


def _recipe(directory: Path) -> dict[str, Any]:
    try:
        return json.loads((directory / RECIPE_FILE).read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{directory} is not a tokenizer of this project: no readable {RECIPE_FILE}") from error
