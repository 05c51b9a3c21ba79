"""Convert studies of version 0.1 to this version: `python -m cli.study.migrate PATH ...`.

PATH is the YAML file of a study, or its output directory. In a directory, `study.yaml`, the results of the arms and the
archive are rewritten. Keys of the study, keys and classes of the stored configs, and names of metrics change; numbers
do not. Converting twice changes nothing.
"""

from __future__ import annotations

import json
import lzma
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cli.config.renamed import RENAMED_CLASSES, RENAMED_KEYS
from cli.study.load import RENAMED
from cli.study.results import ARCHIVE_NAME, FILE_NAME, FORMAT
from executor.commands.errors import UsageError, explain
from executor.commands.io import open_atomic, write_json

OLD_FORMAT = 2
RENAMED_TAGS = {
    "policy/first_ratio": "policy/ratio_first_minibatch",
    "policy/stopped_share": "policy/early_stopped_frac",
    "rollout/logprob_gap": "rollout/logprob_diff",
    "rollout/uniform_share": "rollout/zero_variance_frac",
    "rollout/trained_share": "rollout/trained_frac",
    "rollout/finished": "completions/eos_frac",
    "rollout/num_tokens": "completions/mean_length",
    "rollout/prompt_tokens": "completions/mean_prompt_length",
    "reward/own": "reward/custom",
    "reward/retest_gap": "reward/probe_fail_rate",
    "reward/num_retested": "reward/num_probed",
    "kl/per_response": "kl/sequence",
    "time/score_s": "time/logprob_s",
    "time/share_score": "time/logprob_frac",
    "throughput/generate_tokens_per_s": "throughput/rollout_tokens_per_s",
}
_TAG_PATTERNS = (
    (r"response/(.+)/num_tokens", r"completions/\1/mean_length"),
    (r"response/(.+)/finished", r"completions/\1/eos_frac"),
    (r"failures/(.+)", r"status/\1"),
    (r"rollout/status/(.+)", r"status/rollout/\1"),
    (r"time/share_(.+)", r"time/\1_frac"),
    (r"(.+)/padding_share", r"\1/padding_frac"),
)
RENAMED_VALUES = {
    ("model.init_args.executor_backend", "node"): "per_node",
    ("data.init_args.prompt.completion_format", "code"): "raw",
}
"""(new key, old value) -> new value."""
WORDINGS = {"seen": "in_distribution", "unseen": "held_out"}


def migrate_study_text(text: str) -> str:
    """Rename the keys in the YAML text of a study; comments and layout remain."""
    for old, new in RENAMED.items():
        text = re.sub(rf"(?m)(^[\s-]*|[{{,]\s*){old}(?=:\s|:$)", rf"\g<1>{new}", text)
    return text


def migrate_result(content: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the result of an arm.

    Raises:
        ValueError: it is neither of version 0.1 nor of this version.
    """
    if content.get("format") == FORMAT:
        return dict(content)
    if content.get("format") != OLD_FORMAT:
        raise ValueError(f"results of format {content.get('format')} are unknown")
    result = {"fingerprint" if key == "address" else key: value for key, value in content.items()}
    result["format"] = FORMAT
    result["config"] = migrate_config(content["config"])
    result["curves"] = {migrate_tag(tag): points for tag, points in content["curves"].items()}
    for evaluation in result["evaluation"].values():
        for task in evaluation["tasks"]:
            if "wording" in task:
                task["wording"] = WORDINGS.get(task["wording"], task["wording"])
    return result


def migrate_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the keys and classes of a resolved training config."""
    return _rename(config, "")


def migrate_tag(tag: str) -> str:
    """Return the name of a metric in this version."""
    if tag in RENAMED_TAGS:
        return RENAMED_TAGS[tag]
    for pattern, new in _TAG_PATTERNS:
        if re.fullmatch(pattern, tag):
            return re.sub(pattern, new, tag)
    return tag


def migrate_path(path: Path) -> list[Path]:
    """Convert a study's file or output directory, and return the files that were rewritten.

    Raises:
        UsageError: there is no study, or one of another version.
    """
    if path.is_file():
        return _migrate_study_file(path)
    results = sorted(path.glob(f"arms/*/*/{FILE_NAME}"))
    archive, study = path / ARCHIVE_NAME, path / "study.yaml"
    if not results and not archive.exists() and not study.exists():
        raise UsageError(f"{path} is neither the file nor the directory of a study")
    changed = _migrate_study_file(study) if study.exists() else []
    for result in results:
        try:
            write_json(result, migrate_result(json.loads(result.read_text(encoding="utf-8"))))
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{result}: {error}") from error
        changed.append(result)
    if archive.exists():
        _migrate_archive(archive)
        changed.append(archive)
    return changed


def main() -> int:
    """Convert the studies given on the command line."""
    if len(sys.argv) < 2:
        print("usage: python -m cli.study.migrate PATH ...", file=sys.stderr)
        return 2
    try:
        for path in map(Path, sys.argv[1:]):
            for changed in migrate_path(path):
                print(changed)
    except Exception as error:
        if (line := explain(error)) is None:
            raise
        print(f"atomforge: error: {line}", file=sys.stderr)
        return 2
    return 0


def _rename(value: Any, path: str) -> Any:
    """Rename below a dotted path, which has the new names."""
    if isinstance(value, Mapping):
        renamed = {}
        for key, inner in value.items():
            old = f"{path}.{key}" if path else str(key)
            new = RENAMED_KEYS.get(old, old)
            renamed[new.rpartition(".")[2]] = _rename(inner, new)
        return renamed
    if isinstance(value, list):
        return [_rename(inner, f"{path}[]") for inner in value]
    if isinstance(value, str):
        return RENAMED_VALUES.get((path, value), RENAMED_CLASSES.get(value, value))
    return value


def _migrate_study_file(path: Path) -> list[Path]:
    text = path.read_text(encoding="utf-8")
    new = migrate_study_text(text)
    yaml.safe_load(new)  # fails rather than write something that is not YAML
    if new == text:
        return []
    with open_atomic(path) as file:
        file.write(new)
    return [path]


def _migrate_archive(path: Path) -> None:
    fresh = path.with_name(f".{path.name}.tmp")
    try:
        with lzma.open(path, "rt", encoding="utf-8") as old, lzma.open(fresh, "wt", preset=9, encoding="utf-8") as new:
            for line in old:
                new.write(json.dumps(migrate_result(json.loads(line)), ensure_ascii=False) + "\n")
    except (lzma.LZMAError, EOFError, ValueError, KeyError, TypeError) as error:
        fresh.unlink(missing_ok=True)
        raise UsageError(f"{path}: {error}") from error
    fresh.replace(path)


if __name__ == "__main__":
    sys.exit(main())
