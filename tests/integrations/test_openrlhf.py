"""OpenRLHF's rollouts with our remote reward and with our reward function; its engine and tokenizer are stand-ins."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("openrlhf")

import torch
from openrlhf.utils.agent import SingleTurnAgentExecutor

from tests.support.running_service import running_service

OWN_PYTHON = Path(__file__).resolve().parents[2] / ".venv" / "bin" / "python"
PROMPT = "<|im_start|>user\nAdd.<|im_end|>\n<|im_start|>assistant\n"
ROW = {"task_id": "add", "entry_point": "add", "tests": [{"args": [a, 1], "expected": a + 1} for a in (1, -1)]}
FAULTY = {"task_id": "faulty", "entry_point": "add", "check": "def check(c):\n    assert unknown\n"}
RIGHT = "```python\ndef add(a, b):\n    return a + b\n```<|im_end|>"
HALF_RIGHT = "```python\ndef add(a, b):\n    return abs(a) + b\n```<|im_end|>"


class Characters:
    """A tokenizer of characters."""

    def __call__(self, text, add_special_tokens, return_tensors):
        return {"input_ids": torch.tensor([[ord(character) for character in text]])}

    def decode(self, tokens, skip_special_tokens):
        return "".join(map(chr, tokens))


class Engine:
    """Generates one response."""

    def __init__(self, response):
        self.output = SimpleNamespace(token_ids=[ord(one) for one in response], finish_reason="stop", logprobs=None)

    async def generate(self, tokens, params, multi_modal_data=None):
        return SimpleNamespace(outputs=[self.output])


def roll_out(remote, response, label):
    """Roll out one response; returns what OpenRLHF makes of its reward."""
    sampling = SimpleNamespace(max_tokens=None, logprobs=None)
    executor = SingleTurnAgentExecutor([remote])
    rollout = executor.execute(PROMPT, label, sampling, 4096, Characters(), Engine(response))
    return asyncio.run(rollout)


def number(value):
    """Read a reward as OpenRLHF does: a tensor or list of one number."""
    return torch.tensor([value]).flatten().tolist() if isinstance(value, list) else value.tolist()


@pytest.fixture(params=["http", "file"])
def remote(request, tmp_path, monkeypatch):
    """The address of a service, and a file with our reward function."""
    monkeypatch.setenv("ATOMFORGE_EXECUTOR", "bubblewrap")
    if request.param == "file":
        file = tmp_path / "reward.py"
        file.write_text("from executor.integrations.openrlhf import reward_func\n")
        yield str(file)
        return
    with running_service(tmp_path, token=None, python=OWN_PYTHON, compat=["openrlhf"]) as served:
        yield f"{served.address}/openrlhf"


def test_rollouts_get_rewards_scores_and_logs(remote):
    right = roll_out(remote, RIGHT, json.dumps(ROW))
    assert (number(right["reward"]), number(right["scores"])) == ([1.0], [1.0])
    half = roll_out(remote, HALF_RIGHT, json.dumps(ROW))
    assert (number(half["reward"]), number(half["scores"])) == ([0.0], [0.0])
    assert number(half["extra_logs"]["fraction_passed"]) == [0.5]


def test_a_fault_of_ours_is_no_reward(remote):
    assert roll_out(remote, RIGHT, json.dumps(FAULTY))["reward"] is None
