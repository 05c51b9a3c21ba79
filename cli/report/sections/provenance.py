"""The section on provenance: stages, seeds, times, tokens, versions, and exact configs."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from cli.report.document import Block, Collapsible, Section, Table, Text
from cli.report.format import minutes
from cli.report.sections.evidence import Arms, differing_settings
from cli.study.plan import StudyConfig
from cli.study.results import ArmResult
from lightning_modules.training.flops import FORMULAS


def provenance_section(study: StudyConfig, arms: Arms) -> Section:
    """Return what is needed to repeat the study."""
    done = [arm for by_seed in arms.values() for arm in by_seed.values()]
    measurement = study.measurement
    splits = ", ".join(
        f"{name} ({'all' if number is None else number} tasks)" for name, number in measurement.splits.items()
    )
    words = (
        f"Every arm was evaluated on {splits}: each task once greedily and {measurement.num_samples} times at "
        f"temperature {measurement.temperature:g}, at most {measurement.max_new_tokens} tokens. "
        f"Seeds: {', '.join(map(str, study.seeds))}. "
        f"Data: {study.synthesis}."
    )
    blocks: list[Block] = [Text(words), _stages(study, arms), _budgets(study, arms), _versions(done)]
    for stage in study.stages:
        for seed, arm in list(arms[stage.name].items())[:1]:
            differing = differing_settings(arms[stage.name])
            others = f"differ in {'; '.join(differing)}" if differing else "differ in seeds and directories"
            title = f"Exact config of {stage.name} (seed {seed}; other seeds {others})"
            blocks.append(Collapsible(title=title, code=yaml.safe_dump(dict(arm.config), sort_keys=False, width=100)))
    blocks.append(Collapsible(title="Fingerprints of all arms", code=_fingerprints(done)))
    return Section(title="Provenance", anchor="provenance", blocks=blocks)


def _stages(study: StudyConfig, arms: Arms) -> Table:
    rows = []
    for stage in study.stages:
        found = arms[stage.name].values()
        mean = minutes(sum(arm.minutes for arm in found) / len(found)) if found else ""
        done = f"{len(found)} of {len(study.seeds)}"
        rows.append([stage.name, stage.kind, stage.parent or "", done, mean, stage.note])
    return Table(columns=["stage", "kind", "starts from", "seeds done", "time per arm", "purpose"], rows=rows)


def _budgets(study: StudyConfig, arms: Arms) -> Table:
    """Tokens and operations of the first seed of each stage, and of all stages it starts from."""
    rows = []
    for stage in study.stages:
        for arm in list(arms[stage.name].values())[:1]:
            own = arm.budget
            lineage = [
                next(iter(arms[name].values())).budget.flops for name in _lineage(study, stage.name) if arms[name]
            ]
            counts = [
                *(own.total_tokens, own.completion_tokens, own.synthetic_completion_tokens),
                own.num_completions,
            ]
            rows.append([stage.name, *(f"{count:,}" for count in counts), f"{own.flops:.3g}", f"{sum(lineage):.3g}"])
    formulas = "; ".join(f"{kind}: {formula}" for kind, formula in FORMULAS.items())
    return Table(
        columns=[
            *("stage", "tokens", "completion tokens", "synthetic completion tokens", "sampled completions"),
            *("FLOPs", "with all parents"),
        ],
        rows=rows,
        caption=f"Cost of training, first seed. FLOPs are {formulas}: N weights, T tokens, E (and C) epochs",
    )


def _lineage(study: StudyConfig, name: str) -> list[str]:
    """Return a stage and those it starts from."""
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


def _fingerprints(arms: Sequence[ArmResult]) -> str:
    return "\n".join(f"{arm.stage} seed {arm.seed}: {arm.fingerprint}" for arm in arms)
