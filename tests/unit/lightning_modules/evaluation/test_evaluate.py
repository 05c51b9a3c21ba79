import json
from dataclasses import replace

import pytest
import torch

import lightning_modules.evaluation.evaluate as evaluation_module
import lightning_modules.generation.generate as generation_module
from datamodules.batches import TaskPrompt
from datamodules.encoding.prompt_format import encode_completions, encode_prompts
from datamodules.encoding.tokenizer import train_tokenizer
from executor.types import Status, Submission
from lightning_modules.evaluation.evaluate import EvalConfig, evaluate, regrade
from lightning_modules.evaluation.records import GREEDY, Evaluation, GradedCompletion, TaskResult
from lightning_modules.generation.sampler import Completion, stream_id
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm
from lightning_modules.training.sample_texts import sample_text
from tests.support.fake_engine import FakeEngine
from tests.support.fake_executor import FakeExecutor
from tests.support.small_data import task_prompt

TINY = TinyLlamaConfig(hidden_size=16, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=16, max_position=96)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return train_tokenizer(["def solve(x):\n    return x\n"] * 3, 300, tmp_path_factory.mktemp("data") / "tokenizer")


@pytest.fixture(scope="module")
def model(tokenizer):
    return build_causal_lm(TINY, tokenizer, 0)


def prompts_of(tokenizer, num_tasks: int) -> list[TaskPrompt]:
    return [
        task_prompt(f"t{i}", f"task {i}", prompt_ids=encode_prompts(tokenizer, [f"task {i}"])[0])
        for i in range(num_tasks)
    ]


def status_by_text(submission: Submission) -> Status:
    """The completion is the name of the status it gets."""
    assert submission.task.tests[0].expected == 2
    return Status(submission.completion)


@pytest.fixture
def scripted(monkeypatch, tokenizer):
    """Let the policy answer task i with SCRIPT[i]: the greedy status, then those of the samples."""
    names = {stream_id(f"t{i}", number): (i, number) for i in range(3) for number in range(GREEDY, 4)}

    def generate(causal_lm, tokenizer, prompts, sampling, *, stream_ids, on_completion, **options):
        results = {}
        for index, name in reversed(list(enumerate(stream_ids))):  # rows end in whichever order
            task, number = names[name]
            assert (sampling.temperature == 0.0) == (number == GREEDY)
            text = SCRIPT[task][number + 1]
            results[index] = Completion(text, encode_completions(tokenizer, [text])[0], [], True)
            on_completion(index, results[index])
        return [results[index] for index in range(len(stream_ids))]

    monkeypatch.setattr(evaluation_module, "generate", generate)


SCRIPT = [
    ["passed", "passed", "wrong", "timeout", "passed"],
    ["wrong", "infra", "infra", "infra", "passed"],
    ["infra", "wrong", "wrong", "wrong", "exception"],
]


def run(model, tokenizer, num_tasks=3, num_samples=4, verdict=status_by_text, known=None, on_graded=None, **options):
    config = EvalConfig(num_samples=num_samples, **({"max_new_tokens": 8, "seed": 0, "batch_size": 4} | options))
    given = {"known": known or {}, "on_graded": on_graded or (lambda *_: None)}
    prompts = prompts_of(tokenizer, num_tasks)
    return evaluate(model, tokenizer, prompts, config, executor=FakeExecutor(verdict), **given)


def test_counts_scores_and_statuses_by_hand(model, tokenizer, scripted):
    seen = []
    result = run(model, tokenizer, on_graded=lambda *found: seen.append(found))
    assert [(task.num_samples, task.num_correct) for task in result.tasks] == [(4, 2), (1, 1), (4, 0)]
    assert result.scores(1) == {"t0": 0.5, "t1": 1.0, "t2": 0.0}  # infra is neither tried nor failed
    assert result.scores(2) == pytest.approx({"t0": 1 - 1 / 6, "t2": 0.0})  # t1 has one judged sample: left out
    assert result.greedy_scores() == {"t0": 1.0, "t1": 0.0}
    counts = {status: count for status, count in result.statuses().items() if count}
    assert counts == {"passed": 3, "wrong": 4, "timeout": 1, "exception": 1, "infra": 3}
    assert {status: n for status, n in result.statuses(greedy=True).items() if n} == {
        "passed": 1,
        "wrong": 1,
        "infra": 1,
    }
    assert sorted((name, number) for name, number, _ in seen) == sorted(
        (f"t{i}", number) for i in range(3) for number in range(GREEDY, 4)
    )
    assert {(name, number): sample.status for name, number, sample in seen}["t0", 2] == "timeout"


def test_another_engine_samples_from_the_weights_and_is_closed(model, tokenizer, monkeypatch):
    engine, asked = FakeEngine(), []

    def open_engine(name, *arguments, **options):
        asked.append((name, options["batch_size"]))
        return engine

    monkeypatch.setattr(evaluation_module, "open_engine", open_engine)
    result = run(model, tokenizer, num_samples=1, verdict=lambda _: Status.PASSED, engine="vllm")
    assert asked == [("vllm", 4)]
    assert engine.events == [("update", 0), ("generate", 3), ("generate", 3), ("close",)]
    assert result.settings["engine"] == "vllm"
    with pytest.raises(ValueError, match="engine is 'vlm'"):
        EvalConfig(engine="vlm")


def test_json_round_trip(model, tokenizer, scripted):
    result = run(model, tokenizer)
    text = json.dumps(result.to_json())
    assert Evaluation.from_json(json.loads(text)) == result
    assert result.settings["num_samples"] == 4
    assert "engine" not in result.settings
    with pytest.raises(ValueError, match="not a stored evaluation"):
        Evaluation.from_json({"tasks": [{"task_id": "t0"}], "settings": {}})


def test_greedy_alone_and_samples_alone(model, tokenizer, scripted):
    assert run(model, tokenizer, num_samples=0).scores(1) == {}
    alone = run(model, tokenizer, greedy=False)
    assert alone.greedy_scores() == {}
    assert all(len(task.completions()) == 4 for task in alone.tasks)
    with pytest.raises(ValueError, match="num_samples is 0"):
        run(model, tokenizer, num_samples=0, greedy=False)
    assert run(model, tokenizer, num_tasks=0).tasks == ()


def completions(result: Evaluation) -> dict[str, list[str]]:
    return {task.task_id: [sample.completion for sample in task.completions()] for task in result.tasks}


def all_wrong(submission: Submission) -> Status:
    return Status.WRONG


def test_programs_are_submitted_while_others_are_generated(model, tokenizer, monkeypatch):
    executor, events = FakeExecutor(), []

    def generate(*arguments, on_completion, **options):
        def finished(index, item):
            on_completion(index, item)
            events.append((index, len(executor.submissions)))

        return generation_module.generate(*arguments, on_completion=finished, **options)

    monkeypatch.setattr(evaluation_module, "generate", generate)
    prompts = prompts_of(tokenizer, 4)
    config = EvalConfig(num_samples=2, max_new_tokens=8, batch_size=3)
    result = evaluate(model, tokenizer, prompts, config, executor=executor)
    assert [submitted for _, submitted in events] == list(range(1, 13))  # 4 greedy and 8 sampled, each at its end
    texts = [submission.completion for submission in executor.submissions]
    assert sorted(texts) == sorted(sample.completion for task in result.tasks for sample in task.completions())


def test_samples_of_a_task_depend_on_seed_and_task_alone(model, tokenizer):
    def run_all_wrong(**options):
        return completions(run(model, tokenizer, verdict=all_wrong, **options))

    base = run_all_wrong(num_tasks=4, batch_size=5)
    assert len({tuple(texts) for texts in base.values()}) == 4
    fewer = run_all_wrong(num_tasks=2, batch_size=2, num_samples=2)
    assert fewer == {name: base[name][:3] for name in ("t0", "t1")}
    other = run_all_wrong(num_tasks=4, batch_size=5, seed=1)
    assert [texts[0] for texts in other.values()] == [texts[0] for texts in base.values()]  # greedy
    assert other != base
    cold = run_all_wrong(num_tasks=4, batch_size=5, temperature=0.5)
    assert cold != base


def test_stop_strings_end_completions_and_are_cut_off(model, tokenizer):
    whole = run(model, tokenizer, verdict=all_wrong, max_new_tokens=30)
    stop = tuple("aeiou")
    cut = run(model, tokenizer, verdict=all_wrong, max_new_tokens=30, stop=stop)
    for before, after in zip(whole.tasks, cut.tasks, strict=True):
        for long, short in zip(before.completions(), after.completions(), strict=True):
            ends = [place for place in map(long.completion.find, stop) if place >= 0]
            assert short.completion == long.completion[: min(ends, default=None)]
            assert short.finished == (bool(ends) or long.finished)
            assert short.num_tokens <= long.num_tokens
    assert completions(cut) != completions(whole)
    assert cut.settings["stop"] == list(stop)


def test_evaluation_runs_in_the_models_own_precision(model, tokenizer):
    plain = run(model, tokenizer, verdict=all_wrong)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert run(model, tokenizer, verdict=all_wrong) == plain


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ({"num_samples": -1}, "num_samples is -1"),
        ({"temperature": 0.0}, "temperature is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_impossible_settings(setting: dict, line: str) -> None:
    with pytest.raises(ValueError, match=line):
        EvalConfig(**setting)


def test_known_completions_are_not_generated_again(model, tokenizer, monkeypatch):
    whole, names = {}, []

    def keep(task_id, number, sample):
        whole[task_id, number] = sample

    def generate(*arguments, stream_ids, **options):
        names.extend(stream_ids)
        return generation_module.generate(*arguments, stream_ids=stream_ids, **options)

    base = run(model, tokenizer, verdict=all_wrong, on_graded=keep)
    kept = {name: sample for name, sample in whole.items() if name[1] != 1}  # as if interrupted
    kept["t2", 0] = replace(kept["t2", 0], status="infra")  # without a verdict: to be run again, not written again
    monkeypatch.setattr(evaluation_module, "generate", generate)
    again = []
    resumed = run(model, tokenizer, verdict=all_wrong, known=kept, on_graded=lambda *found: again.append(found[:2]))
    assert resumed == base
    assert sorted(again) == [("t0", 1), ("t1", 1), ("t2", 0), ("t2", 1)]
    assert sorted(names) == sorted(stream_id(f"t{i}", 1) for i in range(3))


def test_regrading_keeps_completions_and_changes_statuses(model, tokenizer):
    whole = {}
    run(model, tokenizer, verdict=all_wrong, on_graded=lambda t, n, sample: whole.update({(t, n): sample}))
    executor = FakeExecutor(lambda submission: Status.PASSED)
    after = regrade(prompts_of(tokenizer, 3), whole, executor=executor)
    assert {name: sample.completion for name, sample in after.items()} == {n: s.completion for n, s in whole.items()}
    assert {sample.status for sample in after.values()} == {"passed"}


def test_sample_text_cannot_be_broken_out_of():
    sample = GradedCompletion(
        completion="x\n```\n<b>", num_tokens=3, finished=False, status="wrong", num_passed=1, num_tests=4
    )
    task = TaskResult(task_id="t", prompt="Do it", language="en", depth=2, greedy=sample, samples=())
    text = sample_text(Evaluation(tasks=(task, task, task), settings={}), 2)
    assert text.count("**t** (depth 2, en)") == 2
    assert "*wrong*, 1 of 4 tests, 3 tokens, cut off\n\n    x\n    ```\n    <b>" in text
