"""The requests as the OpenAPI page shows them; `executor.service.protocol` checks them, and a test holds the two together."""

from typing import Any

_LIMITS = {
    "type": "object",
    "description": "Of each program; times are for the reference machine and stretched by the service's time_factor.",
    "properties": {
        "cpu_time_s": {"type": "number", "description": "CPU seconds of all its processes together"},
        "wall_time_s": {"type": "number"},
        "memory_bytes": {"type": "integer", "description": "address space of each process"},
        "output_bytes": {"type": "integer", "description": "encoded results of all calls"},
        "source_bytes": {"type": "integer"},
    },
}
_TEST = {
    "type": "object",
    "properties": {"args": {"type": "array", "items": {}}, "expected": {}},
    "required": ["args", "expected"],
}
_TASK = {
    "type": "object",
    "description": "It has tests, or check with prompt (as in HumanEval), or reference with inputs.",
    "properties": {
        "task_id": {"type": "string"},
        "entry_point": {"type": "string"},
        "tests": {"type": "array", "items": _TEST},
        "check": {"type": "string", "description": "source that defines check(candidate)"},
        "reference": {"type": "string", "description": "source whose results are expected"},
        "inputs": {"type": "array", "items": {"type": "array", "items": {}}},
        "prompt": {"type": "string"},
        "float_tol": {"type": "number"},
        "group": {"type": "string", "description": "name under which pass@k is averaged"},
    },
    "required": ["task_id", "entry_point"],
}
_SAMPLE = {
    "type": "object",
    "properties": {
        "task": {"type": "integer", "description": "position in tasks"},
        "completion": {"type": "string", "description": "what the model wrote; the program is taken out of it"},
    },
    "required": ["task", "completion"],
}
_REWARDS = {
    "type": "object",
    "description": "Weights of the parts of a reward; without it samples come back without one.",
    "properties": {name: {"type": "number"} for name in ("passed_coef", "fraction_coef", "loads_coef", "time_coef")},
}
_RUN = {
    "type": "object",
    "properties": {
        "source": {"type": "string"},
        "entry_point": {"type": "string"},
        "calls": {"type": "array", "items": {"type": "array", "items": {}}},
    },
    "required": ["source", "entry_point", "calls"],
}
_ERRORS = {
    "400": "not JSON",
    "401": "not the token",
    "408": "the body came too slowly",
    "413": "too large",
    "422": "a wrong value; the line names it",
    "429": "too much waits; come again after Retry-After seconds",
    "503": "the service is ending",
}


def _operation(body: dict[str, Any], answer: str) -> dict[str, Any]:
    responses: dict[str, Any] = {status: {"description": text} for status, text in _ERRORS.items()}
    responses["200"] = {
        "description": answer,
        "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
    }
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": responses,
    }


GRADE = _operation(
    {
        "type": "object",
        "properties": {
            "tasks": {"type": "array", "items": _TASK},
            "samples": {"type": "array", "items": _SAMPLE},
            "limits": _LIMITS,
            "rewards": _REWARDS,
            "ks": {"type": "array", "items": {"type": "integer"}, "description": "pass@k for these k"},
        },
        "required": ["tasks", "samples"],
    },
    "A line a sample as it ends: index, status, passed, num_passed, num_tests, duration_s, queued_s, detail, reward; "
    "empty lines in between; at last {done: true, report: {tasks, groups}}. What has no line was not judged.",
)
RUN = _operation(
    {
        "type": "object",
        "properties": {"runs": {"type": "array", "items": _RUN}, "limits": _LIMITS},
        "required": ["runs"],
    },
    "A line a program as it ends: index, failure, results, duration_s, queued_s, detail; at last {done: true}.",
)
