"""The endpoints of a vLLM server that the trainer uses, with a sampler that reveals the weights it sampled from.

Every completion is the token `100 + W`, then 7, then `<eos>`, where `W` is read from `weights.txt` in the folder that
was loaded last, or is its number without such a file; it is 0 for the weights that the server started with.
"""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

EOS = 2


class FakeVllmServer:
    """A server on a port of its own. It can die, lose its engine, and start again.

    Args:
        delay_s: Of each completion.
    """

    def __init__(self, *, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.calls: list[tuple[str, dict]] = []
        self.dies_after: int | None = None
        """Completions to answer before the server dies; None: it lives."""
        self.num_loads = 0
        self.port = 0
        self.is_down = threading.Event()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, with the weights of the start."""
        self.version, self.weights, self.paused = "default", 0, False
        self._is_dying = False
        self._lock = threading.Lock()
        self.is_down.clear()
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def die(self) -> None:
        """Refuse connections from now on."""
        self._server.shutdown()
        self._server.server_close()
        self.is_down.set()

    def paths(self) -> list[str]:
        return [path for path, _ in self.calls]

    def answer(self, path: str, body: dict) -> dict | None:
        """Answer a call; None breaks the connection."""
        if self._is_dying:
            return None
        if path == "/inference/v1/generate":
            return self._generate(body)
        self.calls.append((path, body))
        if path == "/update_weight_version":
            self.version = body["new_version"]
        elif path == "/collective_rpc":
            self.weights = self._load(Path(body["kwargs"]["weights_path"]))
        elif path in ("/pause?mode=wait", "/resume"):
            self.paused = path != "/resume"
        answers = {
            "/weight_info": {"weight_version": self.version},
            "/reset_prefix_cache": {"success": True},
            "/v1/models": {"data": [{"id": "fake", "max_model_len": 64}]},
        }
        return answers.get(path, {})

    def _load(self, folder: Path) -> int:
        if (folder / "model.safetensors").exists():
            self.num_loads += 1
            return self.num_loads
        return int((folder / "weights.txt").read_text())

    def _generate(self, body: dict) -> dict | None:
        time.sleep(self.delay_s)
        with self._lock:
            if self.dies_after == 0:
                self.dies_after = None
                self._is_dying = True
                threading.Thread(target=self.die).start()
                return None
            if self.dies_after is not None:
                self.dies_after -= 1
            self.calls.append(("/inference/v1/generate", body))
            assert not self.paused
            choice = {
                "token_ids": [100 + self.weights, 7, EOS],
                "logprobs": {"content": [{"logprob": -0.5}, {"logprob": -0.25}, {"logprob": -0.125}]},
                "finish_reason": "stop",
                "weight_versions": [{"version": self.version, "start": 0, "end": 3}],
            }
        return {"choices": [choice]}


class _Handler(BaseHTTPRequestHandler):
    fake: FakeVllmServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._reply({})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self._reply(json.loads(self.rfile.read(length) or b"{}"))

    def _reply(self, body: dict) -> None:
        try:
            answer, status = self.fake.answer(self.path, body), 200
        except OSError as error:
            answer, status = {"error": str(error)}, 500
        if answer is None:
            self.close_connection = True
            self.connection.close()
            return
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass
