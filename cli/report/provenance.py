"""The section on how the numbers came about: stages, seeds, times, versions, exact configs."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from cli.report.document import Block, Fold, Section, Table, Text
from cli.report.evidence import Arms
from cli.report.numbers import minutes
from cli.report.settings import differences
from cli.study.budget import FORMULAS
from cli.study.plan import StudyConfig
from cli.study.results import ArmResult


def provenance_section(study: StudyConfig, arms: Arms) -> Section:
    """Put all that is needed to repeat the study."""
    done = [arm for by_seed in arms.values() for arm in by_seed.values()]
    asked = study.measurement
    splits = ", ".join(f"{name} ({'all' if number is None else number} tasks)" for name, number in asked.splits.items())
    words = (
        f"Every arm answered {splits}: once greedily and {asked.num_samples} times at temperature "
        f"{asked.temperature:g}, at most {asked.max_new_tokens} tokens. Seeds: {', '.join(map(str, study.seeds))}. "
        f"Data: {study.synthesis}."
    )
    blocks: list[Block] = [Text(words), _stages(study, arms), _budgets(study, arms), _versions(done)]
    for stage in study.stages:
        for seed, arm in list(arms[stage.name].items())[:1]:
            differing = differences(arms[stage.name])
            others = f"differ in {'; '.join(differing)}" if differing else "differ in seeds and directories"
            title = f"Exact config of {stage.name} (seed {seed}; other seeds {others})"
            blocks.append(Fold(title=title, code=yaml.safe_dump(dict(arm.config), sort_keys=False, width=100)))
    blocks.append(Fold(title="Addresses of all arms", code=_addresses(done)))
    return Section(title="How it was made", anchor="provenance", blocks=blocks)


def _stages(study: StudyConfig, arms: Arms) -> Table:
    rows = []
    for stage in study.stages:
        found = arms[stage.name].values()
        mean = minutes(sum(arm.minutes for arm in found) / len(found)) if found else ""
        done = f"{len(found)} of {len(study.seeds)}"
        rows.append([stage.name, stage.kind, stage.parent or "", done, mean, stage.note])
    return Table(columns=["stage", "kind", "starts from", "seeds done", "time an arm", "what for"], rows=rows)


def _budgets(study: StudyConfig, arms: Arms) -> Table:
    """Tokens and operations of the first seed of each stage, and of all it started from."""
    rows = []
    for stage in study.stages:
        for arm in list(arms[stage.name].values())[:1]:
            own = arm.budget
            lineage = [
                next(iter(arms[name].values())).budget.flops for name in _lineage(study, stage.name) if arms[name]
            ]
            counts = [own.total_tokens, own.completion_tokens, own.synthetic_completion_tokens]
            rows.append([stage.name, *(f"{count:,}" for count in counts), f"{own.flops:.3g}", f"{sum(lineage):.3g}"])
    formulas = "; ".join(f"{kind}: {formula}" for kind, formula in FORMULAS.items())
    return Table(
        columns=["stage", "tokens", "completion tokens", "synthetic completion tokens", "FLOPs", "with all before it"],
        rows=rows,
        caption=f"What training took, first seed. FLOPs are {formulas}: N weights, T tokens, E epochs over the answers",
    )


def _lineage(study: StudyConfig, name: str) -> list[str]:
    """Name a stage and those it starts from."""
    parent = study.stage(name).parent
    return [name, *([] if parent is None else _lineage(study, parent))]


def _versions(arms: Sequence[ArmResult]) -> Table:
    found: dict[str, set[str]] = {}
    for arm in arms:
        for name, version in arm.versions.items():
            found.setdefault(name, set()).add(version)
    return Table(
        columns=["package", "version"], rows=[[name, ", ".join(sorted(versions))] for name, versions in found.items()]
    )


def _addresses(arms: Sequence[ArmResult]) -> str:
    return "\n".join(f"{arm.stage} seed {arm.seed}: {arm.address}" for arm in arms)
