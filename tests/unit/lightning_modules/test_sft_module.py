import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import MambaConfig, MambaForCausalLM

from datamodules.encoding.tokenizer import train_tokenizer, training_texts
from datamodules.eval_data import load_dataset
from datamodules.sampler import MixturePart
from datamodules.sft_data import SFTDataModule
from executor.types import Status, Submission
from lightning_modules.models.forward.compute import ComputeConfig
from lightning_modules.models.loading import load_policy
from lightning_modules.models.lora import LoRAConfig, adapters_off
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm
from lightning_modules.sft_module import SFTModule
from lightning_modules.training.logging.tags import TAGS, documented
from lightning_modules.training.optimizers import AdamWConfig, build_adamw, lr_factor
from lightning_modules.training.sample_texts import SampleTexts
from lightning_modules.training.throughput import ThroughputMonitor
from tests.support.fake_executor import FakeExecutor, use_executor
from tests.support.small_data import write_small_data

TINY = TinyLlamaConfig(
    hidden_size=32, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=48, max_position=128
)
FAST = AdamWConfig(lr=1e-2, warmup_steps=2)


def half_pass(submission: Submission) -> Status:
    return Status.PASSED if int(submission.task.task_id[-1]) % 2 == 0 else Status.WRONG


IDS = torch.tensor([[1, 70, 71, 72]])


@pytest.fixture(autouse=True)
def executor(monkeypatch):
    fake = FakeExecutor(half_pass)
    use_executor(monkeypatch, fake)
    return fake


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_small_data(tmp_path_factory.mktemp("data") / "small")


def data_of(data_dir: Path, **settings) -> SFTDataModule:
    mixture = {"atomic": MixturePart(weight=1.0), "synthetic_train": MixturePart(weight=1.0)}
    options = {"batch_size": 4, "max_length": 64, "steps_per_epoch": 3, "vocab_size": 300} | settings
    return SFTDataModule(str(data_dir), mixture, **options)


def module_of(**settings) -> SFTModule:
    options = {"architecture": TINY, "optimizer": FAST, "max_new_tokens": 4} | settings
    return SFTModule(**options)


def trainer_of(tmp_path: Path, **settings) -> Trainer:
    options = {
        "max_epochs": 4,
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "gradient_clip_val": 1.0,
        "use_distributed_sampler": False,
        "reload_dataloaders_every_n_epochs": 1,
        "num_sanity_val_steps": 0,
        "limit_val_batches": 0,
        "default_root_dir": str(tmp_path),
    } | settings
    return Trainer(**options)


class SaveAfter(Callback):
    """Saves when `num_epochs` epochs are done, and ends the run there if asked to."""

    def __init__(self, path: Path, num_epochs: int, *, stop: bool) -> None:
        self.path, self.num_epochs, self.stop = path, num_epochs, stop

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        if trainer.current_epoch + 1 == self.num_epochs:
            trainer.save_checkpoint(self.path)
            trainer.should_stop = self.stop


def test_a_resumed_run_ends_with_bitwise_the_same_parameters(data_dir, tmp_path):
    straight = module_of()
    trainer_of(tmp_path).fit(straight, data_of(data_dir))
    path = tmp_path / "half.ckpt"
    half = module_of()
    trainer_of(tmp_path, callbacks=[SaveAfter(path, 2, stop=True)]).fit(half, data_of(data_dir))
    torch.manual_seed(99)  # whatever the global state is at the restart
    resumed = module_of(seed=7)
    trainer = trainer_of(tmp_path)
    trainer.fit(resumed, data_of(data_dir), ckpt_path=str(path))
    assert trainer.global_step == 12
    assert all(parameter.grad is None for parameter in resumed.policy.parameters())  # freed for validation
    for (name, a), b in zip(straight.policy.named_parameters(), resumed.policy.parameters(), strict=True):
        assert torch.equal(a, b), name
    assert not torch.equal(straight.policy.causal_lm.lm_head.weight, half.policy.causal_lm.lm_head.weight)


def test_dropout_resumes_too(data_dir, tmp_path):
    lora = LoRAConfig(r=2, dropout=0.5)
    straight, half, resumed, without = (module_of(lora=one) for one in (lora, lora, lora, replace(lora, dropout=0.0)))
    for module in (straight, without):
        trainer_of(tmp_path).fit(module, data_of(data_dir))
    path = tmp_path / "half.ckpt"
    trainer_of(tmp_path, callbacks=[SaveAfter(path, 2, stop=True)]).fit(half, data_of(data_dir))
    torch.manual_seed(99)
    trainer_of(tmp_path).fit(resumed, data_of(data_dir), ckpt_path=str(path))
    pairs = list(
        zip(straight.policy.parameters(), resumed.policy.parameters(), without.policy.parameters(), strict=True)
    )
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert not all(torch.equal(a, c) for a, _, c in pairs)


def test_adapters_alone_are_trained_and_a_checkpoint_holds_the_merged_model(data_dir, tmp_path):
    path = tmp_path / "adapted.ckpt"
    module = module_of(lora=LoRAConfig(r=2), compute=ComputeConfig(gradient_checkpointing=True))
    trainer_of(tmp_path, max_epochs=2, callbacks=[SaveAfter(path, 2, stop=False)]).fit(module, data_of(data_dir))
    untrained = build_causal_lm(TINY, module.tokenizer, 0)
    causal_lm = module.policy.causal_lm
    with adapters_off(causal_lm):
        torch.testing.assert_close(causal_lm(IDS).logits, untrained(IDS).logits)
    assert not torch.allclose(causal_lm(IDS).logits, untrained(IDS).logits, atol=1e-3)
    loaded, _ = load_policy(path)
    assert set(loaded.state_dict()) == set(untrained.state_dict())
    torch.testing.assert_close(loaded(IDS).logits, causal_lm(IDS).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("change", [{"gradient_checkpointing": True}])
def test_how_the_model_is_computed_changes_nothing(data_dir, tmp_path, change):
    plain, other = module_of(), module_of(compute=ComputeConfig(**change))
    for module in (plain, other):
        trainer_of(tmp_path, max_epochs=1).fit(module, data_of(data_dir))
    for a, b in zip(plain.policy.parameters(), other.policy.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_checkpoint_loads_as_a_policy(data_dir, tmp_path):
    path = tmp_path / "one.ckpt"
    module, data = module_of(), data_of(data_dir)
    trainer_of(tmp_path, max_epochs=1, callbacks=[SaveAfter(path, 1, stop=False)]).fit(module, data)
    causal_lm, tokenizer = load_policy(path)
    for a, b in zip(module.policy.parameters(), causal_lm.parameters(), strict=True):
        assert torch.equal(a, b)
    assert tokenizer.get_vocab() == data.tokenizer.get_vocab()

    trained = module_of(architecture=None, init_from=str(path))
    trainer_of(tmp_path, max_epochs=1, limit_train_batches=0).fit(trained, data_of(data_dir))
    assert torch.equal(trained.policy.causal_lm.lm_head.weight, module.policy.causal_lm.lm_head.weight)
    other = write_small_data(tmp_path / "other")
    own = data_of(other)
    trainer_of(tmp_path, max_epochs=1).fit(module_of(architecture=None, init_from=str(path)), own)
    assert own.tokenizer.get_vocab() == tokenizer.get_vocab()  # that of the model, and none was made of the data
    assert not (other / "tokenizer").exists()
    train_tokenizer(training_texts(load_dataset(other)), 270, tmp_path / "tokenizer")
    wrong = data_of(other, tokenizer=str(tmp_path / "tokenizer"))
    with pytest.raises(ValueError, match=r"another tokenizer than data.init_args.tokenizer; set that to null"):
        trainer_of(tmp_path).fit(module_of(architecture=None, init_from=str(path)), wrong)


def test_loss_falls_and_tags_are_logged_and_documented(data_dir, tmp_path, executor):
    logger = TensorBoardLogger(str(tmp_path), name="", version="")
    module = module_of()
    trainer = trainer_of(
        tmp_path,
        logger=logger,
        log_every_n_steps=1,
        max_epochs=6,
        limit_val_batches=1.0,
        callbacks=[SampleTexts(2), ThroughputMonitor(2)],
    )
    trainer.fit(module, data_of(data_dir))
    assert executor.num_closed == 1
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    tags = set(events.Tags()["scalars"]) - {"epoch"}
    assert not [tag for tag in tags if documented(tag) is None]
    expected = {
        "loss/train", "loss/val", "optim/lr", "optim/grad_norm", "data/padding_frac", "data/tokens",
        "throughput/train_tokens_per_s", "pass_at_k/synthetic_val/greedy", "status/synthetic_val/wrong",
        "completions/synthetic_val/mean_length", "completions/synthetic_val/eos_frac", "time/synthetic_val/evaluate_s",
    }  # fmt: skip
    assert expected <= tags
    values = {tag: [event.value for event in events.Scalars(tag)] for tag in tags}
    assert len(values["loss/train"]) == 18
    assert values["loss/train"][0] == pytest.approx(math.log(300), rel=0.05)
    assert values["loss/train"][-1] < 0.75 * values["loss/train"][0]
    assert values["loss/val"][-1] < values["loss/val"][0]
    assert values["pass_at_k/synthetic_val/greedy"] == [0.5] * 6
    assert values["status/synthetic_val/wrong"] == [0.5] * 6
    assert values["optim/lr"][:3] == pytest.approx([1e-2 / 3, 2e-2 / 3, 1e-2])
    assert values["optim/lr"][-1] == pytest.approx(1e-3)
    assert "samples/synthetic_val/text_summary" in events.Tags()["tensors"]


def gradients_after_clipping(data_dir, tmp_path, **settings) -> float:
    class Norm(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
            gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
            self.norm = float(torch.nn.utils.get_total_norm(gradients))

    norm = Norm()
    trainer = trainer_of(tmp_path, max_steps=1, max_epochs=-1, callbacks=[norm], **settings)
    trainer.fit(module_of(), data_of(data_dir))
    return norm.norm


def test_gradients_are_clipped_under_both_precisions(data_dir, tmp_path):
    free = gradients_after_clipping(data_dir, tmp_path, gradient_clip_val=None)
    assert free > 0.2
    for precision in ("32-true", "bf16-mixed"):
        clipped = gradients_after_clipping(data_dir, tmp_path, gradient_clip_val=0.1, precision=precision)
        assert clipped == pytest.approx(0.1, rel=1e-3)
    assert gradients_after_clipping(data_dir, tmp_path, gradient_clip_val=0) == free  # Lightning's rule: 0 is off


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gradient_clip_algorithm": "value"}, "value is not supported"),
        ({"gradient_clip_val": -1.0}, "trainer.gradient_clip_val is -1.0: it must be above 0.0"),
    ],
)
def test_clipping_that_cannot_be_is_refused_before_training(data_dir, tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        trainer_of(tmp_path, limit_train_batches=0, **settings).fit(module_of(), data_of(data_dir))


def test_test_logs_every_split(data_dir, tmp_path):
    trainer = trainer_of(tmp_path, limit_test_batches=1.0)
    (logged,) = trainer.test(module_of(), data_of(data_dir, num_test_tasks=2), verbose=False)
    assert logged["pass_at_k/atomic/greedy"] == 0.5
    assert {tag for tag in logged if tag.startswith("pass_at_k")} == {
        f"pass_at_k/{split}/greedy"
        for split in ("atomic", "synthetic_test", "synthetic_test_deeper", "synthetic_test_held_out_atoms")
    }


def test_architecture_and_init_from_exclude_each_other():
    with pytest.raises(ValueError, match="exclude each other"):
        SFTModule(architecture=TINY, init_from="x")


def test_lr_factor_by_hand():
    cosine = AdamWConfig(warmup_steps=4, min_lr_ratio=0.1)
    values = [lr_factor(step, num_steps=13, config=cosine) for step in range(13)]
    assert values[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert values[8] == pytest.approx(0.55)  # half way: 0.1 + 0.9 / 2
    assert values[12] == pytest.approx(0.1)
    linear = replace(cosine, schedule="linear")
    assert lr_factor(6, num_steps=13, config=linear) == pytest.approx(0.1 + 0.9 * 0.75)
    assert lr_factor(12, num_steps=13, config=replace(cosine, schedule="constant")) == 1.0
    assert lr_factor(99, num_steps=13, config=cosine) == pytest.approx(0.1)


@pytest.mark.parametrize("change", [{"lr": 0.0}, {"warmup_steps": -1}, {"min_lr_ratio": 1.5}])
def test_wrong_optimizer_settings_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        AdamWConfig(**change)


def test_only_matrices_decay():
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
    decayed, rest = build_adamw(module.named_parameters(), AdamWConfig(weight_decay=0.3), fused=False).param_groups
    assert [p.shape for p in decayed["params"]] == [(2, 3)]
    assert decayed["weight_decay"] == 0.3
    assert len(rest["params"]) == 3
    assert rest["weight_decay"] == 0.0


def test_every_tag_has_one_short_line():
    assert documented("pass_at_k/synthetic_val/greedy") == TAGS["pass_at_k/<split>/greedy"]
    assert documented("status/atomic/wrong") == TAGS["status/<split>/<status>"]
    assert documented("status/wrong") is None
    assert all(20 < len(line) < 120 and "\n" not in line for line in TAGS.values())


def test_training_refuses_a_model_with_a_recurrent_state():
    mamba = MambaForCausalLM(MambaConfig(vocab_size=24, hidden_size=32, num_hidden_layers=1, state_size=4))
    with pytest.raises(ValueError, match="^MambaForCausalLM has layers with a recurrent state"):
        SFTModule().build_policy(mamba)
