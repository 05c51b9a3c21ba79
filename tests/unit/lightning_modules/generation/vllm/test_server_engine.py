"""The engine of vLLM servers, against a fake server: weights, versions, and servers that die."""

import threading
import time
from types import SimpleNamespace

import pytest

from executor.commands.errors import explain
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.generation.vllm import server, server_engine
from lightning_modules.generation.vllm.server import ServerError
from lightning_modules.generation.vllm.server_engine import VllmServerEngine
from tests.support.fake_vllm_server import EOS, FakeVllmServer
from tests.support.number_tokenizer import NumberTokenizer

MODEL = SimpleNamespace(config=SimpleNamespace(max_position_embeddings=32))
SAMPLING = SamplingParams(max_new_tokens=8)
UPDATE = [
    "/pause?mode=wait",
    "/update_weight_version",
    "/collective_rpc",
    "/reset_prefix_cache",
    "/update_weight_version",
    "/resume",
]


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """Write the number of an update as its weights, and retry at once."""
    numbers = iter(range(1, 100))

    def write(causal_lm, tokenizer, folder, dtype):
        folder.mkdir(parents=True)
        (folder / "weights.txt").write_text(str(next(numbers)))

    monkeypatch.setattr(server_engine, "write_checkpoint", write)
    monkeypatch.setattr(server, "RETRY_S", (0.01, 0.05))


@pytest.fixture
def fake():
    one = FakeVllmServer()
    yield one
    one.die()


def engine_of(folder, *fakes, **options):
    tokenizer = NumberTokenizer(eos_id=EOS, pad_id=0)
    options = {"batch_size": 4, "dtype": None, "folder": folder / "weights"} | options
    return VllmServerEngine([one.url for one in fakes], tokenizer, **options)


def generate(engine, num=6, **options):
    return engine.generate([[5, 6]] * num, SAMPLING, stream_ids=list(range(num)), seed=3, **options)


def test_completions_are_those_of_the_updated_weights_with_their_version(fake, tmp_path):
    engine = engine_of(tmp_path, fake)
    engine.update_weights(MODEL, version=4)
    reported = {}
    found = generate(engine, on_completion=reported.__setitem__)
    assert found == [("101 7 ", [101, 7, EOS], [-0.5, -0.25, -0.125], True, 4)] * 6
    assert [reported[index] for index in range(6)] == found
    engine.update_weights(MODEL, version=5)
    assert {(one.token_ids[0], one.policy_version) for one in generate(engine)} == {(102, 5)}
    assert len(list((tmp_path / "weights").iterdir())) == 1


def test_an_update_marks_the_weights_incomplete_until_all_are_in_place(fake, tmp_path):
    engine = engine_of(tmp_path, fake)
    engine.update_weights(MODEL, version=0)
    assert fake.paths() == UPDATE
    versions = [body["new_version"] for path, body in fake.calls if path == "/update_weight_version"]
    assert versions[0] == "incomplete"
    assert versions[1].startswith("000000-")


def test_requests_say_how_completions_end_and_have_seeds_of_their_own(fake, tmp_path):
    engine = engine_of(tmp_path, fake)
    engine.update_weights(MODEL, version=0)
    fake.calls.clear()
    generate(engine, num=3)
    bodies = [body for path, body in fake.calls if path == "/inference/v1/generate"]
    params = [body["sampling_params"] for body in bodies]
    assert len({one.pop("seed") for one in params}) == 3
    assert params[0] == params[1] == params[2]
    assert params[0] == {
        "max_tokens": 8, "temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0,
        "presence_penalty": 0.0, "frequency_penalty": 0.0, "ignore_eos": True, "stop_token_ids": [EOS], "stop": [],
        "detokenize": False, "logprobs": 0,
    }  # fmt: skip
    assert {body["cache_salt"] for body in bodies} == {fake.version}
    fake.calls.clear()
    generate(engine, num=3, iteration=1)
    others = [body["sampling_params"]["seed"] for path, body in fake.calls if path == "/inference/v1/generate"]
    assert not set(others) & {body["sampling_params"].get("seed") for body in bodies}


def test_the_context_of_the_server_limits_completions(fake, tmp_path):
    engine = engine_of(tmp_path, fake)
    model = SimpleNamespace(config=SimpleNamespace(max_position_embeddings=1000))
    engine.update_weights(model, version=0)
    with pytest.raises(ValueError, match="prompt 0 has 64 tokens"):
        engine.generate([[5] * 64], SAMPLING, stream_ids=[0], seed=0)


def test_a_server_that_dies_gets_the_weights_again_and_its_requests_are_repeated(fake, tmp_path, caplog):
    engine = engine_of(tmp_path, fake)
    engine.update_weights(MODEL, version=0)
    fake.dies_after = 2

    def restart():
        fake.is_down.wait(20)
        time.sleep(0.1)
        fake.start()

    thread = threading.Thread(target=restart)
    thread.start()
    found = generate(engine, num=8)
    thread.join()
    assert {(one.token_ids[0], one.policy_version) for one in found} == {(101, 0)}
    lines = [record.getMessage() for record in caplog.records]
    assert len([line for line in lines if fake.url in line and "no answer" in line]) == 1
    assert len([line for line in lines if fake.url in line and "answers again" in line]) == 1
    assert len([line for line in lines if "loads those of the policy again" in line]) == 1


def test_a_server_that_restarts_between_two_calls_gets_the_weights_again(fake, tmp_path):
    engine = engine_of(tmp_path, fake)
    engine.update_weights(MODEL, version=0)
    fake.version, fake.weights = "default", 0
    assert {one.token_ids[0] for one in generate(engine)} == {101}


def test_an_update_waits_for_a_server_that_is_down(fake, tmp_path):
    engine = engine_of(tmp_path, fake)
    fake.die()
    thread = threading.Thread(target=engine.update_weights, args=(MODEL,), kwargs={"version": 0})
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    fake.start()
    thread.join(20)
    assert not thread.is_alive()
    assert fake.weights == 1


def test_a_server_that_never_answers_ends_the_run_in_one_line(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(server, "GIVE_UP_S", 0.1)
    engine = engine_of(tmp_path, fake)
    engine.update_weights(MODEL, version=0)
    fake.die()
    with pytest.raises(ServerError, match="has not answered") as error:
        generate(engine)
    assert fake.url in str(error.value)
    assert explain(error.value) == str(error.value)
    fake.start()


def test_a_server_that_cannot_read_the_weights_is_an_error(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(server_engine, "write_checkpoint", lambda *_: (tmp_path / "weights").mkdir())
    engine = engine_of(tmp_path, fake)
    with pytest.raises(ServerError, match="must be able to read"):
        engine.update_weights(MODEL, version=0)
    with pytest.raises(RuntimeError, match="update_weights"):
        generate(engine)
    assert not fake.paused


def test_weights_of_another_run_are_not_sampled_from(fake, tmp_path):
    engine = engine_of(tmp_path, fake)
    engine.update_weights(MODEL, version=0)
    original = fake.answer

    def replace(path, body):
        if path == "/inference/v1/generate":
            fake.version = "of another run"
        return original(path, body)

    fake.answer = replace
    with pytest.raises(ServerError, match="of another run"):
        generate(engine, num=1)


def test_ranks_share_servers_and_the_weights_of_rank_0(tmp_path):
    fakes = [FakeVllmServer(), FakeVllmServer()]
    tags = []
    first = engine_of(tmp_path, *fakes, rank=0, broadcast=lambda tag: tags.append(tag) or tag)
    second = engine_of(tmp_path, *fakes, rank=1, broadcast=lambda tag: tags[-1])
    for engine in (first, second):
        engine.update_weights(MODEL, version=2)
    for fake in fakes:
        assert fake.paths() == UPDATE
        fake.calls.clear()
    assert {one.token_ids[0] for engine in (first, second) for one in generate(engine)} == {101}
    assert [fake.paths().count("/inference/v1/generate") for fake in fakes] == [6, 6]
    second.close()
    assert (tmp_path / "weights").exists()
    first.close()
    assert not (tmp_path / "weights").exists()
    for fake in fakes:
        fake.die()


def test_no_more_requests_are_under_way_than_the_batch_size(tmp_path):
    fake = FakeVllmServer(delay_s=0.02)
    busy, most = [0], [0]
    original, lock = fake._generate, threading.Lock()

    def count(body):
        with lock:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
        answer = original(body)
        with lock:
            busy[0] -= 1
        return answer

    fake._generate = count
    engine = engine_of(tmp_path, fake, batch_size=3)
    engine.update_weights(MODEL, version=0)
    generate(engine, num=12)
    assert 1 < most[0] <= 3
    fake.die()


def test_an_error_of_the_caller_cancels_the_other_requests(fake, tmp_path):
    engine = engine_of(tmp_path, fake, batch_size=1)
    engine.update_weights(MODEL, version=0)

    def fail(index, completion):
        raise KeyError("grading")

    with pytest.raises(KeyError):
        generate(engine, num=20, on_completion=fail)
    num_calls = len(fake.calls)
    assert num_calls < len(UPDATE) + 20
