"""Takes the pictures of the documentation: TensorBoard's tabs over a folder of finished runs, in a headless Chromium.

    python docs/screenshots.py LOGDIR NAME=TAB [NAME=TAB ...] [--output docs/images] [--width 1280]

TAB is what stands behind `#` in TensorBoard's address: timeseries, custom_scalars, images, text, hparams. It fails
where the browser does, or where a tab shows none of what it should.
"""

import argparse
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from lightning.fabric.plugins.environments.lightning import find_free_network_port

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
HEIGHT = 900
PATIENCE_MS = 20_000


def wait_for(url: str, timeout_s: float = 60.0) -> None:
    """Wait until a server answers.

    Raises:
        OSError: it does not.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def look(browser: str, url: str, picture: Path | None, width: int = 1280) -> str:
    """Open a page; keep a picture of it, or return its text as the browser made it.

    Raises:
        subprocess.CalledProcessError: the browser failed.
    """
    what = ["--dump-dom"] if picture is None else [f"--screenshot={picture}"]
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *what]
    command += [f"--window-size={width},{HEIGHT}", f"--virtual-time-budget={PATIENCE_MS}", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout


def main() -> int:
    """Take every picture; 1 where there is no browser."""
    parser = argparse.ArgumentParser()
    parser.add_argument("logdir", type=Path)
    parser.add_argument("tabs", nargs="+", metavar="NAME=TAB")
    parser.add_argument("--output", type=Path, default=Path("docs/images"))
    parser.add_argument("--width", type=int, default=1280, help="of the window, pixels")
    args = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"none of {', '.join(BROWSERS)} is here", file=sys.stderr)
        return 1
    port = find_free_network_port()
    folder = args.logdir.resolve()  # the page shows the name that the server was given
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", folder.name, "--port", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, cwd=folder.parent, **quiet)
    try:
        wait_for(f"http://127.0.0.1:{port}/data/environment")
        args.output.mkdir(parents=True, exist_ok=True)
        for pair in args.tabs:
            name, _, tab = pair.partition("=")
            picture = args.output / f"{name}.png"
            look(browser, f"http://127.0.0.1:{port}/?darkMode=false#{tab}", picture.resolve(), args.width)
            print(f"{picture}: {picture.stat().st_size >> 10} KiB")
    finally:
        server.terminate()
        server.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
