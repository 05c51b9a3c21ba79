"""The image of the Docker sandboxes: build it from the sandbox package, on a base image that may be made offline.

It starts no containers. The command line (`cli/executor.py`) decides when an image is built.
"""

import contextlib
import hashlib
import io
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from executor.backends.base import SANDBOX_DIR

if TYPE_CHECKING:
    from docker import DockerClient

DEFAULT_TAG = "atomforge-executor:latest"
DEFAULT_BASE_IMAGE = "python:3.12-slim"
OFFLINE_BASE_TAG = "atomforge-base:offline"
SOURCES_LABEL = "atomforge.sources"
"""Label of an image: the digest of the files that it was built from."""
_DEBIAN_MIRROR = "http://deb.debian.org/debian"
_DOCKERFILE = SANDBOX_DIR.parent / "deploy" / "Dockerfile"
_EXCLUDED = (
    "./var/cache/apt/*",
    "./var/lib/apt/lists/*",
    "./usr/share/doc/*",
    "./usr/share/man/*",
    "./usr/share/info/*",
)

OnLine = Callable[[str], None]
"""Called with each line of progress."""


def sources_digest() -> str:
    """Return the SHA-256 of the Dockerfile and the sandbox package, names and contents."""
    digest = hashlib.sha256()
    for name, content in _build_files().items():
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _build_files() -> dict[str, bytes]:
    """Read the files of the build context, by their path in it."""
    sources = sorted(path.relative_to(SANDBOX_DIR) for path in SANDBOX_DIR.rglob("*.py"))
    files = {f"app/{path}": (SANDBOX_DIR / path).read_bytes() for path in sources}
    return {"Dockerfile": _DOCKERFILE.read_bytes(), **files}


def check_image(client: "DockerClient", tag: str) -> None:
    """Check that the engine has an image with this tag that was built from the present files.

    Raises:
        ValueError: it has none, or one that was built from other files.
    """
    from docker.errors import ImageNotFound

    try:
        labels = client.images.get(tag).labels or {}
    except ImageNotFound:
        raise ValueError(f"Docker has no image {tag}: run `atomforge-executor build`") from None
    if labels.get(SOURCES_LABEL) != sources_digest():
        raise ValueError(f"the image {tag} was built from other sources: run `atomforge-executor build`")


def build_image(
    client: "DockerClient",
    *,
    base_image: str = DEFAULT_BASE_IMAGE,
    tag: str = DEFAULT_TAG,
    on_line: OnLine = lambda line: None,
) -> str:
    """Build the image. A previous image with the same tag is removed unless it is in use or has other tags.

    Args:
        client: connection to the engine.
        base_image: image with Python 3.11 or later; the engine pulls it if needed.
        tag: name of the new image.
        on_line: called with each line of the engine's output.

    Returns:
        The id of the image.

    Raises:
        ValueError: the base image is not available or not suitable.
    """
    from docker.errors import APIError, ImageNotFound

    try:
        previous_id = client.images.get(tag).id
    except ImageNotFound:
        previous_id = None
    steps = client.api.build(
        fileobj=_build_context(),
        custom_context=True,
        tag=tag,
        buildargs={"BASE_IMAGE": base_image, "SOURCES_SHA256": sources_digest()},
        network_mode="none",
        rm=True,
        forcerm=True,
        decode=True,
    )
    last_line = ""
    for step in steps:
        if "error" in step:
            raise ValueError(_explain_build_error(step["error"].strip(), last_line, base_image))
        line = step.get("stream", step.get("status", "")).strip()
        if line:
            last_line = line
            on_line(line)
    image_id = client.images.get(tag).id
    assert image_id is not None
    if previous_id not in (None, image_id):
        with contextlib.suppress(APIError):  # already removed, or used by a container
            if not client.images.get(previous_id).tags:
                client.images.remove(previous_id)
    return image_id


def _build_context() -> io.BytesIO:
    """Make the tar archive for the engine; its files and directories belong to root."""
    files = _build_files()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in sorted({str(parent) for path in files for parent in Path(path).parents} - {"."}):
            directory = tarfile.TarInfo(name)
            directory.type, directory.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(directory)
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    stream.seek(0)
    return stream


def _explain_build_error(error: str, last_line: str, base_image: str) -> str:
    if "BASE_IMAGE has Python" in last_line:
        return f"base image {base_image}: {last_line.removeprefix('BASE_IMAGE has ')}"
    if "returned a non-zero code" in error:
        return f"the base image {base_image} is not suitable (last line: {last_line}): {error}"
    return (
        f"the base image {base_image} is not available: {error}; where no registry answers, "
        "`--offline` makes a base with debootstrap"
    )


def default_suite() -> str:
    """Return the Debian release for an offline base: that of this machine if it runs Debian, else bookworm."""
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "bookworm"
    release = {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}
    return release.get("VERSION_CODENAME", "bookworm") if release.get("ID") == "debian" else "bookworm"


def make_offline_base(
    client: "DockerClient", *, tag: str = OFFLINE_BASE_TAG, on_line: OnLine = lambda line: None
) -> str:
    """Make a base image of Debian packages (minbase and python3), without a registry.

    Args:
        client: connection to the engine.
        tag: name of the image.
        on_line: called with each line of progress.

    Returns:
        The id of the image.

    Raises:
        ValueError: we are not root, or debootstrap is not installed or fails.
    """
    if os.geteuid() != 0:
        raise ValueError("an offline base is made by debootstrap, which needs root: run the same with sudo")
    missing = [program for program in ("debootstrap", "unshare", "tar") if shutil.which(program) is None]
    if missing:
        raise ValueError(f"an offline base needs {missing[0]}: sudo apt-get install -y {missing[0]}")
    with tempfile.TemporaryDirectory(prefix="atomforge-base-") as directory:
        root, archive = Path(directory, "root"), Path(directory, "root.tar")
        # In a mount namespace of its own, so that whatever debootstrap mounts is unmounted when it ends.
        command = ["unshare", "--mount", "--propagation", "private", "debootstrap", "--variant=minbase"]
        _run([*command, "--include=python3", default_suite(), str(root), _DEBIAN_MIRROR], on_line)
        on_line("I: Packing the base")
        excludes = [f"--exclude={pattern}" for pattern in _EXCLUDED]
        _run(["tar", "-C", str(root), *excludes, "-cf", str(archive), "."], on_line)
        repository, _, version = tag.partition(":")
        client.api.import_image_from_file(str(archive), repository=repository, tag=version or "latest")
    image_id = client.images.get(tag).id
    assert image_id is not None
    return image_id


def _run(command: list[str], on_line: OnLine) -> None:
    """Run a command in a process group that is killed if we are interrupted."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        env={**os.environ, "LC_ALL": "C"},
    ) as process:
        assert process.stdout is not None
        last_line = ""
        try:
            for line in process.stdout:
                last_line = line.strip() or last_line
                on_line(line.rstrip())
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode != 0:
        program = next(word for word in command if word in ("debootstrap", "tar"))
        raise ValueError(f"{program} failed with exit code {process.returncode}: {last_line}")
