"""Every TensorBoard tag of the project, with what it is and what its curve should look like.

The glossary of docs/curves.md is made from `TAGS`. `<split>` stands for the name of a data split and `<status>` for a
value of `executor.types.Status`; `documented` finds the entry of a real tag.
"""
# study-fingerprint: ignore (shows or measures results, and does not affect them)

import re

TAGS: dict[str, str] = {
    # supervised fine-tuning
    "loss/train": "mean cross-entropy of a completion token of the minibatch, nats; falls fast, then slowly",
    "loss/val": "the same on synthetic_val; falls with loss/train, and rises again where training over-fits",
    "optim/lr": "learning rate of the step; up during the warm-up, then down the schedule",
    "optim/grad_norm": "2-norm of the gradient before clipping; falls after the warm-up, spikes say lr is too high",
    "data/padding_share": "share of the minibatch's positions that are padding; flat, below 0.1 when packing works",
    "data/tokens": "tokens of the minibatch without padding, of one rank; flat",
    "throughput/train_tokens_per_s": "tokens without padding trained on each second of training, of one rank; flat",
    "throughput/samples_per_s": "solutions or responses trained on each second of training, of one rank; flat",
    "throughput/mfu": "model FLOPs utilization: share of the device's peak that training steps use; flat",
    "throughput/peak_memory_mib": "most memory so far, MiB, allocated on the GPU or else resident; soon flat",
    # evaluation
    "pass_at_k/<split>/greedy": "share of tasks whose greedy completion passes all tests; rises, then levels off",
    "pass_at_k/<split>/pass_at_1": "chance that one sample passes, from n samples a task (unbiased); below greedy",
    "pass_at_k/<split>/pass_at_8": "chance that one of eight samples passes (unbiased); above pass_at_1",
    "status/<split>/<status>": "fraction of completions with this status; crash and infra near 0, wrong falls last",
    "completions/<split>/mean_length": "mean tokens of a completion with its end token; close to that of the solutions",
    "completions/<split>/eos_frac": "fraction of completions that end with the end token; goes to 1",
    "time/<split>/evaluate_s": "seconds of one evaluation, sampling and execution",
    "samples/<split>": "a few prompts with completions and verdicts, as text",
    # reinforcement learning
    "reward/mean": "mean reward of the iteration's responses, infrastructure faults left out; rises",
    "reward/std": "standard deviation of those rewards; falls as most responses pass",
    "reward/pass_rate": "share of the iteration's responses that pass all reward tests; rises",
    "reward/retest_gap": "share of passes run again on other inputs that fail there; near 0, else tests are exploited",
    "reward/num_retested": "passes of the iteration that were run again on other inputs; retest_share of all passes",
    "reward/<part>": "mean of one part of the reward; the parts add up to reward/mean",
    "kl/k1": "mean of log p_policy - log p_reference over sampled tokens, nats (estimator k1); grows slowly from 0",
    "kl/k3": "the same KL by the low-variance estimator k3, never negative; close to k1",
    "kl/per_response": "mean over responses of the summed k1, nats; where a target is set, it settles there",
    "kl/loss": "mean divergence from the reference that is in the loss (kl.place: loss), nats; follows kl/k3",
    "kl/coef": "price of one nat, in reward or loss; the controller moves it to hold kl/per_response at its target",
    "policy/loss": "clipped policy objective, negated; near 0, no trend wanted",
    "policy/approx_kl": "KL of this update from the policy that sampled (k3), nats; small, too large stops the update",
    "policy/clip_frac": "share of tokens whose ratio was clipped; 0 to 0.2",
    "policy/entropy": "mean entropy of the next-token distribution, nats; falls slowly, at 0 exploration has ended",
    "policy/first_ratio": "mean probability ratio of an iteration's first step with trained tokens; 1, else a bug",
    "policy/stopped_share": "share of minibatches left out after policy/approx_kl passed its limit; mostly 0",
    "value/loss": "clipped squared error of the critic; falls",
    "value/explained_variance": "share of the returns' variance the critic explains; rises from 0 towards 1",
    "value/clip_frac": "share of tokens whose value was held near the old one; 0 to 0.3",
    "value/mean": "mean value of sampled tokens; follows reward/mean",
    "rollout/num_tokens": "mean tokens of a response; close to that of the solutions, a jump says it rambles",
    "rollout/prompt_tokens": "mean tokens of a prompt; flat",
    "rollout/finished": "share of responses that ended by themselves; near 1",
    "rollout/status/<status>": "share of responses with this verdict; wrong falls, infra stays 0",
    "rollout/pass_at_<k>": "pass@k of the iteration's tasks, for 1 and samples_per_prompt (unbiased); rises",
    "rollout/num_infra": "responses without a verdict through a fault of ours, left out of training; 0",
    "rollout/uniform_share": "share of responses in groups of one reward; high where tasks are too easy or too hard",
    "rollout/trained_share": "share of responses that are trained on; 1 unless some are left out",
    "rollout/logprob_gap": "mean distance of log-probabilities at sampling from those of training; 0, or 0.01 in bf16",
    "rollout/padding_share": "share of the positions of an iteration's minibatches that are padding; flat, near 0.1",
    "time/generate_s": "seconds of sampling in the iteration",
    "time/score_s": "seconds policy, critic and reference took to read the responses",
    "time/execute_s": "seconds waited for verdicts and retests once sampling and scoring are done; near 0",
    "time/update_s": "seconds of the optimizer steps of the iteration",
    "time/share_generate": "share of the iteration's wall time spent on sampling; usually the largest",
    "time/share_score": "share of it spent on reading the responses",
    "time/share_execute": "share of it spent waiting for verdicts; near 0",
    "time/share_update": "share of it spent on optimizer steps",
    "time/share_other": "the rest: validation, checkpoints, data; with the others it adds up to 1",
    "executor/time_factor": "how much slower than the reference machine this one is; limits are stretched by it",
    "throughput/generate_tokens_per_s": "tokens sampled each second, of one rank",
}


def documented(tag: str) -> str | None:
    """Return the line on a tag as it is logged, None where there is none."""
    for pattern, line in TAGS.items():
        parts = re.split(r"<\w+>", pattern)
        if re.fullmatch(r"[^/]+".join(map(re.escape, parts)), tag):
            return line
    return None
