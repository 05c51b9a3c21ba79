"""The page, its Markdown form, and the plots."""

import dataclasses
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from cli.main import main
from cli.report.build import build_document
from cli.report.document import Document, render_html, render_markdown
from cli.report.figures.plots import DotRow, Layer, PlotAxes, Series, dot_plot, line_plot, spread_labels, stacked_area
from cli.report.format import minutes, percent_with_interval, points, points_with_interval, probability, short
from cli.study.plan import StudyConfig
from cli.study.results import ArmResult, load_results
from lightning_modules.evaluation.statistics import Interval
from tests.support.study_results import arm, evaluation, results, study, write_results

SVG = "{http://www.w3.org/2000/svg}"
VOID = {"meta", "link"}


class Tags(HTMLParser):
    """Checks that tags close in order, and gathers them."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def tags_of(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    return tags


@pytest.fixture(scope="module")
def document() -> Document:
    wanted = study()
    return build_document(wanted, results(wanted), counts={"synthetic_train": 2000})


@pytest.fixture(scope="module")
def page(document: Document) -> str:
    return render_html(document)


def test_the_page_stands_alone(page: str) -> None:
    tags = tags_of(page)
    assert not [tag for tag, _ in tags.seen if tag in ("script", "img", "iframe", "object")]
    links = [attributes.get("href") or "" for _, attributes in tags.seen if "href" in attributes]
    assert all(link.startswith(("#", "data:")) for link in links)
    anchors = {attributes["id"] for tag, attributes in tags.seen if tag == "section"}
    assert {link[1:] for link in links if link.startswith("#")} == anchors
    assert "url(" not in page
    assert "@import" not in page
    assert re.sub(r"http://www.w3.org/(2000/svg|1999/xlink)", "", page).count("http") == 0


def test_verdicts_come_first_and_are_all_the_same_size(page: str) -> None:
    cards = [a["class"] for tag, a in tags_of(page).seen if tag == "article"]
    assert cards == ["card holds", "card open", "card fails"]
    assert page.index("Atoms help SFT on compositions: +") < page.index("<h2>Scores of all arms")
    assert "RL from the base model does better than SFT: \N{MINUS SIGN}" in page
    assert "It even lies below 0: sft_synthetic scores higher." in page


def test_every_picture_is_sound_and_says_what_it_shows(page: str) -> None:
    pictures = [part.split("</svg>")[0] + "</svg>" for part in page.split("<svg")[1:]]
    assert len(pictures) > 30
    for picture in pictures:
        root = ElementTree.fromstring("<svg" + picture)
        assert root.get("aria-label")
        assert "nan" not in picture
        assert "inf" not in picture.replace("infra", "")
        _, _, width, height = map(float, (root.get("viewBox") or "").split())
        for words in root.iter(f"{SVG}text"):
            assert 0 <= float(words.get("x", "0")) <= width
            assert 0 <= float(words.get("y", "0")) <= height


def test_the_markdown_has_the_same_content(document: Document, page: str) -> None:
    written = render_markdown(document)
    assert written.startswith("# Study made-up\n\n**F1 reproduced;")
    assert [line[3:] for line in written.splitlines() if line.startswith("## ")] == [s.title for s in document.sections]
    assert "### F1, reproduced: Atoms help SFT on compositions: +" in written
    widths = [line.count(" | ") for line in written.splitlines() if line.startswith("| seed")]
    assert widths == [3, 3, 3]
    assert "RL on new prompts adds to SFT: " in page


def hostile() -> ArmResult:
    found = arm(
        "sft_both", 0, {"synthetic_test": evaluation(True, False)}, config={"note": "<script>alert(1)</script>"}
    )
    return dataclasses.replace(found, versions={"torch": "<b>"})


def test_completions_are_escaped() -> None:
    wanted = dataclasses.replace(study((0,)), name="<i>&")
    page = render_html(build_document(wanted, [hostile()], counts={}))
    tags = tags_of(page)
    assert not {"script", "b", "i"} & {tag for tag, _ in tags.seen}
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("keep", [0, 3])
def test_an_unfinished_study_has_a_report(keep: int) -> None:
    wanted = study((0, 1))
    document = build_document(wanted, results(wanted)[:keep] or [arm("base", 0, {})], counts={})
    assert document.summary.count("not measured yet") == 3
    tags_of(render_html(document))
    render_markdown(document)


def test_a_study_without_effects_is_undecided() -> None:
    wanted: StudyConfig = study((0, 1))
    found = [
        dataclasses.replace(
            one, evaluation={"synthetic_test": evaluation(*[False] * 4)}, curves={"loss/train": [[0, 0.0]]}
        )
        for one in results(wanted)
    ]
    document = build_document(dataclasses.replace(wanted, gate=None), found, counts={})
    assert document.summary == "F1 undecided; F2 undecided; F3 undecided."
    tags_of(render_html(document))


def test_numbers() -> None:
    assert percent_with_interval(Interval(0.4128, 0.38, 0.449)) == "41.3% (38.0 to 44.9)"
    assert points_with_interval(Interval(0.031, -0.004, 0.059)) == "+3.1 points (\N{MINUS SIGN}0.4 to 5.9)"
    assert points(-0.0001) == "0.0"
    assert (minutes(0.4), minutes(12.3), minutes(150)) == ("24 s", "12 min", "2.5 h")
    assert (probability(0.04), probability(0.0005), probability(0.0001)) == ("0.0400", "0.0005", "below 0.0002")
    assert (short(0.0), short(-2.345), short(0.00001)) == ("0", "\N{MINUS SIGN}2.35", "1.0e-05")


def test_labels_are_spread() -> None:
    assert spread_labels([10, 50, 11], distance=10, low=0, high=100) == [10, 50, 20]
    assert spread_labels([95, 96, 97], distance=10, low=0, high=100) == [80, 90, 100]
    assert spread_labels([5, 5], distance=10, low=0, high=8) == [0, 10]  # no room: beyond the end, not on each other
    assert spread_labels([], distance=10, low=0, high=100) == []


def markers(picture: str) -> list[tuple[float, float]]:
    uses = ElementTree.fromstring(picture).iter(f"{SVG}use")
    return [
        (float(use.get("x", "")), float(use.get("y", "")))
        for use in uses
        if "stroke-width: 2" not in use.get("style", "")
    ]


def texts(picture: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def test_a_plot_puts_points_where_they_belong() -> None:
    axes = PlotAxes(label="x", x_title="", y_min=0.0, y_max=1.0)
    points = [(0, 0.0), (10, 1.0), (5, 0.5)]
    picture = line_plot([Series(label="", points=points, with_dots=True)], axes, width=100, height=80)
    # The area is 42..88 from left to right, 60..10 from the bottom up.
    assert markers(picture) == [(42, 60), (88, 10), (65, 35)]
    assert texts(picture)[-5:] == ["0", "0.25", "0.5", "0.75", "1"]


def test_dots_are_on_their_axis() -> None:
    rows = [DotRow(label="a & <b>", interval=Interval(0.5, 0.0, 1.0), by_seed=[0.5], color="plain", value="50%")]
    picture = dot_plot(rows, format_value="{:g}".format, label='say "x"')
    # From 0 to 1 and 4 % more, over 10..370: 0.5 is at 10 + 360 * 0.5 / 1.04.
    assert markers(picture)[-1][0] == pytest.approx(183.08, abs=0.01)
    assert texts(picture)[-2:] == ["a & <b>", "50%"]
    assert ElementTree.fromstring(picture).get("aria-label") == 'say "x"'


def test_layers_are_labelled_where_they_end() -> None:
    layers = [
        Layer(label="passed", fractions=[0.5, 0.75], color="fail-none"),
        Layer(label="wrong", fractions=[0.5, 0.25], color="fail0"),
        Layer(label="crash", fractions=[0.0, 0.0], color="fail1"),  # nothing at the end, so no label
    ]
    assert texts(stacked_area([0, 10], layers, label="x"))[-2:] == ["passed 75%", "wrong 25%"]


def test_plots_have_no_colours_and_fonts_of_their_own() -> None:
    picture = line_plot(
        [Series(label="a", points=[(0, 0.0), (1, 1.0)], color="stage0")], PlotAxes(label="x", x_title="t")
    )
    assert "var(--stage0)" in picture
    assert not re.search(r"#[0-9a-f]{6}|DejaVu|<style|<metadata", picture)


def plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, tuple) else value


def test_the_command_writes_both_files_and_an_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = study((0, 1))
    write_results(tmp_path, results(wanted))
    config = tmp_path / "made_up.yaml"
    config.write_text(yaml.safe_dump(plain(dataclasses.asdict(wanted))))
    assert main(["report", str(tmp_path), "--config", str(config)]) == 0
    assert "F1 " in capsys.readouterr().out
    written = (tmp_path / "report.html").read_text()
    assert "<td>2,000</td>" in written  # from the data set's manifest
    assert (tmp_path / "report.md").read_text().startswith("# Study made-up")

    config.rename(tmp_path / "study.yaml")
    kept = tmp_path / "kept"
    assert main(["report", str(tmp_path), "--output", str(kept / "first.html"), "--archive"]) == 0
    assert (kept / "first.html").read_text() == written
    assert not list(tmp_path.rglob(".*.tmp"))

    assert load_results(kept) == load_results(tmp_path)
    assert main(["report", str(kept)]) == 0
    assert (kept / "report.md").read_text() == (kept / "first.md").read_text()
    (kept / "arms.jsonl.xz").write_bytes(b"no archive")
    assert main(["report", str(kept)]) == 2
    assert "arms.jsonl.xz is not a result of a study of this version" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["none"], "none is not the directory of a study: run it first"),
        (["empty"], "study.yaml does not exist; name the study's file with --config"),
        (["empty", "--config", "study.yaml"], "empty contains no finished arm"),
        (["empty", "--config", "broken.yaml"], "broken.yaml: unknown key sede"),
        (["empty", "--output", "x.md"], "--output must end in .html, not x.md"),
        (["empty", "--configs", "x"], "did you mean '--config'?"),
    ],
)
def test_refusals_are_one_line(
    arguments: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    content = plain(dataclasses.asdict(study()))
    assert isinstance(content, dict)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "broken.yaml").write_text(yaml.safe_dump(content | {"sede": 1}))
    assert main(["report", *arguments]) == 2
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
