"""Reports of evaluations: scores, outcomes, depths, wordings and references, with numbers worked by hand."""

from pathlib import Path

from cli.evaluation.report import read_references, render_markdown, to_json, wording_differences, write_results
from lightning_modules.evaluation.records import Evaluation, GradedCompletion, TaskResult
from lightning_modules.evaluation.reference_logprobs import LineSummary


def graded(status: str) -> GradedCompletion:
    return GradedCompletion(completion="c", num_tokens=1, finished=True, status=status, num_passed=0, num_tests=2)


def task(task_id: str, greedy: str, *samples: str) -> TaskResult:
    return TaskResult(
        task_id=task_id,
        prompt="p",
        language="en",
        depth=2,
        greedy=graded(greedy),
        samples=tuple(graded(status) for status in samples),
        atoms=("add",),
    )


EVALUATION = Evaluation(
    tasks=(task("a", "passed", "passed", "wrong", "wrong", "wrong"), task("b", "wrong", *["timeout"] * 4)),
    settings={"seed": 0},
)


def test_wordings_are_compared_task_by_task() -> None:
    seen = Evaluation(tasks=tuple(task(name, "passed") for name in "abcd"), settings={})
    unseen = Evaluation(tasks=(task("a", "passed"), task("b", "wrong"), task("c", "infra")), settings={})
    # c has no verdict and d was not asked: a stays, b falls
    assert wording_differences({"s": seen, "s_held_out": unseen})["s"].mean == -0.5
    assert wording_differences({"s": seen, "other": unseen}) == {}


def test_report_and_json() -> None:
    results = {"synthetic_test": EVALUATION}
    found = to_json(results, [1, 4], settings={"checkpoint": "c"}, model="m, dequantised Q4_1")
    assert found["suites"]["synthetic_test"]["scores"]["pass@4 sampled"]["mean"] == 0.5
    assert found["suites"]["synthetic_test"]["by"]["atom"]["add"]["num_tasks"] == 2
    assert found["suites"]["synthetic_test"]["statuses"]["samples"]["timeout"] == 4
    text = render_markdown(results, [1, 4], settings={"checkpoint": "c"}, model="m, dequantised Q4_1")
    assert "m, dequantised Q4_1" in text
    assert "| synthetic_test | 2 | pass@1 sampled | 0.125 |" in text
    assert "- synthetic_test: greedy: passed 1 (50%), wrong 1 (50%); samples: passed 1 (12%)" in text
    assert "## synthetic_test by depth" in text
    assert (
        "## synthetic_test: pass@k by depth\n\n| depth | tasks | greedy | pass@1 | pass@2 | pass@4 | truncated |"
        in text
    )
    assert "| 2 | 2 | 0.500 | 0.125 | 0.250 | 0.500 | 0.000 |" in text
    assert found["suites"]["synthetic_test"]["by_depth"]["2"]["pass_at_k"][4] == 0.5


def test_references_are_reported_by_line(tmp_path: Path) -> None:
    line = LineSummary(depth=2, line="line 1", num_references=3, mean_logprob=-1.25, lowest_frac=0.5)
    results, settings = {"synthetic_test": EVALUATION}, {"checkpoint": "c"}
    references = {"synthetic_test": [line]}
    write_results(tmp_path, results, [1], settings=settings, model="m", references=references)
    assert read_references(tmp_path) == references
    assert "| 2 | line 1 | 3 | -1.250 | 50.0% |" in (tmp_path / "report.md").read_text()
