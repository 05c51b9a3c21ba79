"""Stop strings in reinforcement learning: in what is collected, and in validation."""

import pytest
from jsonargparse import ArgumentParser
from lightning.pytorch import Trainer

from datamodules.eval_data import load_dataset
from datamodules.rl_data import RLDataModule
from datamodules.tokenizer import load_tokenizer, train_tokenizer, training_texts
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm
from lightning_modules.rl_module import RLModule
from lightning_modules.training import run_executor
from tests.support.fake_executor import FakeExecutor
from tests.support.small_data import write_small_data

TINY = TinyLlamaConfig(
    hidden_size=32, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=48, max_position=128
)
VOWELS = ("a", "e", "i", "o", "u")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_small_data(tmp_path_factory.mktemp("data") / "small")


@pytest.fixture(scope="module")
def start(tmp_path_factory, data_dir):
    folder = tmp_path_factory.mktemp("policy")
    train_tokenizer(training_texts(load_dataset(data_dir)), 300, data_dir / "tokenizer")
    tokenizer = load_tokenizer(data_dir / "tokenizer")
    build_causal_lm(TINY, tokenizer, 1).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def fit(start, data_dir, tmp_path, monkeypatch, stop: tuple[str, ...]):
    """Train for one iteration; return the judged texts, those of validation apart, and the metrics."""
    fake = FakeExecutor()
    monkeypatch.setattr(run_executor, "open_executor", lambda backend, **_: fake)
    module = RLModule(init_from=start, sampling=SamplingParams(max_new_tokens=30, stop=stop), reward_probe_fraction=0.0)
    data = RLDataModule(str(data_dir), prompts_per_iteration=4, samples_per_prompt=4, minibatch_size=16)
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        default_root_dir=tmp_path,
    )
    trainer.fit(module, data)
    (evaluation,) = module.last_evaluations.values()
    validated = [task.greedy for task in evaluation.tasks if task.greedy is not None]
    return [submission.completion for submission in fake.submissions[:16]], validated, trainer.callback_metrics


def test_stop_strings_end_what_is_collected_and_validated(start, data_dir, tmp_path, monkeypatch):
    free, validated, metrics = fit(start, data_dir, tmp_path, monkeypatch, ())
    assert "\ufffd" not in validated[0].completion[:3]
    stop = (*VOWELS, validated[0].completion[2])  # an untrained policy repeats itself when it is greedy
    cut, cut_validated, cut_metrics = fit(start, data_dir, tmp_path, monkeypatch, stop)
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
