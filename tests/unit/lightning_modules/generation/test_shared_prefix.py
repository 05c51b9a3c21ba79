"""Attention over shared prompts against ordinary attention, row by row."""

import torch
from torch.nn import functional

from lightning_modules.generation.shared_prefix import Groups, SharedPrefixCache, attend

KV_HEADS, GROUP, SIZE, SCALE = 2, 3, 4, 0.5
PROMPTS = torch.tensor([1, 0, 1, 2, 1])
MASK = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 1, 1, 1, 1]])


def test_groups_arrange_rows_by_prompt():
    groups = Groups.from_prompts(PROMPTS, 4)  # prompt 3 has no rows
    assert (groups.num_groups, groups.size) == (4, 3)
    assert groups.places.tolist() == [3, 0, 4, 6, 5]
    rows = torch.arange(5.0)[:, None, None, None] + 10.0
    assert groups.gather(rows)[:, 0, :, 0].tolist() == [[11, 0, 0], [10, 12, 14], [13, 0, 0], [0, 0, 0]]
    rows = torch.randn(5, KV_HEADS, GROUP, SIZE)
    assert torch.equal(groups.scatter(groups.gather(rows)), rows)


def test_attend_equals_attention_of_each_row():
    torch.manual_seed(0)
    prefix = torch.randn(2, 3, KV_HEADS, 5, SIZE)
    own = torch.randn(2, 5, KV_HEADS, 2, SIZE)
    queries = torch.randn(5, KV_HEADS, GROUP, SIZE)
    found = attend(queries, tuple(prefix), MASK.bool(), Groups.from_prompts(PROMPTS, 3), tuple(own), SCALE)
    for row, prompt in enumerate(PROMPTS):
        kept = MASK[prompt].bool()
        keys, values = (torch.cat([prefix[i, prompt][:, kept], own[i, row]], dim=1) for i in range(2))
        expected = functional.scaled_dot_product_attention(queries[row], keys, values, scale=SCALE)
        torch.testing.assert_close(found[row], expected)


def test_cache_keeps_tokens_and_prompts_of_selected_rows():
    torch.manual_seed(0)
    prefix, tokens = torch.randn(2, 3, KV_HEADS, 5, SIZE), torch.randn(2, 2, 5, KV_HEADS, 1, SIZE)
    queries = torch.randn(5, KV_HEADS, GROUP, SIZE)
    whole, cut = (SharedPrefixCache(capacity=2) for _ in range(2))
    for cache in (whole, cut):
        cache.add_prefix(*prefix)
        cache.share(PROMPTS, MASK)
        cache.attend(0, queries, *tokens[0], SCALE)
    rows = torch.tensor([0, 4, 2])  # without prompts 0 and 2
    cut.select(rows)
    assert cut._prefix_mask.tolist() == [[1, 1, 1, 1, 1]]
    expected = whole.attend(0, queries, *tokens[1], SCALE)
    found = cut.attend(0, queries[rows], *(part[rows] for part in tokens[1]), SCALE)
    torch.testing.assert_close(found, expected[rows])
