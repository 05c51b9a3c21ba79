"""Read rows of a data set of the Hugging Face hub.

`datasets.load_dataset` loads it. Data sets that come with a loading script (APPS, TACO, LiveCodeBench), which
`datasets` no longer runs, are read from the data files of the split in their repository.
"""

import fnmatch
import importlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from executor.convert.readers import SUFFIXES, RowSource, SourceRow, open_file


def open_hub(name: str, *, config: str | None, split: str) -> RowSource:
    """Load one split of a data set.

    Args:
        name: `OWNER/NAME`.
        config: the configuration, where the data set has several.
        split: such as `train`.

    Raises:
        ValueError: one line: the package datasets is missing, the hub cannot be reached, or there is no such data set,
            configuration or split.
    """
    datasets = _import("datasets", name)
    try:
        rows = datasets.load_dataset(name, *([config] if config else []), split=split)
    except RuntimeError as error:
        if "script" not in str(error):
            raise ValueError(f"{name}: cannot be loaded: {_first_line(error)}") from error
        return _open_data_files(name, config=config, split=split)
    except ConnectionError as error:
        raise ValueError(f"{name}: the hub cannot be reached: {_first_line(error)}") from error
    except (OSError, ValueError, TypeError, datasets.exceptions.DatasetsError) as error:
        raise ValueError(f"{name}: cannot be loaded: {_first_line(error)}") from error
    total = len(rows) if hasattr(rows, "__len__") else 0
    return RowSource(f"{name}, split {split}", _number_rows(rows, name), "rows", total)


def choose_data_files(files: Sequence[str], *, config: str | None, split: str) -> list[str]:
    """Choose the files of a split: names that begin with it, or that lie in a folder of that name."""
    chosen = [
        file
        for file in files
        if file.endswith(SUFFIXES)
        and (fnmatch.fnmatch(PurePosixPath(file).name, f"{split}*") or split in PurePosixPath(file).parts[:-1])
        and (config is None or config in PurePosixPath(file).parts[:-1])
    ]
    return sorted(chosen, key=lambda file: (len(file), file))  # test.jsonl, test2.jsonl, ..., test10.jsonl


def _open_data_files(name: str, *, config: str | None, split: str) -> RowSource:
    hub = _import("huggingface_hub", name)
    try:
        files = choose_data_files(hub.HfApi().list_repo_files(name, repo_type="dataset"), config=config, split=split)
        if not files:
            raise ValueError(f"{name}: has no data file of the split {split}")
        paths = [Path(hub.hf_hub_download(name, file, repo_type="dataset")) for file in files]
    except OSError as error:  # the errors of the hub are kinds of it
        raise ValueError(f"{name}: the hub cannot be reached: {_first_line(error)}") from error
    sources = [open_file(path) for path in paths]
    total = sum(source.total for source in sources)
    return RowSource(f"{name}, split {split}", _chain(sources, files), sources[0].unit, total)


def _chain(sources: Sequence[RowSource], files: Sequence[str]) -> Iterator[SourceRow]:
    before = 0
    for source, file in zip(sources, files, strict=True):
        for row in source.rows:
            yield replace(row, place=f"{file}, {row.place}", position=before + row.position)
        before += source.total


def _number_rows(rows: Any, name: str) -> Iterator[SourceRow]:
    number = 0
    try:
        for row in rows:
            number += 1
            yield SourceRow(f"row {number}", dict(row), position=number)
    except (OSError, ValueError, OverflowError) as error:
        raise ValueError(f"{name}, row {number + 1}: cannot be read: {_first_line(error)}") from error


def _import(package: str, name: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError:
        raise ValueError(
            f"{name}: datasets of the hub need the package {package}: pip install 'atomforge-executor[hub]'"
        ) from None


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
