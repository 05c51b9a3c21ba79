"""Figures of an evaluation for TensorBoard's tab IMAGES: pass@k against k, and the statuses of completions.

They are drawn without a screen, and never during training.
"""
# study-fingerprint: ignore (shows or measures results, and does not affect them)

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lightning_modules.evaluation.records import Evaluation
from lightning_modules.evaluation.statistics import Interval, mean_interval

_SIZE = (7.0, 3.6)
_DPI = 110
_GOOD, _OTHERS = "#2a9d8f", ("#e76f51", "#f4a261", "#e9c46a", "#8d99ae", "#6d597a", "#b56576", "#355070", "#adb5bd")


def pass_at_k_figure(results: Mapping[str, Evaluation], ks: Sequence[int]) -> Figure:
    """Draw pass@k of each suite against k, with 95 % intervals over tasks."""
    figure, axes = _figure()
    for name, evaluation in results.items():
        points: dict[int, Interval] = {k: mean_interval(scores) for k in ks if (scores := evaluation.scores(k))}
        if points:
            (line,) = axes.plot(list(points), [point.mean for point in points.values()], marker="o", label=name)
            low, high = ([getattr(point, end) for point in points.values()] for end in ("low", "high"))
            axes.fill_between(list(points), low, high, alpha=0.15, color=line.get_color())
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(ks), [str(k) for k in ks])
    axes.set_xlabel("samples k")
    axes.set_ylabel("pass@k")
    axes.set_ylim(0.0, 1.0)
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    return figure


def status_figure(results: Mapping[str, Evaluation]) -> Figure:
    """Draw, for each suite, the fractions of statuses as one bar: passed first, then failures by frequency."""
    figure, axes = _figure()
    shares = {name: _shares(evaluation) for name, evaluation in results.items()}
    totals: dict[str, float] = {}
    for found in shares.values():
        for status, share in found.items():
            totals[status] = totals.get(status, 0.0) + share
    order = sorted(totals, key=lambda status: (status != "passed", -totals[status]))
    left = dict.fromkeys(shares, 0.0)
    colours = dict(zip([status for status in order if status != "passed"], _OTHERS, strict=False)) | {"passed": _GOOD}
    for status in order:
        widths = [shares[name].get(status, 0.0) for name in shares]
        axes.barh(list(shares), widths, left=list(left.values()), label=status, color=colours[status])
        left = {name: left[name] + width for name, width in zip(shares, widths, strict=True)}
    axes.set_xlim(0.0, 1.0)
    axes.set_xlabel("fraction of completions")
    axes.invert_yaxis()
    axes.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False)
    return figure


def _shares(evaluation: Evaluation) -> dict[str, float]:
    completions = [completion for task in evaluation.tasks for completion in task.completions()]
    counts: dict[str, int] = {}
    for completion in completions:
        counts[str(completion.status)] = counts.get(str(completion.status), 0) + 1
    return {status: count / len(completions) for status, count in counts.items()}


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()
