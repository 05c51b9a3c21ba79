import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from datamodules.encoding.packing import Sample, first_fit, pack


def test_first_fit_by_hand():
    # longest first into 10: 7 opens row 0, 6 row 1, 4 goes to row 1 (7+4 > 10), 3 to row 0, 1 to row 2
    assert first_fit([3, 7, 4, 6, 1], 10) == [[1, 0], [3, 2], [4]]


@given(st.lists(st.integers(1, 20), max_size=30))
def test_first_fit_loses_nothing_and_overfills_nothing(lengths):
    rows = first_fit(lengths, 20)
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    assert all(0 < sum(lengths[i] for i in row) <= 20 for row in rows)
    # no two rows are both at most half full, else the later one's samples would have fitted
    assert sum(sum(lengths[i] for i in row) <= 10 for row in rows) <= 1


def test_pack_by_hand():
    batch = pack([Sample([1, 5], [6, 2]), Sample([1], [7, 2]), Sample([1, 8, 9], [2])], max_length=7, pad_id=0)
    assert batch.input_ids.tolist() == [[1, 5, 6, 2, 1, 7, 2], [1, 8, 9, 2, 0, 0, 0]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 0, 1, 2], [0, 1, 2, 3, 0, 0, 0]]
    assert batch.segment_ids.tolist() == [[1, 1, 1, 1, 2, 2, 2], [1, 1, 1, 1, 0, 0, 0]]
    assert batch.labels.tolist() == [[-100, -100, 6, 2, -100, 7, 2], [-100, -100, -100, 2, -100, -100, -100]]
    assert batch.num_samples == 3
    assert batch.labels.dtype == batch.input_ids.dtype == torch.long


def test_rows_are_no_wider_than_the_fullest():
    assert pack([Sample([1], [2])], max_length=100, pad_id=0).input_ids.shape == (1, 2)


def test_rows_are_kept_near_the_longest_sample():
    def width(longest: int, max_length: int) -> int:
        others = [Sample([1], [2] * 9)] * 100
        return pack([Sample([1], [2] * (longest - 1)), *others], max_length=max_length, pad_id=0).input_ids.shape[1]

    assert width(longest=20, max_length=1000) == 250  # 25 samples of 10 in rows of at most 256
    assert width(longest=20, max_length=60) == 60
    assert width(longest=500, max_length=1000) == 500


def test_too_long_is_refused():
    with pytest.raises(ValueError, match="5 tokens is longer than max_length 4"):
        pack([Sample([1, 2, 3], [4, 5])], max_length=4, pad_id=0)
