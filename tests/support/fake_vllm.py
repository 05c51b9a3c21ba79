"""The parts of the package vllm that the engine in the process of the trainer uses, with a sampler that reveals the
weights: every completion is the token `100 + W`, then 7, then `<eos>`, where `W` is the first weight that was loaded.
"""

from types import SimpleNamespace

EOS = 2


class SamplingParams:
    def __init__(self, **fields):
        self.fields = fields


sampling_params = SimpleNamespace(RequestOutputKind=SimpleNamespace(FINAL_ONLY="final"))


class LLM:
    """Records the calls; a step ends the oldest request."""

    last: "LLM"

    def __init__(self, model, **options):
        self.options = options
        self.calls: list[tuple] = []
        self.fails = False
        self.weight = 0
        self.requests: dict[str, list[int]] = {}
        self.model_config = SimpleNamespace(max_model_len=32)
        self.llm_engine = SimpleNamespace(
            add_request=self._add_request,
            has_unfinished_requests=lambda: bool(self.requests),
            step=self._step,
            abort_request=self._abort,
            engine_core=SimpleNamespace(shutdown=lambda: self.calls.append(("shutdown",))),
        )
        LLM.last = self

    def collective_rpc(self, method, kwargs):
        self.calls.append((method,))
        if self.fails:
            raise RuntimeError("no memory")
        self.weight = int(kwargs["weights_iterator"][0][1].flatten()[0])

    def reset_prefix_cache(self):
        self.calls.append(("reset_prefix_cache",))
        return True

    def sleep(self, level):
        self.calls.append(("sleep", level))

    def wake_up(self, tags):
        self.calls.append(("wake_up", *tags))

    def _add_request(self, request_id, prompt, params):
        assert prompt["type"] == "token"
        self.calls.append(("add_request", params.fields))
        self.requests[request_id] = prompt["prompt_token_ids"]

    def _step(self):
        request_id = next(iter(self.requests))
        del self.requests[request_id]
        tokens = [100 + self.weight, 7, EOS]
        logprobs = [{token: SimpleNamespace(logprob=-0.5)} for token in tokens]
        output = SimpleNamespace(token_ids=tokens, logprobs=logprobs, finish_reason="stop")
        return [SimpleNamespace(request_id=request_id, finished=True, outputs=[output])]

    def _abort(self, request_ids):
        self.calls.append(("abort", len(request_ids)))
        for request_id in request_ids:
            del self.requests[request_id]
