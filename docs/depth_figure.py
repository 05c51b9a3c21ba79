"""Draws what RL adds to SFT by depth, from the arms of a study: the picture of the README.

    python docs/depth_figure.py docs/results/compose docs/images/rl_by_depth.svg

Left: the fraction of RL's sampled completions that pass, over training; right: greedy pass@1 on held-out tasks after
SFT and after RL. Lines and bars are means over seeds, bands and points the single seeds. Depths that no stage trains on
have bars only.
"""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cli.study.results import ArmResult, load_results
from lightning_modules.evaluation.records import Evaluation

DEPTH_TAG = "reward/pass_rate_depth_"
TRAINED_DEPTHS = (2, 3)
COLORS = {2: "#8a94a6", 3: "#d1495b"}
SFT_COLOR, RL_COLOR = "#b8bec9", "#d1495b"
WINDOW = 10
"""Iterations that a point of a curve averages over."""


def smooth(values: Sequence[float], window: int = WINDOW) -> np.ndarray:
    """Average successive windows: [N] -> [N // window]."""
    kept = len(values) // window * window
    return np.asarray(values[:kept], dtype=float).reshape(-1, window).mean(1)


def greedy_by_depth(evaluations: Sequence[Evaluation]) -> dict[int, float]:
    """Return greedy pass@1 of the composed tasks of each depth."""
    passed: dict[int, list[bool]] = defaultdict(list)
    for evaluation in evaluations:
        for task in evaluation.tasks:
            if task.greedy is not None:
                passed[task.depth].append(task.greedy.passed)
    return {depth: sum(found) / len(found) for depth, found in sorted(passed.items())}


def draw_training(axes: Axes, arms: Sequence[ArmResult]) -> None:
    """Draw pass rates of the sampled completions over the number of completions."""
    data = arms[0].config["data"]["init_args"]
    per_iteration = data["prompts_per_iteration"] * data["samples_per_prompt"]
    for depth in TRAINED_DEPTHS:
        curves = np.stack([smooth([value for _, value in arm.curves[f"{DEPTH_TAG}{depth}"]]) for arm in arms])
        completions = (np.arange(curves.shape[1]) + 1) * WINDOW * per_iteration / 1000
        axes.fill_between(completions, curves.min(0), curves.max(0), color=COLORS[depth], alpha=0.25, linewidth=0)
        axes.plot(completions, curves.mean(0), color=COLORS[depth], label=f"depth {depth}")
    axes.set_xlabel("completions of RL, thousands")
    axes.set_title("Sampled completions that pass, during RL", fontsize=10, loc="left")
    axes.legend(frameon=False, loc="lower right")


def draw_held_out(axes: Axes, sft: Sequence[ArmResult], rl: Sequence[ArmResult]) -> None:
    """Draw greedy pass@1 on held-out tasks by depth, before and after RL."""
    splits = ("synthetic_test", "synthetic_test_deeper")
    for offset, label, color, arms in ((-0.2, "SFT", SFT_COLOR, sft), (0.2, "SFT and RL", RL_COLOR, rl)):
        scores = [greedy_by_depth([arm.evaluation[split] for split in splits]) for arm in arms]
        depths = np.array(sorted(scores[0]))
        values = np.array([[found[depth] for depth in depths] for found in scores])
        axes.bar(depths + offset, values.mean(0), width=0.36, color=color, label=label)
        for found in values:
            axes.plot(depths + offset, found, ".", color="#333333", markersize=3)
        axes.set_xticks(depths)
    axes.set_xlabel("depth of the held-out composition")
    axes.set_title("Held-out tasks solved, greedy", fontsize=10, loc="left")
    axes.legend(frameon=False, loc="upper right")


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="directory of a study, or of its archive")
    parser.add_argument("output", type=Path, help="SVG file")
    args = parser.parse_args()
    arms: dict[str, list[ArmResult]] = defaultdict(list)
    for arm in load_results(args.study):
        arms[arm.stage].append(arm)
    with matplotlib.rc_context({"svg.hashsalt": "atomforge", "font.size": 9}):
        figure = Figure(figsize=(8.4, 2.9), layout="constrained")
        left, right = figure.subplots(1, 2)
        draw_training(left, arms["rl"])
        draw_held_out(right, arms["sft"], arms["rl"])
        for axes in (left, right):
            axes.set_ylim(0, 1)
            axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(args.output, metadata={"Date": None}, facecolor="white")


if __name__ == "__main__":
    main()
