"""Rollouts of the real vLLM on a CPU: tokens, log-probabilities, weights, training, and a server that dies."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest
import torch
import yaml
from lightning.fabric.plugins.environments.lightning import find_free_network_port

from cli.main import main
from lightning_modules.generation.rollout_engine import InProcessEngine, RolloutEngine
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.generation.vllm.engine import VllmEngine
from lightning_modules.generation.vllm.server_engine import VllmServerEngine
from lightning_modules.models.loading import load_policy, load_policy_tokenizer
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm
from tests.support import killed_runs
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(3600)
NUM_ROWS, NUM_TOKENS = 128, 64
NEAR_TIE = 1e-3
SIZES = TinyLlamaConfig(
    hidden_size=64, num_layers=2, num_heads=2, num_kv_heads=1, intermediate_size=96, max_position=128
)
"""On CPUs vLLM has no attention for heads below 32."""
GREEDY = SamplingParams(max_new_tokens=NUM_TOKENS, temperature=0.0)
SAMPLED = SamplingParams(max_new_tokens=NUM_TOKENS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Inputs of training with a start that vLLM supports, and the start as `atomforge export` writes it."""
    path = tmp_path_factory.mktemp("vllm")
    killed_runs.write_inputs(path)
    tokenizer = load_policy_tokenizer(str(path / "start"))
    model = build_causal_lm(SIZES, tokenizer, 1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(4.0)  # sharper distributions
    model.save_pretrained(path / "start")
    assert main(["export", "--checkpoint", str(path / "start"), "--output", str(path / "exported")]) == 0
    return path


@pytest.fixture(scope="module")
def loaded(folder):
    return load_policy(str(folder / "exported"))


@pytest.fixture(scope="module")
def prompts(loaded) -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(2, 40, (NUM_ROWS,), generator=generator).tolist()
    return [torch.randint(5, len(loaded[1]), (length,), generator=generator).tolist() for length in lengths]


@pytest.fixture(scope="module")
def native(loaded):
    engine = InProcessEngine(loaded[1], batch_size=NUM_ROWS)
    engine.update_weights(loaded[0], version=0)
    return engine


@pytest.fixture(scope="module")
def vllm(loaded):
    engine = VllmEngine(loaded[1], batch_size=NUM_ROWS, dtype=None, gpu_memory_utilization=0.4)
    engine.update_weights(loaded[0], version=0)
    yield engine
    engine.close()


def smallest_gap(model, prompt: list[int], completion: list[int]) -> float:
    """Return the smallest distance of the two largest logits at the tokens of a completion."""
    with torch.no_grad():
        logits = model(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
    top = logits.topk(2, dim=-1).values
    return float((top[:, 0] - top[:, 1]).min())


def assert_same_greedy_tokens(model, prompts, expected, found) -> None:
    compared = [
        (one.token_ids == other.token_ids, one, other)
        for prompt, one, other in zip(prompts, expected, found, strict=True)
        if smallest_gap(model, prompt, one.token_ids) > NEAR_TIE
    ]
    assert len(compared) > 0.6 * len(prompts)
    rate = sum(same for same, _, _ in compared) / len(compared)
    differences = [abs(a - b) for same, x, y in compared if same for a, b in zip(x.logprobs, y.logprobs, strict=True)]
    print(
        f"\n{len(compared)} rows without near ties: {rate:.4f} agree; log p differs by {max(differences):.1e} at most"
    )
    assert rate >= 0.99
    assert max(differences) < 1e-3


def test_greedy_tokens_and_log_probabilities_are_those_of_the_native_engine(loaded, prompts, native, vllm):
    expected, found = (
        engine.generate(prompts, GREEDY, stream_ids=range(NUM_ROWS), seed=0) for engine in (native, vllm)
    )
    assert_same_greedy_tokens(loaded[0], prompts, expected, found)
    assert [(one.text, one.finished) for one, other in zip(found, expected, strict=True) if one[1] == other[1]] == [
        (other.text, other.finished) for one, other in zip(found, expected, strict=True) if one[1] == other[1]
    ]


def test_log_probabilities_are_of_the_distribution_that_is_sampled(loaded, prompts, vllm):
    model, _ = loaded
    for temperature in (1.0, 0.7):
        sampling = SamplingParams(max_new_tokens=8, temperature=temperature)
        for prompt, one in zip(
            prompts[:8], vllm.generate(prompts[:8], sampling, stream_ids=range(8), seed=1), strict=True
        ):
            with torch.no_grad():
                logits = model(torch.tensor([prompt + one.token_ids])).logits[0, len(prompt) - 1 : -1]
            expected = torch.log_softmax(logits / temperature, -1).gather(-1, torch.tensor(one.token_ids)[:, None])[
                :, 0
            ]
            torch.testing.assert_close(torch.tensor(one.logprobs), expected, atol=1e-3, rtol=0)


def sampled_tokens(engine: RolloutEngine, prompts, **options) -> list[list[int]]:
    options = {"stream_ids": range(len(prompts)), "seed": 0} | options
    return [one.token_ids for one in engine.generate(prompts, SAMPLED, **options)]


def test_samples_depend_on_seed_iteration_and_stream(prompts, vllm):
    state = torch.random.get_rng_state()
    same = [prompts[0]] * 16
    first = sampled_tokens(vllm, same)
    assert len({tuple(tokens) for tokens in first}) > 8
    assert sampled_tokens(vllm, same) == first
    assert sampled_tokens(vllm, same, iteration=1) != first
    assert sampled_tokens(vllm, same, seed=1) != first
    assert torch.equal(torch.random.get_rng_state(), state)


def test_more_prompt_tokens_than_a_step_takes(prompts, vllm):
    """On CPUs a chunk of a prompt with a seed would end the engine."""
    long = [(prompts[0] * 40)[: 100 + number % 8] for number in range(NUM_ROWS)]
    assert len(sampled_tokens(vllm, long)) == NUM_ROWS


def test_stop_strings_end_completions_as_in_the_native_engine(loaded, prompts, native, vllm):
    texts = [one.text for one in native.generate(prompts[:8], GREEDY, stream_ids=range(8), seed=0)]
    stop = next(text[10:13] for text in texts if len(text) > 20 and text[10:13].isascii())
    sampling = SamplingParams(max_new_tokens=NUM_TOKENS, temperature=0.0, stop=(stop,))
    expected, found = (engine.generate(prompts[:8], sampling, stream_ids=range(8), seed=0) for engine in (native, vllm))
    for one, other in zip(expected, found, strict=True):
        assert (one.text, one.token_ids, one.finished) == (other.text, other.token_ids, other.finished)


def test_an_update_changes_the_samples_and_the_version(loaded, prompts, native, vllm):
    model, _ = loaded
    before = vllm.generate(prompts, GREEDY, stream_ids=range(NUM_ROWS), seed=0)
    original = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)) * 0.1)
    vllm.sleep()
    with pytest.raises(RuntimeError, match="update_weights"):
        sampled_tokens(vllm, prompts)
    vllm.update_weights(model, version=7)
    found = vllm.generate(prompts, GREEDY, stream_ids=range(NUM_ROWS), seed=0)
    expected = native.generate(prompts, GREEDY, stream_ids=range(NUM_ROWS), seed=0)
    assert {one.policy_version for one in found} == {7}
    assert sum(one.token_ids != other.token_ids for one, other in zip(before, found, strict=True)) > NUM_ROWS / 2
    assert_same_greedy_tokens(model, prompts, expected, found)
    model.load_state_dict(original)
    vllm.update_weights(model, version=8)
    again = vllm.generate(prompts, GREEDY, stream_ids=range(NUM_ROWS), seed=0)
    assert [one.token_ids for one in again] == [one.token_ids for one in before]


def finish(run: subprocess.Popen, log: Path) -> None:
    """Wait for the end of a run, which must be a good one."""
    assert run.wait(1000) == 0, log.read_text()[-3000:]


def write_config(folder: Path, engine: str) -> None:
    """Write an overlay of configs/rl.yaml for `killed_runs.start`."""
    config = yaml.safe_load((folder / "ppo.yaml").read_text())
    config["model"]["init_args"] |= {"critic": None, "kl": {"target": None}, "rollout": {"engine": engine}}
    config["trainer"] |= {"max_epochs": 3}
    (folder / "rl.yaml").write_text(yaml.safe_dump(config))


def iterations_of(run_dir: Path) -> dict[int, dict[str, float]]:
    """Return the metrics of each iteration."""
    found: dict[int, dict[str, float]] = {}
    for line in (run_dir / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        found.setdefault(row["step"], {}).update(row)
    return {step: row for step, row in found.items() if "reward/mean" in row}


def test_grpo_trains_with_vllm_and_resumes(folder):
    write_config(folder, "vllm")
    for options in (["--trainer.max_epochs", "2"], []):
        finish(killed_runs.start(folder, "rl", "two", *options), folder / "two.log")
    rows = iterations_of(folder / "two")
    assert len(rows) == 3
    assert all(row["rollout/logprob_diff"] < 1e-3 for row in rows.values()), rows
    assert "Failed to load weights" not in (folder / "two.log").read_text()


@pytest.fixture
def server(folder):
    """Start a server that starts again when it dies; returns (address, process)."""
    port = find_free_network_port()
    module = "lightning_modules.generation.vllm.serve"
    options = ["--max-num-seqs", "128", "--kv-cache-memory-bytes", str(1 << 28), "--enforce-eager"]
    command = [sys.executable, "-m", module, "--checkpoint", str(folder / "start"), "--port", str(port), *options]
    log = (folder / "server.log").open("wb")
    process = subprocess.Popen(command, cwd=killed_runs.ROOT, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: process.poll() is not None or is_healthy(url), within_s=1500)
        assert process.poll() is None, (folder / "server.log").read_text()[-3000:]
        yield url, process
    finally:
        process.terminate()
        process.wait(300)


def is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_a_server_samples_what_the_native_engine_does_and_training_outlives_it(folder, server):
    url, process = server
    model, tokenizer = load_policy(str(folder / "start"))
    prompts = [[5, 6, 7, 8 + number] for number in range(32)]
    expected_engine = InProcessEngine(tokenizer, batch_size=32)
    engine = VllmServerEngine([url], tokenizer, batch_size=32, dtype=None, folder=folder / "exchange")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.2)  # not the weights that the server began with
    for one in (expected_engine, engine):
        one.update_weights(model, version=5)
    expected, found = (one.generate(prompts, GREEDY, stream_ids=range(32), seed=0) for one in (expected_engine, engine))
    assert_same_greedy_tokens(model, prompts, expected, found)
    assert sampled_tokens(engine, prompts) == sampled_tokens(engine, prompts)
    engine.close()

    write_config(folder, url)
    run = killed_runs.start(folder, "rl", "served")
    killed_runs.wait_for_checkpoints(run, folder / "served", 1)
    for child in psutil.Process(process.pid).children(recursive=True):
        os.kill(child.pid, signal.SIGKILL)
    finish(run, folder / "served.log")
    log = (folder / "served.log").read_text()
    assert len(iterations_of(folder / "served")) == 3
    assert "no answer" in log
    assert "answers again" in log
