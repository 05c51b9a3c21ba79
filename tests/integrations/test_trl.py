"""Three GRPO steps of TRL on a tiny model, with rewards from real sandboxes."""

import json
import math

import pytest

pytest.importorskip("trl")

from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

from executor.integrations.trl import reward

PROMPT = "def f(x):\n    return x + 1  # "  # what an untrained model writes behind it is a comment, up to a new line
RIGHT = {"task_id": "right", "entry_point": "f", "tests": [{"args": [1], "expected": 2}]}
WRONG = {"task_id": "wrong", "entry_point": "f", "tests": [{"args": [1], "expected": 3}]}
FAULTY = {"task_id": "faulty", "entry_point": "f", "check": "def check(candidate):\n    assert unknown\n"}


def make_tokenizer():
    """Make a tokenizer of bytes."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {letter: index for index, letter in enumerate([*letters, "<end>"])}
    tokenizer = Tokenizer(models.BPE(vocab, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>")
    made.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    return made


def make_model():
    config = LlamaConfig(
        vocab_size=257,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        eos_token_id=256,
    )
    return LlamaForCausalLM(config)


def train(tmp_path, rows, prompt=PROMPT):
    """Train for three steps of two prompts and four completions; returns what TRL logged at each."""
    config = GRPOConfig(
        output_dir=str(tmp_path),
        max_steps=3,
        per_device_train_batch_size=4,
        num_generations=2,
        max_completion_length=6,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        bf16=False,
        seed=0,
    )
    trainer = GRPOTrainer(
        model=make_model(),
        reward_funcs=reward("bubblewrap"),
        args=config,
        train_dataset=Dataset.from_list([{"prompt": prompt, "task": json.dumps(row)} for row in rows]),
        processing_class=make_tokenizer(),
    )
    trainer.train()
    steps = [entry for entry in trainer.state.log_history if "reward" in entry]
    assert len(steps) == 3
    return steps


def test_grpo_trains_on_rewards_from_sandboxes(tmp_path):
    for step in train(tmp_path, [RIGHT, WRONG]):
        assert step["rewards/atomforge/mean"] == pytest.approx(0.5)
        assert step["atomforge/infra"] == 0.0
        assert math.isfinite(step["loss"])


def test_grpo_leaves_out_what_could_not_be_graded(tmp_path):
    for step in train(tmp_path, [RIGHT, FAULTY]):
        assert step["rewards/atomforge/mean"] == pytest.approx(1.0)  # a mean over the others alone
        assert step["atomforge/infra"] == pytest.approx(0.5)
        assert math.isfinite(step["loss"])


def test_grpo_of_chats_grades_the_answer_alone(tmp_path):
    for step in train(tmp_path, [RIGHT, WRONG], [{"role": "user", "content": PROMPT}]):
        assert step["rewards/atomforge/mean"] == 0.0  # six bytes of an untrained model are no program
        assert step["atomforge/infra"] == 0.0
