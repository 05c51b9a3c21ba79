import pytest

from executor.api import open_executor


def test_a_recorded_time_factor_takes_the_place_of_the_measured_one():
    with open_executor("process", num_workers=1, time_factor=7.5) as opened:
        assert opened.time_factor == 7.5
        assert "times x 7.5" in opened.description


def test_a_time_factor_below_one_is_refused():
    with pytest.raises(ValueError, match=r"time_factor must be at least 1.0, not 0.5"):
        open_executor("process", time_factor=0.5)
