"""What the modules of SFT and reinforcement learning share: the policy in checkpoints, clipping, executed validation.

It trains nothing by itself.
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
from lightning_modules.evaluation.evaluate import EvalConfig, evaluate
from lightning_modules.evaluation.pass_at_k import ValidationScores
from lightning_modules.evaluation.records import Evaluation
from lightning_modules.generation.generate import decoding_dtype
from lightning_modules.generation.sampler import Sampling
from lightning_modules.models.compute import ComputeConfig, prepare_causal_lm, weights_dtype
from lightning_modules.models.loading import PAYLOAD_KEY, checkpoint_payload, load_policy
from lightning_modules.models.lora import LoRAConfig, add_lora
from lightning_modules.models.policy import Policy, Trunk
from lightning_modules.training.curve_layout import Questions, write_layout
from lightning_modules.training.gradient_clipping import check_clipping, clip_by_norm
from lightning_modules.training.run_executor import RunExecutor

OnAnswered = Callable[[str, int, int], None]
"""Told of a batch of answers while it is written: what it is for, how many are done, of how many."""


def nobody_listens(what: str, done: int, total: int) -> None:
    """Do nothing."""


class PolicyModule(LightningModule):
    """Holds a `policy` and its `tokenizer`; subclasses make both and say how it is trained.

    Args:
        engine: how the model is computed.
        lora: adapters to train instead of the whole model; null = none.
        greedy: length and stop strings of the completions in validation and test.
        eval_batch_size: completions decoded together there.
        executor_backend: `auto`, a backend by name or address, or `node`: one service for the ranks of a node.
        seed: of the adapters' first weights.
    """

    policy: Policy
    logs_each_step: bool
    """Whether `optim/grad_norm` is logged at each step or once an epoch."""
    questions: Questions
    """How TensorBoard groups the curves."""
    on_answered: OnAnswered
    """For who shows progress; it may be called from another thread."""

    def __init__(
        self,
        *,
        engine: ComputeConfig,
        lora: LoRAConfig | None,
        greedy: Sampling,
        eval_batch_size: int,
        executor_backend: str,
        seed: int,
    ) -> None:
        super().__init__()
        self.engine = engine
        self.lora = lora
        self.seed = seed
        self.last_evaluations: dict[str, Evaluation] = {}
        self.on_answered = nobody_listens
        self._greedy = greedy
        self._eval_batch_size = eval_batch_size
        self._executor = RunExecutor(executor_backend)
        self._scores = ValidationScores(self.device)

    @property
    @abstractmethod
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """That of the policy."""

    def load_policy(self, source: str) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
        """Load the model to start from, in the type the engine asks for.

        Raises:
            ValueError: there is none, or the settings exclude each other; one line.
        """
        return load_policy(source, dtype=weights_dtype(self.engine, trains_adapters=self.lora is not None))

    def build_policy(self, causal_lm: PreTrainedModel, *, critic: Trunk | None = None) -> Policy:
        """Make a causal LM ready for training, in place.

        Raises:
            ValueError: the model does not support the settings; one line.
        """
        if self.lora is not None:
            add_lora(causal_lm, self.lora, seed=self.seed)
        prepare_causal_lm(causal_lm, self.engine)
        return Policy(causal_lm, critic=critic, compiled=self.engine.compile).train()

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by norm and log the norm."""
        norm = clip_by_norm(self.policy.parameters(), gradient_clip_val)
        self.log("optim/grad_norm", norm, on_step=self.logs_each_step, on_epoch=not self.logs_each_step, batch_size=1)

    def evaluate_split(self, split: str, prompts: list[TaskPrompt]) -> None:
        """Complete `prompts` greedily, grade the programs, and add the outcomes to the scores of the epoch."""
        started_at = time.perf_counter()
        dtype = decoding_dtype(str(self.trainer.precision))
        answered = self.answer_count(split, len(prompts))
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
            executor=self._executor.open(self.trainer),
            on_graded=lambda *_: answered(),
        )
        self.last_evaluations[split] = result
        self._scores.add_greedy(split, result, evaluate_s=time.perf_counter() - started_at)

    def answer_count(self, what: str, total: int) -> Callable[[], None]:
        """Begin to count answers for `on_answered`; the function returned is called at each one."""
        numbers = itertools.count(1)
        self.on_answered(what, 0, total)
        return lambda: self.on_answered(what, next(numbers), total)

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
        """Check the trainer's settings and find the executor.

        Raises:
            ValueError: the trainer asks for what the modules cannot do; one line.
        """
        if stage == "fit" and self.engine.attention == "flex" and self.trainer.strategy.root_device.type == "cpu":
            raise ValueError("engine.attention flex has no gradients on a CPU: use sdpa")
        check_clipping(self.trainer.gradient_clip_val, self.trainer.gradient_clip_algorithm)
        self._executor.prepare(self.trainer)

    def on_fit_start(self) -> None:
        write_layout(self.trainer, self.questions)

    def teardown(self, stage: str) -> None:
        self._executor.close()
