"""An inspect_ai task whose samples are task rows, scored in real sandboxes; the model is inspect's mock."""

import json
import math

import pytest

pytest.importorskip("inspect_ai")

from inspect_ai import Task, eval
from inspect_ai.dataset import json_dataset
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.solver import generate

from executor.integrations.inspect import code_scorer, record_to_sample

CALL = {"task_id": "call", "prompt": "Add.", "entry_point": "add", "tests": [{"args": [1, 2], "expected": 3}]}
STDIN = {"task_id": "stdin", "prompt": "Add.", "tests": [{"stdin": "1 2\n", "stdout": "3\n"}]}
FAULTY = {
    "task_id": "faulty",
    "prompt": "Add.",
    "entry_point": "add",
    "check": "def check(candidate):\n    assert unknown\n",
}
ANSWER = "```python\ndef add(a, b):\n    return a + b\n```"


def answer():
    """Answer with token counts, which inspect would fetch an encoding for otherwise."""
    output = ModelOutput.from_content("mockllm", ANSWER)
    output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    return output


def test_a_task_is_scored_in_sandboxes(tmp_path):
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text("".join(json.dumps(row) + "\n" for row in (CALL, STDIN, FAULTY)))
    model = get_model("mockllm/model", custom_outputs=lambda *_: answer())
    task = Task(dataset=json_dataset(str(tasks), record_to_sample), solver=generate(), scorer=code_scorer("bubblewrap"))
    [log] = eval(task, model=model, display="none", log_dir=str(tmp_path / "logs"))
    assert log.status == "success", log.error.traceback
    scores = {sample.id: sample.scores["code_scorer"] for sample in log.samples}
    assert (scores["call"].value, scores["stdin"].value) == ("C", "I")  # the program prints nothing
    assert scores["stdin"].metadata["status"] == "wrong"
    assert math.isnan(scores["faulty"].value)
    assert "check of task faulty is at fault" in scores["faulty"].explanation
    metrics = {name: metric.value for name, metric in log.results.scores[0].metrics.items()}
    assert metrics["accuracy"] == pytest.approx(0.5)  # of the two that were graded
