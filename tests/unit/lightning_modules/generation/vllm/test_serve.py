"""The command that starts a rollout server: its options, and that it starts again after it died."""

import os
import signal
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from lightning_modules.generation.vllm import serve
from lightning_modules.generation.vllm.serve import serve_command
from tests.support.wait import wait_until

ROOT = Path(__file__).resolve().parents[5]
PROGRAM = """
import sys
from lightning_modules.generation.vllm import serve
serve.RESTART_S = 0.01
serve.GRACE_S = 0.1
sys.exit(serve.keep_running([sys.executable, "-c", sys.argv[1]]))
"""
SERVER = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as vLLM does while it starts
with open("starts", "a") as file:
    print(os.getpid(), os.environ["VLLM_SERVER_DEV_MODE"], file=file)
time.sleep(100)
"""


def test_the_server_reports_log_probabilities_of_what_it_samples(monkeypatch):
    monkeypatch.setattr(serve.metadata, "version", lambda name: "0.32.0")
    monkeypatch.setattr(serve.torch.cuda, "is_available", lambda: False)
    command = serve_command(Path("model"), "127.0.0.1", 8001, ["--max-num-seqs", "9"])
    text = " ".join(command[1:])
    assert text == (
        "-m vllm.entrypoints.cli.main serve model --host 127.0.0.1 --port 8001 --enable-scale-out "
        "--generation-config vllm --logprobs-mode processed_logprobs --no-enable-chunked-prefill --max-num-seqs 9"
    )


def test_without_metadata_of_vllm_its_module_is_started(monkeypatch):
    def version(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(serve.metadata, "version", version)
    command = serve_command(Path("model"), "127.0.0.1", 8001)
    assert command[1:5] == ["-m", "vllm.entrypoints.openai.api_server", "--model", "model"]


def test_an_unknown_option_ends_the_server(monkeypatch):
    monkeypatch.setattr(serve.signal, "signal", lambda *_: None)
    assert serve.keep_running([sys.executable, "-c", "raise SystemExit(2)"]) == 2


def test_a_server_that_dies_starts_again_until_a_signal(tmp_path):
    def starts() -> list[list[str]]:
        path = tmp_path / "starts"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, SERVER],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: len(starts()) == 1, within_s=120)
    os.kill(int(starts()[0][0]), signal.SIGKILL)
    wait_until(lambda: len(starts()) == 2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0
    assert len(starts()) == 2
    assert {words[1] for words in starts()} == {"1"}
    assert process.stderr is not None
    assert "rollout server: ended with code -9" in process.stderr.read()
    for words in starts():
        assert not Path(f"/proc/{words[0]}").exists()
