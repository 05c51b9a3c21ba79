"""`rollout.engine: http://HOST:PORT`: one or several vLLM servers, which all ranks share.

Rank 0 writes the weights of each iteration into the run directory and has every server load them; then all ranks send
requests. A server that dies is waited for: it gets the weights again, and the requests that it lost are repeated. A
completion from other weights than the policy's is discarded and sampled again.
"""

import asyncio
import secrets
import shutil
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from lightning_modules.generation.completion_stream import CompletionStream, StreamRules, open_streams
from lightning_modules.generation.generate import OnCompletion, check_prompts, ignore_completion
from lightning_modules.generation.sampler import Completion, SamplingParams
from lightning_modules.generation.vllm.requests import build_completion, request_params
from lightning_modules.generation.vllm.server import VllmServer
from lightning_modules.generation.vllm.weights import write_checkpoint
from lightning_modules.models.policy import get_context_length

Result = TypeVar("Result")


class VllmServerEngine:
    """Samples on vLLM servers.

    Args:
        urls: Addresses; requests are dealt to them in turn.
        tokenizer: Of the policy.
        batch_size: Requests of this rank that are under way at a time.
        dtype: Of the weights that are sent; None = as they are.
        folder: Where weights are exchanged; ranks and servers can read it.
        rank: Of this process.
        broadcast: Returns the argument of rank 0 on all ranks, when all have called it.
    """

    def __init__(
        self,
        urls: Sequence[str],
        tokenizer: PreTrainedTokenizerFast,
        *,
        batch_size: int,
        dtype: torch.dtype | None,
        folder: Path,
        rank: int = 0,
        broadcast: Callable[[str], str] = lambda text: text,
    ) -> None:
        self._urls = list(urls)
        self._tokenizer = tokenizer
        self._batch_size = batch_size
        self._dtype = dtype
        self._folder = folder
        self._rank = rank
        self._broadcast = broadcast
        self._tag: str | None = None
        self._version = 0
        self._context = 0

    def update_weights(self, causal_lm: PreTrainedModel, *, version: int) -> None:
        """Implement `RolloutEngine.update_weights`."""
        self._tag = None  # until all servers have the weights
        tag = ""
        if self._rank == 0:
            tag = f"{version:06d}-{secrets.token_hex(8)}"
            write_checkpoint(causal_lm, self._tokenizer, self._folder / tag, self._dtype)
            asyncio.run(self._with_servers(tag, _push_to_all))
            self._remove_others(tag)
        self._tag = self._broadcast(tag)
        self._version = version
        self._context = get_context_length(causal_lm)

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
        if self._tag is None:
            raise RuntimeError("the servers have no complete weights: call update_weights before generate")

        async def run(servers: list[VllmServer]) -> list[Completion]:
            context = min([self._context, *[await server.fetch_context_length() for server in servers]])
            check_prompts(prompts, stream_ids, context)
            streams = open_streams(prompts, StreamRules(self._tokenizer, sampling, context, self._version))
            places = asyncio.Semaphore(self._batch_size)

            async def complete(index: int) -> tuple[int, Completion]:
                params = request_params(streams[index], seed=seed, iteration=iteration, stream_id=stream_ids[index])
                async with places:
                    choice = await servers[(self._rank + index) % len(servers)].complete(prompts[index], params)
                return index, parse_choice(streams[index], choice)

            return await _collect([complete(index) for index in range(len(prompts))], on_completion)

        return asyncio.run(self._with_servers(self._tag, run))

    def sleep(self) -> None:
        """Implement `RolloutEngine.sleep`: the servers keep their memory."""
        self._tag = None

    def close(self) -> None:
        """Implement `RolloutEngine.close`: the servers stay; the weights that were sent are removed."""
        self._tag = None
        if self._rank == 0:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _with_servers(self, tag: str, run: Callable[[list[VllmServer]], Coroutine[Any, Any, Result]]) -> Result:
        servers = [VllmServer(url, self._folder / tag, tag) for url in self._urls]
        try:
            return await run(servers)
        finally:
            for server in servers:
                await server.close()

    def _remove_others(self, tag: str) -> None:
        for folder in self._folder.iterdir():
            if folder.name != tag:
                shutil.rmtree(folder, ignore_errors=True)


def parse_choice(stream: CompletionStream, choice: dict[str, Any]) -> Completion:
    """Build a completion from an answer of `/inference/v1/generate`.

    Raises:
        ValueError: There are not as many log-probabilities as tokens.
    """
    logprobs = [entry["logprob"] for entry in choice["logprobs"]["content"]]
    return build_completion(stream, choice["token_ids"], logprobs, stopped=choice["finish_reason"] == "stop")


async def _push_to_all(servers: list[VllmServer]) -> None:
    await asyncio.gather(*(server.push_weights() for server in servers))


async def _collect(
    requests: Sequence[Coroutine[Any, Any, tuple[int, Completion]]], on_completion: OnCompletion
) -> list[Completion]:
    """Report completions as they end; the first error cancels the rest."""
    completions: dict[int, Completion] = {}
    tasks = [asyncio.ensure_future(request) for request in requests]
    try:
        for task in asyncio.as_completed(tasks):
            index, completions[index] = await task
            on_completion(index, completions[index])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [completions[index] for index in range(len(tasks))]
