"""Fresh prompts of a data set through `RLDataModule`: what they exclude, ranks, curriculum, restarts, settings."""

import json
import re
from copy import deepcopy
from types import SimpleNamespace

import pytest

from datamodules.atoms import ATOMS
from datamodules.batches import RolloutStats
from datamodules.encoding.tokenizer import train_tokenizer, training_texts
from datamodules.eval_data import load_dataset
from datamodules.rl.curriculum import CurriculumConfig
from datamodules.rl.fresh import FreshPromptsConfig
from datamodules.rl_data import RLDataModule
from datamodules.synthesis import fresh
from datamodules.synthesis.build import build
from datamodules.synthesis.composition.canonical import parse_skeleton
from datamodules.synthesis.config import Counts, Depths, SynthesisConfig
from datamodules.synthesis.manifest import FILE_NAME
from executor.sandbox.codec import decode_value
from tests.support.in_process import InProcess
from tests.support.small_data import write_small_data

CONFIG = SynthesisConfig(
    seed=5,
    counts=Counts(train=16, rl=6, val=8, test=12, test_deeper=2, test_held_out_atoms=4),
    solution_form="solve",
    depths=Depths(train=(1, 2), rl=(1, 2, 3), val=(1, 2), test=(1, 2)),
    num_tests=8,
    num_reward_tests=4,
)
HELD_OUT = ("synthetic_val", "synthetic_test", "synthetic_test_deeper", "synthetic_test_held_out_atoms")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("fresh") / "data"
    build(path, CONFIG, executor=InProcess(), verifier=InProcess(1))
    return path


@pytest.fixture(scope="module")
def tokenizer(data_dir, tmp_path_factory):
    texts = training_texts(load_dataset(data_dir))
    return train_tokenizer(texts, 400, tmp_path_factory.mktemp("tokenizer") / "tokenizer")


class Network:
    """Broadcasts what rank 0 sends to the ranks that call afterwards."""

    def __init__(self):
        self.sent, self.num_received = [], 0

    def broadcast(self, value):
        if value is not None:
            self.sent.append(value)
            return value
        self.num_received += 1
        return self.sent[self.num_received - 1]


def data_of(data_dir, tokenizer, *, rank=0, world_size=1, network=None, executor=None, depths=(1, 2, 3), **settings):
    options = {"prompts_per_iteration": 6, "samples_per_prompt": 2, "minibatch_size": 12, "num_val_tasks": 4} | settings
    data = RLDataModule(str(data_dir), fresh_prompts=FreshPromptsConfig(depths=depths), **options)
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        lightning_module=SimpleNamespace(tokenizer=tokenizer, executor=executor or InProcess()),
        current_epoch=0,
        global_rank=rank,
        world_size=world_size,
        accumulate_grad_batches=1,
        reload_dataloaders_every_n_epochs=1,
        strategy=network,
    )
    data.setup("fit")
    return data


def shown(batch):
    prompts = zip(batch.prompts, batch.copy_numbers, strict=True)
    return [(p.task_id, p.prompt, p.prompt_ids, dict(p.row), n) for p, n in prompts]


def test_every_iteration_and_attempt_has_new_tasks_of_all_depths(data_dir, tokenizer):
    data = data_of(data_dir, tokenizer)
    batches = [data.prompts_for(0), data.prompts_for(0, attempt=1), data.prompts_for(1)]
    assert [sorted({p.depth: p for p in batch.prompts}) for batch in batches] == [[1, 2, 3]] * 3
    assert len({prompt.task_id for batch in batches for prompt in batch.prompts}) == 18
    assert len({prompt.prompt for batch in batches for prompt in batch.prompts}) == 18
    for prompt in batches[0].prompts:
        assert prompt.task.library is not None
        assert re.findall(r"^def (\w+)", str(prompt.task.reference), re.M) == ["solve"]
        assert len(prompt.task.inputs) == 16
        assert len(json.loads(prompt.probe.row["tests"])) == 4


def test_nothing_of_the_held_out_splits_is_drawn(data_dir, tokenizer, monkeypatch):
    """Over hundreds of tasks of small depths, where the data set and fresh tasks compete for the same compositions."""
    dataset = load_dataset(data_dir)
    held_out_atoms = set(json.loads((data_dir / FILE_NAME).read_text())["held_out_atoms"])
    excluded = {
        parse_skeleton(row["solution"]) for name in (*HELD_OUT, "atomic", "synthetic_train") for row in dataset[name]
    }
    monkeypatch.setattr(fresh, "MAX_FRUITLESS_DRAWS", 200)
    data = data_of(data_dir, tokenizer, depths=(1, 2), prompts_per_iteration=100, minibatch_size=200)
    prompts = {prompt.task_id: prompt for prompt in data.prompts_for(0).prompts}.values()
    assert len(prompts) > 60
    prompts = [prompt for prompt in prompts if prompt.task.reference]
    assert not excluded & {parse_skeleton(prompt.task.reference) for prompt in prompts}
    assert not held_out_atoms & {name for prompt in prompts for name in prompt.atoms}
    solutions = {row["solution"] for name in (*HELD_OUT, "atomic") for row in dataset[name]}
    for prompt in prompts:  # no stored program with these types returns what a fresh one does
        namespace, header = _library(), prompt.task.reference.partition("\n")[0]
        for solution in solutions:
            if solution.partition("\n")[0] == header:
                exec(solution, namespace)
                assert any(_call(namespace["solve"], args) != expected for args, expected in _tests(prompt)), solution


def _library():
    namespace: dict = {}
    for atom in ATOMS.values():
        exec(atom.source, namespace)
    return namespace


def _tests(prompt):
    stored = [] if prompt.probe is None else json.loads(prompt.probe.row["tests"])
    tests = [test["args"] for test in stored] + list(prompt.task.inputs)
    namespace = _library()
    exec(prompt.task.reference, namespace)
    return [(args, _call(namespace["solve"], args)) for args in ([decode_value(a) for a in args] for args in tests)]


def _call(function, args):
    try:
        return repr(function(*deepcopy(args)))
    except Exception as error:
        return type(error).__name__


def test_a_restored_run_draws_what_the_first_one_would_have_drawn(data_dir, tokenizer):
    first = data_of(data_dir, tokenizer)
    first.prompts_for(0)
    state = json.loads(json.dumps(first.state_dict()))
    second = data_of(data_dir, tokenizer)
    second.load_state_dict(state)
    for iteration, attempt in ((1, 0), (1, 1), (2, 0)):
        one, other = first.prompts_for(iteration, attempt), second.prompts_for(iteration, attempt)
        assert shown(one) == shown(other)
    assert first.state_dict() == second.state_dict() != state
    early = RLDataModule(str(data_dir), fresh_prompts=FreshPromptsConfig(depths=(1, 2, 3)))
    early.load_state_dict(state)  # Lightning may restore before setup
    first.teardown("fit")


def test_ranks_divide_the_tasks_of_rank_0_and_only_it_runs_programs(data_dir, tokenizer):
    network, idle = Network(), InProcess()
    whole = data_of(data_dir, tokenizer)
    ranks = [
        data_of(data_dir, tokenizer, rank=0, world_size=2, network=network),
        data_of(data_dir, tokenizer, rank=1, world_size=2, network=network, executor=idle),
    ]
    for iteration in range(2):
        parts = [shown(rank.prompts_for(iteration)) for rank in ranks]
        assert sorted(map(str, parts[0] + parts[1])) == sorted(map(str, shown(whole.prompts_for(iteration))))
    assert idle.num_runs == 0


def test_a_curriculum_chooses_the_depths(data_dir, tokenizer):
    data = data_of(data_dir, tokenizer, curriculum=CurriculumConfig(start=1, num_iterations=1))
    module = data.trainer.lightning_module
    module.collect_rollouts = lambda draw_prompts, iteration, minibatches: [
        SimpleNamespace(stats=RolloutStats(counts_by_depth={1: (4, 4)}), prompts=draw_prompts(iteration).prompts)
    ]
    drawn = [{prompt.depth for batch in data.train_dataloader() for prompt in batch.prompts} for _ in range(2)]
    assert drawn == [{1}, {1, 2}]
    assert data.state_dict().keys() == {"curriculum", "fresh_prompts"}


def test_long_prompts_are_left_out(data_dir, tokenizer):
    lengths = [len(p.prompt_ids) for p in data_of(data_dir, tokenizer).prompts_for(0).prompts]
    limit = sorted(lengths)[len(lengths) // 2]
    short = data_of(data_dir, tokenizer, max_prompt_length=limit)
    assert max(len(p.prompt_ids) for p in short.prompts_for(0).prompts) <= limit < max(lengths)


def test_settings_that_do_not_fit(data_dir, tokenizer, tmp_path):
    with pytest.raises(ValueError, match=r"fresh_prompts.depths is \[0, 2\]; it must be .* from 1 to 6"):
        FreshPromptsConfig(depths=(0, 2))
    with pytest.raises(ValueError, match="fresh_prompts is for data_dir"):
        RLDataModule(tasks="tasks.jsonl", fresh_prompts=FreshPromptsConfig(depths=(2,)))
    with pytest.raises(ValueError, match="fresh_prompts: splits holds atomic"):
        data_of(data_dir, tokenizer, splits=["synthetic_rl", "atomic"])
    with pytest.raises(ValueError, match=r"is not a data set of atomforge: it has no manifest.json"):
        data_of(write_small_data(tmp_path / "small"), tokenizer)
    load_dataset(data_dir).save_to_disk(str(tmp_path / "other"))
    manifest = json.loads((data_dir / FILE_NAME).read_text()) | {"atoms_sha256": "0"}
    (tmp_path / "other" / FILE_NAME).write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="other was built from other atoms"):
        data_of(tmp_path / "other", tokenizer)
