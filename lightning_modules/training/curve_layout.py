"""How the curves of a run are grouped in TensorBoard's tab CUSTOM SCALARS: a few questions, a few charts each.

Only tags of `lightning_modules.training.tags` are named. A chart shows what a run has of its tags.
"""
# study-fingerprint: ignore (shows or measures results, and does not affect them)

import re
from collections.abc import Mapping

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger

_ANY = r"[^/]+"
Questions = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Question to chart to tags, spelled as in `TAGS`."""

_HELD_OUT = ("pass_at_k/<split>/greedy", "pass_at_k/<split>/pass_at_1", "pass_at_k/<split>/pass_at_8")
_SPEED = {
    "a second": ("throughput/train_tokens_per_s", "throughput/generate_tokens_per_s"),
    "samples a second": ("throughput/samples_per_s",),
    "memory, MiB": ("throughput/peak_memory_mib",),
    "model FLOPs utilization": ("throughput/mfu",),
}
SFT_QUESTIONS: Questions = {
    "1 Is it learning?": {
        "loss": ("loss/train", "loss/val"),
        "tasks solved": _HELD_OUT,
        "how answers end": ("status/<split>/<status>",),
    },
    "2 Is it stable?": {
        "gradient norm": ("optim/grad_norm",),
        "learning rate": ("optim/lr",),
        "answers that end by themselves": ("completions/<split>/eos_frac",),
        "tokens of an answer": ("completions/<split>/mean_length",),
    },
    "3 Where does time go?": {
        **_SPEED,
        "padding": ("data/padding_share",),
        "an evaluation, s": ("time/<split>/evaluate_s",),
    },
}
RL_QUESTIONS: Questions = {
    "1 Is it learning?": {
        "reward": ("reward/mean", "reward/pass_rate"),
        "parts of the reward": ("reward/passed", "reward/fraction", "reward/loads", "reward/time", "reward/own"),
        "training tasks solved": ("rollout/pass_at_<k>",),
        "held-out tasks solved": _HELD_OUT,
        "how responses end": ("rollout/status/<status>",),
    },
    "2 Is it stable?": {
        "KL from the reference, nats": ("kl/per_response",),
        "price of a nat": ("kl/coef",),
        "step of the policy": ("policy/approx_kl", "policy/clip_frac", "policy/stopped_share"),
        "entropy, nats": ("policy/entropy",),
        "first ratio": ("policy/first_ratio",),
        "critic": ("value/explained_variance",),
        "gradient norm": ("optim/grad_norm",),
    },
    "3 Where does time go?": {
        "shares of an iteration": (
            "time/share_generate",
            "time/share_score",
            "time/share_execute",
            "time/share_update",
            "time/share_other",
        ),
        **_SPEED,
    },
    "4 Is it being hacked?": {
        "passes that fail on other inputs": ("reward/retest_gap",),
        "tokens of a response": ("rollout/num_tokens",),
        "responses that end by themselves": ("rollout/finished",),
        "groups that teach nothing": ("rollout/uniform_share",),
        "faults of ours": ("rollout/num_infra",),
    },
}


def layout(questions: Questions) -> dict[str, dict[str, list]]:
    """Write the layout as TensorBoard's writer takes it: charts of several lines, tags as regular expressions."""
    return {
        question: {chart: ["Multiline", [pattern(tag) for tag in tags]] for chart, tags in charts.items()}
        for question, charts in questions.items()
    }


def pattern(tag: str) -> str:
    """Spell a tag of `TAGS` as a regular expression that matches the tags it stands for."""
    return "^" + _ANY.join(map(re.escape, re.split(r"<\w+>", tag))) + "$"


def write_layout(trainer: Trainer, questions: Questions) -> None:
    """Write the layout into the events of a run that begins; one that resumes has it."""
    if trainer.global_step > 0 or not trainer.is_global_zero:
        return
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_custom_scalars(layout(questions))
