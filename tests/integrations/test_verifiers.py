"""A verifiers environment of our taskset: a served model, real rollouts, rewards from real sandboxes."""

import asyncio
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

vf = pytest.importorskip("verifiers.v1")

TASKSET = 'from executor.integrations.verifiers import CodeTaskset\n\n__all__ = ["CodeTaskset"]\n'
HARNESS = '''
import httpx
import verifiers.v1 as vf

__all__ = ["OneTurn"]


class OneTurn(vf.Harness[vf.HarnessConfig]):
    """Asks the model once, from this process; those that ship with verifiers start a program with uv."""

    EXECUTES_CODE = False
    NEEDS_CONTAINER = False

    async def launch(self, ctx, trace, runtime, endpoint, secret, mcp_urls, data, tool_interception_url=None):
        body = {"model": ctx.model, "messages": [{"role": "user", "content": data.prompt}]}
        async with httpx.AsyncClient(timeout=30) as client:
            headers = {"Authorization": f"Bearer {secret}"}
            response = await client.post(f"{endpoint}/chat/completions", json=body, headers=headers)
        return vf.ProgramResult(0 if response.is_success else 1, response.text, "")
'''
CALL = {"task_id": "call", "prompt": "call", "entry_point": "add", "tests": [{"args": [1, 2], "expected": 3}]}
STDIN = {"task_id": "stdin", "prompt": "stdin", "tests": [{"stdin": "1 2\n", "stdout": "3\n"}]}
FAULTY = {"task_id": "faulty", "prompt": "call", "entry_point": "add", "check": "def check(c):\n    assert unknown\n"}
ANSWERS = {
    "call": "```python\ndef add(a, b):\n    return a + b\n```",
    "stdin": "```python\nprint(sum(map(int, input().split())) + 1)\n```",
}


class Model(BaseHTTPRequestHandler):
    """A chat endpoint that answers by the prompt."""

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        message = {"role": "assistant", "content": ANSWERS[request["messages"][-1]["content"]]}
        answer = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "tiny",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


@contextmanager
def served_model():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()


async def play(env, context):
    """Play one episode of each task; returns them by task."""
    async with env.serving():
        return {task.data.id: await env.run_episode(task, context) for task in env.taskset}


def test_an_environment_of_task_rows(tmp_path, monkeypatch):
    (tmp_path / "coding.py").write_text(TASKSET)
    (tmp_path / "one_turn.py").write_text(HARNESS)
    (tmp_path / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in (CALL, STDIN, FAULTY)))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("KEY", "none")
    taskset = vf.taskset_config_type("coding")(
        id="coding", tasks=tmp_path / "tasks.jsonl", task={"executor": "bubblewrap"}
    )
    agent = vf.AgentConfig(harness=vf.HarnessConfig(id="one_turn"), runtime=vf.SubprocessConfig())
    env = vf.SingleAgentEnv(vf.SingleAgentEnvConfig(taskset=taskset, agent=agent))
    with served_model() as url:
        context = vf.ModelContext("tiny", vf.EvalClientConfig(base_url=url, api_key_var="KEY"))
        episodes = asyncio.run(play(env, context))
    traces = {name: episode.traces[0] for name, episode in episodes.items()}
    assert traces["call"].errors == traces["stdin"].errors == []
    assert (traces["call"].reward, traces["stdin"].reward) == (1.0, 0.0)
    assert traces["faulty"].last_error.type == "SandboxError"
    assert "check of task faulty is at fault" in traces["faulty"].last_error.message
    assert [episodes[name].ok for name in ("call", "stdin", "faulty")] == [True, True, False]
