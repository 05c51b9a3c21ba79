"""Figures, and TensorBoard in a real headless Chromium over events of ours: the tabs hold what the page says.

The browser's test is skipped where there is no Chromium.
"""

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy
import pytest
from lightning.fabric.plugins.environments.lightning import find_free_network_port
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from docs.screenshots import BROWSERS, look, wait_for
from lightning_modules.evaluation.figures import pass_at_k_figure, status_figure
from lightning_modules.evaluation.records import Evaluation, GradedCompletion, TaskResult
from lightning_modules.training.logging.curve_layout import SFT_SECTIONS, layout

ROOT = Path(__file__).resolve().parents[2]
CURVE = (255, 112, 67)
"""TensorBoard's colour of the first run."""
GREEN = (42, 157, 143)
"""Of what passed."""
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)


def sample(status: str) -> GradedCompletion:
    return GradedCompletion(
        completion="def solve(a):\n    return a", num_tokens=4, finished=True, status=status, num_passed=0, num_tests=1
    )


def evaluation() -> Evaluation:
    samples = tuple(map(sample, ("passed", "wrong", "wrong", "timeout")))
    greedy = sample("passed")
    task = TaskResult(task_id="t", prompt="p", language="en", depth=2, greedy=greedy, samples=samples)
    return Evaluation(tasks=(task,), settings={})


def test_figures_show_the_numbers() -> None:
    results = {"suite": evaluation()}
    [line] = pass_at_k_figure(results, [1, 2, 4]).axes[0].lines
    assert list(line.get_xdata()) == [1, 2, 4]
    assert list(line.get_ydata()) == pytest.approx([0.25, 0.5, 1.0])  # 1 of 4 is right: k/4
    bars = {bar.get_label(): bar.patches[0].get_width() for bar in status_figure(results).axes[0].containers}
    assert bars == pytest.approx({"passed": 0.4, "wrong": 0.4, "timeout": 0.2})  # greedy counts, too


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_the_tabs_hold_what_the_page_says(tmp_path: Path) -> None:
    assert BROWSER is not None
    with SummaryWriter(str(tmp_path / "runs" / "sft")) as writer:
        writer.add_custom_scalars(layout(SFT_SECTIONS))
        writer.add_scalar("loss/train", 1.0, 0)
        writer.add_scalar("loss/train", 0.5, 1)
        writer.add_figure("figures/statuses", status_figure({"suite": evaluation()}))
        writer.add_text("samples/synthetic_val", "**task** *passed*", 0)
    port = find_free_network_port()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", "runs", "--port", str(port)]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/data/environment")
        time.sleep(3)  # it reads the events in a thread
        address = f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(f"{address}/data/plugin/custom_scalars/layout") as answer:
            served = json.load(answer)
        assert [category["title"] for category in served["category"]] == list(SFT_SECTIONS)
        page = look(BROWSER, f"{address}/#custom_scalars", None).upper()
        for tab in ("TIME SERIES", "CUSTOM SCALARS", "IMAGES", "TEXT"):
            assert tab in page
        for tab, shown in (("custom_scalars", CURVE), ("images", GREEN)):
            look(BROWSER, f"{address}/#{tab}", tmp_path / "picture.png")
            picture = numpy.asarray(Image.open(tmp_path / "picture.png").convert("RGB"), dtype=int)
            assert (abs(picture - shown).max(axis=2) < 8).sum() > 50, f"nothing is drawn in {tab}"
    finally:
        server.terminate()
        server.wait()
