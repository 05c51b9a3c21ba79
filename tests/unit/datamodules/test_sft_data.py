import json
from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset, load_from_disk

from datamodules.encoding.samples import drop_long_samples
from datamodules.eval_data import evenly_spaced_indices, load_task_prompts
from datamodules.sampler import MixturePart, choose_tasks
from datamodules.sft_data import TEST_SPLITS, SFTDataModule
from tests.support.small_data import row, write_small_data

BOTH = {"atomic": MixturePart(weight=1.0), "synthetic_train": MixturePart(weight=3.0)}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_small_data(tmp_path_factory.mktemp("data") / "small")


def ready(data_dir, mixture=BOTH, *, rank=0, world_size=1, epoch=0, stage="fit", **settings) -> SFTDataModule:
    options = {"batch_size": 8, "max_length": 128, "steps_per_epoch": 3, "vocab_size": 400} | settings
    data = SFTDataModule(str(data_dir), mixture, **options)
    data.trainer = SimpleNamespace(
        global_rank=rank, world_size=world_size, current_epoch=epoch, reload_dataloaders_every_n_epochs=1
    )
    data.prepare_data()
    data.setup(stage)
    return data


def texts_of(data: SFTDataModule, batch) -> list[str]:
    """The samples of a packed batch as text, in the order of rows and segments."""
    texts = []
    for ids, segments in zip(batch.input_ids, batch.segment_ids, strict=True):
        texts += [data.tokenizer.decode(ids[segments == s]) for s in range(1, int(segments.max()) + 1)]
    return texts


def test_ranks_validate_equally_often_and_each_task_once(data_dir):
    # three tasks in batches of one: rank 0 has two, rank 1 one and a batch without labels
    compute_sampling_weights = [
        list(ready(data_dir, rank=rank, world_size=2, batch_size=2, num_val_tasks=3).val_dataloader()[0])
        for rank in range(2)
    ]
    assert [len(batches) for batches in compute_sampling_weights] == [1, 1]
    compute_sampling_weights = []
    for rank in range(2):
        data = ready(data_dir, rank=rank, world_size=2, batch_size=2, num_val_tasks=3)
        data.batch_size = 1
        compute_sampling_weights.append(list(data.val_dataloader()[0]))
    assert [[batch.num_samples for batch in batches] for batches in compute_sampling_weights] == [[1, 1], [1, 0]]
    assert (compute_sampling_weights[1][1].labels == -100).all()
    assert (compute_sampling_weights[1][0].labels != -100).any()


def test_mixture_keys_change_what_is_trained(data_dir):
    def seen(mixture):
        data = ready(data_dir, mixture)
        texts = [text for step in range(12) for text in texts_of(data, data.train_batch(step))]
        numbers = [int(text.split("return x + ")[1].split("\n")[0]) for text in texts]
        return Counter("atomic" if number < 100 else "synthetic" for number in numbers), len(set(numbers))

    assert seen({"atomic": MixturePart()}) == (Counter(atomic=96), 7)
    assert seen({"synthetic_train": MixturePart()}) == (Counter(synthetic=96), 12)
    assert seen(BOTH) == (Counter(atomic=24, synthetic=72), 19)
    few = {"atomic": MixturePart(weight=1.0), "synthetic_train": MixturePart(weight=1.0, count=2)}
    assert seen(few) == (Counter(atomic=48, synthetic=48), 9)


def test_a_pass_has_the_tasks_of_a_depth_as_often_as_they_are_repeated(data_dir):
    data = ready(data_dir, {"atomic": MixturePart(), "synthetic_train": MixturePart(repeat={2: 3})})
    assert data.plan.sizes == {"atomic": 7, "synthetic_train": 36}
    drawn = Counter(text for step in range(43) for text in texts_of(data, data.train_batch(step)))  # 8 passes of 43
    assert sorted(drawn.values()) == [8] * 7 + [24] * 12


def test_the_global_minibatch_does_not_depend_on_the_number_of_ranks(data_dir):
    alone = ready(data_dir)
    ranks = [ready(data_dir, rank=rank, world_size=2) for rank in range(2)]
    for step in (0, 7):
        shared = [texts_of(data, data.train_batch(step)) for data in ranks]
        assert [len(part) for part in shared] == [4, 4]
        assert sorted(shared[0] + shared[1]) == sorted(texts_of(alone, alone.train_batch(step)))


def test_epochs_go_on_where_the_one_before_ended(data_dir):
    batches = list(ready(data_dir, epoch=2).train_dataloader())
    assert len(batches) == 3
    data = ready(data_dir)
    for offset, batch in enumerate(batches):
        expected = data.train_batch(2 * 3 + offset)
        assert all(torch.equal(a, b) for a, b in zip(batch[:4], expected[:4], strict=True))
    assert texts_of(data, batches[0]) != texts_of(data, data.train_batch(0))


def test_loss_falls_on_the_completion_alone(data_dir):
    data = ready(data_dir)
    batch = data.train_batch(0)
    for ids, labels in zip(batch.input_ids, batch.labels, strict=True):
        assert torch.equal(labels[labels != -100], ids[labels != -100])
        text = data.tokenizer.decode(ids[labels != -100])
        assert text.count("def solve(x):\n    return x + ") == text.count("</s>")
        assert "Write" not in text
        assert "写" not in text


def test_long_samples_are_left_out_with_one_counted_warning(data_dir):
    data = ready(data_dir, {"synthetic_train": MixturePart()})
    samples = data._train_samples["synthetic_train"]
    max_length = max(sample.num_tokens() for sample in samples) - 1
    fitting = [sample for sample in samples if sample.num_tokens() <= max_length]
    with pytest.warns(UserWarning, match=f"train: {12 - len(fitting)} of 12 samples are longer") as caught:
        assert drop_long_samples(samples, max_length, split="synthetic_train") == fitting
    assert len(caught) == 1
    assert 0 < len(fitting) < 12
    with pytest.raises(ValueError, match="no sample fits max_length 3"), pytest.warns(UserWarning, match="longer than"):
        ready(data_dir, max_length=3)


def test_validation_has_rows_and_prompts(data_dir):
    data = ready(data_dir, num_val_tasks=3)
    rows, prompts = data.val_dataloader()
    (batch,) = list(rows)
    assert batch.num_samples == 3
    ((split, tasks),) = list(prompts)
    assert split == "synthetic_val"
    assert [task.task_id for task in tasks] == ["synthetic_val/0", "synthetic_val/1", "synthetic_val/2"]
    parts = [ready(data_dir, rank=rank, world_size=2).val_dataloader()[1] for rank in range(2)]
    assert sorted(task.task_id for part in parts for _, tasks in part for task in tasks) == [
        f"synthetic_val/{i}" for i in range(4)
    ]


def test_test_has_every_split(data_dir):
    items = list(ready(data_dir, stage="test", num_test_tasks=2).test_dataloader())
    assert [split for split, _ in items] == list(TEST_SPLITS)
    assert all(len(tasks) == 2 for _, tasks in items)


def test_task_prompts_hold_the_evaluation_tests(data_dir):
    tokenizer = ready(data_dir).tokenizer
    (first, second) = load_task_prompts(data_dir, "synthetic_test", tokenizer, 2)
    assert (first.task_id, second.task_id) == ("synthetic_test/0", "synthetic_test/2")
    assert json.loads(first.row["tests"]) == [{"args": [x], "expected": x + 400} for x in (0, 5, -3)]
    assert tokenizer.decode(first.prompt_ids) == "<s>Write solve(x) that adds 400 to x.\n"
    assert (first.depth, first.language, first.row["entry_point"], first.atoms) == (2, "en", "solve", ("add",))


def test_spread():
    assert evenly_spaced_indices(10, 4) == [0, 2, 5, 7]
    assert evenly_spaced_indices(3, None) == evenly_spaced_indices(3, 9) == [0, 1, 2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mixture": {}}, "mixture is empty"),
        ({"mixture": {"synthetic_test": MixturePart()}}, "synthetic_test is not for training"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"steps_per_epoch": 0}, "steps_per_epoch is 0"),
        ({"world_size": 3}, "batch_size 8 does not divide among 3 ranks"),
    ],
)
def test_wrong_settings_are_refused(data_dir, change, words):
    with pytest.raises(ValueError, match=words):
        ready(data_dir, **change)


def test_wrong_data_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no data set at"):
        ready(tmp_path / "absent")
    for bad in ({"count": 0}, {"weight": 0.0}, {"weight": float("nan")}, {"repeat": {3: 0}}):
        with pytest.raises(ValueError, match="mixture"):
            MixturePart(**bad)


def test_files_are_trained_on_whole(data_dir, tmp_path):
    rows = [row("synthetic_train", index) | {"task_id": f"pretraining/{index}"} for index in range(3)]
    dataset = load_from_disk(str(data_dir))
    dataset["pretraining"] = Dataset.from_list(rows)
    dataset.save_to_disk(str(tmp_path / "data"))
    data = ready(tmp_path / "data", {"pretraining": MixturePart()}, batch_size=1, num_train_val_tasks=2)
    batch, bos = data.train_batch(0), data.tokenizer.bos_token
    [text] = texts_of(data, batch)
    assert text in [f'{bos}"""{one["prompt"]}"""\n\n\n{one["solution"]}{data.tokenizer.eos_token}' for one in rows]
    is_labelled = batch.labels[0] != -100
    assert is_labelled.tolist() == [False] + [True] * (batch.labels.shape[1] - 1)
    assert [split for split, _ in data.val_dataloader()[1]] == ["synthetic_val"]


def test_validation_asks_tasks_that_are_trained_on(data_dir):
    mixture = {"atomic": MixturePart(), "synthetic_train": MixturePart(count=4)}
    data = ready(data_dir, mixture, num_train_val_tasks=3, num_val_tasks=2)
    asked = {split: [prompt.task_id for prompt in prompts] for split, prompts in data.val_dataloader()[1]}
    trained = [
        f"synthetic_train/{index}"
        for index in choose_tasks(mixture["synthetic_train"], 12, seed=0, split="synthetic_train")
    ]
    assert list(asked) == ["synthetic_val", "synthetic_train"]
    assert [len(asked[split]) for split in asked] == [2, 3]
    assert set(asked["synthetic_train"]) < set(trained)
    data = ready(data_dir, {"atomic": MixturePart()}, num_train_val_tasks=3)
    assert [split for split, _ in data.val_dataloader()[1]] == ["synthetic_val", "atomic"]


def test_what_was_trained_on_is_counted(data_dir):
    data = ready(data_dir)
    tokens = labels = 0
    for step in range(5):
        batch = data.train_batch(step)
        tokens += int((batch.segment_ids > 0).sum())
        labels += int((batch.labels != -100).sum())
    counted = data.num_trained(5)
    assert list(counted) == ["atomic", "synthetic_train"]
    assert sum(n for n, _ in counted.values()) == tokens
    assert sum(n for _, n in counted.values()) == labels
    assert 0 < counted["atomic"][1] < counted["synthetic_train"][1]


def test_completions_are_a_part_of_the_mixture(data_dir, tmp_path):
    path = tmp_path / "kept.jsonl"
    kept = [{"prompt": "Add one.", "solution": f"def solve(x):\n    return x + {n}\n", "depth": 2} for n in (1, 2)]
    path.write_text("".join(json.dumps(row) + "\n" for row in kept))
    mixture = {"synthetic_train": MixturePart(weight=1.0), "completions": MixturePart(weight=1.0)}
    data = ready(data_dir, mixture, completions=str(path))
    texts = texts_of(data, data.train_batch(0))
    assert sum("Add one." in text for text in texts) == 4  # half of the eight samples
    assert set(data.num_trained(1)) == {"synthetic_train", "completions"}
    with pytest.raises(ValueError, match="completions has repeat, but its rows have no depth"):
        ready(data_dir, {"completions": MixturePart(repeat={2: 2})}, completions=str(path))

    path.write_text("")
    with pytest.warns(UserWarning, match="kept.jsonl has no rows"):
        data = ready(data_dir, mixture, completions=str(path))
    assert set(data.num_trained(1)) == {"synthetic_train"}
    with (
        pytest.raises(ValueError, match="no rows, and mixture has no other part"),
        pytest.warns(UserWarning, match="no rows"),
    ):
        ready(data_dir, {"completions": MixturePart()}, completions=str(path))
    with pytest.raises(ValueError, match="set data.completions"):
        SFTDataModule(str(data_dir), mixture)
    with pytest.raises(ValueError, match="mixture has no part completions"):
        SFTDataModule(str(data_dir), BOTH, completions=str(path))
    path.write_text('{"prompt": "p", "solution": "s"}\n{"prompt": "p"}\n')
    with pytest.raises(ValueError, match="kept.jsonl, line 2: not a row"):
        ready(data_dir, mixture, completions=str(path))
