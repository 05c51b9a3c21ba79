"""Plans of `atomforge evaluate`: what a file may hold, and the line about each error."""

import pytest

from cli.evaluation.plan import EvaluationPlan, Suite, parse_plan
from datamodules.encoding.prompt_format import PromptFormat


def test_a_plan_from_a_file() -> None:
    suites = [
        {"benchmark": "human-eval", "prompt": {"user": "Do {prompt}"}, "stop": ["\n\n\n"]},
        {"data": "d", "split": "synthetic_test", "wording": "both", "columns": {}},
    ]
    plan = parse_plan({"checkpoint": "c", "suites": suites, "num_samples": 4, "k": [1, 2]}, source="e.yaml")
    assert [title for suite in plan.suites for title in suite.split_wordings()] == [
        "human_eval",
        "synthetic_test",
        "synthetic_test_held_out",
    ]
    trained = PromptFormat(system="Be brief.", completion_format="fenced")
    wanted = PromptFormat(system="Be brief.", completion_format="fenced", user="Do {prompt}")
    assert plan.suites[0].prompt_format(trained) == wanted  # what is left out is as trained
    assert plan.suites[0].stop == ("\n\n\n",)
    assert plan.ks == [1, 2]
    assert EvaluationPlan(checkpoint="c", suites=(Suite(benchmark="b"),), num_samples=0).ks == []
    assert "engine" not in plan.to_json()
    served = parse_plan({"checkpoint": "c", "suites": suites, "engine": "http://a:1"}, source="e.yaml")
    assert served.to_json()["engine"] == "http://a:1"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"sutes": []}, r"e.yaml: unknown key sutes; did you mean 'suites'\?"),
        ({"checkpoint": 3}, "e.yaml: checkpoint must be text, not 3"),
        ({"engine": "vlm"}, "e.yaml: engine is 'vlm'; it must be native"),
        ({"suites": []}, "e.yaml: suites is empty"),
        ({"suites": [{"data": "d"}]}, "e.yaml: suites.0: the suite of d needs a split"),
        ({"suites": [{"data": "d", "benchmark": "b"}]}, "a suite needs either data .* or benchmark"),
        ({"suites": [{"benchmark": "b", "wording": "both"}]}, "wording both applies to data sets"),
        ({"suites": [{"benchmark": "b", "prompt": {"usr": "x"}}]}, "prompt: unknown key usr; did you mean 'user'"),
        ({"suites": [{"benchmark": "b", "prompt": {"user": "x"}}]}, r"prompt.user has no \{prompt\}"),
        ({"suites": [{"benchmark": "b"}, {"benchmark": "b"}]}, "two suites are called b"),
        ({"suites": [{"benchmark": "b", "num_tasks": 0}]}, "num_tasks is 0"),
        ({"suites": [{"benchmark": "b", "tasks_format": "app"}]}, "there is no format 'app'; known are apps, taco"),
        ({"suites": [{"data": "d", "split": "s", "tasks_format": "apps"}]}, "tasks_format apps applies to benchmarks"),
        (
            {"suites": [{"benchmark": "b", "tasks_format": "apps", "columns": {"test": "tests"}}]},
            "columns do not apply to rows of the format apps",
        ),
        ({"suites": [{"data": "d", "split": "s", "wording": "unseen"}]}, "wording: held_out"),
        ({"suites": [{"data": "d", "split": "s", "wording": "other"}]}, "it must be in_distribution, held_out or both"),
        ({"k": [9]}, "k 9 needs at least as many samples per task, num_samples is 8"),
    ],
)
def test_invalid_plans(change: dict, line: str) -> None:
    base = {"checkpoint": "c", "suites": [{"benchmark": "b"}]}
    with pytest.raises(ValueError, match=line) as error:
        parse_plan(base | change, source="e.yaml")
    assert "\n" not in str(error.value)


def test_references_need_data_sets() -> None:
    with pytest.raises(ValueError, match="references needs data sets, and human_eval is a benchmark"):
        EvaluationPlan(checkpoint="c", suites=(Suite(benchmark="human-eval"),), references=True)
