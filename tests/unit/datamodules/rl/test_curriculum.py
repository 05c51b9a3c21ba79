"""When deeper tasks join, and what is kept over a restart."""

import pytest

from datamodules.rl.curriculum import CurriculumConfig, DepthCurriculum

CONFIG = CurriculumConfig(start=2, advance_at=0.5, num_iterations=2)


def test_the_next_depth_joins_after_the_mean_rate_is_reached():
    curriculum = DepthCurriculum(CONFIG, [1, 2, 2, 3, 5])
    assert curriculum.depths == (1, 2)
    curriculum.update({1: (9, 9), 2: (2, 10)})
    curriculum.update({2: (7, 10)})  # mean of .2 and .7 is .45
    assert curriculum.depth == 2
    curriculum.update({2: (3, 10)})  # mean of .7 and .3 is .5
    assert curriculum.depths == (1, 2, 3)
    curriculum.update({3: (10, 10)})  # one rate alone is not enough
    assert curriculum.depth == 3
    curriculum.update({3: (10, 10)})
    assert curriculum.depths == (1, 2, 3, 5)


def test_the_last_depth_stays_and_iterations_without_it_do_not_count():
    curriculum = DepthCurriculum(CONFIG, [2])
    for _ in range(3):
        curriculum.update({2: (1, 1)})
    assert curriculum.depths == (2,)
    fresh = DepthCurriculum(CONFIG, [2, 3])
    fresh.update({2: (1, 1)})
    fresh.update({})
    assert fresh.depth == 2


def test_a_restored_curriculum_goes_on_as_the_first_one():
    first = DepthCurriculum(CONFIG, [1, 2, 3])
    first.update({2: (1, 1)})
    second = DepthCurriculum(CONFIG, [1, 2, 3])
    second.load_state_dict(first.state_dict())
    for curriculum in (first, second):
        curriculum.update({2: (1, 1)})
    assert first.depth == second.depth == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"start": 0}, "start is 0"), ({"advance_at": 0.0}, "advance_at is 0.0"), ({"num_iterations": 0}, "is 0")],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        CurriculumConfig(**settings)


def test_a_start_below_all_tasks_names_their_depth():
    with pytest.raises(ValueError, match="start is 2, but the shallowest task has depth 3"):
        DepthCurriculum(CONFIG, [3, 4])
