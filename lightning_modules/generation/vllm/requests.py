"""Requests to vLLM and their answers, which become completions; the same in the process and over HTTP.

vLLM samples and ends completions by itself, so its parameters are set to the rules of `GenerationState`: the full
distribution, without top-k, top-p and penalties, whatever `generation_config.json` of the model says. The answer then
passes through `CompletionStream`, which has the last word on where a completion ends.
"""

from collections.abc import Sequence
from typing import Any

from lightning_modules.generation.completion_stream import CompletionStream
from lightning_modules.generation.sampler import Completion, derive_seed


def request_params(stream: CompletionStream, *, seed: int, iteration: int, stream_id: int) -> dict[str, Any]:
    """Return the fields of `vllm.SamplingParams` for a completion, as plain values.

    Args:
        stream: The completion. `ignore_eos` turns off the tokens that end one by the model's files; its rules have
            the token that does.
        seed: Seed of the run.
        iteration: Iteration of reinforcement learning, else 0.
        stream_id: Random stream of the completion.
    """
    sampling = stream.rules.sampling
    is_greedy = sampling.temperature == 0.0
    return {
        "max_tokens": stream.max_new_tokens,
        "temperature": sampling.temperature,
        "seed": None if is_greedy else derive_seed(seed, iteration, stream_id) >> 1,  # a signed 64-bit integer
        "top_p": 1.0,
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "ignore_eos": True,
        "stop_token_ids": [stream.rules.eos_id],
        "stop": list(sampling.stop),
        "detokenize": bool(sampling.stop),
        "logprobs": 0,  # of the sampled token alone
    }


def build_completion(
    stream: CompletionStream, token_ids: Sequence[int], logprobs: Sequence[float], *, stopped: bool
) -> Completion:
    """Build a completion from the answer of vLLM.

    Args:
        stream: The empty completion.
        token_ids: Sampled tokens.
        logprobs: Their log-probabilities.
        stopped: Whether vLLM ended the completion for another reason than its length.
    """
    ended = stream.add(token_ids, logprobs)
    completion = stream.result()
    return completion if ended else completion._replace(finished=stopped)
