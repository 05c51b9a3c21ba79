"""Reinforcement learning by PPO from programs that are really run.

One Lightning epoch is one iteration, under automatic optimization: `RLDataModule` asks `collect` for the judged
responses of the iteration and serves them as minibatches, `training_step` sees one of them. `collect` changes no state
that training depends on; iteration counter and KL price move in `on_train_epoch_end`, before the checkpoint is written,
and randomness is a function of (seed, iteration, sample): so a run resumed at an iteration's end goes on as if never
stopped.

The class joins parts that live elsewhere: `generation`, `rollout`, `advantages`, `losses`, `kl_control`, `evaluation`.
It trains the weights of one language model and a value head on it; sharded strategies are not supported.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim import AdamW, Optimizer

from datamodules.batches import RolloutBatch, RolloutSample, TaskPrompt
from executor.client import Executor, grade, open_executor
from executor.rewards import RewardConfig, reward_of
from executor.schema import Outcome
from lightning_modules.evaluation import Evaluation, completion_text, evaluate, submission
from lightning_modules.generation import Generated, Sampling, decoding_dtype, generate
from lightning_modules.kl_control import KLConfig, controller_of
from lightning_modules.losses import ppo_policy_loss, ppo_value_loss
from lightning_modules.numerics import token_entropy, token_logprobs
from lightning_modules.packed_loss import block_causal_mask
from lightning_modules.policy import PAYLOAD_KEY, ActorCritic, checkpoint_payload, load_policy
from lightning_modules.ppo_config import PPOConfig, RLOptimizerConfig
from lightning_modules.reference import Reference
from lightning_modules.rollout import (
    Collection,
    Response,
    build_samples,
    groups_and_sample_ids,
    score_tokens,
)
from lightning_modules.validation_scores import ValidationScores

STATE_KEY = "rl_state"
DEFAULT_PPO = PPOConfig()
DEFAULT_KL = KLConfig()
DEFAULT_SAMPLING = Sampling(max_new_tokens=256)
DEFAULT_OPTIMIZER = RLOptimizerConfig()
DEFAULT_REWARD = RewardConfig()


class PPOModule(LightningModule):
    """PPO on a causal LM with a value head, rewarded by executed tests, held near the policy it starts from.

    Args:
        init_from: the policy to start from and stay near, required: a checkpoint, run directory, Hugging Face folder or
            hub id.
        ppo: the algorithm.
        kl: price of leaving the starting policy.
        sampling: length and temperature of the responses.
        optimizer: AdamW.
        reward: what an outcome is worth.
        generate_batch_size: responses decoded together, in training and validation.
        score_batch_size: rows read together when the responses are scored.
        executor_backend: `auto`, or a backend by name.
        seed: of the responses.
    """

    def __init__(
        self,
        *,
        init_from: str | None = None,
        ppo: PPOConfig = DEFAULT_PPO,
        kl: KLConfig = DEFAULT_KL,
        sampling: Sampling = DEFAULT_SAMPLING,
        optimizer: RLOptimizerConfig = DEFAULT_OPTIMIZER,
        reward: RewardConfig = DEFAULT_REWARD,
        generate_batch_size: int = 128,
        score_batch_size: int = 32,
        executor_backend: str = "auto",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if init_from is None:
            raise ValueError(
                "init_from is missing: set model.init_args.init_from to the checkpoint or run to start from"
            )
        if sampling.temperature == 0.0:
            raise ValueError("sampling.temperature is 0.0: PPO needs responses that differ; 1.0 is usual")
        for name, value in (("generate_batch_size", generate_batch_size), ("score_batch_size", score_batch_size)):
            if value < 1:
                raise ValueError(f"{name} is {value}: at least 1 is needed")
        self.init_from = init_from
        self.ppo = ppo
        self.sampling = sampling
        self.optimizer_config = optimizer
        self.reward_config = reward
        self.generate_batch_size = generate_batch_size
        self.score_batch_size = score_batch_size
        self.executor_backend = executor_backend
        self.seed = seed
        causal_lm, self.tokenizer = load_policy(init_from)
        self.policy = ActorCritic(causal_lm).train()
        self.reference = Reference(causal_lm)
        self.kl_controller = controller_of(kl)
        self.iteration = 0
        self.last_evaluations: dict[str, Evaluation] = {}
        self._executor: Executor | None = None
        self._collection: Collection | None = None
        self._is_stopped = False
        self._update_s = 0.0
        self._batch_started_at = 0.0

    def collect(self, prompts: list[TaskPrompt], iteration: int) -> list[RolloutSample]:
        """Answer each prompt once, run and judge the answers, and prepare them for training.

        Args:
            prompts: N prompts; the copies of one prompt stand side by side and are numbered from 0.
            iteration: names the random numbers.

        Returns:
            N samples, in the order of the prompts.
        """
        self.policy.eval()  # without dropout, as the training steps
        groups, sample_ids = groups_and_sample_ids(prompts)
        started = time.perf_counter()
        generated = generate(
            self.policy.causal_lm,
            [prompt.prompt_ids for prompt in prompts],
            sample_ids,
            sampling=self.sampling,
            seed=self.seed,
            iteration=iteration,
            eos_id=self._token_id("eos_token_id"),
            pad_id=self._token_id("pad_token_id"),
            batch_size=self.generate_batch_size,
            dtype=decoding_dtype(str(self.trainer.precision)),
        )
        generate_s = time.perf_counter() - started
        with ThreadPoolExecutor(max_workers=1) as thread:  # programs run while the policy reads the responses again
            judging = thread.submit(self._judge, prompts, generated)
            started = time.perf_counter()
            with self.trainer.precision_plugin.forward_context():
                scores = score_tokens(
                    self.policy,
                    self.reference,
                    [prompt.prompt_ids for prompt in prompts],
                    [item.token_ids for item in generated],
                    batch_size=self.score_batch_size,
                    pad_id=self._token_id("pad_token_id"),
                    temperature=self.sampling.temperature,
                )
            score_s = time.perf_counter() - started
            outcomes, execute_s = judging.result()
        responses = [
            Response(prompt.prompt_ids, group, item, outcome, reward_of(outcome, self.reward_config))
            for prompt, group, item, outcome in zip(prompts, groups, generated, outcomes, strict=True)
        ]
        collection = build_samples(
            responses, scores, config=self.ppo, kl_coef=self.kl_controller.coef, sum_over_ranks=self._sum_over_ranks
        )
        num_tokens = sum(len(item.token_ids) for item in generated)
        times = {
            "time/generate_s": generate_s,
            "time/score_s": score_s,
            "time/execute_s": execute_s,
            "throughput/generate_tokens_per_s": num_tokens / generate_s,
        }
        self._collection = collection._replace(metrics=collection.metrics | times)
        self.policy.train()
        return collection.samples

    def _judge(self, prompts: list[TaskPrompt], generated: list[Generated]) -> tuple[list[Outcome], float]:
        started = time.perf_counter()
        submissions = [
            submission(prompt, completion_text(self.tokenizer, item.token_ids))
            for prompt, item in zip(prompts, generated, strict=True)
        ]
        outcomes = grade(self._opened_executor(), submissions)
        return outcomes, time.perf_counter() - started

    def setup(self, stage: str) -> None:
        if self.trainer.precision == "16-mixed":
            raise ValueError("trainer.precision 16-mixed is not supported by PPOModule; use bf16-mixed or 32-true")

    def configure_optimizers(self) -> Optimizer:
        config = self.optimizer_config
        groups = [
            {"params": list(self.policy.causal_lm.parameters()), "lr": config.lr, "weight_decay": config.weight_decay},
            {"params": list(self.policy.value_head.parameters()), "lr": config.value_lr, "weight_decay": 0.0},
        ]
        return AdamW(groups, betas=config.betas)

    def on_train_epoch_start(self) -> None:
        self.policy.eval()  # dropout would make the first ratio differ from 1
        self._is_stopped = False
        self._update_s = 0.0
        # set from the iteration, not by a scheduler: Lightning saves checkpoints before it steps one at an epoch's end
        own_iteration = max(0, self.iteration - self.ppo.critic_warmup_iterations)
        self.trainer.optimizers[0].param_groups[0]["lr"] = self.optimizer_config.lr_at(own_iteration)

    def on_train_batch_start(self, batch: RolloutBatch, batch_idx: int) -> None:
        self._batch_started_at = time.perf_counter()

    def on_train_batch_end(self, outputs: Any, batch: RolloutBatch, batch_idx: int) -> None:
        self._update_s += time.perf_counter() - self._batch_started_at

    def training_step(self, batch: RolloutBatch, batch_idx: int) -> Tensor:
        num_tokens = self.trainer.strategy.reduce(batch.num_tokens, reduce_op="mean").clamp(min=1)
        trained, temperature = batch.loss_mask, self.sampling.temperature
        chosen = torch.nn.functional.pad(trained, (0, 1))
        logits, values = self.policy(batch.input_ids, block_causal_mask(batch.segment_ids), batch.position_ids, chosen)
        tokens = batch.input_ids[:, 1:][trained]
        every = torch.ones_like(tokens, dtype=torch.bool)
        policy = ppo_policy_loss(
            token_logprobs(logits, tokens, temperature=temperature),
            batch.old_logprobs[trained],
            batch.advantages[trained],
            every,
            clip_low=self.ppo.clip_low,
            clip_high=self.ppo.clip_high,
            num_tokens=num_tokens,
        )
        value = ppo_value_loss(
            values.float(),
            batch.values[trained],
            batch.returns[trained],
            every,
            clip=self.ppo.value_clip,
            num_tokens=num_tokens,
        )
        with torch.set_grad_enabled(self.ppo.entropy_coef > 0):
            entropy = token_entropy(logits, temperature=temperature).sum() / num_tokens
        loss = policy.loss + self.ppo.value_coef * value.loss - self.ppo.entropy_coef * entropy
        approx_kl = self.trainer.strategy.reduce(policy.metrics["approx_kl"], reduce_op="mean")
        if self.ppo.target_kl is not None and bool(approx_kl > self.ppo.target_kl):
            self._is_stopped = True
        metrics = {
            "policy/loss": policy.loss.detach(),
            "policy/approx_kl": policy.metrics["approx_kl"],
            "policy/clip_frac": policy.metrics["clip_fraction"],
            "policy/entropy": entropy.detach(),
            "policy/stopped_share": float(self._is_stopped),
            "value/loss": value.loss.detach(),
            "value/clip_frac": value.metrics["clip_fraction"],
        }
        if batch_idx == 0:
            metrics["policy/first_ratio"] = policy.metrics["ratio"]
        self.log_dict(metrics, on_step=False, on_epoch=True, sync_dist=True, batch_size=1)
        return loss * 0.0 if self._is_stopped else loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Take the gradients from what must not move: a zero gradient would still move it, by its momentum."""
        frozen = (
            self.policy.parameters()
            if self._is_stopped
            else self.policy.causal_lm.parameters()
            if self.iteration < self.ppo.critic_warmup_iterations
            else ()
        )
        for parameter in frozen:
            parameter.grad = None
        gradients = [parameter.grad for parameter in self.policy.parameters() if parameter.grad is not None]
        self.log(
            "optim/grad_norm", torch.nn.utils.get_total_norm(gradients), on_step=False, on_epoch=True, batch_size=1
        )

    def on_train_epoch_end(self) -> None:
        collection = self._collection
        assert collection is not None
        num_tokens = sum(int(sample.loss_mask.sum()) for sample in collection.samples)
        metrics = collection.metrics | {
            "kl/coef": self.kl_controller.coef,
            "kl/per_response": collection.kl_per_response,
            "optim/lr": self.trainer.optimizers[0].param_groups[0]["lr"],
            "time/update_s": self._update_s,
            "throughput/update_tokens_per_s": num_tokens / max(self._update_s, 1e-9),
        }
        self.log_dict(metrics, sync_dist=True)
        self.kl_controller = self.kl_controller.update(*self._kl_over_ranks(collection))
        self.iteration += 1
        self._collection = None

    def validation_step(self, batch: tuple[str, list[TaskPrompt]], batch_idx: int) -> None:
        """Complete the tasks of a split greedily and run them."""
        split, prompts = batch
        started = time.perf_counter()
        result = evaluate(
            self.policy.causal_lm,
            self.tokenizer,
            prompts,
            self._opened_executor(),
            num_samples=0,
            max_new_tokens=self.sampling.max_new_tokens,
            seed=self.seed,
            batch_size=self.generate_batch_size,
            dtype=decoding_dtype(str(self.trainer.precision)),
        )
        self.last_evaluations[split] = result
        self._scores.add_greedy(split, result, evaluate_s=time.perf_counter() - started)

    def on_validation_epoch_start(self) -> None:
        self._scores = ValidationScores(self.device)

    def on_validation_epoch_end(self) -> None:
        scores = self._scores.compute()
        shown = {tag: value for tag, value in scores.items() if tag.startswith("pass_at_k/")}
        self.log_dict(shown, prog_bar=True, sync_dist=True)
        self.log_dict({tag: value for tag, value in scores.items() if tag not in shown}, sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[PAYLOAD_KEY] = checkpoint_payload(self.policy.causal_lm, self.tokenizer)
        checkpoint[STATE_KEY] = {
            "iteration": self.iteration,
            "kl_coef": self.kl_controller.coef,
            "reference_sha256": self.reference.sha256,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint.get(STATE_KEY)
        if state is None:
            raise ValueError("the checkpoint is not one of PPOModule; start from it with model.init_args.init_from")
        if state["reference_sha256"] != self.reference.sha256:
            raise ValueError(
                f"init_from {self.init_from} holds other weights than this run began with: the KL penalty would "
                "change; put the checkpoint back that the run was started from"
            )
        self.iteration = state["iteration"]
        self.kl_controller = replace(self.kl_controller, coef=state["kl_coef"])

    def teardown(self, stage: str) -> None:
        if self._executor is not None:
            self._executor.close()
            self._executor = None

    def _opened_executor(self) -> Executor:
        if self._executor is None:
            self._executor = open_executor(self.executor_backend)
        return self._executor

    def _sum_over_ranks(self, tensor: Tensor) -> Tensor:
        return self.trainer.strategy.reduce(tensor.to(self.device), reduce_op="sum").to(tensor.device)

    def _kl_over_ranks(self, collection: Collection) -> tuple[float, int]:
        """Mean divergence of the responses with a reward, in nats, and how many there are, over all ranks."""
        total, count = collection.kl_per_response * collection.num_known, collection.num_known
        sums = self._sum_over_ranks(torch.tensor([total, count], dtype=torch.float64))
        return float(sums[0] / sums[1].clamp(min=1)), int(sums[1])

    def _token_id(self, name: str) -> int:
        value = getattr(self.tokenizer, name)
        assert isinstance(value, int)  # tokenizers without these are refused when they are loaded
        return value
