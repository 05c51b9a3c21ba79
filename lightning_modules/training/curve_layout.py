"""Layout of the curves of a run in TensorBoard's tab CUSTOM SCALARS: a few sections with a few charts each.

The tags are those of `lightning_modules.training.tags`. A chart shows those of its tags that a run has.
"""
# study-fingerprint: ignore (shows or measures results, and does not affect them)

import re
from collections.abc import Mapping

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger

_ANY = r"[^/]+"
Sections = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Section to chart to tags, spelled as in `TAGS`."""

_HELD_OUT = ("pass_at_k/<split>/greedy", "pass_at_k/<split>/pass_at_1", "pass_at_k/<split>/pass_at_8")
_SPEED = {
    "tokens per second": ("throughput/train_tokens_per_s", "throughput/rollout_tokens_per_s"),
    "samples per second": ("throughput/samples_per_s",),
    "memory, MiB": ("throughput/peak_memory_mib",),
    "model FLOPs utilization": ("throughput/mfu",),
}
SFT_SECTIONS: Sections = {
    "1 Is it learning?": {
        "loss": ("loss/train", "loss/val"),
        "pass@k": _HELD_OUT,
        "outcomes": ("status/<split>/<status>",),
    },
    "2 Is it stable?": {
        "gradient norm": ("optim/grad_norm",),
        "learning rate": ("optim/lr",),
        "completions with <eos>": ("completions/<split>/eos_frac",),
        "completion length, tokens": ("completions/<split>/mean_length",),
    },
    "3 Where does time go?": {
        **_SPEED,
        "padding": ("data/padding_frac",),
        "evaluation, s": ("time/<split>/evaluate_s",),
    },
}
RL_SECTIONS: Sections = {
    "1 Is it learning?": {
        "reward": ("reward/mean", "reward/pass_rate"),
        "parts of the reward": ("reward/passed", "reward/fraction", "reward/loads", "reward/time", "reward/custom"),
        "pass@k, training tasks": ("rollout/pass_at_<k>",),
        "pass@k, held-out tasks": _HELD_OUT,
        "outcomes": ("status/rollout/<status>",),
    },
    "2 Is it stable?": {
        "KL from the reference, nats": ("kl/sequence",),
        "KL coefficient": ("kl/coef",),
        "policy update": ("policy/approx_kl", "policy/clip_frac", "policy/early_stopped_frac"),
        "entropy, nats": ("policy/entropy",),
        "weight of the entropy bonus": ("policy/entropy_coef",),
        "staleness, iterations": ("rollout/staleness",),
        "importance weights": (
            "rollout/is_weight_mean",
            "rollout/is_truncated_frac",
            "rollout/is_effective_frac",
            "rollout/rs_rejected_frac",
        ),
        "supervised term, nats": ("loss/sft",),
        "ratio of the first minibatch": ("policy/ratio_first_minibatch",),
        "critic": ("value/explained_variance",),
        "gradient norm": ("optim/grad_norm",),
    },
    "3 Where does time go?": {
        "fractions of an iteration": (
            "time/prompts_frac",
            "time/generate_frac",
            "time/logprob_frac",
            "time/execute_frac",
            "time/update_frac",
            "time/other_frac",
        ),
        "idle": ("time/idle_frac", "time/cpu_idle_frac"),
        **_SPEED,
    },
    "4 Is it being hacked?": {
        "passes that fail the probe": ("reward/probe_fail_rate",),
        "completion length, tokens": ("completions/mean_length",),
        "completions with <eos>": ("completions/eos_frac",),
        "zero-variance groups": ("rollout/zero_variance_frac",),
        "infra faults": ("rollout/num_infra",),
    },
}


def layout(sections: Sections) -> dict[str, dict[str, list]]:
    """Build the argument of TensorBoard's `add_custom_scalars`: charts with tags as regular expressions."""
    return {
        section: {chart: ["Multiline", [pattern(tag) for tag in tags]] for chart, tags in charts.items()}
        for section, charts in sections.items()
    }


def pattern(tag: str) -> str:
    """Return a regular expression that matches the logged tags of an entry of `TAGS`."""
    return "^" + _ANY.join(map(re.escape, re.split(r"<\w+>", tag))) + "$"


def write_layout(trainer: Trainer, sections: Sections) -> None:
    """Write the layout into the events of a new run; a resumed run has it."""
    if trainer.global_step > 0 or not trainer.is_global_zero:
        return
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_custom_scalars(layout(sections))
