from collections import Counter

import pytest
import torch
from datasets import Dataset

from datamodules.batches import IGNORE, RolloutBatch
from datamodules.encoding.tokenizer import train_tokenizer
from datamodules.rl.sft_examples import SFTExamples, SFTExamplesConfig
from tests.support.small_data import row

ROWS = [row("synthetic_train", index) for index in range(10)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    texts = [text for r in ROWS for text in (r["prompt"], r["solution"])]
    return train_tokenizer(texts, 300, tmp_path_factory.mktemp("tokenizer") / "t")


def make(tokenizer, rows=ROWS, **settings) -> SFTExamples:
    config = SFTExamplesConfig(**({"split": "synthetic_train", "batch_size": 6} | settings))
    return SFTExamples(config, Dataset.from_list(rows), tokenizer, seed=3)


def empty_batch() -> RolloutBatch:
    zero = torch.zeros(1, 1)
    return RolloutBatch(zero, zero, zero, zero, zero.bool(), None, zero, zero, zero, zero, torch.tensor(1.0))


def texts(tokenizer, batch: RolloutBatch) -> list[str]:
    sft = batch.sft
    assert sft is not None
    return [
        tokenizer.decode(ids[segments == segment])
        for ids, segments in zip(sft.input_ids, sft.segment_ids, strict=True)
        for segment in range(1, int(segments.max()) + 1)
    ]


def test_steps_are_a_function_of_the_seed_and_micro_batches_and_ranks_divide_them(tokenizer) -> None:
    examples = make(tokenizer)
    whole = examples.attach([empty_batch()] * 3, first_step=4)
    assert all(len(texts(tokenizer, batch)) == 6 for batch in whole)
    assert texts(tokenizer, whole[0]) != texts(tokenizer, whole[1])
    again = make(tokenizer).attach([empty_batch()], first_step=5)  # as after a resume
    assert texts(tokenizer, again[0]) == texts(tokenizer, whole[1])

    parts = [
        batch
        for rank in range(2)
        for batch in examples.attach([empty_batch()] * 2, first_step=4, num_micro_batches=2, rank=rank, world_size=2)
    ]
    assert sorted(text for part in parts for text in texts(tokenizer, part)) == sorted(texts(tokenizer, whole[0]))
    # the mean share of the parts is a quarter of the labels of the step
    shares = [float(part.num_sft_labels) for part in parts]
    sft = whole[0].sft
    assert sft is not None
    assert sum(shares) == float(whole[0].num_sft_labels) == int((sft.labels != IGNORE).sum())


def test_a_pass_has_the_examples_of_a_depth_as_often_as_they_are_repeated(tokenizer) -> None:
    rows = [one | {"depth": 3 if index < 2 else 2} for index, one in enumerate(ROWS)]
    examples = make(tokenizer, rows, batch_size=14, repeat={3: 3})
    drawn = Counter(texts(tokenizer, examples.attach([empty_batch()], first_step=0)[0]))
    assert sorted(drawn.values()) == [1] * 8 + [3] * 2
    with pytest.raises(ValueError, match="sft_examples has repeat of depth 4, of which there is no task"):
        make(tokenizer, rows, repeat={4: 3})


def test_tokens_are_counted_over_steps(tokenizer) -> None:
    examples = make(tokenizer)
    batches = examples.attach([empty_batch()] * 2, first_step=0)
    assert examples.count_tokens(2) == sum(int((batch.sft.segment_ids > 0).sum()) for batch in batches if batch.sft)


def test_rows_without_a_solution_or_too_long_are_left_out(tokenizer, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{**ROWS[0], "solution": ""}, {**ROWS[1], "solution": "x = 1\n" * 200}, ROWS[2]]
    (batch,) = make(tokenizer, rows, max_length=200).attach([empty_batch()], first_step=0)
    assert len(set(texts(tokenizer, batch))) == 1
    assert "1 of 2 examples are longer than max_length" in caplog.text
    with pytest.raises(ValueError, match="synthetic_train has no solution of at most 200 tokens"):
        make(tokenizer, rows[:2], max_length=200)
    with pytest.raises(ValueError, match="sft_examples.batch_size is 0"):
        SFTExamplesConfig(split="a", batch_size=0)
