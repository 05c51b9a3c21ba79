"""The image of the Docker sandboxes: build it from the sandbox files alone, and make a base where no registry answers.

It starts no containers and does not decide when an image is needed: `executor.backends.docker` and the command line do.
"""

import contextlib
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from executor.backends.base import SANDBOX_DIR

if TYPE_CHECKING:
    from docker import DockerClient

DEFAULT_TAG = "atomforge-executor:latest"
DEFAULT_BASE_IMAGE = "python:3.12-slim"
OFFLINE_BASE_TAG = "atomforge-base:offline"
DEFAULT_MIRROR = "http://deb.debian.org/debian"
SOURCES_LABEL = "atomforge.sources"
"""Label of an image with the digest of what it was built from."""
_DOCKERFILE = SANDBOX_DIR.parent / "deploy" / "Dockerfile"
_NEEDLESS = (
    "./var/cache/apt/*",
    "./var/lib/apt/lists/*",
    "./usr/share/doc/*",
    "./usr/share/man/*",
    "./usr/share/info/*",
)

OnLine = Callable[[str], None]


def sources_digest() -> str:
    """SHA-256 of the Dockerfile and the sandbox files, names and contents."""
    digest = hashlib.sha256()
    for path in (_DOCKERFILE, *_sandbox_files()):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _sandbox_files() -> list[Path]:
    return sorted(SANDBOX_DIR.glob("*.py"))


def is_current(client: "DockerClient", *, tag: str = DEFAULT_TAG) -> bool:
    """Whether the engine has an image under this tag that was built from the files as they are now."""
    from docker.errors import ImageNotFound

    try:
        return (client.images.get(tag).labels or {}).get(SOURCES_LABEL) == sources_digest()
    except ImageNotFound:
        return False


def build_image(
    client: "DockerClient",
    *,
    base_image: str = DEFAULT_BASE_IMAGE,
    tag: str = DEFAULT_TAG,
    on_line: OnLine = lambda line: None,
) -> str:
    """Build the image of the sandboxes; one that had the tag before goes, unless it is in use or has other names.

    Args:
        client: a connection to the engine.
        base_image: has Python 3.11 or later; the engine pulls it where it is missing.
        tag: name the image gets.
        on_line: called with each line the engine says.

    Returns:
        The id of the image.

    Raises:
        ValueError: the base image cannot be had, or does not do; one line.
    """
    from docker.errors import APIError, ImageNotFound

    try:
        before = client.images.get(tag).id
    except ImageNotFound:
        before = None
    steps = client.api.build(
        fileobj=_context(),
        custom_context=True,
        tag=tag,
        buildargs={"BASE_IMAGE": base_image, "SOURCES_SHA256": sources_digest()},
        network_mode="none",
        rm=True,
        forcerm=True,
        decode=True,
    )
    said = ""
    for step in steps:
        if "error" in step:
            raise ValueError(_build_error(step["error"].strip(), said, base_image))
        line = step.get("stream", step.get("status", "")).strip()
        if line:
            said = line
            on_line(line)
    image_id = client.images.get(tag).id
    assert image_id is not None
    if before not in (None, image_id):
        with contextlib.suppress(APIError):  # gone already, or a container still uses it
            if not client.images.get(before).tags:
                client.images.remove(before)
    return image_id


def _context() -> io.BytesIO:
    """Make the tar archive the engine builds from: the Dockerfile and the sandbox files, owned by root."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        _add(archive, "Dockerfile", _DOCKERFILE.read_bytes())
        for name in ("app", "app/sandbox"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
        for path in _sandbox_files():
            _add(archive, f"app/sandbox/{path.name}", path.read_bytes())
    stream.seek(0)
    return stream


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    archive.addfile(member, io.BytesIO(content))


def _build_error(error: str, said: str, base_image: str) -> str:
    if "BASE_IMAGE has Python" in said:
        return f"base image {base_image}: {said.removeprefix('BASE_IMAGE has ')}"
    if "returned a non-zero code" in error:
        return f"base image {base_image} does not do (last said: {said}): {error}"
    return (
        f"the base image {base_image} cannot be had: {error}; where no registry answers, "
        "`--offline` makes a base with debootstrap"
    )


def default_suite() -> str:
    """Name the Debian release for an offline base: that of this machine where it is Debian, else bookworm."""
    release: dict[str, str] = {}
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
        release = {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}
    except OSError:
        pass
    return release.get("VERSION_CODENAME", "bookworm") if release.get("ID") == "debian" else "bookworm"


def make_offline_base(
    client: "DockerClient",
    *,
    tag: str = OFFLINE_BASE_TAG,
    suite: str | None = None,
    mirror: str = DEFAULT_MIRROR,
    on_line: OnLine = lambda line: None,
) -> str:
    """Make a base image out of Debian packages, without a registry: minbase and python3.

    Args:
        client: a connection to the engine.
        tag: name the image gets.
        suite: Debian release; None: `default_suite`.
        mirror: where the packages come from.
        on_line: called with each line of progress.

    Returns:
        The id of the image.

    Raises:
        ValueError: we are not root, debootstrap is not installed, or it failed; one line.
    """
    if os.geteuid() != 0:
        raise ValueError("an offline base is made by debootstrap, which needs root: run the same with sudo")
    missing = [program for program in ("debootstrap", "unshare", "tar") if shutil.which(program) is None]
    if missing:
        raise ValueError(f"an offline base needs {missing[0]}: sudo apt-get install -y {missing[0]}")
    with tempfile.TemporaryDirectory(prefix="atomforge-base-") as folder:
        root, archive = Path(folder, "root"), Path(folder, "root.tar")
        # A mount namespace of its own, so that what debootstrap mounts in the folder goes when it does.
        command = ["unshare", "--mount", "--propagation", "private", "debootstrap", "--variant=minbase"]
        _run([*command, "--include=python3", suite or default_suite(), str(root), mirror], on_line)
        on_line("I: Packing the base")
        excluded = [f"--exclude={pattern}" for pattern in _NEEDLESS]
        _run(["tar", "-C", str(root), *excluded, "-cf", str(archive), "."], on_line)
        repository, _, version = tag.partition(":")
        client.api.import_image_from_file(str(archive), repository=repository, tag=version or "latest")
    image_id = client.images.get(tag).id
    assert image_id is not None
    return image_id


def _run(command: list[str], on_line: OnLine) -> None:
    with _group(command) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said = line.strip() or said
            on_line(line.rstrip())
        if process.wait() != 0:
            program = next(word for word in command if word in ("debootstrap", "tar"))
            raise ValueError(f"{program} failed with exit code {process.returncode}: {said}")


@contextlib.contextmanager
def _group(command: list[str]) -> Iterator["subprocess.Popen[str]"]:
    """Start a process in a group of its own, which ends with the block whatever happens."""
    settings: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(
        command, text=True, errors="replace", start_new_session=True, env={**os.environ, "LC_ALL": "C"}, **settings
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
