"""The sandbox package must run next to untrusted programs with nothing but the standard library."""

import ast
import sys
from pathlib import Path

import pytest

from executor.backends.base import SANDBOX_DIR

TORCH_FILE = Path("candidate/torch_values.py")
FILES = sorted(path.relative_to(SANDBOX_DIR) for path in SANDBOX_DIR.rglob("*.py"))


def find_forbidden_imports(source: str, file: Path) -> list[str]:
    """List imports of `file`, a path in the sandbox package, that are neither standard library nor in the package."""
    allowed = sys.stdlib_module_names | ({"torch"} if file == TORCH_FILE else set())
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] not in allowed]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            # `__main__` is not part of a package when it runs, so it names the package as it is called in a sandbox.
            is_entry = file == Path("__main__.py") and node.module == "sandbox.worker"
            found += [] if is_entry or str(node.module).split(".")[0] in allowed else [str(node.module)]
        elif isinstance(node, ast.ImportFrom) and node.level > len(file.parts):
            found.append("." * node.level + (node.module or ""))
    return found


@pytest.mark.parametrize("file", FILES, ids=str)
def test_sandbox_file_imports_only_standard_library_and_package(file):
    assert find_forbidden_imports((SANDBOX_DIR / file).read_text(encoding="utf-8"), file) == []


def test_find_forbidden_imports_reports_each_kind():
    source = "import os, torch\nfrom numpy import array\nfrom .codec import x\nfrom ..types import y\n"
    assert find_forbidden_imports(source, Path("worker.py")) == ["torch", "numpy", "..types"]
    assert find_forbidden_imports(source, TORCH_FILE) == ["numpy"]
    assert find_forbidden_imports("from ...types import y", TORCH_FILE) == ["...types"]
