"""`atomforge export`: write the model of a checkpoint as a plain Hugging Face folder, and upload it to the hub.

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
    parser.add_argument("--push", metavar="REPO", help="upload the folder to this repository of the Hugging Face hub")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of the weights (float32)")


def run(args: argparse.Namespace) -> int:
    """Write the folder, print its content, and upload it with `--push`.

    Raises:
        ValueError: no such checkpoint, the output exists or cannot be created, or the hub rejects the upload.
    """
    if args.output.exists() or args.output.is_symlink():
        raise UsageError(f"--output {args.output} exists already; give a new directory")
    if not args.output.parent.is_dir():
        raise UsageError(f"--output {args.output}: no directory {args.output.parent}")
    if args.push is not None:
        check_repository(args.push)
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
    if args.push is not None:
        print(f"uploaded: {push_folder(args.output, args.push)}")
    return 0


def check_repository(name: str) -> None:
    """Check the name of a repository, and that there is a token of the hub.

    Raises:
        UsageError: it is not OWNER/NAME, or there is no token.
    """
    from huggingface_hub import get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise UsageError(f"--push {name}: {error}") from error
    if name.count("/") != 1:
        raise UsageError(f"--push {name}: name the repository as OWNER/NAME")
    if get_token() is None:
        raise UsageError(f"--push {name}: no token of the Hugging Face hub; run `hf auth login` or set HF_TOKEN")


def push_folder(folder: Path, name: str) -> str:
    """Upload a folder to the repository OWNER/NAME, which is created if there is none.

    Returns:
        Address of the commit.

    Raises:
        UsageError: the hub cannot be reached, or rejects the upload.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi()
    http_errors: tuple[type[Exception], ...] = HfHubHTTPError.__bases__  # with the error of its client's library
    try:
        api.create_repo(name, repo_type="model", exist_ok=True)
        commit = api.upload_folder(
            repo_id=name, folder_path=folder, commit_message=f"Upload {folder.name} by atomforge export"
        )
    except (OSError, *http_errors) as error:
        reason = str(error) or type(error).__name__
        raise UsageError(f"--push {name}: {reason} ({folder} is complete)") from error
    return commit.commit_url
