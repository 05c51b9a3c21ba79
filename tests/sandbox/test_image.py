"""The image of the Docker sandboxes: what is in it, what it says of itself, and how building it fails."""

import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from docker.errors import ImageNotFound

from cli.main import main
from executor.backends import docker_image as image
from executor.backends.base import SANDBOX_FILES, SOURCE_DIR

from executor.backends.docker_image import (
    DEFAULT_TAG,
    OFFLINE_BASE_TAG,
    SOURCES_LABEL,
    build_image,
    is_current,
    sources_digest,
)

ROOT = Path(__file__).resolve().parents[2]
TEST_TAG = "atomforge-executor:test"


@pytest.fixture
def test_tag(docker_engine):
    yield TEST_TAG
    for found in docker_engine.images.list(name=TEST_TAG):
        docker_engine.images.remove(found.id, force=True)


def test_the_image_holds_our_files_and_nothing_else_of_ours(docker_engine):
    program = (
        "import os, stat\n"
        "for name in ['.', *sorted(os.listdir('/app'))]:\n"
        "    s = os.stat('/app/' + name)\n"
        "    print(name, s.st_uid, s.st_gid, oct(stat.S_IMODE(s.st_mode)))\n"
    )
    said = docker_engine.containers.run(
        DEFAULT_TAG, ["-c", program], entrypoint="python3", network_mode="none", remove=True
    )
    lines = [". 0 0 0o755", *(f"{name} 0 0 0o644" for name in sorted(SANDBOX_FILES))]
    assert said.decode().splitlines() == lines


def test_the_image_says_what_it_was_made_of(docker_engine, monkeypatch, tmp_path):
    assert docker_engine.images.get(DEFAULT_TAG).labels[SOURCES_LABEL] == sources_digest()
    assert is_current(docker_engine)
    for name in SANDBOX_FILES:
        (tmp_path / name).write_bytes((SOURCE_DIR / name).read_bytes())
    monkeypatch.setattr(image, "SOURCE_DIR", tmp_path)
    assert is_current(docker_engine)
    with (tmp_path / "worker.py").open("a") as file:
        file.write("\n")
    assert not is_current(docker_engine)
    assert not is_current(docker_engine, tag="atomforge-executor:not-there")


def test_what_is_sent_to_the_engine_is_only_what_the_image_needs():
    with tarfile.open(fileobj=image._context()) as archive:
        members = {member.name: (member.uid, member.gid, member.mode) for member in archive.getmembers()}
    files = {f"app/{name}": (0, 0, 0o644) for name in SANDBOX_FILES}
    assert members == {"Dockerfile": (0, 0, 0o644), "app": (0, 0, 0o755), **files}


def test_lines_are_reported_and_the_id_is_that_of_the_tag(docker_engine, test_tag):
    lines = []
    built = build_image(docker_engine, base_image=DEFAULT_TAG, tag=test_tag, on_line=lines.append)
    assert docker_engine.images.get(test_tag).id == built
    assert any(line.startswith("Step 1/") for line in lines)


def test_a_new_image_takes_the_place_of_the_old_one(docker_engine, test_tag, monkeypatch):
    first = build_image(docker_engine, base_image=DEFAULT_TAG, tag=test_tag)
    monkeypatch.setattr(image, "sources_digest", lambda: "0" * 64)
    second = build_image(docker_engine, base_image=DEFAULT_TAG, tag=test_tag)
    assert second != first
    with pytest.raises(ImageNotFound):
        docker_engine.images.get(first)


def test_a_base_without_python_is_one_clear_line(docker_engine, test_tag):
    empty = io.BytesIO()
    with tarfile.open(fileobj=empty, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("nothing"))
    known = {found.id for found in docker_engine.images.list()}
    docker_engine.api.import_image_from_data(empty.getvalue(), repository="atomforge-empty", tag="test")
    try:
        with pytest.raises(ValueError, match="atomforge-empty:test.*python3") as caught:
            build_image(docker_engine, base_image="atomforge-empty:test", tag=test_tag)
        assert "\n" not in str(caught.value)
    finally:
        docker_engine.images.remove("atomforge-empty:test")
        for found in docker_engine.images.list(filters={"dangling": True}):
            if found.id not in known:
                docker_engine.images.remove(found.id)


def test_a_base_that_nobody_has_is_one_clear_line(docker_engine, capsys):
    assert main(["executor", "build", "--base-image", "localhost:1/not/there:1", "--tag", TEST_TAG]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("atomforge: error: the base image localhost:1/not/there:1 cannot be had: ")
    assert "`--offline` makes a base" in said


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (
            ["build"],
            {"DOCKER_HOST": "unix:///nonexistent/docker.sock"},
            "none answers at unix:///nonexistent/docker.sock: install",
        ),
        (["build", "--offline", "--base-image", "x"], {}, "leave --base-image out"),
        (["build", "--ofline"], {}, "did you mean '--offline'?"),
        (["make"], {}, "choose from 'build'"),
        ([], {}, "action"),
    ],
)
def test_wrong_requests_are_one_clear_line(arguments, environment, words, monkeypatch, capsys):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["executor", *arguments]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert words in line


def test_an_ordinary_user_is_told_about_the_socket(docker_engine):
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


def test_an_offline_base_needs_root_and_debootstrap(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ValueError, match="needs root: run the same with sudo"):
        image.make_offline_base(None)  # type: ignore[arg-type]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ValueError, match="apt-get install -y debootstrap"):
        image.make_offline_base(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("release", "suite"),
    [
        ('ID=debian\nVERSION_CODENAME="trixie"\n', "trixie"),
        ("ID=debian\nPRETTY_NAME=sid\n", "bookworm"),
        ("ID=ubuntu\nVERSION_CODENAME=noble\n", "bookworm"),
        ("", "bookworm"),
    ],
)
def test_the_suite_is_that_of_this_debian_or_bookworm(release, suite, monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda path, **_: release)
    assert image.default_suite() == suite


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


def test_a_debootstrap_that_fails_is_one_clear_line(docker_engine, fake_debootstrap):
    temporary = fake_debootstrap("echo 'I: Base'; echo 'E: Failed getting release file'; exit 1")
    process = build_offline()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert said.splitlines()[-1] == (
        "atomforge: error: debootstrap failed with exit code 1: E: Failed getting release file"
    )
    assert os.listdir(temporary) == []


def test_an_interrupted_debootstrap_leaves_nothing(docker_engine, fake_debootstrap, tmp_path):
    temporary = fake_debootstrap(f"mkdir -p $3/proc; mount -t tmpfs none $3/proc; echo $$ > {tmp_path}/pid; sleep 600")
    process = build_offline()
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert os.listdir(temporary) == []
    assert str(temporary) not in Path("/proc/self/mounts").read_text()
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


@pytest.mark.slow
def test_a_base_made_offline_does(docker_engine, test_tag):
    if os.geteuid() != 0:
        pytest.skip("not root: an offline base cannot be made")
    lines = []
    made = image.make_offline_base(docker_engine, tag=OFFLINE_BASE_TAG, on_line=lines.append)
    assert docker_engine.images.get(OFFLINE_BASE_TAG).id == made
    assert "I: Base system installed successfully." in lines
    build_image(docker_engine, base_image=OFFLINE_BASE_TAG, tag=test_tag)
    assert is_current(docker_engine, tag=test_tag)
