"""Supervised fine-tuning: completion-only loss on packed rows, validation by loss and by running greedy completions.

The class joins parts that live elsewhere: the model (`policy`), the loss (`packed_loss`), the optimizer (`optimizers`)
and the executed pass rate (`evaluation`). It works with `datamodules.sft_data.SFTDataModule`.
"""

import time
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim import Optimizer
from transformers import PreTrainedTokenizerFast

from datamodules.batches import SFTBatch, TaskPrompt
from lightning_modules.architecture import Architecture, build_causal_lm
from lightning_modules.counter_random import derived_seed
from lightning_modules.engine import EngineSettings, prepare_causal_lm
from lightning_modules.evaluation import Evaluation, evaluate
from lightning_modules.generation import decoding_dtype
from lightning_modules.gradient_clipping import clip_by_norm
from lightning_modules.lora import LoRASettings, add_lora
from lightning_modules.model_loading import PAYLOAD_KEY, checkpoint_payload, load_policy
from lightning_modules.optimizers import AdamWConfig, build_adamw, build_schedule
from lightning_modules.packed_loss import completion_loss
from lightning_modules.policy import Policy
from lightning_modules.run_executor import RunExecutor
from lightning_modules.sharding import mesh_of
from lightning_modules.validation_scores import ValidationScores

DEFAULT_OPTIMIZER = AdamWConfig()
DEFAULT_ENGINE = EngineSettings()


class SFTModule(LightningModule):
    """Trains a causal LM on prompt and solution pairs.

    Args:
        architecture: sizes of a model built from scratch; null = the default sizes.
        init_from: a checkpoint, run directory, Hugging Face folder or hub id to start from instead.
        optimizer: AdamW and its schedule.
        engine: how the model is computed.
        lora: adapters to train instead of the whole model; null = none.
        max_new_tokens: longest completion in validation and test, tokens.
        eval_batch_size: completions decoded together in validation and test.
        executor_backend: `auto`, or a backend by name or address.
        seed: of the first weights.
    """

    policy: Policy

    def __init__(
        self,
        *,
        architecture: Architecture | None = None,
        init_from: str | None = None,
        optimizer: AdamWConfig = DEFAULT_OPTIMIZER,
        engine: EngineSettings = DEFAULT_ENGINE,
        lora: LoRASettings | None = None,
        max_new_tokens: int = 256,
        eval_batch_size: int = 64,
        executor_backend: str = "auto",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if architecture is not None and init_from is not None:
            raise ValueError("architecture and init_from exclude each other: a loaded model brings its own sizes")
        self.architecture = architecture or Architecture()
        self.init_from = init_from
        self.optimizer_config = optimizer
        self.engine = engine
        self.lora = lora
        self.max_new_tokens = max_new_tokens
        self.eval_batch_size = eval_batch_size
        self.seed = seed
        self.last_evaluations: dict[str, Evaluation] = {}
        self._is_built = False
        self._executor = RunExecutor(executor_backend)
        self._scores = ValidationScores(self.device)

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        return self.trainer.datamodule.tokenizer  # type: ignore[attr-defined]

    def configure_model(self) -> None:
        if self._is_built:
            return
        if self.init_from is None:
            causal_lm = build_causal_lm(self.architecture, self.tokenizer, self.seed)
        else:
            causal_lm, tokenizer = load_policy(self.init_from)
            if tokenizer.get_vocab() != self.tokenizer.get_vocab():
                raise ValueError(
                    f"{self.init_from} has another tokenizer than the data: set data.init_args.tokenizer to where the "
                    "model's own comes from"
                )
        if self.lora is not None:
            add_lora(causal_lm, self.lora, seed=self.seed)
        prepare_causal_lm(causal_lm, self.engine)
        self.policy = Policy(causal_lm, compiled=self.engine.compile).train()
        mesh = mesh_of(self.trainer.strategy)
        if mesh is not None:
            self.policy.shard(mesh)
        self._is_built = True

    def configure_optimizers(self) -> Any:
        fused = self.trainer.precision != "16-mixed"  # scaled gradients have to be unscaled before they are clipped
        optimizer = build_adamw(self.policy.named_parameters(), self.optimizer_config, fused=fused)
        num_steps = self.trainer.estimated_stepping_batches
        schedule = build_schedule(optimizer, self.optimizer_config, num_steps=num_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_batch_start(self, batch: SFTBatch, batch_idx: int) -> None:
        # dropout follows from the step, not from what was drawn before: a resumed run drops what it would have dropped
        torch.manual_seed(derived_seed(self.seed, self.trainer.current_epoch, batch_idx, self.trainer.global_rank))

    def training_step(self, batch: SFTBatch, batch_idx: int) -> Tensor:
        total, num_labels = completion_loss(self.policy, batch)
        # the mean over the labelled tokens of all ranks: gradients are averaged over ranks, so divide by the mean count
        mean_labels = self.trainer.strategy.reduce(num_labels.float(), reduce_op="mean")
        loss = total / mean_labels
        num_tokens = torch.count_nonzero(batch.segment_ids)
        self.log("loss/train", loss, prog_bar=True, batch_size=batch.num_samples)
        self.log("data/tokens", num_tokens.float(), batch_size=batch.num_samples)
        self.log("data/padding_share", 1 - num_tokens / batch.segment_ids.numel(), batch_size=batch.num_samples)
        self.log("optim/lr", self.trainer.optimizers[0].param_groups[0]["lr"], batch_size=batch.num_samples)
        return loss

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by norm and log the norm.

        Raises:
            ValueError: the trainer asks for clipping by value.
        """
        norm = clip_by_norm(self.policy.parameters(), gradient_clip_val, gradient_clip_algorithm)
        self.log("optim/grad_norm", norm)

    def on_validation_epoch_start(self) -> None:
        self._scores = ValidationScores(self.device)

    def on_test_epoch_start(self) -> None:
        self._scores = ValidationScores(self.device)

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        if isinstance(batch, SFTBatch):
            total, num_labels = completion_loss(self.policy, batch)
            self._scores.add_mean("loss/val", total / num_labels.clamp(min=1), num_labels)
        else:
            self._evaluate(*batch)

    def test_step(self, batch: tuple[str, list[TaskPrompt]], batch_idx: int) -> None:
        self._evaluate(*batch)

    def on_validation_epoch_end(self) -> None:
        scores = self._scores.compute()
        shown = {tag: value for tag, value in scores.items() if tag.startswith(("loss/", "pass_at_k/"))}
        self.log_dict(shown, prog_bar=True, sync_dist=True)
        self.log_dict({tag: value for tag, value in scores.items() if tag not in shown}, sync_dist=True)

    def on_test_epoch_end(self) -> None:
        self.log_dict(self._scores.compute(), sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[PAYLOAD_KEY] = checkpoint_payload(self.policy.causal_lm, self.tokenizer, self.lora)

    def teardown(self, stage: str) -> None:
        self._executor.close()

    def _evaluate(self, split: str, prompts: list[TaskPrompt]) -> None:
        """Complete `prompts` greedily, run them, and keep the verdicts for the end of the epoch."""
        started = time.perf_counter()
        result = evaluate(
            self.policy.sampling_model(decoding_dtype(str(self.trainer.precision))),
            self.tokenizer,
            prompts,
            self._executor.open(self.trainer),
            num_samples=0,
            max_new_tokens=self.max_new_tokens,
            seed=self.seed,
            batch_size=self.eval_batch_size,
            dtype=decoding_dtype(str(self.trainer.precision)),
        )
        self.last_evaluations[split] = result
        self._scores.add_greedy(split, result, evaluate_s=time.perf_counter() - started)
