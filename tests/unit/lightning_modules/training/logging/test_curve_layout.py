"""The layout of TensorBoard's custom scalars: it names only tags that are documented, and their patterns match them."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

from lightning_modules.training.logging.curve_layout import (
    CHARTS,
    EVALUATION_SECTIONS,
    RL_SECTIONS,
    SFT_SECTIONS,
    layout,
    pattern,
    write_layout,
)
from lightning_modules.training.logging.tags import TAGS, documented


def test_only_documented_tags_are_named_and_each_once() -> None:
    named = [tag for charts in CHARTS.values() for chart in charts for tag in chart.tags]
    assert len(named) == len(set(named))
    room = [tag for tag in named if "*" in tag]  # for tags that only some settings log
    known = {*room, *TAGS}
    assert [tag for tag in named if tag not in known and documented(tag) is None] == []


def test_charts_of_different_runs_are_equal_so_that_tensorboard_shows_each_once() -> None:
    for first, second in ((SFT_SECTIONS, RL_SECTIONS), (RL_SECTIONS, EVALUATION_SECTIONS)):
        shared = first["1 Is it learning?"].keys() & second["1 Is it learning?"].keys()
        assert shared == {"pass@k, held-out tasks", "outcomes"}
        assert all(first["1 Is it learning?"][title] == second["1 Is it learning?"][title] for title in shared)
    assert list(SFT_SECTIONS) == list(RL_SECTIONS) == list(CHARTS)
    assert list(EVALUATION_SECTIONS) == ["1 Is it learning?"]


@pytest.mark.parametrize(
    ("tag", "title"),
    [
        ("rollout/staleness", "staleness, iterations"),
        ("rollout/is_truncated_frac", "importance weights"),
        ("rollout/num_gen_batches", "dynamic sampling"),
        ("reward/pass_rate_depth_3", "pass rate by depth, training tasks"),
        ("evaluation/synthetic_test/pass_at_1_greedy_depth_3", "pass@1 by depth, held-out tasks"),
        ("evaluation/synthetic_test/pass_at_8_sampled", "pass@k, held-out tasks"),
        ("time/generate_frac", "fractions of an iteration"),
    ],
)
def test_a_tag_is_in_one_chart(tag: str, title: str) -> None:
    charts = [chart for charts in CHARTS.values() for chart in charts]
    assert [chart.title for chart in charts if any(re.search(pattern(one), tag) for one in chart.tags)] == [title]


def test_patterns_match_the_tags_they_stand_for_and_no_others() -> None:
    assert re.search(pattern("pass_at_k/<split>/greedy"), "pass_at_k/synthetic_val/greedy")
    assert not re.search(pattern("pass_at_k/<split>/greedy"), "pass_at_k/a/b/greedy")
    assert not re.search(pattern("loss/train"), "loss/train_all")
    assert re.search(pattern("rollout/pass_at_<k>"), "rollout/pass_at_4")


def test_it_has_the_form_that_the_writer_takes() -> None:
    made = layout(SFT_SECTIONS)
    assert made["1 Is it learning?"]["loss, nats per token"] == ["Multiline", ["^loss/train$", "^loss/val$"]]
    assert all(chart[0] == "Multiline" for charts in made.values() for chart in charts.values())


def test_it_is_written_once_for_a_run_that_begins(tmp_path: Path) -> None:
    logger = TensorBoardLogger(str(tmp_path), name="", version="")
    for step, rank_zero in ((0, False), (0, True), (7, True)):
        write_layout(SimpleNamespace(global_step=step, is_global_zero=rank_zero, loggers=[logger]), SFT_SECTIONS)
    logger.finalize("success")
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    [event] = events.Tensors("custom_scalars__config__")
    written = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    assert [category.title for category in written.category] == list(SFT_SECTIONS)
    assert list(written.category[0].chart[0].multiline.tag) == ["^loss/train$", "^loss/val$"]
