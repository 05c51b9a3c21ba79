"""`atomforge evaluate` around the evaluation itself: interruption, other weights, regrading, errors before any work."""

import json
import shutil
from pathlib import Path

import pytest

from cli.evaluation import inputs as evaluation_inputs
from cli.evaluation import run as evaluation_run
from cli.evaluation.report import read_references
from cli.evaluation.store import EvaluationStore
from cli.main import main
from datamodules.encoding.prompt_format import PromptFormat, get_format
from datamodules.encoding.tokenizer import train_tokenizer, training_texts
from executor.types import Status, TestKind
from lightning_modules.models.loading import load_policy
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm
from tests.support.fake_executor import FakeExecutor
from tests.support.small_data import write_small_data


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set, and a tiny untrained model with its tokenizer."""
    from datasets import load_from_disk

    folder = tmp_path_factory.mktemp("material")
    data = write_small_data(folder / "data")
    tokenizer = train_tokenizer(training_texts(load_from_disk(str(data))), 300, folder / "tokenizer")
    sizes = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "num_kv_heads": 1, "intermediate_size": 16}
    model = build_causal_lm(TinyLlamaConfig(**sizes, max_position=256), tokenizer, 0)
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> FakeExecutor:
    fake = FakeExecutor()
    monkeypatch.setattr(evaluation_run, "open_executor", lambda backend, **_: fake)
    return fake


def run(material: Path, *arguments: str) -> int:
    base = ["--checkpoint", str(material / "model"), "--data", str(material / "data"), "--split", "synthetic/test"]
    return main(["evaluate", *base, "--num-samples", "2", "--max-new-tokens", "8", "--dtype", "float32", *arguments])


def test_references_are_measured_on_request_and_survive_regrading(
    material: Path, tmp_path: Path, executor: FakeExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert run(material, "--output", str(output)) == 0
    assert read_references(output) == {}
    executor.submissions.clear()
    assert run(material, "--output", str(output), "--references") == 0  # an evaluation without them is extended
    assert executor.submissions == []
    found = read_references(output)["synthetic_test"]
    assert [(line.line, line.num_references) for line in found] == [("def", 4), ("return", 4), ("end", 4)]
    # an untrained model of 300 tokens is nearly uniform: log(1/300) = -5.70 for <eos>
    assert found[-1].mean_logprob == pytest.approx(-5.7, abs=0.5)
    assert sum(line.lowest_frac for line in found) == pytest.approx(1.0)
    assert "synthetic_test: reference solutions by line" in capsys.readouterr().out
    assert main(["evaluate", "--output", str(output), "--regrade"]) == 0
    assert read_references(output)["synthetic_test"] == found


def test_an_interrupted_evaluation_continues_with_the_same_results(
    material: Path, tmp_path: Path, executor: FakeExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop_after_five(_submission) -> Status:
        if len(executor.submissions) == 5:
            raise KeyboardInterrupt
        return Status.WRONG

    whole, parted = tmp_path / "whole", tmp_path / "parted"
    assert run(material, "--output", str(whole)) == 0
    executor.submissions.clear()
    executor.verdict = stop_after_five
    assert run(material, "--output", str(parted)) == 130
    assert f"run the same command again to continue in {parted}" in capsys.readouterr().err
    executor.verdict = lambda submission: Status.WRONG
    executor.submissions.clear()
    assert run(material, "--output", str(parted)) == 0
    assert "synthetic_test: 5 of 12 completions are already graded" in capsys.readouterr().err
    assert len(executor.submissions) == 7
    assert EvaluationStore(whole).read() == EvaluationStore(parted).read()
    results = [json.loads((folder / "results.json").read_text()) for folder in (whole, parted)]
    assert results[0]["suites"] == results[1]["suites"]
    assert list(whole.glob("events.out.tfevents.*"))
    # with other settings it is refused, with another batch size it is not
    assert run(material, "--output", str(parted), "--seed", "3") == 2
    assert "was started with seed 0, not 3: use another --output" in capsys.readouterr().err
    assert run(material, "--output", str(parted), "--num-tasks", "2") == 2
    assert "was started with suites.0.num_tasks " in capsys.readouterr().err
    assert run(material, "--output", str(parted), "--batch-size", "3") == 0


def test_completions_of_another_model_at_the_same_path_are_not_reused(
    material: Path, tmp_path: Path, executor: FakeExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(material, mine)
    assert run(mine, "--output", str(tmp_path / "e")) == 0
    causal_lm, _ = load_policy(mine / "model")
    causal_lm.get_input_embeddings().weight.data[5, 3] += 1e-3
    causal_lm.save_pretrained(mine / "model")
    assert run(mine, "--output", str(tmp_path / "e")) == 2
    assert "was started with weights " in capsys.readouterr().err


def test_wrong_settings_leave_a_directory_free(material: Path, tmp_path: Path, executor: FakeExecutor) -> None:
    assert run(material, "--output", str(tmp_path / "e"), "--split", "nope") == 2
    assert run(material, "--output", str(tmp_path / "e")) == 0


def test_ungraded_completions_are_graded_again(material: Path, tmp_path: Path, executor: FakeExecutor) -> None:
    executor.verdict = lambda _: Status.INFRA
    assert run(material, "--output", str(tmp_path / "e")) == 1
    executor.submissions.clear()
    executor.verdict = lambda _: Status.PASSED
    assert run(material, "--output", str(tmp_path / "e")) == 0
    assert len(executor.submissions) == 12
    assert {s.status for s in EvaluationStore(tmp_path / "e").read()["synthetic_test"].values()} == {"passed"}


def test_regrading_prints_changed_outcomes(
    material: Path, tmp_path: Path, executor: FakeExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "e"
    assert run(material, "--output", str(output)) == 0
    before = EvaluationStore(output).read()["synthetic_test"]
    capsys.readouterr()
    executor.verdict = lambda s: Status.INFRA if s.task.task_id.endswith("/0") else Status.PASSED
    assert main(["evaluate", "--output", str(output), "--regrade"]) == 0
    out = capsys.readouterr().out
    assert "9 outcomes changed:" in out  # of 12; three had no new verdict and keep the old one
    assert "synthetic_test synthetic_test/1 -1: wrong is now passed" in out
    after = EvaluationStore(output).read()["synthetic_test"]
    assert {n: s.completion for n, s in after.items()} == {n: s.completion for n, s in before.items()}
    assert after["synthetic_test/0", 0].status == "wrong"
    scores = json.loads((output / "results.json").read_text())["suites"]["synthetic_test"]["scores"]
    assert scores["pass@1 greedy"]["mean"] == 0.75
    assert main(["evaluate", "--regrade"]) == 2
    assert main(["evaluate", "--regrade", "--output", str(tmp_path / "none")]) == 2


def test_rows_of_a_public_dataset(material: Path, tmp_path: Path, executor: FakeExecutor) -> None:
    rows = [
        {"problem_id": 1, "question": "Add.", "input_output": '{"inputs": ["1 2"], "outputs": ["3"]}'},
        {"problem_id": 2, "question": "Twice.", "input_output": '{"fn_name": "f", "inputs": [[1]], "outputs": [2]}'},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["--benchmark", str(tmp_path / "rows.jsonl"), "--num-samples", "0", "--max-new-tokens", "8"]
    arguments = ["evaluate", "--checkpoint", str(material / "model"), *options, "--dtype", "float32"]
    assert main([*arguments, "--tasks-format", "apps"]) == 0
    kinds = [(submission.task.task_id, submission.task.kind) for submission in executor.submissions]
    assert sorted(kinds) == [("apps/1", TestKind.STDIN), ("apps/2", TestKind.CALL)]
    assert main([*arguments, "--tasks-format", "app"]) == 2


def test_each_suite_has_its_format(material: Path, monkeypatch: pytest.MonkeyPatch, executor: FakeExecutor) -> None:
    formats = []
    real = evaluation_inputs.set_format

    def noted(tokenizer, prompt_format):
        real(tokenizer, prompt_format)
        formats.append(get_format(tokenizer))

    monkeypatch.setattr(evaluation_inputs, "set_format", noted)
    assert run(material, "--system", "Be brief.") == 0
    assert formats == [PromptFormat(system="Be brief.")]


def test_both_wordings_stand_side_by_side(
    material: Path, executor: FakeExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(material, "--wording", "both") == 0
    out = capsys.readouterr().out
    assert "synthetic_test_held_out" in out
    # everything is wrong in both, for 4 tasks: 1 - 0.025**(1/4) = 0.602 of all tasks could differ
    assert "synthetic_test, held-out - in-distribution wording: +0.000 (-0.602 to +0.602)" in out
    assert len(executor.submissions) == 24


def test_tasks_beyond_the_context_are_left_out_with_a_line(
    material: Path, executor: FakeExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(material, "--max-new-tokens", "256") == 2
    assert "no task fits the model's context of 256 tokens" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "dtype"), [([], "bfloat16"), (["--references"], "float32")])
def test_model_is_loaded_in_the_type_of_generation(
    options: list[str], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Loaded(Exception):
        pass

    def load(checkpoint, *, dtype="float32", **_):
        raise Loaded(dtype)

    monkeypatch.setattr(evaluation_run, "_build_missing_data", lambda plan: None)
    monkeypatch.setattr(evaluation_run, "load_tasks", lambda suite: None)
    monkeypatch.setattr(evaluation_run, "load_model", load)
    arguments = ["--checkpoint", "x", "--data", "y", "--split", "synthetic_test", "--dtype", "bfloat16"]
    with pytest.raises(Loaded, match=f"^{dtype}$"):
        main(["evaluate", *arguments, *options])


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--k", "8"], "evaluate: k 8 needs at least as many samples per task, num_samples is 2"),
        (["--output", "/dev/null/x"], "not a directory: /dev/null"),
        (
            ["--num-tasks", "0"],
            "argument --num-tasks: '0' is not a whole number of at least 1 (see `atomforge evaluate --help`)",
        ),
        (["--split", "nope"], "{data} has no split nope: it has "),
        (
            ["--data", "/no/data"],
            "no data set at /no/data: make one with `atomforge synthesize --config synthesis_small --output /no/data`",
        ),
        (["--benchmark", "human-eval"], "evaluate: suites.0: a suite needs either data (with split) or benchmark"),
        (["--columns", "prompt"], "--columns must be OURS=THEIRS,OURS=THEIRS, not 'prompt'"),
        (["--chat", "yes"], "prompt.chat is true, but the tokenizer has no chat template: set it to null or false"),
        (["--checkpoint", "/no/model"], "there is nothing at /no/model: give a .ckpt file, a run directory or a "
         "Hugging Face folder"),
    ],
)  # fmt: skip
def test_refusals(
    arguments: list[str], line: str, material: Path, executor: FakeExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(material, *arguments) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"atomforge: error: {line.format(data=material / 'data')}")
    assert executor.submissions == []
