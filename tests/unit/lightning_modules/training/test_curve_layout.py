"""The layout of TensorBoard's custom scalars: it names only tags that are documented, and their patterns match them."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

from lightning_modules.training.curve_layout import RL_SECTIONS, SFT_SECTIONS, layout, pattern, write_layout
from lightning_modules.training.tags import TAGS, documented


@pytest.mark.parametrize("questions", [SFT_SECTIONS, RL_SECTIONS])
def test_only_documented_tags_are_named(questions) -> None:
    named = [tag for charts in questions.values() for tags in charts.values() for tag in tags]
    assert len(named) == len(set(named))
    assert [tag for tag in named if tag not in TAGS and documented(tag) is None] == []


def test_patterns_match_the_tags_they_stand_for_and_no_others() -> None:
    assert re.search(pattern("pass_at_k/<split>/greedy"), "pass_at_k/synthetic_val/greedy")
    assert not re.search(pattern("pass_at_k/<split>/greedy"), "pass_at_k/a/b/greedy")
    assert not re.search(pattern("loss/train"), "loss/train_all")
    assert re.search(pattern("rollout/pass_at_<k>"), "rollout/pass_at_4")


def test_it_has_the_form_that_the_writer_takes() -> None:
    made = layout(SFT_SECTIONS)
    assert made["1 Is it learning?"]["loss"] == ["Multiline", ["^loss/train$", "^loss/val$"]]
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
