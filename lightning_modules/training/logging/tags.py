"""All TensorBoard tags, with their meaning and the expected shape of their curve.

The table of docs/curves.md is generated from `TAGS`. `<split>` stands for the name of a data split, `<suite>` for that
of an evaluation, `<status>` for a value of `executor.types.Status`, `<k>` for a number; `documented` finds the entry of
a logged tag.
"""
# study-fingerprint: ignore (shows or measures results, and does not affect them)

import re

TAGS: dict[str, str] = {
    # supervised fine-tuning
    "loss/train": "mean cross-entropy per completion token of the minibatch, nats; falls fast, then slowly",
    "loss/sft": "mean cross-entropy per token of data.sft_examples, nats; level or falling",
    "loss/val": "the same on synthetic_val; follows loss/train, rises when the model overfits",
    "optim/lr": "learning rate of the step; rises during warm-up, then follows the schedule",
    "optim/grad_norm": "2-norm of the gradient before clipping; falls after warm-up, spikes mean the lr is too high",
    "data/padding_frac": "fraction of the minibatch's positions that are padding; flat, below 0.1",
    "data/tokens": "tokens of the minibatch without padding, of one rank; flat",
    "throughput/train_tokens_per_s": "tokens without padding per second of training, of one rank; flat",
    "throughput/samples_per_s": "solutions or completions per second of training, of one rank; flat",
    "throughput/mfu": "model FLOPs utilization: fraction of the device's peak that training steps use; flat",
    "throughput/peak_memory_mib": "peak memory so far, MiB: allocated on the GPU, or resident on a CPU; soon flat",
    # evaluation
    "pass_at_k/<split>/greedy": "fraction of tasks whose greedy completion passes all tests; rises, then levels off",
    "pass_at_k/<split>/pass_at_1": "unbiased pass@1 from n completions per task; below greedy",
    "pass_at_k/<split>/pass_at_8": "unbiased pass@8; above pass_at_1",
    "status/<split>/<status>": "fraction of completions with this status; crash and infra near 0, wrong falls last",
    "completions/<split>/mean_length": "mean tokens of a completion with its <eos>; close to that of the solutions",
    "completions/<split>/eos_frac": "fraction of completions that ended by <eos> or a stop string; rises to 1",
    "time/<split>/evaluate_s": "seconds of one evaluation, generation and execution",
    "evaluation/<suite>/pass_at_<k>_greedy": "pass@1 of greedy completions in `atomforge evaluate`; one point",
    "evaluation/<suite>/pass_at_<k>_sampled": "unbiased pass@k of samples in `atomforge evaluate`; one point",
    "evaluation/<suite>/pass_at_1_greedy_depth_<depth>": "greedy pass@1 for the tasks of a depth; falls with depth",
    "study/<split>/<score>": "pass@1 of an arm in the report of a study, greedy or pass_at_1; one point",
    "samples/<split>": "a few prompts with completions and outcomes, as text",
    # reinforcement learning
    "reward/mean": "mean reward of the iteration's completions without infra faults; rises",
    "reward/std": "standard deviation of those rewards; falls when most completions pass",
    "reward/pass_rate": "fraction of the iteration's completions that pass all reward tests; rises",
    "reward/pass_rate_depth_<depth>": "the same for tasks of a depth; the deeper, the later it rises",
    "reward/probe_fail_rate": "fraction of probed passing completions that fail held-out inputs; near 0, else hacking",
    "reward/num_probed": "passing completions graded again on held-out inputs; reward_probe_fraction of all passes",
    "reward/overlong_penalty": "mean of what algorithm.overlong_buffer subtracts, not in reward/mean; falls",
    "reward/<part>": "mean of one part of the reward; the parts add up to reward/mean",
    "kl/k1": "mean of log p_policy - log p_reference over sampled tokens, nats (estimator k1); grows slowly from 0",
    "kl/k3": "the same KL by the low-variance estimator k3, never negative; close to k1",
    "kl/sequence": "mean over completions of the summed k1, nats; approaches kl.target if that is set",
    "kl/loss": "mean KL penalty per token in the loss (kl.apply_to: loss), nats; follows kl/k3",
    "kl/coef": "KL coefficient, in reward or loss; adapts to hold kl/sequence at kl.target",
    "policy/loss": "clipped policy objective, negated; near 0, without a trend",
    "policy/approx_kl": "KL of the update from the policy before it (k3), nats; small, early stopping if too large",
    "policy/clip_frac": "fraction of tokens whose ratio was clipped; 0 to 0.2",
    "policy/entropy": "mean entropy of the next-token distribution, nats; falls slowly, at 0 exploration has ended",
    "policy/entropy_coef": "weight of the entropy bonus that algorithm.entropy_target adapts; 0 above the target",
    "policy/ratio_first_minibatch": "mean probability ratio of an iteration's first non-empty step; 1, else a bug",
    "policy/early_stopped_frac": "fraction of minibatches skipped after policy/approx_kl exceeded its limit; mostly 0",
    "value/loss": "clipped squared error of the critic; falls",
    "value/explained_variance": "fraction of the variance of returns that the critic explains; rises from 0 towards 1",
    "value/clip_frac": "fraction of tokens whose value was clipped; 0 to 0.3",
    "value/mean": "mean value of sampled tokens; follows reward/mean",
    "completions/mean_length": "mean tokens of a completion; close to that of the solutions, a jump means endless ones",
    "completions/mean_prompt_length": "mean tokens of a prompt; flat",
    "completions/eos_frac": "fraction of completions that ended by <eos> or a stop string; near 1",
    "status/rollout/<status>": "fraction of completions with this status; wrong falls, infra stays 0",
    "rollout/pass_at_<k>": "unbiased pass@k of the iteration's tasks, for 1 and samples_per_prompt; rises",
    "rollout/num_infra": "completions without an outcome because of an infra fault, not trained on; 0",
    "rollout/zero_variance_frac": "fraction of completions in groups of equal rewards; high if too easy or too hard",
    "rollout/trained_frac": "fraction of completions that are trained on; 1 without filters",
    "rollout/num_gen_batches": "batches of prompts sampled in the iteration; 1 without dynamic sampling",
    "rollout/logprob_diff": "mean absolute difference of log p at sampling and in training; 0 on-policy, 0.01 in bf16",
    "rollout/staleness": "iterations from the sampling policy to the trained one; rollout.staleness after the first",
    "rollout/is_weight_mean": "mean importance weight of a token, truncated (algorithm.rollout_correction); near 1",
    "rollout/is_weight_max": "largest importance weight before truncation, a mean over ranks; 1 if on-policy",
    "rollout/is_truncated_frac": "fraction of tokens whose importance weight was truncated; near 0",
    "rollout/is_effective_frac": "effective sample size of the importance weights, as a fraction of tokens; near 1",
    "rollout/rs_rejected_frac": "fraction of tokens left out because of their importance ratio; near 0",
    "rollout/padding_frac": "fraction of padding in the iteration's minibatches; flat, near 0.1",
    "time/prompts_s": "seconds of drawing the prompts of the iteration, with fresh_prompts also of generating tasks",
    "time/generate_s": "seconds of generation in the iteration",
    "time/logprob_s": "seconds of the forward passes of policy, critic and reference over the completions",
    "time/execute_s": "seconds of waiting for outcomes and the probe after the forward passes; near 0",
    "time/update_s": "seconds of the optimizer steps of the iteration",
    "time/prompts_frac": "fraction of the iteration's wall time in drawing prompts; below 0.1",
    "time/generate_frac": "fraction in generation; usually the largest",
    "time/logprob_frac": "fraction in computing log-probabilities",
    "time/execute_frac": "fraction of waiting for outcomes; near 0",
    "time/update_frac": "fraction in optimizer steps",
    "time/idle_s": "seconds of waiting for completions that are sampled meanwhile (rollout.staleness)",
    "time/idle_frac": "fraction of the time in which the trainer waits for prompts, completions and outcomes",
    "time/cpu_idle_frac": "fraction of the time of all cores of the machine in which nothing ran",
    "time/other_frac": "the rest: validation, checkpoints, data; without the idle ones, all fractions add up to 1",
    "executor/time_factor": "how many times slower than the reference machine this one is; scales time limits",
    "throughput/rollout_tokens_per_s": "tokens generated per second, of one rank",
}


def documented(tag: str) -> str | None:
    """Return the entry of a logged tag; None if there is none."""
    for pattern, line in TAGS.items():
        parts = re.split(r"<\w+>", pattern)
        if re.fullmatch(r"[^/]+".join(map(re.escape, parts)), tag):
            return line
    return None
