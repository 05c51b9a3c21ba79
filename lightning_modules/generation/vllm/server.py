"""One vLLM server, as the trainer uses it: health, weights, and completions of token ids.

Requests go to `/inference/v1/generate`, whose answers name the version of the weights that sampled them, and to the
endpoints for weight updates, which need `VLLM_SERVER_DEV_MODE=1`. The weights are read from a folder that the server
can read as well. Nothing here knows the policy; `lightning_modules.generation.vllm.server_engine` does.
"""

import asyncio
import logging
import os
import time
from pathlib import Path
from typing import Any

import httpx

RETRY_S = (1.0, 60.0)
"""First and longest time between two attempts to reach a server, in seconds; it doubles."""
GIVE_UP_S = 1800.0
"""Seconds without an answer after which the run ends."""
REQUEST_TIMEOUT = httpx.Timeout(30.0, read=1800.0)
_INCOMPLETE = "incomplete"
_AT_START = "default"
"""What vLLM calls the weights that a server starts with."""
_log = logging.getLogger(__name__)


class ServerError(ValueError):
    """A server rejects a request, or does not come back; the run ends with this line."""


class VllmServer:
    """A connection to a server; used within one event loop.

    Args:
        url: `http://HOST:PORT`.
        weights: Folder with the weights that the server must have.
        tag: Version of these weights; unique among all updates of all runs.
    """

    def __init__(self, url: str, weights: Path, tag: str) -> None:
        self.url = url.rstrip("/")
        self._weights = weights
        self._tag = tag
        self._recovery = asyncio.Lock()
        key = os.environ.get("VLLM_API_KEY")
        self._client = httpx.AsyncClient(
            base_url=self.url,
            timeout=REQUEST_TIMEOUT,
            limits=httpx.Limits(max_connections=None),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            trust_env=False,
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def fetch_context_length(self) -> int:
        """Return the maximum number of tokens of prompt and completion on the server."""
        models = (await self._retry("GET", "/v1/models")).json()
        return int(models["data"][0]["max_model_len"])

    async def push_weights(self) -> None:
        """Load the weights; the server samples nothing from the time they begin to change until all are in place.

        Raises:
            ServerError: The server cannot load them.
        """
        while True:
            try:
                return await self._push_once()
            except httpx.TransportError as error:
                await self._wait_for_health(error)

    async def complete(self, token_ids: list[int], params: dict[str, Any]) -> dict[str, Any]:
        """Sample a completion from the weights of this version, again if the server dies or comes back without them.

        Args:
            token_ids: The prompt.
            params: Fields of `vllm.SamplingParams`.

        Returns:
            The `choice` of the answer.

        Raises:
            ServerError: the server rejects the request, or another run uses it.
        """
        body = {"token_ids": token_ids, "sampling_params": params, "cache_salt": self._tag}
        while True:
            answer = (await self._retry("POST", "/inference/v1/generate", json=body)).json()
            choice = answer["choices"][0]
            versions = {span["version"] for span in choice.get("weight_versions") or []}
            if versions == {self._tag} and choice["finish_reason"] != "abort":
                return choice
            await self._restore_weights()

    async def _push_once(self) -> None:
        await self._call("POST", "/pause", params={"mode": "wait"})
        try:
            await self._call("POST", "/update_weight_version", json={"new_version": _INCOMPLETE})
            path = str(self._weights.absolute())
            await self._call(
                "POST", "/collective_rpc", json={"method": "reload_weights", "kwargs": {"weights_path": path}}
            )
            reset = await self._call("POST", "/reset_prefix_cache")
            if not reset.json()["success"]:
                raise ServerError(f"{self.url} still holds cached prompts of the former weights")
            await self._call("POST", "/update_weight_version", json={"new_version": self._tag})
        finally:
            await self._call("POST", "/resume")

    async def _restore_weights(self) -> None:
        """Load the weights again if the server has others, such as those that it was started with."""
        async with self._recovery:
            current = (await self._retry("GET", "/weight_info", recover=False)).json()["weight_version"]
            if current not in (self._tag, _AT_START, _INCOMPLETE):
                raise ServerError(f"{self.url} has other weights, {current!r}: does another run use it?")
            if current != self._tag:
                _log.warning("rollout engine %s: has weights %r; loads those of the policy again", self.url, current)
                await self.push_weights()

    async def _retry(self, method: str, path: str, *, recover: bool = True, **options: Any) -> httpx.Response:
        """Call the server until it answers; `recover` waits for others that wait already."""
        while True:
            try:
                return await self._call(method, path, **options)
            except httpx.TransportError as error:
                if recover:
                    async with self._recovery:
                        await self._wait_for_health(error)
                else:
                    await self._wait_for_health(error)

    async def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Call the server once.

        Raises:
            httpx.TransportError: It gives no answer, or has lost its engine.
            ServerError: It rejects the request.
        """
        response = await self._client.request(method, path, **options)
        if response.status_code < 400:
            return response
        reason = " ".join(response.text.split())[:300]
        if response.status_code >= 500 and not await self._is_healthy():
            raise httpx.RemoteProtocolError(f"HTTP {response.status_code}: {reason}")
        hint = ""
        if response.status_code in (403, 404):
            hint = "; start it with `python -m lightning_modules.generation.vllm.serve`"
        if path == "/collective_rpc":
            hint = f"; it must be able to read {self._weights}"
        raise ServerError(f"{self.url}{path}: HTTP {response.status_code}: {reason}{hint}")

    async def _is_healthy(self) -> bool:
        try:
            return (await self._client.get("/health", timeout=10.0)).status_code == 200
        except httpx.TransportError:
            return False

    async def _wait_for_health(self, error: Exception) -> None:
        """Wait until the server answers again.

        Raises:
            ServerError: It has not for `GIVE_UP_S`.
        """
        if await self._is_healthy():
            await asyncio.sleep(RETRY_S[0])
            return
        began, delay = time.monotonic(), RETRY_S[0]
        reason = str(error) or type(error).__name__
        _log.warning("rollout engine %s: no answer (%s); waiting for it", self.url, reason)
        while not await self._is_healthy():
            if time.monotonic() - began > GIVE_UP_S:
                raise ServerError(f"{self.url} has not answered for {GIVE_UP_S / 60:.0f} minutes: {reason}")
            await asyncio.sleep(delay)
            delay = min(2 * delay, RETRY_S[1])
        _log.warning("rollout engine %s: answers again after %.0f s", self.url, time.monotonic() - began)
