"""Compiles the device once for these sources and this torch; importing this module loads no torch."""

import hashlib
import os
import shutil
import subprocess
import sysconfig
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
LIBRARY_DIR = "SIMULATED_CUDA"
"""Environment variable with the directory of the compiled libraries."""
HOOKS, DEVICE = "hooks.so", "device.so"
MODULE = "simulated_cuda"
_TIMEOUT_S = 1500


def missing() -> str | None:
    """Say why the device cannot be compiled here, or return None."""
    if "+cpu" not in version("torch"):
        return "it needs the CPU build of torch"
    return "g++ is not installed" if shutil.which("g++") is None else None


def build() -> Path:
    """Compile unless that has been done (40 s of one core), and return the directory of the libraries."""
    sources = {HOOKS: HERE / "hooks.cpp", DEVICE: HERE / "device.cpp"}
    key = hashlib.sha256(version("torch").encode())
    for source in sources.values():
        key.update(source.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    directory = cache / "atomforge" / f"simulated_cuda_{key.hexdigest()[:16]}"
    if not directory.exists():
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent) as scratch:
            made = Path(scratch, "made")
            made.mkdir()
            for name, source in sources.items():
                _compile(source, made / name)
            try:
                made.rename(directory)
            except OSError:  # another process was first
                if not directory.exists():
                    raise
    return directory


def _compile(source: Path, library: Path) -> None:
    spec = find_spec("torch")
    assert spec is not None
    assert spec.origin is not None
    torch = Path(spec.origin).parent
    include = [torch / "include", torch / "include/torch/csrc/api/include", Path(sysconfig.get_paths()["include"])]
    names = ("c10", "torch_cpu", "torch", "torch_python") if library.name == DEVICE else ("c10", "torch_cpu")
    command = ["g++", "-std=c++20", "-O1", "-w", "-fPIC", "-shared", f"-DTORCH_EXTENSION_NAME={MODULE}"]
    command += [f"-isystem{path}" for path in include]
    command += [str(source), "-o", str(library), f"-L{torch / 'lib'}", f"-Wl,-rpath,{torch / 'lib'}"]
    command += [f"-l{name}" for name in names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{source.name} does not compile: {done.stderr[:2000]}")
