import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from datamodules.encoding.prefix_packing import pack_completions
from lightning_modules.models.forward.packed_forward import block_causal_mask, packed_mask
from lightning_modules.models.policy import Policy

PROMPTS = [[1, 5, 6, 7], [1, 9], [1, 5, 6, 7], [4], [1, 5, 6, 7]]
COMPLETIONS = [[10, 11, 2], [12, 2], [13, 2], [14, 15, 16], [10, 2]]


@pytest.fixture(scope="module")
def policy():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=20, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=32, initializer_range=0.4,
    )  # fmt: skip
    return Policy(LlamaForCausalLM(config).eval())


def logits_of_completions(policy, packed, completions):
    """The logits that predict each completion."""
    mask = block_causal_mask(packed.segment_ids, packed.branch_ids)
    everywhere = torch.ones_like(packed.input_ids, dtype=torch.bool)
    flat, _ = policy(packed.input_ids, mask, packed.position_ids, everywhere)
    logits = flat.view(*packed.input_ids.shape, -1)
    return [
        logits[row, start : start + len(completion)]
        for (row, start), completion in zip(packed.offsets.tolist(), completions, strict=True)
    ]


@torch.no_grad()
def test_completions_are_predicted_as_if_each_stood_alone(policy):
    packed = pack_completions(PROMPTS, COMPLETIONS, pad_id=0)
    assert packed.input_ids.shape == (1, 3 + (4 + 3 + 3) + 1 + 3 + 4)  # three prompts, the first read once for three
    found = logits_of_completions(policy, packed, COMPLETIONS)
    for prompt, completion, logits in zip(PROMPTS, COMPLETIONS, found, strict=True):
        alone = policy.causal_lm(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
        torch.testing.assert_close(logits, alone, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_an_completion_does_not_see_its_neighbours(policy):
    before = logits_of_completions(policy, pack_completions(PROMPTS, COMPLETIONS, pad_id=0), COMPLETIONS)
    changed = [COMPLETIONS[0], COMPLETIONS[1], [17, 18], COMPLETIONS[3], COMPLETIONS[4]]
    after = logits_of_completions(policy, pack_completions(PROMPTS, changed, pad_id=0), changed)
    for number in (0, 1, 3, 4):
        assert torch.equal(before[number], after[number])
    assert not torch.equal(before[2][1], after[2][1])


def test_gather_inverts_scatter_and_finds_the_predicting_positions():
    packed = pack_completions(PROMPTS, COMPLETIONS, pad_id=0)
    lengths = [len(completion) for completion in COMPLETIONS]
    assert packed.lengths.tolist() == lengths
    tokens = torch.tensor([completion + [0] * (3 - len(completion)) for completion in COMPLETIONS])
    rows = packed.scatter(tokens)
    predicts = packed.predicts_completion()
    assert int(predicts.sum()) == sum(lengths)
    assert torch.equal(rows[predicts], packed.input_ids[:, 1:][predicts])
    assert not rows[~predicts].any()
    assert torch.equal(packed.gather(rows), tokens)
    wider = torch.cat([tokens, torch.full((5, 2), 9)], 1)  # padded to a longer completion elsewhere
    assert torch.equal(packed.scatter(wider), rows)


def test_who_sees_whom_by_hand():
    segments, branches = torch.tensor([[1, 1, 1, 1, 0]]), torch.tensor([[0, 1, 1, 2, 0]])
    mask = block_causal_mask(segments, branches)[0, 0].int().tolist()
    assert mask == [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 0, 0, 1, 0], [0, 0, 0, 0, 1]]
    flex = packed_mask(segments, branches, flex=True)
    _, queries, keys = torch.meshgrid(torch.arange(1), torch.arange(5), torch.arange(5), indexing="ij")
    rows = torch.zeros_like(queries)
    assert flex.mask_mod(rows, rows, queries, keys)[0].int().tolist() == mask
