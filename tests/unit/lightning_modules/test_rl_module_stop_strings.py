"""Stop strings in reinforcement learning: in what is collected, and in validation."""

import pytest
from jsonargparse import ArgumentParser

from datamodules.rl_data import RLDataModule
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.rl_module import RLModule
from tests.support.fake_executor import FakeExecutor, use_executor
from tests.support.small_data import write_small_data
from tests.support.tiny_runs import fit, write_policy

VOWELS = ("a", "e", "i", "o", "u")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_small_data(tmp_path_factory.mktemp("data") / "small")


@pytest.fixture(scope="module")
def start(tmp_path_factory, data_dir):
    return write_policy(tmp_path_factory.mktemp("policy"), data_dir)


def train(start, data_dir, tmp_path, monkeypatch, stop: tuple[str, ...]):
    """Train for one iteration; return the judged texts, those of validation apart, and the metrics."""
    fake = FakeExecutor()
    use_executor(monkeypatch, fake)
    module = RLModule(init_from=start, sampling=SamplingParams(max_new_tokens=30, stop=stop), reward_probe_fraction=0.0)
    data = RLDataModule(str(data_dir), prompts_per_iteration=4, samples_per_prompt=4, minibatch_size=16)
    trainer = fit(module, data, tmp_path, max_epochs=1)
    (evaluation,) = module.last_evaluations.values()
    validated = [task.greedy for task in evaluation.tasks if task.greedy is not None]
    return [submission.completion for submission in fake.submissions[:16]], validated, trainer.callback_metrics


def test_stop_strings_end_what_is_collected_and_validated(start, data_dir, tmp_path, monkeypatch):
    free, validated, metrics = train(start, data_dir, tmp_path, monkeypatch, ())
    assert "\ufffd" not in validated[0].completion[:3]
    stop = (*VOWELS, validated[0].completion[2])  # an untrained policy repeats itself when it is greedy
    cut, cut_validated, cut_metrics = train(start, data_dir, tmp_path, monkeypatch, stop)
    assert sum(any(text in whole for text in stop) for whole in free) > 8
    for completion in [*cut, *(sample.completion for sample in cut_validated)]:
        assert not any(text in completion for text in stop)
    # the texts end in another order: each of them is the beginning of one that was drawn without stop strings
    assert all(any(whole.startswith(text) for whole in free) for text in cut)
    assert cut_metrics["completions/eos_frac"] > metrics["completions/eos_frac"] + 0.5
    assert cut_validated[0].num_tokens < validated[0].num_tokens


def test_the_key_is_a_list_of_texts():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--sampling", type=SamplingParams)
    given = parser.parse_args(["--sampling", '{"max_new_tokens": 4, "stop": ["\\n\\n", "終"]}'])
    assert parser.instantiate_classes(given).sampling == SamplingParams(max_new_tokens=4, stop=("\n\n", "終"))
