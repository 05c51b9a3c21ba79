"""Documentation, configs and code use the terms of docs/glossary.md; Markdown lines have at most 100 characters.

The lint finds phrases to avoid, also across line breaks. It does not find bad grammar.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_WIDTH = 100
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("executor/*.md")]
PAGES = [page for page in PAGES if page.name not in ("CHANGELOG.md", "report.md", "kl.md")]  # history, generated
CONFIGS = [path for folder in ("configs", "deploy", "executor/deploy") for path in ROOT.glob(f"{folder}/**/*.yaml")]
CODE = [p for name in ("cli", "datamodules", "executor", "lightning_modules") for p in ROOT.glob(f"{name}/**/*.py")]
TASK_TEXTS = ("datamodules/atoms/", "datamodules/synthesis/wording/")

AVOID = {  # phrases, separated by commas: what to write instead
    "told, tell of, tells of": "is given, knows, reports",
    "anew, afresh, in vain, by heart, for ever": "again, newly, without success, memorize, permanently",
    "mend, mends, mended, mending": "fix",
    "courier, couriers, greet, greets, greeted, greeting": "connection, ready message",
    "price of, price on": "penalty, coefficient, cost",
    "hand in, hands in, handed in": "submit",
    "lie over, lies over, lay over, lays over, laid over": "override",
    "beside, besides": "in addition to, next to, except",
    "is refused, are refused, be refused, was refused": "is an error, is rejected",
    "go on, goes on, went on, going on": "continue, resume",
    "what it": "name the thing",
    "is asked, are asked, was asked, be asked, it asks, asked for, asked of": "is requested, is needed",
    "a box, the box, its box, boxed": "sandbox, sandbox spec",
    "judge, judges, judged, judging, judgement": "grade, evaluate",
    "greedy answers, sampled answers, the answers, all answers, its answers, answers prompts": "completions",
    "it puts, make of it, makes of it, make of them": "name the action",
}
ALLOWED = ("what it does", "what it is", "what it means")
VERDICT_FILES = re.compile(
    r"cli/(study|report)/|cli/commands/(report|study)|configs/(studies/|demo)|docs/(?!ex)|README"
)
PHRASES = defaultdict(list)  # by first word
for phrases, hint in AVOID.items():
    for phrase in phrases.split(", "):
        PHRASES[phrase.split()[0]].append((phrase.split(), hint))
WORD = re.compile(r"\w[\w./-]*\w|\w")  # identifiers and paths are one word each
BLOCK = r"^ *```.*?^ *```"
IGNORED = {
    ".md": BLOCK + r"|`[^`]+`|\]\([^)]*\)",
    ".yaml": r"^ *statement:[^\n]*",
}  # code; hypotheses, fixed before a study


def read_without(path: Path, ignored: str | None) -> str:
    """Read a file with spaces in the place of the ignored parts."""
    text = path.read_text(encoding="utf-8")
    return re.sub(ignored, lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.S | re.M) if ignored else text


def find_phrases(path: Path) -> Iterator[str]:
    name, text = str(path.relative_to(ROOT)), read_without(path, IGNORED.get(path.suffix)).lower()
    words = WORD.findall(text)
    for at, word in enumerate(words):
        phrases = PHRASES.get(word, [])
        if word in ("verdict", "verdicts") and not VERDICT_FILES.match(name):
            phrases = [([word], "outcome, status")]
        for phrase, hint in phrases:
            if words[at : at + len(phrase)] == phrase and " ".join(words[at : at + len(phrase) + 1]) not in ALLOWED:
                line = text.count("\n", 0, [match.start() for match in WORD.finditer(text)][at]) + 1
                yield f"{name}:{line}: {' '.join(phrase)!r}; write: {hint}"


@pytest.mark.parametrize("paths", [PAGES, CONFIGS, CODE], ids=["pages", "configs", "code"])
def test_wording(paths: list[Path]) -> None:
    checked = [path for path in paths if not str(path.relative_to(ROOT)).startswith(TASK_TEXTS)]
    assert len(checked) > 10
    found = [line for path in checked for line in find_phrases(path)]
    assert not found, "\n".join(found)


def test_width_of_markdown() -> None:
    lines = [(page, *line) for page in PAGES for line in enumerate(read_without(page, BLOCK).split("\n"), 1)]
    wide = [(page, number, line) for page, number, line in lines if len(line.rstrip()) > MAX_WIDTH]
    found = [
        f"{p.relative_to(ROOT)}:{number}: {len(line)} characters" for p, number, line in wide if line[0] not in "|!"
    ]
    assert not found, "\n".join(found)
