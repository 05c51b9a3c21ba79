"""`atomforge export`: write the model of a checkpoint as a plain Hugging Face folder.

Transformers loads the folder with `AutoModelForCausalLM` and `AutoTokenizer`, without atomforge. Critic, optimizer and
the state of the run are not exported.
"""

import argparse
import shutil
from pathlib import Path

from executor.commands.errors import UsageError


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the options of `export`."""
    parser = subparsers.add_parser(
        "export",
        help="write a checkpoint as a plain Hugging Face folder",
        description="Write the model and the tokenizer of a checkpoint as a plain Hugging Face folder.",
    )
    parser.add_argument("--checkpoint", required=True, help=".ckpt file or folder, run directory, Hugging Face folder")
    parser.add_argument("--output", type=Path, required=True, help="directory to create")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of the weights (float32)")


def run(args: argparse.Namespace) -> int:
    """Write the folder and print its content.

    Raises:
        ValueError: no such checkpoint, or the output exists or cannot be created.
    """
    if args.output.exists() or args.output.is_symlink():
        raise UsageError(f"--output {args.output} exists already; give a new directory")
    if not args.output.parent.is_dir():
        raise UsageError(f"--output {args.output}: no directory {args.output.parent}")
    import torch

    from lightning_modules.models.loading import load_policy
    from lightning_modules.models.pretrained import hide_progress_bars

    causal_lm, tokenizer = load_policy(args.checkpoint)
    torch.nn.Module.to(causal_lm, getattr(torch, args.dtype))
    fresh = args.output.with_name(f".{args.output.name}.tmp")
    shutil.rmtree(fresh, ignore_errors=True)
    with hide_progress_bars():
        causal_lm.save_pretrained(fresh)
    tokenizer.save_pretrained(fresh)
    fresh.rename(args.output)
    print(f"{args.output}: {type(causal_lm).__name__}, {causal_lm.num_parameters():,} weights in {args.dtype}")
    print(f"files: {', '.join(sorted(path.name for path in args.output.iterdir()))}")
    return 0
