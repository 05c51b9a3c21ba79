"""The base of the modules for SFT and RL: the policy, its checkpoints, gradient clipping and executed validation.

Subclasses define how the policy is trained.
"""

import itertools
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from lightning.pytorch import LightningModule
from torch.optim import Optimizer
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from datamodules.batches import TaskPrompt
from executor.api import Executor
from lightning_modules.evaluation.evaluate import EvalConfig, evaluate
from lightning_modules.evaluation.pass_at_k import ValidationScores
from lightning_modules.evaluation.records import Evaluation
from lightning_modules.generation.generate import decoding_dtype
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.models.forward.compute import (
    ComputeConfig,
    check_packable,
    choose_attention_kernels,
    prepare_causal_lm,
    weights_dtype,
)
from lightning_modules.models.loading import PAYLOAD_KEY, checkpoint_payload, load_policy
from lightning_modules.models.lora import LoRAConfig, add_lora
from lightning_modules.models.policy import Policy, Trunk
from lightning_modules.training.logging.curve_layout import Sections, write_layout
from lightning_modules.training.optimizers import check_clipping, clip_by_norm
from lightning_modules.training.run_executor import RunExecutor

ProgressCallback = Callable[[str, int, int], None]
"""Called with (label, completions done, total) while a batch of completions is generated; maybe from another thread."""


class PolicyModule(LightningModule):
    """Holds a `policy` and its `tokenizer`; subclasses create both and define how the policy is trained.

    Args:
        compute: Attention, precision of weights, compilation and checkpointing of activations.
        lora: Adapters to train instead of the whole model; None = none.
        greedy: Length and stop strings of completions in validation and test.
        eval_batch_size: Completions decoded together in validation and test.
        executor_backend: `auto`, a backend by name or address, or `per_node`: one service for the ranks of a node.
        seed: Seed of the initial weights of adapters.
    """

    policy: Policy
    logs_each_step: bool
    """Whether `optim/grad_norm` is logged at each step or once an epoch."""
    sections: Sections
    """How TensorBoard groups the curves."""
    progress_callback: ProgressCallback | None

    def __init__(
        self,
        *,
        compute: ComputeConfig,
        lora: LoRAConfig | None,
        greedy: SamplingParams,
        eval_batch_size: int,
        executor_backend: str,
        seed: int,
    ) -> None:
        super().__init__()
        self.compute_config = compute
        self.lora = lora
        self.seed = seed
        self.last_evaluations: dict[str, Evaluation] = {}
        self.progress_callback = None
        self._greedy = greedy
        self._eval_batch_size = eval_batch_size
        self._executor = RunExecutor(executor_backend)
        self._scores = ValidationScores(self.device)

    @property
    @abstractmethod
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer of the policy."""

    @property
    def executor(self) -> Executor:
        """The executor of the run; the first use opens it."""
        return self._executor.open(self.trainer)

    def load_policy(self, source: str) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
        """Load the model to start from, in the type that `compute` names.

        Raises:
            ValueError: There is no model at `source`, or the settings exclude each other.
        """
        return load_policy(source, dtype=weights_dtype(self.compute_config, trains_adapters=self.lora is not None))

    def build_policy(self, causal_lm: PreTrainedModel, *, critic: Trunk | None = None) -> Policy:
        """Prepare a causal LM for training, in place.

        Raises:
            ValueError: The model does not support the settings.
        """
        check_packable(causal_lm)
        if self.lora is not None:
            add_lora(causal_lm, self.lora, seed=self.seed)
        prepare_causal_lm(causal_lm, self.compute_config)
        return Policy(causal_lm, critic=critic, compiled=self.compute_config.compile).train()

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by norm and log the norm before clipping."""
        norm = clip_by_norm(self.policy.parameters(), gradient_clip_val)
        self.log("optim/grad_norm", norm, on_step=self.logs_each_step, on_epoch=not self.logs_each_step, batch_size=1)

    def on_train_epoch_end(self) -> None:
        """Free the gradients: validation, and collecting the rollouts of the next iteration, do without that memory."""
        for optimizer in self.trainer.optimizers:
            optimizer.zero_grad(set_to_none=True)

    def evaluate_split(self, split: str, prompts: list[TaskPrompt]) -> None:
        """Complete `prompts` greedily, grade the completions, and keep the scores for the end of the epoch."""
        started_at = time.perf_counter()
        dtype = decoding_dtype(str(self.trainer.precision))
        count = self.count_progress(split, len(prompts))
        config = EvalConfig(
            num_samples=0,
            max_new_tokens=self._greedy.max_new_tokens,
            seed=self.seed,
            batch_size=self._eval_batch_size,
            stop=tuple(self._greedy.stop),
            dtype=None if dtype is None else str(dtype).removeprefix("torch."),
        )
        result = evaluate(
            self.policy.sampling_model(dtype),
            self.tokenizer,
            prompts,
            config,
            executor=self.executor,
            on_graded=lambda *_: count(),
        )
        self.last_evaluations[split] = result
        self._scores.add_greedy(split, result, evaluate_s=time.perf_counter() - started_at)

    def count_progress(self, label: str, total: int) -> Callable[[], None]:
        """Start counting completions for `progress_callback`; call the returned function at each one."""
        show = self.progress_callback
        if show is None:
            return lambda: None
        numbers = itertools.count(1)
        show(label, 0, total)
        return lambda: show(label, next(numbers), total)

    def on_validation_epoch_start(self) -> None:
        self._scores = ValidationScores(self.device)

    def on_test_epoch_start(self) -> None:
        self._scores = ValidationScores(self.device)

    def on_validation_epoch_end(self) -> None:
        scores = self._scores.compute()
        shown = {tag: value for tag, value in scores.items() if tag.startswith(("loss/", "pass_at_k/"))}
        self.log_dict(shown, prog_bar=True, sync_dist=True)
        self.log_dict({tag: value for tag, value in scores.items() if tag not in shown}, sync_dist=True)

    def on_test_epoch_end(self) -> None:
        self.log_dict(self._scores.compute(), sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[PAYLOAD_KEY] = checkpoint_payload(self.policy.causal_lm, self.tokenizer, self.lora)

    def setup(self, stage: str) -> None:
        """Check the settings of the trainer and prepare the executor.

        Raises:
            ValueError: A setting of the trainer is not supported.
        """
        if (
            stage == "fit"
            and self.compute_config.attention == "flex"
            and self.trainer.strategy.root_device.type == "cpu"
        ):
            raise ValueError("compute.attention flex has no gradients on a CPU; use sdpa")
        choose_attention_kernels()
        check_clipping(self.trainer.gradient_clip_val, self.trainer.gradient_clip_algorithm)
        self._executor.prepare(self.trainer)

    def on_fit_start(self) -> None:
        write_layout(self.trainer, self.sections)

    def teardown(self, stage: str) -> None:
        self._executor.close()
