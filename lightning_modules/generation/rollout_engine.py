"""The interface of what generates completions in reinforcement learning, and the engine in the process of the trainer.

An engine holds one version of the policy's weights at a time, and each completion carries the version that sampled it.
Engines take and return token ids, so prompts are encoded by the policy's own tokenizer, and completions end by the same
rules whatever decodes them. Engines do not grade completions.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from lightning_modules.generation.generate import Decoder, OnCompletion, generate, ignore_completion
from lightning_modules.generation.sampler import Completion, SamplingParams
from lightning_modules.generation.vllm.engine import VllmEngine
from lightning_modules.generation.vllm.server_engine import VllmServerEngine

BUILT_IN = ("native", "transformers", "vllm")


class RolloutEngine(Protocol):
    """Generates completions from a policy whose weights are replaced between iterations."""

    def update_weights(self, causal_lm: PreTrainedModel, *, version: int) -> None:
        """Sample from these weights from now on; all ranks call this together, while none generates.

        If it fails, the engine generates nothing until an update succeeds.

        Args:
            causal_lm: A plain model (`Policy.sampling_model`), which must not change before `sleep`.
            version: Iterations that the policy was trained for.
        """
        ...

    def generate(
        self,
        prompts: Sequence[list[int]],
        sampling: SamplingParams,
        *,
        stream_ids: Sequence[int],
        seed: int,
        iteration: int = 0,
        on_completion: OnCompletion = ignore_completion,
    ) -> list[Completion]:
        """Complete each prompt once.

        Args:
            prompts: N token lists, none empty.
            sampling: Length, temperature and stop strings.
            stream_ids: N random streams, one per completion.
            seed: Seed of the run.
            iteration: Iteration of reinforcement learning, else 0.
            on_completion: Called as each completion ends, in the thread of the caller.

        Returns:
            N completions, in the order of `prompts`.

        Raises:
            ValueError: A prompt is empty or leaves no room for a token in the model's context.
        """
        ...

    def sleep(self) -> None:
        """Free the memory of generation until the next `update_weights`."""
        ...

    def close(self) -> None:
        """Free everything."""
        ...


class InProcessEngine:
    """Decodes with the model in this process (`lightning_modules.generation.generate`).

    Args:
        tokenizer: Of the policy.
        batch_size: Completions decoded together.
        dtype: Of the weights while decoding; None = as they are.
        decoder: `native`, or `transformers` to always decode with `generate` of transformers.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        *,
        batch_size: int,
        dtype: torch.dtype | None = None,
        decoder: Decoder = "native",
    ) -> None:
        self._tokenizer = tokenizer
        self._batch_size = batch_size
        self._dtype = dtype
        self._decoder: Decoder = decoder
        self._weights: tuple[PreTrainedModel, int] | None = None

    def update_weights(self, causal_lm: PreTrainedModel, *, version: int) -> None:
        """Implement `RolloutEngine.update_weights`; keeps a reference to the model."""
        self._weights = causal_lm, version

    def generate(
        self,
        prompts: Sequence[list[int]],
        sampling: SamplingParams,
        *,
        stream_ids: Sequence[int],
        seed: int,
        iteration: int = 0,
        on_completion: OnCompletion = ignore_completion,
    ) -> list[Completion]:
        """Implement `RolloutEngine.generate`."""
        if self._weights is None:
            raise RuntimeError("the engine has no weights: call update_weights before generate")
        causal_lm, version = self._weights

        def report(index: int, completion: Completion) -> None:
            on_completion(index, completion._replace(policy_version=version))

        completions = generate(
            causal_lm,
            self._tokenizer,
            prompts,
            sampling,
            stream_ids=stream_ids,
            seed=seed,
            iteration=iteration,
            batch_size=self._batch_size,
            dtype=self._dtype,
            decoder=self._decoder,
            on_completion=report,
        )
        return [completion._replace(policy_version=version) for completion in completions]

    def sleep(self) -> None:
        """Implement `RolloutEngine.sleep`: drop the reference, because the model may be a copy."""
        self._weights = None

    def close(self) -> None:
        """Implement `RolloutEngine.close`."""
        self._weights = None


def open_engine(
    name: str,
    tokenizer: PreTrainedTokenizerFast,
    *,
    batch_size: int,
    dtype: torch.dtype | None,
    folder: Path,
    gpu_memory_utilization: float = 0.4,
    rank: int = 0,
    broadcast: Callable[[str], str] = lambda text: text,
) -> RolloutEngine:
    """Open the engine of a name.

    Args:
        name: Value of `rollout.engine`.
        tokenizer: Of the policy.
        batch_size: Completions decoded together.
        dtype: Of the weights while decoding; None = as they are.
        folder: Where weights are exchanged with servers.
        gpu_memory_utilization: Fraction of the GPU's memory for vLLM in this process.
        rank: Of this process.
        broadcast: Returns the argument of rank 0 on all ranks.

    Raises:
        ValueError: There is no such engine, or its package is not installed.
    """
    check_engine(name)
    if name == "vllm":
        return VllmEngine(tokenizer, batch_size=batch_size, dtype=dtype, gpu_memory_utilization=gpu_memory_utilization)
    if is_server(name):
        return VllmServerEngine(
            name.split(","),
            tokenizer,
            batch_size=batch_size,
            dtype=dtype,
            folder=folder,
            rank=rank,
            broadcast=broadcast,
        )
    decoder: Decoder = "transformers" if name == "transformers" else "native"
    return InProcessEngine(tokenizer, batch_size=batch_size, dtype=dtype, decoder=decoder)


def check_engine(name: str, *, key: str = "rollout.engine") -> None:
    """Check the name of an engine, the value of `key`.

    Raises:
        ValueError: It names no engine.
    """
    if name not in BUILT_IN and not is_server(name):
        raise ValueError(
            f"{key} is {name!r}; it must be {', '.join(BUILT_IN)}, or the address of a vLLM server, "
            "such as http://localhost:8000"
        )


def is_server(name: str) -> bool:
    """Whether an engine is the address of a server, or several with commas between them."""
    return all(address.startswith(("http://", "https://")) for address in name.split(","))
