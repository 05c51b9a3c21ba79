"""The recipes of docs/executor_for_trainers.md: what they import exists, and their configs are valid."""

import ast
import importlib.util
import json
import re
from pathlib import Path

import pytest
import yaml

from executor import parse_task
from executor.commands.config import parse_dataclass
from executor.service.settings import COMPAT_ENDPOINTS, ServiceConfig

ROOT = Path(__file__).resolve().parents[4]
PAGE = (ROOT / "docs" / "executor_for_trainers.md").read_text(encoding="utf-8")
SOURCES = [*re.findall(r"```python\n(.*?)```", PAGE, re.S), *re.findall(r"echo [\"'](from executor.*?)[\"'] >", PAGE)]
FILES = dict(re.findall(r"cat > (\S+) <<'END'\n(.*?)END\n", PAGE, re.S))


@pytest.mark.parametrize("source", SOURCES)
def test_recipes_import_what_there_is(source):
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imports if str(node.module).startswith("executor.")]
    assert ours
    for node in ours:
        spec = importlib.util.find_spec(str(node.module))
        assert spec is not None
        assert spec.origin is not None
        defined = {getattr(item, "name", None) for item in ast.parse(Path(spec.origin).read_text()).body}
        assert {alias.name for alias in node.names} <= defined


def test_every_endpoint_has_a_config():
    configs = re.findall(r"cat > service.yaml <<'END'\n(.*?)END\n", PAGE, re.S)
    found = [parse_dataclass(ServiceConfig, yaml.safe_load(text), source="service.yaml") for text in configs]
    assert {name for config in found for name in config.compat} == set(COMPAT_ENDPOINTS)


def test_the_tasks_are_task_rows():
    assert [parse_task(json.loads(line)).task_id for line in FILES["tasks.jsonl"].splitlines()] == ["add", "sum"]


def test_the_data_of_lm_eval_is_in_the_package():
    assert (ROOT / "executor" / "integrations" / "humaneval_atomforge.yaml").exists()
    assert 'integrations/*.yaml"' in (ROOT / "executor" / "pyproject.toml").read_text()
