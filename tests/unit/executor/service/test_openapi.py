"""The OpenAPI document and the parser agree: documented keys are accepted, all others are rejected."""

import json
from typing import Any

import pytest

from executor.service.app import create_app
from executor.service.models import GradeRequest, RunRequest
from executor.service.protocol import parse_request
from executor.service.settings import ServiceConfig

CALL = {"args": [1], "expected": 2}
TASK_KINDS = [
    {"task_id": "t", "entry_point": "f", "tests": [CALL], "float_tol": 0.5, "profile": "torch"},
    {"task_id": 1, "entry_point": "f", "check": "def check(c): pass", "prompt": "p", "group": "g"},
    {"task_id": "t", "entry_point": "f", "test": "def check(c): pass"},
    {"task_id": "t", "entry_point": "f", "reference": "def f(x): return x", "inputs": [[1]]},
    {
        "task_id": "t",
        "tests": [{"stdin": "", "stdout": ""}],
        "checker": "print(1)",
        "time_limit_s": 1,
        "memory_mib": 64,
    },
    {"task_id": "t", "entry_point": "Solution.f", "tests": [CALL], "prelude": "leetcode", "result": "args.0"},
    {"task_id": "t", "entry_point": "f", "tests": [CALL], "library": {"g": "def g(): return 1"}},
    {"task_id": "t", "entry_point": "f", "tests": [CALL], "solution": "", "language": "", "split": "", "metadata": {}},
    {"task_id": "t", "entry_point": "f", "tests": [CALL], "canonical_solution": ""},
]
SAMPLE = {"task": 0, "completion": ""}
LIMITS = {"cpu_time_s": 1, "wall_time_s": 2.5, "memory_bytes": 1 << 28, "output_bytes": 1, "source_bytes": 1}
REWARDS = {"passed_coef": 1, "fraction_coef": 0.5, "loads_coef": 0, "time_coef": 0}
PROGRAM = {"source": "", "entry_point": "f", "calls": [[1]], "profile": "torch"}
WHOLE_PROGRAM = {"source": "", "stdin": ""}
GRADE = {"tasks": TASK_KINDS, "samples": [SAMPLE], "limits": LIMITS, "rewards": REWARDS, "ks": [1]}
RUN = {"runs": [PROGRAM, WHOLE_PROGRAM], "limits": LIMITS}


class Closed:
    """Stands for an executor that is not used."""

    def stats(self) -> None:
        raise AssertionError


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    app = create_app(Closed(), ServiceConfig(), None)  # pyright: ignore[reportArgumentType]
    app.openapi()
    return json.loads(json.dumps(app.openapi()))  # the second call returns the same


def resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference, and an alternative with null."""
    if "anyOf" in schema:
        [schema] = [one for one in schema["anyOf"] if one.get("type") != "null"]
    if "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return found
    return schema


def request_schema(document: dict[str, Any], path: str) -> dict[str, Any]:
    body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return resolve(document, body)


def set_at(request: dict[str, Any], place: tuple[str | int, ...], change: dict[str, Any]) -> bytes:
    """Add keys to the object at a place of a request."""
    request = json.loads(json.dumps(request))
    found: Any = request
    for part in place:
        found = found[part]
    found |= change
    return json.dumps(request).encode()


@pytest.mark.parametrize(
    ("path", "model", "request_", "place", "kinds"),
    [
        ("/v1/grade", GradeRequest, GRADE, (), [GRADE]),
        ("/v1/grade", GradeRequest, GRADE, ("tasks", 0), TASK_KINDS),
        ("/v1/grade", GradeRequest, GRADE, ("samples", 0), [SAMPLE]),
        ("/v1/grade", GradeRequest, GRADE, ("limits",), [LIMITS]),
        ("/v1/grade", GradeRequest, GRADE, ("rewards",), [REWARDS]),
        ("/v1/run", RunRequest, RUN, (), [RUN]),
        ("/v1/run", RunRequest, RUN, ("runs", 0), [PROGRAM, WHOLE_PROGRAM]),
        ("/v1/run", RunRequest, RUN, ("limits",), [LIMITS]),
    ],
)
def test_documented_keys_are_those_that_are_accepted(
    document: dict[str, Any], path: str, model: type, request_: dict, place: tuple, kinds: list[dict]
) -> None:
    schema = request_schema(document, path)
    for part in place:
        schema = resolve(document, schema["items"] if isinstance(part, int) else schema["properties"][part])
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == {key for kind in kinds for key in kind}  # this request uses them all
    parse_request(model, json.dumps(request_).encode())
    with pytest.raises(ValueError, match="unknown key 'undocumented'"):
        parse_request(model, set_at(request_, place, {"undocumented": 1}))
    for key in schema.get("required", ()):
        body = set_at(request_, place, {})
        holder = content = json.loads(body)
        for part in place:
            holder = holder[part]
        del holder[key]
        with pytest.raises(ValueError, match=key):
            parse_request(model, json.dumps(content).encode())


def test_tests_of_a_task_are_documented(document: dict[str, Any]) -> None:
    schema = document["components"]["schemas"]["TestRow"]
    keys = {"args", "kwargs", "expected", "raises", "result", "stdin", "stdout"}
    assert (set(schema["properties"]), "required" in schema) == (keys, False)


@pytest.mark.parametrize(
    ("path", "lines"),
    [("/v1/grade", ["OutcomeLine", "GradeDone"]), ("/v1/run", ["ExecutionLine", "RunDone"])],
)
def test_streamed_lines_and_errors_are_documented(document: dict[str, Any], path: str, lines: list[str]) -> None:
    responses = document["paths"][path]["post"]["responses"]
    schemas = responses["200"]["content"]["application/x-ndjson"]["schema"]["anyOf"]
    assert [schema["$ref"].rpartition("/")[2] for schema in schemas] == lines
    assert set(responses) == {"200", "400", "401", "408", "413", "422", "429", "503"}
    assert resolve(document, responses["422"]["content"]["application/json"]["schema"])["required"] == ["error"]


def test_all_references_resolve(document: dict[str, Any]) -> None:
    def check(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                assert resolve(document, node)
            node = list(node.values())
        if isinstance(node, list):
            for one in node:
                check(one)

    check(document)
    assert len(json.dumps(document).split('"$ref"')) > 10
