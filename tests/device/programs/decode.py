"""Decodes on a simulated GPU and prints what a token costs the host, by kind of model, as JSON lines."""

import json
from collections import Counter

from tests.device.simulated.cuda import device

import torch  # isort: skip
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from datamodules.batches import SFTBatch
from datamodules.encoding.packing import Sample, pack
from lightning_modules.generation.generate import generate
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.models.policy import Policy
from lightning_modules.training.packed_loss import completion_loss
from tests.support.number_tokenizer import NumberTokenizer

VOCAB, ROWS = 300, 8
NEVER = 10**6


def build_model(kind: str, num_layers: int) -> PreTrainedModel:
    torch.manual_seed(0)
    if kind == "gpt2":
        config = GPT2Config(vocab_size=VOCAB, n_embd=64, n_layer=num_layers, n_head=4, n_positions=256)
        return GPT2LMHeadModel(config).eval()
    config = LlamaConfig(
        vocab_size=VOCAB, hidden_size=64, num_hidden_layers=num_layers, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=96, max_position_embeddings=256,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def decode(model: PreTrainedModel, num_tokens: int, *, eos_id: int = NEVER, dtype: torch.dtype | None = torch.bfloat16):
    """Decode ragged prompts; returns counts of events, calls of attention and the tokens."""
    device.clear()
    completions = generate(
        model,
        NumberTokenizer(eos_id=eos_id, pad_id=0),  # type: ignore[arg-type]
        [[5 + row] * (10 + row) for row in range(ROWS)],
        SamplingParams(max_new_tokens=num_tokens),
        stream_ids=list(range(ROWS)),
        seed=0,
        batch_size=ROWS,
        dtype=dtype,
    )
    return device.events(), device.attention(), [one.token_ids for one in completions]


def count(events: dict[str, int], prefix: str) -> int:
    return sum(number for name, number in events.items() if name.startswith(prefix))


def per_token(model: PreTrainedModel) -> dict[str, object]:
    """Divide the difference between 20 and 10 tokens by 10."""
    (short, _, _), (long, attention, _) = decode(model, 10), decode(model, 20)
    waits = {name: long[name] - short.get(name, 0) for name in long if name.startswith("wait")}
    return {
        "waits": sum(waits.values()) / 10,
        "uploads": (count(long, "copy: to device") - count(short, "copy: to device")) / 10,
        "kernels": (count(long, "kernel") - count(short, "kernel")) / 10,
        "attention": len(set(attention)),
        "gqa": sum("gqa" in call for call in attention),
        "waits_by_name": {name: number for name, number in waits.items() if number},
    }


def packed_loss() -> dict[str, object]:
    """Compute a loss of packed rows on both devices, and the masks that attention got on the GPU."""
    policy = Policy(build_model("llama", 2))
    samples = [Sample([5, 6, 7], [8, 9, 10, 2]), Sample([11, 12], [13, 2]), Sample([14] * 20, [15] * 9)]
    batch = pack(samples, max_length=64, pad_id=0)
    expected = float(completion_loss(policy, batch)[0].detach())
    policy = policy.cuda()
    moved = SFTBatch(*(field.cuda() if isinstance(field, torch.Tensor) else field for field in batch))
    device.clear()
    found = float(completion_loss(policy, moved)[0].detach())
    return {"kind": "packed", "layers": 0, "cpu": expected, "gpu": found, "attention": sorted(set(device.attention()))}


def main() -> None:
    torch.set_num_threads(1)
    for kind in ("llama", "gpt2"):
        for num_layers in (2, 4):
            model = build_model(kind, num_layers)
            _, _, expected = decode(model, 12, dtype=None)
            model = model.cuda()
            _, _, found = decode(model, 12, dtype=None)
            print(json.dumps({"kind": kind, "layers": num_layers, "same": found == expected, **per_token(model)}))
    print(json.dumps(packed_loss()))
    for num_layers in (2, 4):  # rows that end: what removing them from the batch costs
        model = build_model("llama", num_layers).cuda()
        _, _, tokens = decode(model, 40)
        [(eos_id, _)] = Counter(token for row in tokens for token in set(row)).most_common(1)
        events, _, ended = decode(model, 40, eos_id=eos_id)
        lengths = {len(row) for row in ended}
        waits = count(events, "wait") - max(lengths)
        print(json.dumps({"kind": "ends", "layers": num_layers, "num_ends": len(lengths), "waits": waits}))


if __name__ == "__main__":
    main()
