import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from datamodules.batches import SFTBatch
from datamodules.encoding.packing import Sample, pack
from datamodules.encoding.tokenizer import load_tokenizer, train_tokenizer
from lightning_modules.models.forward.packed_forward import block_causal_mask
from lightning_modules.models.loading import PAYLOAD_KEY, checkpoint_payload, load_policy
from lightning_modules.models.policy import Policy
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm
from lightning_modules.training.packed_loss import completion_loss

TINY = TinyLlamaConfig(hidden_size=32, num_layers=2, num_heads=4, num_kv_heads=2, intermediate_size=48, max_position=64)
SAMPLES = [Sample([1, 70, 71], [72, 73, 2]), Sample([1, 80], [81, 82, 83, 2]), Sample([1, 90, 91, 92], [93, 2])]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    texts = ["def solve(values):\n    return sum(values)\n"] * 4
    return train_tokenizer(texts, 280, tmp_path_factory.mktemp("data") / "tokenizer")


def save(path: Path, causal_lm, tokenizer, prefix: str = "policy.") -> Path:
    state = {f"{prefix}{name}": value for name, value in causal_lm.state_dict().items()}
    torch.save({"state_dict": state, PAYLOAD_KEY: checkpoint_payload(causal_lm, tokenizer)}, path)
    return path


def test_build_follows_the_seed_and_leaves_the_global_state(tokenizer):
    before = torch.random.get_rng_state()
    first, again, other = (build_causal_lm(TINY, tokenizer, seed) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.get_input_embeddings().weight, other.get_input_embeddings().weight)


def test_build_has_the_sizes_asked_for(tokenizer):
    model = build_causal_lm(TINY, tokenizer, 0)
    layer = model.model.layers[0]
    assert len(model.model.layers) == 2
    assert layer.self_attn.k_proj.weight.shape == (16, 32)  # 2 heads of 8
    assert layer.mlp.up_proj.weight.shape == (48, 32)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    untied = build_causal_lm(TinyLlamaConfig(**{**vars_of(TINY), "tie_embeddings": False}), tokenizer, 0)
    assert untied.lm_head.weight is not untied.model.embed_tokens.weight
    assert 0.018 < model.model.embed_tokens.weight.std().item() < 0.022
    assert 0.008 < layer.mlp.down_proj.weight.std().item() < 0.012  # 0.02 / sqrt(2 * 2 layers)


def vars_of(architecture: TinyLlamaConfig) -> dict:
    return {name: getattr(architecture, name) for name in architecture.__dataclass_fields__}


@pytest.mark.parametrize(
    ("change", "words"),
    [({"num_heads": 5}, "hidden_size 256"), ({"num_kv_heads": 3}, "num_kv_heads 3"), ({"num_layers": 0}, "num_layers")],
)
def test_impossible_architecture_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        TinyLlamaConfig(**change)


@pytest.mark.parametrize("prefix", ["policy.", "policy.causal_lm."])
def test_checkpoint_round_trip(tokenizer, tmp_path, prefix):
    model = build_causal_lm(TINY, tokenizer, 1)
    path = save(tmp_path / "a.ckpt", model, tokenizer, prefix)
    loaded, loaded_tokenizer = load_policy(path)
    ids = torch.tensor([[1, 70, 71, 72]])
    assert torch.equal(model(ids).logits, loaded(ids).logits)
    text = "def solve(x): </s> 写\t"
    assert loaded_tokenizer(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert loaded_tokenizer.eos_token_id == tokenizer.eos_token_id
    assert load_tokenizer(path)(text)["input_ids"] == tokenizer(text)["input_ids"]


def test_run_directory_gives_its_newest_checkpoint(tokenizer, tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    models = [build_causal_lm(TINY, tokenizer, seed) for seed in (1, 2)]
    save(folder / "epoch_00010.ckpt", models[1], tokenizer)
    save(folder / "epoch_00009.ckpt", models[0], tokenizer)
    loaded, _ = load_policy(tmp_path)
    assert torch.equal(loaded.lm_head.weight, models[1].lm_head.weight)


def test_hugging_face_folder(tokenizer, tmp_path):
    model = build_causal_lm(TINY, tokenizer, 1)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded, loaded_tokenizer = load_policy(tmp_path)
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight)
    assert loaded_tokenizer.get_vocab() == tokenizer.get_vocab()


def test_missing_and_foreign_checkpoints_are_one_clear_line(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    model = build_causal_lm(TINY, tokenizer, 1)
    payload = checkpoint_payload(model, tokenizer)
    torch.save({"state_dict": {"policy.x": torch.ones(1)}, PAYLOAD_KEY: payload}, tmp_path / "torn.ckpt")
    (tmp_path / "empty").mkdir()
    for name in ("absent.ckpt", "text.ckpt", "foreign.ckpt", "torn.ckpt", "empty"):
        with pytest.raises(ValueError, match=name) as error:
            load_policy(tmp_path / name)
        assert "\n" not in str(error.value)


def test_payload_is_plain_strings(tokenizer):
    payload = checkpoint_payload(build_causal_lm(TINY, tokenizer, 0), tokenizer)
    assert all(isinstance(value, str) for value in payload.values())
    assert json.loads(payload["model_config"])["model_type"] == "llama"
    assert Tokenizer.from_str(payload["tokenizer"]).get_vocab_size() == len(tokenizer)


def test_policy_gives_the_causal_lms_logits_and_zero_first_values(tokenizer):
    model = build_causal_lm(TINY, tokenizer, 0)
    ids = torch.tensor([[1, 70, 71, 72], [1, 80, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    positions = torch.arange(4).expand(2, 4)
    policy = Policy(model, critic="shared")
    chosen = torch.tensor([[False, True, False, True], [True, True, False, False]])
    logits, values = policy(ids, mask, positions, chosen)
    assert torch.equal(values, torch.zeros(4))
    expected = model(ids, attention_mask=mask, position_ids=positions).logits
    torch.testing.assert_close(logits, torch.stack([expected[0, 1], expected[0, 3], expected[1, 0], expected[1, 1]]))
    policy.value_head.bias.data.fill_(2.0)
    assert torch.equal(policy(ids, mask, positions, chosen)[1], torch.full((4,), 2.0))
    # 4 returns of sum 12 and sum of squares 100: mean 3, variance 25 - 9
    policy.update_return_moments(torch.tensor([4.0, 12.0, 100.0]))
    assert policy.return_std.item() == pytest.approx(4.0)
    torch.testing.assert_close(policy(ids, mask, positions, chosen)[1], torch.full((4,), 2.0 * 4.0 + 3.0))


@pytest.mark.parametrize("trunk", ["shared", "separate"])
def test_each_of_the_heads_alone_gives_the_same_and_trains_its_own_part(tokenizer, trunk):
    policy = Policy(build_causal_lm(TINY, tokenizer, 0), critic=trunk)
    torch.nn.init.ones_(policy.value_head.weight)
    ids = torch.tensor([[1, 70, 71, 72]])
    inputs = (ids, torch.ones_like(ids), torch.arange(4)[None], ids > 1)
    logits, values = policy(*inputs)
    assert torch.equal(policy(*inputs, heads="policy")[0], logits)
    assert policy(*inputs, heads="policy")[1] is None
    outputs, alone = policy(*inputs, heads="critic")
    assert outputs is None
    assert torch.equal(alone, values)
    alone.sum().backward()
    assert all(parameter.grad is None for parameter in policy.causal_lm.parameters())
    assert all(parameter.grad is not None for parameter in policy.critic_parameters())


def test_block_causal_mask_by_hand():
    mask = block_causal_mask(torch.tensor([[1, 1, 2, 0]]))[0, 0].int().tolist()
    assert mask == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def row_logits(model, batch: SFTBatch) -> torch.Tensor:
    mask = block_causal_mask(batch.segment_ids)
    return model(batch.input_ids, attention_mask=mask, position_ids=batch.position_ids).logits


def test_packed_samples_do_not_see_one_another(tokenizer):
    model = build_causal_lm(TINY, tokenizer, 0)
    batch = pack(SAMPLES, max_length=32, pad_id=0)
    assert batch.input_ids.shape[0] == 1
    changed = batch.input_ids.clone()
    changed[batch.segment_ids == 2] = 99
    difference = row_logits(model, batch) - row_logits(model, batch._replace(input_ids=changed))
    moved = difference.abs().amax(-1)
    assert moved[batch.segment_ids != 2].max() == 0.0
    assert moved[batch.segment_ids == 2].min() > 0.0


def test_packed_logits_are_those_of_the_sample_alone(tokenizer):
    model = build_causal_lm(TINY, tokenizer, 0)
    batch = pack(SAMPLES, max_length=32, pad_id=0)
    logits = row_logits(model, batch)
    longest_first = [SAMPLES[0], SAMPLES[1], SAMPLES[2]]
    for segment, (prompt, completion) in enumerate(longest_first, start=1):
        alone = model(torch.tensor([prompt + completion])).logits[0]
        torch.testing.assert_close(logits[batch.segment_ids == segment], alone, atol=1e-5, rtol=1e-5)


def test_completion_loss_is_the_sum_of_the_full_loss_and_its_gradient(tokenizer):
    model = build_causal_lm(TINY, tokenizer, 0)
    batch = pack(SAMPLES, max_length=9, pad_id=0)
    loss, num_tokens = completion_loss(Policy(model), batch)
    assert num_tokens == 3 + 4 + 2
    loss.backward()
    gradient = model.model.layers[0].mlp.up_proj.weight.grad.clone()
    model.zero_grad()
    expected = torch.tensor(0.0)
    for prompt, completion in SAMPLES:  # the oracle: every sample alone, logits of all positions
        logprobs = model(torch.tensor([prompt + completion])).logits[0].log_softmax(-1)
        for place, token in enumerate(completion, start=len(prompt) - 1):
            expected = expected - logprobs[place, token]
    torch.testing.assert_close(loss, expected, atol=1e-4, rtol=1e-5)
    expected.backward()
    torch.testing.assert_close(gradient, model.model.layers[0].mlp.up_proj.weight.grad, atol=1e-4, rtol=1e-4)
