"""Other architectures than our own, and the same draws from our loop and from transformers' `generate`."""

import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    JambaConfig,
    JambaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

import lightning_modules.generation.generate as generation_module
from lightning_modules.generation.generate import generate
from lightning_modules.generation.kv_cache import supports_buffered_cache
from lightning_modules.generation.sampler import SamplingParams
from tests.support.number_tokenizer import NumberTokenizer

EOS, PAD, VOCAB = 2, 0, 24
SIZES = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "eos_token_id": EOS,
    "pad_token_id": PAD,
    "bos_token_id": 1,
}
GROUPED = SIZES | {"num_key_value_heads": 2}
DRIVABLE = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**GROUPED)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**GROUPED)),
    "gpt_neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**SIZES)),
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=64, eos_token_id=EOS, pad_token_id=PAD)
    ),
    # windows shorter than prompts and completions; gemma2 has every second layer without one, and other attention
    "mistral": lambda: MistralForCausalLM(MistralConfig(**GROUPED, sliding_window=6)),
    "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(**GROUPED, head_dim=8, sliding_window=6)),
}
OTHERS = {
    "mamba": lambda: MambaForCausalLM(
        MambaConfig(
            vocab_size=VOCAB,
            hidden_size=32,
            num_hidden_layers=2,
            state_size=4,
            initializer_range=0.3,
            eos_token_id=EOS,
            pad_token_id=PAD,
        )
    ),
    "jamba": lambda: JambaForCausalLM(
        JambaConfig(**GROUPED, attn_layer_period=2, attn_layer_offset=1, mamba_d_state=4, num_experts=1)
    ),
}


def model_of(name: str):
    torch.manual_seed(0)
    model = (DRIVABLE | OTHERS)[name]().eval()
    for parameter in model.get_output_embeddings().parameters():
        parameter.data *= 3.0  # sharper than a random model is: no ties
    return model


def some_prompts(count: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(5)
    lengths = torch.randint(2, 12, (count,), generator=generator)
    return [torch.randint(3, VOCAB, (int(length),), generator=generator).tolist() for length in lengths]


def complete(model, prompts, *, ids=None, temperature=1.0, batch_size=8, **more):
    return generate(
        model,
        NumberTokenizer(eos_id=EOS, pad_id=PAD),  # type: ignore[arg-type]
        prompts,
        SamplingParams(max_new_tokens=20, temperature=temperature),
        stream_ids=list(range(len(prompts))) if ids is None else ids,
        seed=3,
        batch_size=batch_size,
        **more,
    )


@pytest.mark.parametrize("name", [*DRIVABLE, *OTHERS])
def test_greedy_tokens_are_those_of_transformers_one_prompt_at_a_time(name):
    model = model_of(name)
    assert supports_buffered_cache(model) == (name in DRIVABLE)
    prompts = some_prompts(12)
    completions = complete(model, prompts, temperature=0.0)
    for prompt, completion in zip(prompts, completions, strict=True):
        expected = model.generate(torch.tensor([prompt]), max_new_tokens=20, do_sample=False, eos_token_id=EOS)
        assert completion.token_ids == expected[0, len(prompt) :].tolist()
        assert completion.finished == (completion.token_ids[-1] == EOS)
    assert len({tuple(completion.token_ids) for completion in completions}) > 6


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("name", ["llama", "mistral"])
def test_the_fallback_draws_what_our_loop_draws(name, temperature, monkeypatch):
    model, prompts, seen = model_of(name), some_prompts(20), []
    prompts[3] = prompts[3] * 20  # 60 tokens or so: the context leaves less room than max_new_tokens
    prompts[3] = prompts[3][:58]
    ours = complete(model, prompts, temperature=temperature)
    monkeypatch.setattr(generation_module, "supports_buffered_cache", lambda model: False)
    # what a checkpoint asks of `generate` would change the draws
    model.generation_config = GenerationConfig(
        repetition_penalty=9.0,
        top_k=1,
        do_sample=True,
        eos_token_id=[5, 6, 7],
        suppress_tokens=[8, 9],
        min_new_tokens=9,
    )
    theirs = complete(
        model, prompts, temperature=temperature, on_completion=lambda index, row: seen.append((index, row))
    )
    assert [row.token_ids for row in theirs] == [row.token_ids for row in ours]
    assert [row.finished for row in theirs] == [row.finished for row in ours]
    for mine, other in zip(ours, theirs, strict=True):
        assert other.logprobs == pytest.approx(mine.logprobs, abs=1e-4)
    assert sorted(seen, key=lambda pair: pair[0]) == list(enumerate(theirs))
    assert model.generation_config.repetition_penalty == 9.0
    assert len({len(row.token_ids) for row in theirs}) > 3


def test_samples_of_a_model_that_is_not_drivable_do_not_depend_on_their_batch():
    model, prompts = model_of("mamba"), some_prompts(12)
    together = complete(model, prompts, batch_size=12)
    alone = complete(model, prompts[::-1], ids=list(range(12))[::-1], batch_size=1)[::-1]
    assert [row.token_ids for row in together] == [row.token_ids for row in alone]
    assert len({tuple(row.token_ids) for row in together}) > 6


@pytest.mark.parametrize("name", ["llama", "mistral"])
def test_samples_do_not_depend_on_batch_size_order_or_company(name):
    """In other batches sums round differently, so a draw at the border of two tokens may differ: 0.1 % are allowed."""
    model = model_of(name)
    prompts = [prompt for prompt in some_prompts(84) for _ in range(3)]
    ids = [1000 + index for index in range(len(prompts))]
    base = [row.token_ids for row in complete(model, prompts, ids=ids, batch_size=64)]
    assert len({tuple(row) for row in base}) > 200
    num_compared = num_equal = 0
    for batch_size, chosen in (
        (1, range(0, 252, 3)),
        (3, range(252)),
        (7, range(251, -1, -1)),
        (64, range(251, -1, -1)),
        (64, range(0, 252, 2)),  # the samples of one rank of two ...
        (64, range(1, 252, 2)),  # ... and of the other
    ):
        rows = complete(model, [prompts[i] for i in chosen], ids=[ids[i] for i in chosen], batch_size=batch_size)
        num_equal += sum(row.token_ids == base[i] for i, row in zip(chosen, rows, strict=True))
        num_compared += len(rows)
    assert num_compared == 84 + 252 * 4  # 1092
    assert num_equal >= 0.999 * num_compared
