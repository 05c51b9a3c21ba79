from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from lightning_modules.generation.engine import compact_rows
from lightning_modules.generation.generate import generate
from lightning_modules.generation.kv_cache import BufferedCache
from lightning_modules.generation.sampler import SamplingParams, sample_tokens, uniforms
from tests.support.number_tokenizer import NumberTokenizer

EOS, PAD, VOCAB = 2, 0, 24


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.3,
        eos_token_id=EOS,
        pad_token_id=PAD,
        bos_token_id=1,
    )
    return LlamaForCausalLM(config)


def some_prompts(count: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(5)
    lengths = torch.randint(2, 12, (count,), generator=generator)
    return [torch.randint(3, VOCAB, (int(length),), generator=generator).tolist() for length in lengths]


def complete(
    model, prompts, *, ids=None, temperature=1.0, batch_size=8, max_new_tokens=20, seed=3, iteration=0, **more
):
    return generate(
        model,
        NumberTokenizer(eos_id=EOS, pad_id=PAD),  # type: ignore[arg-type]
        prompts,
        SamplingParams(max_new_tokens=max_new_tokens, temperature=temperature),
        stream_ids=list(range(len(prompts))) if ids is None else ids,
        seed=seed,
        iteration=iteration,
        batch_size=batch_size,
        **more,
    )


@pytest.mark.parametrize("batch_size", [1, 5, 16])
def test_greedy_tokens_are_those_of_transformers_generate(model, batch_size):
    prompts = some_prompts(16)
    ours = complete(model, prompts, temperature=0.0, batch_size=batch_size)
    lengths = set()
    for prompt, completion in zip(prompts, ours, strict=True):
        output = model.eval().generate(torch.tensor([prompt]), max_new_tokens=20, do_sample=False)[0, len(prompt) :]
        assert completion.token_ids == output.tolist()
        assert completion.finished == (completion.token_ids[-1] == EOS)
        lengths.add(len(completion.token_ids))
    assert len(lengths) > 3  # rows end at different times, so compaction took place


def test_greedy_works_for_learned_positions_too():
    torch.manual_seed(1)
    config = GPT2Config(
        vocab_size=VOCAB, n_embd=32, n_layer=1, n_head=2, n_positions=40, eos_token_id=EOS, initializer_range=0.5
    )
    gpt2 = GPT2LMHeadModel(config).eval()
    prompts = some_prompts(6)
    for prompt, completion in zip(prompts, complete(gpt2, prompts, temperature=0.0), strict=True):
        expected = gpt2.generate(torch.tensor([prompt]), max_new_tokens=20, do_sample=False, pad_token_id=PAD)
        assert completion.token_ids == expected[0, len(prompt) :].tolist()


def test_a_sample_does_not_depend_on_its_batch_or_order(model):
    prompts = some_prompts(12)
    together = complete(model, prompts, batch_size=12)
    reverse = complete(model, prompts[::-1], ids=list(range(12))[::-1], batch_size=5)[::-1]
    assert [row.token_ids for row in together] == [row.token_ids for row in reverse]


def test_samples_of_one_prompt_differ_by_id_seed_and_iteration(model):
    prompts = [[1, 5, 7, 9]] * 6
    base = [row.token_ids for row in complete(model, prompts)]
    assert len({tuple(row) for row in base}) > 3
    assert base == [row.token_ids for row in complete(model, prompts)]
    assert base != [row.token_ids for row in complete(model, prompts, seed=4)]
    assert base != [row.token_ids for row in complete(model, prompts, iteration=1)]


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_are_those_of_the_sampling_distribution(model, temperature):
    prompts = some_prompts(7)
    for prompt, completion in zip(prompts, complete(model, prompts, temperature=temperature), strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([prompt + completion.token_ids])).logits[0, len(prompt) - 1 : -1]
        expected = torch.log_softmax(logits / temperature, -1)[range(len(completion.token_ids)), completion.token_ids]
        torch.testing.assert_close(torch.tensor(completion.logprobs), expected.double().float(), atol=1e-4, rtol=1e-4)


def test_limits_of_length_are_kept_and_rows_stream_once(model):
    seen = []
    prompts = [[1] * 60, [1, 4]]  # the context is 64: only 4 tokens fit behind the first
    rows = complete(model, prompts, max_new_tokens=9, on_completion=lambda index, row: seen.append((index, row)))
    assert len(rows[0].token_ids) <= 4
    assert len(rows[1].token_ids) <= 9
    assert sorted(seen, key=lambda pair: pair[0]) == list(enumerate(rows))
    assert rows[1].text.split() == [str(token) for token in rows[1].token_ids if token not in (EOS, PAD)]
    with pytest.raises(ValueError, match="prompt 0 has 64 tokens"):
        complete(model, [[1] * 64])


def test_the_mode_of_the_model_is_kept(model):
    model.train()
    complete(model, [[1, 2, 3]], max_new_tokens=1)
    assert model.training


def test_bfloat16_decodes_with_a_copy(model):
    rows = complete(model, some_prompts(4), dtype=torch.bfloat16, max_new_tokens=5)
    assert all(row.logprobs for row in rows)
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


def test_inverse_cdf_by_hand():
    # probabilities .2 .3 0 .5, cumulative .2 .5 .5 1
    logits = torch.log(torch.tensor([[0.2, 0.3, 0.0, 0.5]])).expand(5, 4)
    tokens, logprobs = sample_tokens(
        logits, temperature=1.0, random=torch.tensor([0.0, 0.19, 0.21, 0.51, 0.999999999], dtype=torch.float64)
    )
    assert tokens.tolist() == [0, 0, 1, 3, 3]
    torch.testing.assert_close(logprobs.exp(), torch.tensor([0.2, 0.2, 0.3, 0.5, 0.5]))


@pytest.mark.parametrize("below", [2**-53, 2**-25, 2**-24])
def test_no_number_draws_a_token_of_probability_zero(below):
    # 1 - 2**-25 is 1 in float32: nothing is above it, and the last token with a probability is meant
    logits = torch.tensor([[0.0] * 3 + [-1e4] * 5])
    tokens, logprobs = sample_tokens(logits, temperature=1.0, random=torch.tensor([1 - below], dtype=torch.float64))
    assert tokens.tolist() == [2]
    assert logprobs.tolist() == pytest.approx([np.log(1 / 3)])


def test_temperature_sharpens():
    # weights 1 and 2 at temperature 0.5 become 1 and 4: probability .8 for the second
    logits = torch.log(torch.tensor([[1.0, 2.0]]))
    _, logprobs = sample_tokens(logits, temperature=0.5, random=torch.tensor([0.9], dtype=torch.float64))
    assert logprobs.exp().item() == pytest.approx(0.8)


def test_uniforms_look_uniform_and_are_named_by_every_part():
    draws = uniforms(1, 2, np.arange(20000, dtype=np.uint64), 3)
    assert draws.min() >= 0
    assert draws.max() < 1
    counts, _ = np.histogram(draws, bins=20, range=(0, 1))
    # chi-square with 19 degrees of freedom: 43.8 is the 0.1 % point
    assert ((counts - 1000) ** 2 / 1000).sum() < 43.8
    for other in (uniforms(2, 2, np.arange(9), 3), uniforms(1, 3, np.arange(9), 3), uniforms(1, 2, np.arange(9), 4)):
        assert not np.isin(other, draws).any()
    positions = np.array([uniforms(1, 2, np.array([0]), position)[0] for position in range(2000)])
    assert np.array_equal(uniforms(1, 2, np.array([[0]]), np.arange(2000))[0], positions)
    assert abs(np.corrcoef(positions[:-1], positions[1:])[0, 1]) < 0.08


def test_the_cache_grows_in_place_and_past_its_capacity(model):
    cache = BufferedCache(model.config, 3, 3)
    ids = torch.randint(3, VOCAB, (2, 10))
    with torch.no_grad():
        whole = model.eval()(ids).logits
        model(ids[:, :4], past_key_values=cache, use_cache=True)
        buffer = cache.layers[0].keys.data_ptr()
        model(ids[:, 4:5], past_key_values=cache, use_cache=True)
        assert cache.layers[0].keys.data_ptr() == buffer
        cache.select(torch.tensor([1, 0]))
        rest = model(ids[[1, 0], 5:], past_key_values=cache, use_cache=True).logits
    torch.testing.assert_close(rest, whole[[1, 0], 5:], atol=1e-5, rtol=1e-4)


def test_rows_that_go_on_move_as_little_as_possible():
    ended = np.array([False, True, False, True, True, False, False])  # 0, 2, 5, 6 go on: 5 takes the place of 1 ...
    assert compact_rows(ended).tolist() == [0, 5, 2, 6]  # ... and 6 that of 3
    assert compact_rows(np.array([False, False, True])).tolist() == [0, 1]


def test_rows_are_taken_out_of_the_cache_in_place(model):
    cache, ids = BufferedCache(model.config, 10, 2), torch.randint(3, VOCAB, (4, 10))
    with torch.no_grad():
        whole = model.eval()(ids).logits
        model(ids[:, :6], past_key_values=cache, use_cache=True)
        buffer = cache.layers[0].keys.data_ptr()
        cache.select(torch.tensor([3, 1]))
        assert cache.layers[0].keys.data_ptr() == buffer
        rest = model(ids[[3, 1], 6:8], past_key_values=cache, use_cache=True).logits
        torch.testing.assert_close(rest, whole[[3, 1], 6:8], atol=1e-5, rtol=1e-4)
        cache.select(torch.tensor([1, 1, 0]))  # and repeated, in new buffers
        rest = model(ids[[1, 1, 3], 8:], past_key_values=cache, use_cache=True).logits
    torch.testing.assert_close(rest, whole[[1, 1, 3], 8:], atol=1e-5, rtol=1e-4)


def test_sampling_refuses_nonsense():
    with pytest.raises(ValueError, match="max_new_tokens"):
        SamplingParams(max_new_tokens=0)
    with pytest.raises(ValueError, match="temperature"):
        SamplingParams(max_new_tokens=1, temperature=-1.0)


def test_no_prompts_select_no_engine(monkeypatch):
    monkeypatch.setattr("lightning_modules.generation.generate.select_engine", None)
    model = SimpleNamespace(config=SimpleNamespace(max_position_embeddings=64))
    found = generate(
        model, NumberTokenizer(eos_id=2, pad_id=0), [], SamplingParams(max_new_tokens=4), stream_ids=[], seed=0,
        batch_size=8,
    )  # type: ignore[arg-type]  # fmt: skip
    assert found == []


def test_sampling_works_in_deterministic_mode(monkeypatch):
    """`cumsum` raises on CUDA in this mode unless torch only warns."""
    seen = []
    cumsum = torch.Tensor.cumsum

    def checked(tensor, dim):
        seen.append(torch.is_deterministic_algorithms_warn_only_enabled())
        return cumsum(tensor, dim)

    monkeypatch.setattr(torch.Tensor, "cumsum", checked)
    torch.use_deterministic_algorithms(True)
    try:
        sample_tokens(torch.zeros(1, 4), temperature=1.0, random=torch.tensor([0.5], dtype=torch.float64))
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    assert seen == [True]
