"""The report in a real headless browser: no errors, nothing fetched, no sideways scrolling, dark and light.

Skipped where there is no Chromium. Nothing but the browser's own command line is needed: the page is shown in a frame
of the wanted width, and a script around it writes down what it measures.
"""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cli.report.build import build_document
from cli.report.document import render_html
from tests.support.study_results import results, study

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking",
    "--disable-component-update --disable-sync --enable-logging=stderr --virtual-time-budget=3000",
)
HARNESS = """<!DOCTYPE html><body>
<iframe style="border:0;width:{width}px;height:900px" srcdoc="{page}"></iframe>
<script>
addEventListener("load", () => {{
  const frame = frames[0], page = frame.document, root = page.documentElement;
  page.querySelectorAll("details").forEach((one) => {{ one.open = true; }});
  const words = [...page.querySelectorAll("svg text")].map((one) => one.getBoundingClientRect());
  const found = {{
    width: frame.innerWidth,
    scrolls: root.scrollWidth,
    fetched: frame.performance.getEntriesByType("resource").length,
    smallest: Math.min(...words.map((box) => box.height)),
    beyond: Math.max(...[...page.querySelectorAll("svg text")].map((one) => {{
      const inner = one.getBoundingClientRect(), outer = one.ownerSVGElement.getBoundingClientRect();
      return Math.max(inner.right - outer.right, outer.left - inner.left);
    }})),
    pictures: page.querySelectorAll("svg").length,
    ground: frame.getComputedStyle(page.body).backgroundColor,
    ink: frame.getComputedStyle(page.querySelector("h1")).color,
  }};
  document.body.insertAdjacentHTML("beforeend", "<output>" + JSON.stringify(found) + "</output>");
}});
</script>"""


@pytest.fixture(scope="module")
def page() -> str:
    wanted = study()
    return render_html(build_document(wanted, results(wanted), counts={"synthetic_train": 2000}))


def brightness(colour: str) -> float:
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 765


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
@pytest.mark.parametrize("dark", [True, False], ids=["dark", "light"])
@pytest.mark.parametrize("width", [400, 1600])
def test_the_page_in_a_browser(page: str, width: int, dark: bool, tmp_path: Path) -> None:
    harness = tmp_path / "harness.html"
    harness.write_text(HARNESS.format(width=width, page=html.escape(page)), encoding="utf-8")
    assert BROWSER is not None
    process = subprocess.run(
        [
            BROWSER,
            *" ".join(QUIET).split(),
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            "--window-size=1800,1000",
            "--dump-dom",
            harness.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in process.stderr, process.stderr[-2000:]
    output = process.stdout.rpartition("<output>")[2].partition("</output>")[0]
    found = json.loads(html.unescape(output))
    assert found["width"] <= width
    assert found["scrolls"] <= width, "the page scrolls sideways"
    assert found["fetched"] == 0
    assert found["pictures"] > 30
    assert found["smallest"] >= 10, "words in pictures are too small to read"
    assert found["beyond"] <= 1, "words leave their picture"
    assert (brightness(found["ground"]) < 0.2) == dark
    assert abs(brightness(found["ground"]) - brightness(found["ink"])) > 0.6
