"""The layout of TensorBoard's tab CUSTOM SCALARS: a few sections with a few charts each.

SFT, RL and evaluations share the layout, so a chart shows the curves of all of them together; each writes the charts
that it has curves for. The tags are those of `lightning_modules.training.logging.tags`.
"""
# study-fingerprint: ignore (shows or measures results, and does not affect them)

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger

Kind = Literal["sft", "rl", "evaluation"]
Sections = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Section to chart to tags, spelled as in `TAGS`."""
_WILDCARDS = {"<": r"[^/]+", "*": r"[^/]*"}


class Chart(NamedTuple):
    """A chart, the tags it shows, and what writes them.

    In a tag, `<name>` stands for a part that is not empty, and `*` for any part, so that tags with a new suffix appear.
    """

    title: str
    tags: tuple[str, ...]
    kinds: tuple[Kind, ...] = ("rl",)


_TRAINING: tuple[Kind, ...] = ("sft", "rl")
_ALL: tuple[Kind, ...] = ("sft", "rl", "evaluation")
CHARTS: Mapping[str, tuple[Chart, ...]] = {
    "1 Is it learning?": (
        Chart("loss, nats per token", ("loss/train", "loss/val"), ("sft",)),
        Chart("reward", ("reward/mean", "reward/pass_rate")),
        Chart(
            "parts of the reward", tuple(f"reward/{part}" for part in ("passed", "fraction", "loads", "time", "custom"))
        ),
        Chart("pass rate by depth, training tasks", ("reward/pass_rate_depth_<depth>",)),
        Chart("pass@k, training tasks", ("rollout/pass_at_<k>",)),
        Chart(
            "pass@k, held-out tasks",
            (
                *("pass_at_k/<split>/greedy", "pass_at_k/<split>/pass_at_1", "pass_at_k/<split>/pass_at_8"),
                *("evaluation/<suite>/pass_at_<k>_greedy", "evaluation/<suite>/pass_at_<k>_sampled"),
                "study/<split>/<score>",
            ),
            _ALL,
        ),
        Chart(
            "pass@1 by depth, held-out tasks",
            ("pass_at_k/<split>/*depth_*", "evaluation/<suite>/pass_at_1_greedy_depth_<depth>"),
            ("evaluation",),
        ),
        Chart("outcomes", ("status/<split>/<status>",), _ALL),
    ),
    "2 Is it stable?": (
        Chart("gradient norm", ("optim/grad_norm",), _TRAINING),
        Chart("learning rate", ("optim/lr",), _TRAINING),
        Chart("KL from the reference, nats", ("kl/sequence",)),
        Chart("KL coefficient", ("kl/coef",)),
        Chart("policy update", ("policy/approx_kl", "policy/clip_frac", "policy/early_stopped_frac")),
        Chart("entropy, nats", ("policy/entropy",)),
        Chart("weight of the entropy bonus", ("policy/entropy_coef",)),
        Chart("supervised term, nats", ("loss/sft",)),
        Chart("ratio of the first minibatch", ("policy/ratio_first_minibatch",)),
        Chart("critic", ("value/explained_variance",)),
        Chart("staleness, iterations", ("rollout/staleness",)),
        Chart(
            "importance weights",
            (
                *("rollout/is_weight_mean", "rollout/is_truncated_frac", "rollout/is_effective_frac"),
                "rollout/rs_rejected_frac",
            ),
        ),
    ),
    "3 Where does time go?": (
        Chart(
            "fractions of an iteration",
            tuple(f"time/{part}_frac" for part in ("prompts", "generate", "logprob", "execute", "update", "other")),
        ),
        Chart("idle", ("time/idle_frac", "time/cpu_idle_frac")),
        Chart("tokens per second", ("throughput/train_tokens_per_s", "throughput/rollout_tokens_per_s"), _TRAINING),
        Chart("samples per second", ("throughput/samples_per_s",), _TRAINING),
        Chart("dynamic sampling", ("rollout/num_gen_batches", "rollout/trained_frac")),
        Chart("memory, MiB", ("throughput/peak_memory_mib",), _TRAINING),
        Chart("model FLOPs utilization", ("throughput/mfu",), _TRAINING),
        Chart("padding", ("data/padding_frac",), ("sft",)),
        Chart("evaluation, s", ("time/<split>/evaluate_s",), _TRAINING),
    ),
    "4 Is it being hacked?": (
        Chart("passes that fail the probe", ("reward/probe_fail_rate",)),
        Chart("completion length, tokens", ("completions/mean_length", "completions/<split>/mean_length"), _TRAINING),
        Chart("completions with <eos>", ("completions/eos_frac", "completions/<split>/eos_frac"), _TRAINING),
        Chart("zero-variance groups", ("rollout/zero_variance_frac",)),
        Chart("infra faults", ("rollout/num_infra",)),
    ),
}


def select_charts(kind: Kind) -> Sections:
    """Return the charts that a kind of run has curves for; sections without one are left out."""
    chosen = {
        section: {chart.title: chart.tags for chart in charts if kind in chart.kinds}
        for section, charts in CHARTS.items()
    }
    return {section: charts for section, charts in chosen.items() if charts}


SFT_SECTIONS = select_charts("sft")
RL_SECTIONS = select_charts("rl")
EVALUATION_SECTIONS = select_charts("evaluation")


def layout(sections: Sections) -> dict[str, dict[str, list]]:
    """Build the argument of TensorBoard's `add_custom_scalars`: charts with tags as regular expressions."""
    return {
        section: {chart: ["Multiline", [pattern(tag) for tag in tags]] for chart, tags in charts.items()}
        for section, charts in sections.items()
    }


def pattern(tag: str) -> str:
    """Return a regular expression that matches the logged tags of an entry of `TAGS`, or of a `Chart`."""
    parts = re.split(r"(<\w+>|\*)", tag)  # the odd ones are wildcards
    return "^" + "".join(_WILDCARDS[part[0]] if i % 2 else re.escape(part) for i, part in enumerate(parts)) + "$"


def write_layout(trainer: Trainer, sections: Sections) -> None:
    """Write the layout into the events of a new run; a resumed run has it."""
    if trainer.global_step > 0 or not trainer.is_global_zero:
        return
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_custom_scalars(layout(sections))
