"""Pages that are made from the sources when the site is built: commands, keys, configs, modules, threats."""

import io
import re
from contextlib import redirect_stdout, suppress
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from cli.main import SUBCOMMANDS, dispatch

ROOT = Path(__file__).resolve().parents[1]
MODULES = (
    ("Data", ("datamodules.sft_data", "datamodules.rl_data", "datamodules.sampler",
              "datamodules.encoding.prompt_format")),
    ("Synthesis", ("datamodules.synthesis.config", "datamodules.synthesis.build", "datamodules.synthesis.manifest")),
    ("Training", ("lightning_modules.sft_module", "lightning_modules.rl_module",
                  "lightning_modules.training.optimizers", "lightning_modules.models.forward.compute",
                  "lightning_modules.models.lora", "lightning_modules.training.checkpointing")),
    ("Objectives", ("lightning_modules.rl.objectives.losses", "lightning_modules.rl.objectives.advantages")),
    ("Evaluation", ("lightning_modules.evaluation.evaluate", "lightning_modules.evaluation.records",
                    "lightning_modules.evaluation.statistics")),
    ("Executor", ("executor.types", "executor.api", "executor.grading.grader")),
    ("Python API", ("cli.api", "lightning_modules.training.run_result")),
    ("Studies", ("cli.study.plan", "cli.study.results", "cli.study.verdicts")),
)  # fmt: skip
KEYS = (
    ("model", "lightning_modules.sft_module.SFTModule"),
    ("model", "lightning_modules.rl_module.RLModule"),
    ("data", "datamodules.sft_data.SFTDataModule"),
    ("data", "datamodules.rl_data.RLDataModule"),
)

MADE_OF = {
    "executor/README.md": "explanation/threat_model.md",
    "README.md#deviations-and-choices": "explanation/deviations.md",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    made = {
        "reference/commands.md": commands_page(),
        "reference/keys.md": keys_page(),
        "reference/configs.md": configs_page(),
        "reference/modules.md": modules_page(),
        "explanation/threat_model.md": (ROOT / "executor" / "README.md").read_text(encoding="utf-8"),
        "explanation/deviations.md": deviations_page(),
    }
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Show links out of the documentation, to files of the repository, as names: the site does not hold them.

    Those of which a page is made lead to that page.
    """
    for path, made in MADE_OF.items():
        up = "../" * page.file.src_uri.count("/")
        markdown = markdown.replace(f"]({up}../{path})", f"]({up}{made})")
    return re.sub(r"\[([^\]]+)\]\((?:\.\./)+(?!results|docs)[^)]*\)", r"`\1`", markdown)


def commands_page() -> str:
    """Write the help of every subcommand."""
    parts = ["# Command line"]
    for name in SUBCOMMANDS:
        parts.append(f"## atomforge {name}\n\n{SUBCOMMANDS[name]}\n\n```text\n{shown([name, '--help'])}\n```")
    return "\n\n".join(parts)


def keys_page() -> str:
    """Write the help of every key of the models and the data: type, default, meaning, as the command line has it."""
    parts = ["# Keys of training", "Below `init_args` in YAML, and `--model.init_args.KEY` on the command line."]
    for group, name in KEYS:
        text = shown(["fit", f"--{group}.help", name])
        text = text[text.index("\n\n", text.index("Help for ")) :].strip()  # without the usage
        parts.append(f"## {name.rpartition('.')[2]}\n\n`{group}.class_path: {name}`\n\n```text\n{text}\n```")
    return "\n\n".join(parts)


def shown(words: list[str]) -> str:
    """Run the command and return what it prints."""
    printed = io.StringIO()
    with redirect_stdout(printed), suppress(SystemExit):
        dispatch(words)
    return printed.getvalue().rstrip()


def configs_page() -> str:
    """Write every YAML file with its comments, which say what each key is, its unit and its default."""
    parts = ["# Configs", "Every file under `configs/`, as shipped. Later `--config` files lie over earlier ones."]
    for path in sorted((ROOT / "configs").rglob("*.yaml")):
        text = path.read_text(encoding="utf-8").rstrip()
        parts.append(f"## {path.relative_to(ROOT)}\n\n```yaml\n{text}\n```")
    return "\n\n".join(parts)


def modules_page() -> str:
    """Name the modules whose docstrings are shown."""
    parts = ["# Modules"]
    for title, names in MODULES:
        parts += [f"## {title}", *(f"::: {name}" for name in names)]
    return "\n\n".join(parts)


def deviations_page() -> str:
    """Take what the README says of the paper's gaps and of ours."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.search(r"^## (Deviations and choices\n.*?)(?=^## )", readme, re.M | re.S)
    assert section is not None, "README.md has no section on deviations"
    return "# " + section[1]
