"""What the report computes from results: hypotheses, gates, missing arms, over-fitting. Numbers by hand."""

import dataclasses

import pytest

from cli.report.build import build_document
from cli.report.document import Collapsible, Gallery, Table
from cli.report.sections.curves import (
    PathPoint,
    downsample,
    has_greedy_train_score,
    mean_curve,
    mean_gap,
    training_path,
    transfer_ratio,
)
from cli.report.sections.evidence import HypothesisResult, assess_hypotheses, group_arms, stage_mean, stage_pass_at_k
from cli.report.sections.programs import find_changes
from cli.report.sections.scores import groups_section, num_functions, scores_section
from cli.report.sections.training import count_probed, training_section
from cli.study.plan import METRICS, Comparison, Gate, Measurement, StudyConfig
from cli.study.results import ArmResult
from cli.study.verdicts import Verdict
from executor.types import Status
from lightning_modules.evaluation.records import Evaluation
from tests.support.study_results import arm, contrast, evaluation, results, sample, study, task

SPLIT = "synthetic_test"


def small(**changes) -> StudyConfig:
    """A study of two seeds that claims sft_both over base."""
    return dataclasses.replace(study((0, 1)), **({"contrasts": (contrast("F1", "sft_both", "base"),)} | changes))


def pair(treatment: tuple[bool | None, ...], control: tuple[bool | None, ...], seed: int = 0) -> list[ArmResult]:
    return [
        arm("sft_both", seed, {SPLIT: evaluation(*treatment)}),
        arm("base", seed, {SPLIT: evaluation(*control)}),
    ]


def pairs_of_two_seeds() -> list[ArmResult]:
    """One side solves all of twenty tasks with both seeds, the other none."""
    return [one for seed in (0, 1) for one in pair((True,) * 20, (False,) * 20, seed=seed)]


def test_a_hypothesis_pairs_the_seeds_that_both_arms_have() -> None:
    wanted = small()
    found = pair((True, True, False), (False, True, False)) + pair((True, True, True), (False,) * 3, seed=1)[:1]
    (finding,) = assess_hypotheses(wanted, group_arms(wanted, found))
    assert finding.seeds == [0]
    assert finding.difference is not None
    assert finding.difference.mean == pytest.approx(1 / 3)
    assert finding.confidence == pytest.approx(0.95)  # one finding: Holm changes nothing
    assert finding.verdict is Verdict.ONE_SEED


def test_a_sandbox_fault_removes_the_task() -> None:
    wanted = small()
    (finding,) = assess_hypotheses(wanted, group_arms(wanted, pair((True, None), (False, True))))
    assert finding.difference is not None
    assert finding.difference.values.tolist() == [[1.0]]
    (finding,) = assess_hypotheses(wanted, group_arms(wanted, pair((None, None), (False, True))))
    assert finding.difference is None
    assert finding.verdict is None


def test_a_hypothesis_of_one_depth_uses_its_tasks_alone() -> None:
    def made(*passed: bool) -> Evaluation:
        found = evaluation(*passed)
        tasks = [dataclasses.replace(one, depth=depth) for one, depth in zip(found.tasks, (2, 3, 3), strict=True)]
        return dataclasses.replace(found, tasks=tuple(tasks))

    arms = [arm("sft_both", 0, {SPLIT: made(False, True, True)}), arm("base", 0, {SPLIT: made(True, False, True)})]
    for depth, mean, num_tasks in ((None, 0.0, 3), (2, -1.0, 1), (3, 0.5, 2)):
        claim = dataclasses.replace(contrast("F1", "sft_both", "base"), depth=depth)
        (finding,) = assess_hypotheses(small(contrasts=(claim,)), group_arms(small(), arms))
        assert finding.difference is not None
        assert finding.difference.mean == pytest.approx(mean)
        assert finding.difference.num_tasks == num_tasks


def test_seeds_of_different_settings_have_no_verdict() -> None:
    def made(stage: str, seed: int, passed: bool, lr: float) -> ArmResult:
        config = {"seed_everything": seed, "run_dir": f"r/{stage}{seed}", "model": {"init_args": {"lr": lr}}}
        config |= {"ckpt_path": f"r/{stage}1/epoch_00003.ckpt"} if seed == 1 else {}  # it was interrupted
        return arm(stage, seed, {SPLIT: evaluation(*(passed,) * 20)}, config=config)

    def finding_of(*found: ArmResult) -> HypothesisResult:
        return assess_hypotheses(small(), group_arms(small(), found))[0]

    alike = [made("sft_both", 0, True, 0.1), made("sft_both", 1, True, 0.1)]
    worse = [made("base", 0, False, 0.3), made("base", 1, False, 0.3)]
    assert finding_of(*alike, *worse).verdict is Verdict.REPRODUCED  # seeds and directories may differ
    edited = [alike[0], made("sft_both", 1, True, 0.2)]
    finding = finding_of(*edited, *worse)
    assert finding.verdict is Verdict.MIXED
    assert finding.mixed == ["sft_both: model.init_args.lr: 0.1 (seed 0), 0.2 (seed 1)"]
    # sft_both starts from base
    finding = finding_of(*alike, worse[0], dataclasses.replace(worse[1], versions={"torch": "2.14.0"}))
    assert finding.mixed[-1] == "base: versions.torch: '2.13.0' (seed 0), '2.14.0' (seed 1)"
    page = build_document(small(), [*edited, *worse], counts={})
    assert page.summary == "F1 undecided: seeds of different settings."
    titles = [block.title for section in page.sections for block in section.blocks if isinstance(block, Collapsible)]
    assert titles[0] == "Exact config of base (seed 0; other seeds differ in seeds and directories)"
    assert "sft_both (seed 0; other seeds differ in model.init_args.lr: 0.1 (seed 0), 0.2 (seed 1))" in titles[1]


def test_missing_arms_have_no_verdict_and_still_count_for_holm() -> None:
    wanted = small(contrasts=(contrast("F1", "sft_both", "base"), contrast("F2", "sft_rl_new", "sft_both")))
    first, second = assess_hypotheses(wanted, group_arms(wanted, pairs_of_two_seeds()))
    assert first.confidence == pytest.approx(0.975)
    assert (first.verdict, second.verdict) == (Verdict.REPRODUCED, None)


def test_results_of_other_stages_and_seeds_are_left_out() -> None:
    wanted = small()
    arms = group_arms(wanted, [*pair((True,), (False,)), arm("old", 0, {}), arm("base", 7, {})])
    assert "old" not in arms
    assert list(arms["base"]) == [0]
    assert stage_mean(arms, "sft_rl_new", split=SPLIT, metric=METRICS[0]) is None


def sampled(*passes: tuple[bool, ...]) -> Evaluation:
    tasks = [task(n, greedy=None, samples=tuple(map(sample, row))) for n, row in enumerate(passes)]
    return Evaluation(tasks=tuple(tasks), settings={})


@pytest.mark.parametrize(
    ("min_score", "k", "verdict"),
    [
        (0.5, 2, Verdict.REPRODUCED),  # pass@2 of the gate below is exactly one half: reached
        (0.51, 2, Verdict.NO_SIGNAL),
        (0.5, 3, None),  # three samples were not taken: nothing can be said
    ],
)
def test_the_gate_of_f3(min_score: float, k: int, verdict: Verdict | None) -> None:
    wanted = small(
        contrasts=(contrast("F3", "sft_both", "base"),),
        gate=Gate(stage="base", split="synthetic_rl", k=k, min_score=min_score),
    )
    gated = sampled((True, False), (False, False))
    found = [
        dataclasses.replace(one, evaluation={**one.evaluation, "synthetic_rl": gated}) if one.stage == "base" else one
        for one in pairs_of_two_seeds()
    ]
    arms = group_arms(wanted, found)
    (finding,) = assess_hypotheses(wanted, arms)
    assert finding.verdict == verdict
    other = dataclasses.replace(wanted, contrasts=(contrast("F1", "sft_both", "base"),))
    assert assess_hypotheses(other, arms)[0].verdict is Verdict.REPRODUCED  # the gate is that of F3 alone


def test_exploratory_differences_have_a_table() -> None:
    """All twenty tasks against none, so no draw differs; unseen tasks may fail: 1 - 0.025 ** (1 / 20) = 16.8 %."""
    comparisons = (
        Comparison(treatment="sft_both", control="base", split=SPLIT),
        Comparison(treatment="sft_rl_new", control="base", split=SPLIT),
    )
    wanted = small(exploratory=comparisons)
    arms = group_arms(wanted, pairs_of_two_seeds())
    *_, table = scores_section(wanted, arms, dict.fromkeys(arms, "plain")).blocks
    assert isinstance(table, Table)
    assert table.columns == ["difference", "split", "pass@1 greedy", "pass@1 sampled", "seeds x tasks"]
    # sft_rl_new is not made yet, and nothing was sampled
    assert table.rows == [["sft_both minus base", SPLIT, "+100.0 points (66.3 to 100.0)", "", "2 x 20"]]
    without = scores_section(small(), arms, dict.fromkeys(arms, "plain")).blocks
    assert not any(isinstance(block, Table) for block in without)


def test_pass_at_k_by_hand() -> None:
    wanted = small()
    # pass@2 of 1 right in 4: 1 - C(3,2)/C(4,2) = 1/2; of none: 0.
    arms = group_arms(wanted, [arm("base", 0, {SPLIT: sampled((True, False, False, False), (False,) * 4)})])
    found = stage_pass_at_k(arms, "base", split=SPLIT, k=2)
    assert found is not None
    assert found.mean == pytest.approx(0.25)
    assert stage_pass_at_k(arms, "base", split=SPLIT, k=5) is None


def test_verdicts_of_the_made_up_study() -> None:
    wanted = study()
    verdicts = [finding.verdict for finding in assess_hypotheses(wanted, group_arms(wanted, results(wanted)))]
    assert verdicts[0] is Verdict.REPRODUCED
    assert verdicts[2] is Verdict.NOT_REPRODUCED


def curved(train: list[list[float]], held_out: list[list[float]]) -> ArmResult:
    return arm("base", 0, {}, curves={"rollout/pass_at_1": train, "pass_at_k/synthetic_val/greedy": held_out})


def test_a_training_path_averages_since_the_validation_before() -> None:
    found = training_path(curved([[1, 0.2], [2, 0.4], [3, 0.5], [4, 0.7], [5, 0.9]], [[2, 0.1], [4, 0.3]]))
    assert found == [PathPoint(2, pytest.approx(0.3), 0.1), PathPoint(4, pytest.approx(0.6), 0.3)]
    assert training_path(arm("base", 0, {}, curves={"pass_at_k/synthetic_val/greedy": [[1, 0.5]]})) == []


def test_a_greedy_training_score_is_preferred_to_a_sampled_one() -> None:
    tags = {"pass_at_k/synthetic_train/greedy": [[1, 0.6]], "rollout/pass_at_1": [[1, 0.2]]}
    both = arm("base", 0, {}, curves={**tags, "pass_at_k/synthetic_val/greedy": [[1, 0.5]]})
    assert training_path(both) == [PathPoint(1, 0.6, 0.5)]
    assert has_greedy_train_score(both)
    assert not has_greedy_train_score(curved([[1, 0.2]], [[1, 0.1]]))


def test_a_gap_is_read_where_the_training_score_passes_a_level() -> None:
    a = [PathPoint(1, 0.2, 0.2), PathPoint(2, 0.6, 0.4)]
    b = [PathPoint(1, 0.1, 0.1), PathPoint(2, 0.4, 0.2)]
    # a crosses 0.4 half-way, where its held-out score is 0.3; b ends there with 0.2. Gaps 0.1 and 0.2.
    assert mean_gap(0.4, [a]) == pytest.approx(0.1)
    assert mean_gap(0.4, [b]) == pytest.approx(0.2)
    assert mean_gap(0.4, [a, b]) == pytest.approx(0.15)
    assert mean_gap(0.2, [a]) == 0.0
    # Nothing is known above what a seed reached, nor below where it was first asked.
    assert mean_gap(0.5, [a, b]) is None
    assert mean_gap(0.1, [a, b]) is None
    assert mean_gap(0.4, [[PathPoint(1, 0.9, 0.5), PathPoint(2, 0.3, 0.1), PathPoint(3, 0.5, 0.2)]]) is None
    assert mean_gap(0.4, []) is None


def test_the_transfer_ratio_needs_a_training_score() -> None:
    assert transfer_ratio(0.4, 0.3) == pytest.approx(0.75)
    assert transfer_ratio(0.2, 0.1) == pytest.approx(0.5)
    assert transfer_ratio(0.19, 0.19) is None


def test_changes_leave_out_ungraded_completions() -> None:
    before, after = evaluation(True, False, False, None, True), evaluation(False, True, False, True, None)
    gained, lost = find_changes(before, after)
    assert [one.task.task_id for one in gained] == ["t/00001"]
    assert [one.task.task_id for one in lost] == ["t/00000"]


@pytest.mark.parametrize(
    ("mixture", "number"),
    [
        ({"atomic": {"count": None}}, 0),
        ({"atomic": {"count": None}, "synthetic_train": {"count": 50}}, 50),
        ({"synthetic_train": {"count": None}}, 2000),
        ({"synthetic_train": {}}, 2000),
        ({"pretraining": {"count": None}}, None),
        (None, None),
    ],
)
def test_the_number_of_synthetic_functions(mixture: dict | None, number: int | None) -> None:
    config = {"data": {"init_args": {"mixture": mixture}}}
    arms = {"base": {0: arm("base", 0, {}, config=config)}}
    assert num_functions(arms, "base", {"synthetic_train": 2000}) == number


def test_curves_of_seeds() -> None:
    assert mean_curve([[(1, 0.0), (2, 1.0)], [(2, 0.0), (3, 5.0)]]) == [(2, 0.5)]
    assert mean_curve([]) == []
    assert downsample([(0, 1.0), (1, 3.0), (2, 5.0), (3, 7.0), (4, 10.0)], max_points=3) == [
        (1, 2.0),
        (3, 6.0),
        (4, 10.0),
    ]
    assert len(downsample([(step, 0.0) for step in range(1000)])) <= 120


def test_probed_passes_are_counted() -> None:
    curves = {
        "reward/probe_fail_rate": [[1, 0.5], [2, 0.1], [4, 0.0], [5, 0.25]],  # none was run again in iteration 3
        "reward/num_probed": [[1, 2], [2, 10], [3, 0], [4, 6], [5, 4]],
    }
    one, other = arm("base_rl", 0, {}, curves=curves), arm("base_rl", 1, {}, curves={})
    assert count_probed([one, other]) == (22, pytest.approx(1 + 1 + 0 + 1))
    assert count_probed([one], last=0.5) == (10, pytest.approx(1.0))
    assert count_probed([other]) == (0, 0)


def test_shares_of_endings_that_sum_above_one_are_not_a_negative_pass() -> None:
    tags = [f"status/synthetic_val/{status}" for status in Status]
    curves: dict[str, list[list[float]]] = {tag: [[1, 0.0]] for tag in tags}
    curves["status/synthetic_val/wrong"] = [[1, 1.0000001]]
    section = training_section(small(), group_arms(small(), [arm("base", 0, {}, curves=curves)]), {"base": "plain"})
    (gallery,) = section.blocks
    assert isinstance(gallery, Gallery)
    assert gallery.panels[0][0].startswith("base: 0% pass")


def test_depths_are_of_test_tasks_alone() -> None:
    splits = {SPLIT: 3, "synthetic_test_deeper": 1, "synthetic_train": 2, "synthetic_test_held_out_atoms": 2}
    wanted = small(measurement=Measurement(splits=splits))
    evaluations = {split: evaluation(*([split == "synthetic_train"] * number)) for split, number in splits.items()}
    section = groups_section(wanted, group_arms(wanted, [arm("base", 0, evaluations)]), split=SPLIT)
    depths = section.blocks[1]
    assert isinstance(depths, Table)
    assert depths.caption == "Percent by depth, on synthetic_test and synthetic_test_deeper (tasks in brackets)"
    assert (depths.columns, depths.rows) == (["arm", "2 (4)"], [["base", "0"]])
