"""The image of the Docker sandboxes: its contents, its label, and errors while building it."""

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from docker.errors import ImageNotFound

from cli.main import main
from executor.backends.base import SANDBOX_DIR
from executor.backends.docker import image as docker_image
from executor.backends.docker.engine import connect_engine
from executor.backends.docker.image import (
    DEFAULT_TAG,
    OFFLINE_BASE_TAG,
    SOURCES_LABEL,
    build_image,
    check_image,
    sources_digest,
)
from tests.support.wait import wait_until

ROOT = Path(__file__).resolve().parents[2]
TEST_TAG = f"atomforge-executor:test-{os.getpid()}"
EMPTY_TAG = f"test-{os.getpid()}"
PACKAGE = {
    **{f"app/{path.parent.relative_to(SANDBOX_DIR)}": 0o755 for path in SANDBOX_DIR.glob("*/__init__.py")},
    **{f"app/{path.relative_to(SANDBOX_DIR)}": 0o644 for path in SANDBOX_DIR.rglob("*.py")},
}
"""Paths of the sandbox package in the image and their modes."""


@pytest.fixture
def test_tag(docker_engine):
    yield TEST_TAG
    for found in docker_engine.images.list(name=TEST_TAG):
        docker_engine.images.remove(found.id, force=True)


def test_image_contains_the_sandbox_package_and_nothing_else_of_atomforge(docker_engine):
    program = (
        "import os, stat\n"
        "for folder, folders, files in os.walk('/app'):\n"
        "    for name in folders + files:\n"
        "        path = os.path.join(folder, name)\n"
        "        s = os.stat(path)\n"
        "        print(path.removeprefix('/'), s.st_uid, s.st_gid, oct(stat.S_IMODE(s.st_mode)))\n"
    )
    output = docker_engine.containers.run(
        DEFAULT_TAG, ["-c", program], entrypoint="python3", network_mode="none", remove=True
    )
    expected = [f"{name} 0 0 {mode:#o}" for name, mode in PACKAGE.items()]
    assert sorted(output.decode().splitlines()) == sorted(expected)


def test_image_label_is_the_digest_of_its_sources(docker_engine, monkeypatch, tmp_path):
    assert docker_engine.images.get(DEFAULT_TAG).labels[SOURCES_LABEL] == sources_digest()
    check_image(docker_engine, DEFAULT_TAG)
    copy = tmp_path / "sandbox"
    shutil.copytree(SANDBOX_DIR, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(docker_image, "SANDBOX_DIR", copy)
    check_image(docker_engine, DEFAULT_TAG)
    with (copy / "candidate" / "calls.py").open("a") as file:
        file.write("\n")
    with pytest.raises(ValueError, match="other sources"):
        check_image(docker_engine, DEFAULT_TAG)
    with pytest.raises(ValueError, match="no image"):
        check_image(docker_engine, "atomforge-executor:not-there")


def test_build_context_contains_only_the_sandbox_package():
    with tarfile.open(fileobj=docker_image._build_context()) as archive:
        members = {member.name: (member.uid, member.gid, member.mode) for member in archive.getmembers()}
    expected = {"Dockerfile": 0o644, "app": 0o755, **PACKAGE}
    assert members == {name: (0, 0, mode) for name, mode in expected.items()}


def test_build_image_reports_lines_and_returns_the_id(docker_engine, test_tag):
    lines = []
    built = build_image(docker_engine, base_image=DEFAULT_TAG, tag=test_tag, on_line=lines.append)
    assert docker_engine.images.get(test_tag).id == built
    assert any(line.startswith("Step 1/") for line in lines)


def test_build_image_removes_the_previous_image(docker_engine, test_tag, monkeypatch):
    first = build_image(docker_engine, base_image=DEFAULT_TAG, tag=test_tag)
    monkeypatch.setattr(docker_image, "sources_digest", lambda: "0" * 64)
    second = build_image(docker_engine, base_image=DEFAULT_TAG, tag=test_tag)
    assert second != first
    with pytest.raises(ImageNotFound):
        docker_engine.images.get(first)


def test_build_image_on_a_base_without_python_raises_one_line(docker_engine, test_tag):
    empty = io.BytesIO()
    with tarfile.open(fileobj=empty, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(EMPTY_TAG))
    docker_engine.api.import_image_from_data(empty.getvalue(), repository="atomforge-empty", tag=EMPTY_TAG)
    [layer] = docker_engine.images.get(f"atomforge-empty:{EMPTY_TAG}").attrs["RootFS"]["Layers"]
    try:
        with pytest.raises(ValueError, match=f"atomforge-empty:{EMPTY_TAG}.*python3") as caught:
            build_image(docker_engine, base_image=f"atomforge-empty:{EMPTY_TAG}", tag=test_tag)
        assert "\n" not in str(caught.value)
    finally:
        docker_engine.images.remove(f"atomforge-empty:{EMPTY_TAG}")
        for found in docker_engine.images.list(filters={"dangling": True}):
            if layer in found.attrs["RootFS"]["Layers"]:  # a step of the failed build
                docker_engine.images.remove(found.id)


def test_build_command_with_a_missing_base_prints_one_line(docker_engine, capsys):
    assert main(["executor", "build", "--base-image", "localhost:1/not/there:1", "--tag", TEST_TAG]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("atomforge: error: the base image localhost:1/not/there:1 is not available: ")
    assert "`--offline` makes a base" in said


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (
            ["build"],
            {"DOCKER_HOST": "unix:///nonexistent/docker.sock"},
            "no response from unix:///nonexistent/docker.sock: install",
        ),
        (["build", "--offline", "--base-image", "x"], {}, "omit --base-image"),
        (["build", "--ofline"], {}, "did you mean '--offline'?"),
        (["make"], {}, "choose from 'build'"),
        ([], {}, "action"),
    ],
)
def test_build_command_with_wrong_arguments_prints_one_line(arguments, environment, words, monkeypatch, capsys):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["executor", *arguments]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert words in line


def test_connect_engine_without_permission_names_the_socket(docker_engine):
    if os.geteuid() != 0:
        pytest.skip("not root: cannot become another user")
    if "DOCKER_HOST" in os.environ:
        pytest.skip("DOCKER_HOST may be open to every user")
    os.setegid(61234)
    os.seteuid(61234)
    try:
        with pytest.raises(ValueError, match=r"no permission to open unix:.*: join the group `docker`"):
            connect_engine()
    finally:
        os.seteuid(0)
        os.setegid(0)


def test_make_offline_base_requires_root_and_debootstrap(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ValueError, match="needs root: run the same with sudo"):
        docker_image.make_offline_base(None)  # type: ignore[arg-type]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ValueError, match="apt-get install -y debootstrap"):
        docker_image.make_offline_base(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("release", "suite"),
    [
        ('ID=debian\nVERSION_CODENAME="trixie"\n', "trixie"),
        ("ID=debian\nPRETTY_NAME=sid\n", "bookworm"),
        ("ID=ubuntu\nVERSION_CODENAME=noble\n", "bookworm"),
        ("", "bookworm"),
    ],
)
def test_default_suite_is_that_of_this_debian_or_bookworm(release, suite, monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda path, **_: release)
    assert docker_image.default_suite() == suite


@pytest.fixture
def fake_debootstrap(tmp_path, monkeypatch):
    """Put a script in place of debootstrap, and temporary folders where they can be counted."""
    if os.geteuid() != 0:
        pytest.skip("not root: an offline base cannot be made")
    programs, temporary = tmp_path / "bin", tmp_path / "tmp"
    programs.mkdir()
    temporary.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(temporary))

    def install(script):
        (programs / "debootstrap").write_text(f"#!/bin/sh\n{script}\n")
        (programs / "debootstrap").chmod(0o755)
        return temporary

    return install


def build_offline():
    return subprocess.Popen(
        [sys.executable, "-m", "cli.main", "executor", "build", "--offline", "--tag", TEST_TAG],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_offline_build_with_failing_debootstrap_prints_one_line(docker_engine, fake_debootstrap):
    temporary = fake_debootstrap("echo 'I: Base'; echo 'E: Failed getting release file'; exit 1")
    process = build_offline()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert said.splitlines()[-1] == (
        "atomforge: error: debootstrap failed with exit code 1: E: Failed getting release file"
    )
    assert os.listdir(temporary) == []


def test_interrupted_offline_build_leaves_nothing_behind(docker_engine, fake_debootstrap, tmp_path):
    temporary = fake_debootstrap(f"mkdir -p $3/proc; mount -t tmpfs none $3/proc; echo $$ > {tmp_path}/pid; sleep 600")
    process = build_offline()
    pid_file = tmp_path / "pid"
    wait_until(lambda: process.poll() is not None or (pid_file.exists() and pid_file.read_text().strip()), 60)
    assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert os.listdir(temporary) == []
    assert str(temporary) not in Path("/proc/self/mounts").read_text()
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


@pytest.mark.slow
def test_image_can_be_built_on_an_offline_base(docker_engine, test_tag):
    if os.geteuid() != 0:
        pytest.skip("not root: an offline base cannot be made")
    lines = []
    made = docker_image.make_offline_base(docker_engine, tag=OFFLINE_BASE_TAG, on_line=lines.append)
    assert docker_engine.images.get(OFFLINE_BASE_TAG).id == made
    assert "I: Base system installed successfully." in lines
    build_image(docker_engine, base_image=OFFLINE_BASE_TAG, tag=test_tag)
    check_image(docker_engine, test_tag)
