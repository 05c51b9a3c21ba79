"""Prompts from fresh tasks: compositions that no split of the data set holds, new ones in every iteration.

No fresh task has a skeleton of a split other than those that prompts would be drawn from, or behaves like a single atom
or like a task of an evaluation split, and none contains a held-out atom. `datamodules.synthesis.fresh` generates the
tasks; one rank does so for all, ahead of their use, which does not change them.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from datamodules.encoding.prompt_format import encode_prompts
from datamodules.eval_data import build_prompts_from_rows
from datamodules.rl.reward_tests import RewardTask, build_reward_tasks
from datamodules.sampler import count_draws_by_source
from datamodules.synthesis.audit import fingerprint_solutions
from datamodules.synthesis.composition.sample import AtomSampler
from datamodules.synthesis.config import MAX_DEPTH, SynthesisConfig, load_atoms
from datamodules.synthesis.dataset.candidates import GenerationContext
from datamodules.synthesis.dataset.library import read_library
from datamodules.synthesis.dataset.rows import Row
from datamodules.synthesis.fresh import ExcludedTasks, FreshTasks
from datamodules.synthesis.manifest import TRAINING_SPLITS, hash_atoms, read_manifest
from datamodules.synthesis.verification.probes import ProbeCache
from datamodules.synthesis.wording.prompts import Wording
from executor.api import Executor

_PREFIX = "synthetic_"


@dataclass(frozen=True, kw_only=True)
class FreshPromptsConfig:
    """New compositions in every iteration, instead of stored tasks.

    Args:
        depths: Depths of the compositions, in equal numbers.
    """

    depths: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "depths", tuple(sorted(set(self.depths))))
        if not self.depths or not all(1 <= depth <= MAX_DEPTH for depth in self.depths):
            raise ValueError(
                f"fresh_prompts.depths is {list(self.depths)}; it must be a list of depths from 1 to {MAX_DEPTH}"
            )


class FreshPrompts:
    """Draws fresh tasks. The state holds what was drawn so far; it is saved in checkpoints.

    Args:
        config: Depths of the tasks.
        data_dir: Data set made by `atomforge synthesize`; its configuration and atoms determine the tasks.
        dataset: Its splits.
        splits: Splits whose skeletons fresh tasks may have.
        tokenizer: Of the policy.
        batch_size: Prompts of an iteration, over all ranks.
        max_prompt_length: Tokens; tasks with longer prompts are left out. None = no limit.
        seed: Of the tasks.
        open_executor: Returns the executor that runs solutions; called on rank 0, at the first draw.
        call_on_rank_zero: Calls a function on rank 0 and returns its result on all ranks.

    Raises:
        ValueError: `data_dir` is not such a data set, its atoms have changed, or it has no tasks of these splits.
    """

    def __init__(
        self,
        config: FreshPromptsConfig,
        data_dir: str | Path,
        dataset: Any,
        *,
        splits: Sequence[str],
        tokenizer: PreTrainedTokenizerBase,
        batch_size: int,
        max_prompt_length: int | None,
        seed: int,
        open_executor: Callable[[], Executor],
        call_on_rank_zero: Callable[[Callable[[], list[Row]]], list[Row]],
    ) -> None:
        self.depths = config.depths
        self._manifest = read_manifest(Path(data_dir))
        self._config = SynthesisConfig.from_mapping(self._manifest["config"])
        self._atoms = load_atoms(self._config.plugin_atoms)
        if hash_atoms(self._atoms) != self._manifest["atoms_sha256"]:
            raise ValueError(f"fresh_prompts: {data_dir} was built from other atoms; rebuild it in another directory")
        if others := [split for split in splits if not split.startswith(_PREFIX)]:
            raise ValueError(f"fresh_prompts: splits holds {others[0]}, but fresh tasks are those of {_PREFIX}* splits")
        self._dataset = dataset
        self._splits = splits
        self._library = read_library(dataset[splits[0]])
        self._tokenizer = tokenizer
        self._batch_size = batch_size
        self._max_prompt_length = max_prompt_length
        self._seed = seed
        self._open_executor = open_executor
        self._call_on_rank_zero = call_on_rank_zero
        self._tasks: FreshTasks | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="fresh-prompts")
        self._ahead: Future[None] | None = None
        self._state: dict[str, Any] = {}

    def draw(self, iteration: int, attempt: int, depths: Sequence[int] | None = None) -> list[RewardTask]:
        """Draw the next tasks, for all ranks; each call returns others.

        Args:
            iteration: Of reinforcement learning; determines which depths have one task more than others.
            attempt: Not used: further tasks are the next ones.
            depths: Depths to draw from; None = all.
        """
        depths = depths or self.depths
        before, after = (
            count_draws_by_source(step * self._batch_size, [1.0] * len(depths)) for step in (iteration, iteration + 1)
        )
        counts = {depth: last - first for depth, first, last in zip(depths, before, after, strict=True)}
        rows = self._call_on_rank_zero(lambda: self._take(counts))
        return build_reward_tasks(rows, build_prompts_from_rows(rows, self._tokenizer, library=self._library))

    def state_dict(self) -> dict[str, Any]:
        """Return what was drawn so far; complete on rank 0."""
        self.wait()
        return self._state if self._tasks is None else self._tasks.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue after what was drawn when `state` was saved."""
        self.wait()
        self._state = state
        if self._tasks is not None:
            self._tasks.load_state_dict(state)

    def wait(self) -> None:
        """Wait until no task is being prepared."""
        if self._ahead is not None:
            self._ahead.result()
            self._ahead = None

    def _take(self, counts: Mapping[int, int]) -> list[Row]:
        """Take tasks, and prepare as many of the next ones in another thread while the policy generates and trains."""
        self.wait()
        tasks = self._open_tasks()
        rows = tasks.take(counts)
        self._ahead = self._thread.submit(tasks.prepare, counts)
        return rows

    def _open_tasks(self) -> FreshTasks:
        if self._tasks is None:
            executor, manifest = self._open_executor(), self._manifest
            probe_cache = ProbeCache(self._atoms)
            wording = Wording(
                {language: tuple(names) for language, names in manifest["held_out_frames"].items()},
                manifest["held_out_phrasings"],
                permutes_names=self._config.solution_form == "solve",
            )
            config = replace(self._config, num_tests=1)  # the minimum: nothing is evaluated on fresh tasks
            held_out = manifest["held_out_atoms"]
            self._tasks = FreshTasks(
                GenerationContext(config, probe_cache, wording, executor, verifier=None),
                AtomSampler(tuple(atom for atom in self._atoms.values() if atom.name not in held_out)),
                self.depths,
                self._find_excluded(probe_cache, executor),
                seed=self._seed,
                accepts_prompt=self._is_short_enough,
            )
            self._tasks.load_state_dict(self._state)
        return self._tasks

    def _find_excluded(self, probe_cache: ProbeCache, executor: Executor) -> ExcludedTasks:
        synthetic = {name: table for name, table in self._dataset.items() if not name.startswith("tensor_")}
        skeletons = {
            skeleton for name, table in synthetic.items() if name not in self._splits for skeleton in table["skeleton"]
        }
        solutions = {
            row for name, table in synthetic.items() if name not in TRAINING_SPLITS for row in table["solution"]
        }
        behaviours = fingerprint_solutions(sorted(solutions), self._library, probe_cache, executor)
        return ExcludedTasks(frozenset(skeletons), frozenset(behaviours.values()))

    def _is_short_enough(self, prompt: str) -> bool:
        limit = self._max_prompt_length
        return limit is None or len(encode_prompts(self._tokenizer, [prompt])[0]) <= limit
