"""Made-up results of a study in the format of `cli.study.results`, for tests of what is said about them."""

import json
import random
from pathlib import Path

from cli.study.arm import Arm
from cli.study.plan import Contrast, Gate, Measurement, Stage, StudyConfig
from cli.study.results import ArmResult
from lightning_modules.evaluation.records import Evaluation, GradedCompletion, TaskResult
from lightning_modules.training.budget import Budget

TOPICS = ("grids", "numbers", "recursion", "text")
LEVELS = {
    "base": 0.08,
    "sft_atomic": 0.05,
    "sft_synthetic_50": 0.16,
    "sft_synthetic": 0.34,
    "sft_both": 0.44,
    "sft_rl_same": 0.45,
    "sft_rl_new": 0.56,
    "base_rl": 0.17,
}
"""Chance of passing, by stage."""
_MIXTURES = {
    "base": {"pretraining": {"count": None}},
    "sft_atomic": {"atomic": {"count": None}},
    "sft_synthetic_50": {"synthetic_train": {"count": 50}},
    "sft_synthetic": {"synthetic_train": {"count": None}},
    "sft_both": {"atomic": {"count": None}, "synthetic_train": {"count": None}},
}
_ENDINGS = ("wrong", "wrong", "wrong", "exception", "exception", "load_error", "timeout")


def study(seeds: tuple[int, ...] = (0, 1, 2, 3, 4)) -> StudyConfig:
    """Return a study of eight stages and three claims."""
    parents = {"sft_rl_same": "sft_both", "sft_rl_new": "sft_both", "base_rl": "base"}
    stages = [
        Stage(
            name=name,
            kind="rl" if name in parents else "sft",
            configs=("configs/sft.yaml",),
            parent=parents.get(name, None if name == "base" else "base"),
            note="what all others start from" if name == "base" else "",
        )
        for name in LEVELS
    ]
    return StudyConfig(
        name="made-up",
        output="out",
        seeds=seeds,
        synthesis="synthesis.yaml",
        stages=tuple(stages),
        contrasts=(
            contrast("F1", "sft_both", "sft_synthetic", "Atoms help SFT on compositions"),
            contrast("F2", "sft_rl_new", "sft_both", "RL on new prompts adds to SFT"),
            contrast("F3", "base_rl", "sft_synthetic", "RL from the base model does better than SFT"),
        ),
        measurement=Measurement(splits={"synthetic_test": 60, "synthetic_test_deeper": 30}, num_samples=8),
        gate=Gate(stage="base", split="synthetic_test", k=8, min_score=0.05),
    )


def contrast(
    hypothesis: str, treatment: str, control: str, statement: str = "", split: str = "synthetic_test"
) -> Contrast:
    """Return a hypothesis on greedy completions."""
    return Contrast(hypothesis=hypothesis, treatment=treatment, control=control, split=split, statement=statement)


def sample(
    passed: bool, *, ending: str = "wrong", completion: str = "def solve(a):\n    return a\n"
) -> GradedCompletion:
    """Return a graded completion."""
    return GradedCompletion(
        completion=completion,
        num_tokens=12,
        finished=True,
        status="passed" if passed else ending,
        num_passed=64 if passed else 3,
        num_tests=64,
    )


def task(
    number: int, *, greedy: GradedCompletion | None, samples: tuple[GradedCompletion, ...] = (), depth: int = 2
) -> TaskResult:
    """Return what a model did on a task."""
    return TaskResult(
        task_id=f"t/{number:05d}",
        prompt=f"Complete `solve(a: list[int]) -> int`: task {number}.",
        language="en",
        depth=depth,
        greedy=greedy,
        samples=samples,
        atoms=("sort",),
        topics=(TOPICS[number % 4], TOPICS[(number // 4) % 4]),
    )


def evaluation(*passed: bool | None) -> Evaluation:
    """Return greedy answers: passed, failed, or (None) not graded through a fault of the sandbox."""
    greedy = [sample(False, ending="infra") if one is None else sample(one) for one in passed]
    return Evaluation(tasks=tuple(task(number, greedy=one) for number, one in enumerate(greedy)), settings={})


def arm(stage: str, seed: int, evaluations: dict[str, Evaluation], **changes) -> ArmResult:
    """Return a finished arm."""
    fields = {
        "stage": stage,
        "seed": seed,
        "fingerprint": f"{seed:012x}",
        "kind": "sft",
        "parent": None,
        "minutes": 3.0,
        "config": {},
        "versions": {"torch": "2.13.0", "numpy": "2.4.6"},
        "curves": {},
        "budget": Budget(total_tokens=90_000, completion_tokens=60_000, synthetic_completion_tokens=30_000, flops=2e12),
        "evaluation": evaluations,
    }
    return ArmResult(**(fields | changes))


def make_arm(stage: str, folder: Path, *, seed: int = 0, parent: Path | None = None, **changes) -> Arm:
    """Return an arm that is not done."""
    fields = {
        "kind": "sft",
        "parent_stage": None,
        "fingerprint": "f",
        "versions": {},
        "configs": (),
        "overrides": {},
        "measurement": {},
        "data_dir": "data",
        "backend": "auto",
        "estimated_minutes": 1.0,
    }
    return Arm(stage=stage, seed=seed, folder=folder, parent=parent, **(fields | changes))


def results(wanted: StudyConfig) -> list[ArmResult]:
    """Return all arms of a study, with effects one can see: F1 and F2 hold, F3 does not."""
    found = []
    for stage in wanted.stages:
        for seed in wanted.seeds:
            dice = random.Random(f"{stage.name} {seed}")
            level = min(max(LEVELS[stage.name] + dice.gauss(0, 0.02), 0.01), 0.99)
            evaluations = {
                split: _evaluation(dice, level * (0.5 if "deeper" in split else 1.0), number)
                for split, number in wanted.measurement.splits.items()
            }
            config = {"data": {"init_args": {"mixture": _MIXTURES.get(stage.name)}}, "seed_everything": seed}
            curves = _rl_curves(dice, level) if stage.kind == "rl" else _sft_curves(dice, level)
            found.append(
                arm(stage.name, seed, evaluations, kind=stage.kind, parent=stage.parent, config=config, curves=curves)
            )
    return found


def write_results(output: Path, arms: list[ArmResult]) -> None:
    """Write arms where `load_results` finds them, and the data set's manifest."""
    for one in arms:
        folder = output / "arms" / one.stage / f"seed{one.seed}-{one.fingerprint}"
        folder.mkdir(parents=True)
        one.write(folder / "result.json")
    (output / "data").mkdir()
    (output / "data" / "manifest.json").write_text(json.dumps({"counts": {"synthetic_train": 2000}}))


def _evaluation(dice: random.Random, level: float, number: int) -> Evaluation:
    tasks = []
    for place in range(number):
        hardness = random.Random(f"task {place}").uniform(-0.25, 0.25)
        chance = min(max(level + hardness, 0.01), 0.98)
        code = f"def solve(a):\n    total = sum(x for x in a if x % {place + 2})\n    return min(total, {place})\n"
        answers = [sample(dice.random() < chance, ending=dice.choice(_ENDINGS), completion=code) for _ in range(9)]
        tasks.append(task(place, greedy=answers[0], samples=tuple(answers[1:]), depth=2 + place % 3))
    return Evaluation(tasks=tuple(tasks), settings={"num_samples": 8})


def _sft_curves(dice: random.Random, level: float) -> dict[str, list[list[float]]]:
    steps = range(0, 400, 10)
    loss = [[step, 3.2 * 2.718 ** (-step / 80) + 0.3 + dice.gauss(0, 0.03)] for step in steps]
    held_out = [[step, level * (1 - 2.718 ** (-step / 150))] for step in range(50, 401, 50)]
    endings = _endings(dice, "status/synthetic_val", range(50, 401, 50), level)
    return {"loss/train": loss, "pass_at_k/synthetic_val/greedy": held_out, **endings}


def _rl_curves(dice: random.Random, level: float) -> dict[str, list[list[float]]]:
    steps = range(8, 321, 8)
    trained = [[step, level * (0.6 + 0.5 * step / 320) + dice.gauss(0, 0.02)] for step in steps]
    reward = [[step, value + 0.15] for step, value in trained]
    held_out = [[step, level * (0.6 + 0.4 * step / 320)] for step in range(40, 321, 40)]
    gap = [[step, abs(dice.gauss(0.004, 0.004))] for step in steps]
    found = {"rollout/pass_at_1": trained, "reward/mean": reward, "reward/probe_fail_rate": gap}
    return found | {"pass_at_k/synthetic_val/greedy": held_out} | _endings(dice, "status/rollout", steps, level)


def _endings(dice: random.Random, prefix: str, steps: range, level: float) -> dict[str, list[list[float]]]:
    shares = {"wrong": 0.5, "exception": 0.3, "load_error": 0.15, "timeout": 0.05}
    other = {"memory": 0.0, "output_limit": 0.0, "crash": 0.0, "source_too_long": 0.0, "infra": 0.0}
    last = max(steps)
    return {
        f"{prefix}/{name}": [[step, share * (1 - level * step / last) * dice.uniform(0.9, 1.0)] for step in steps]
        for name, share in (shares | other).items()
    }
