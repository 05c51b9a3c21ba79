"""Training runs of a tiny model on a small data set, without the command line."""

from pathlib import Path

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer

from datamodules.encoding.tokenizer import train_tokenizer, training_texts
from datamodules.eval_data import load_dataset
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm

TINY = TinyLlamaConfig(
    hidden_size=32, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=48, max_position=128
)


def write_policy(folder: Path, data_dir: Path, *, seed: int = 1, scale: float = 1.0) -> str:
    """Write an untrained policy as a Hugging Face folder; a `scale` above 1 makes its distributions sharper."""
    tokenizer = train_tokenizer(training_texts(load_dataset(data_dir)), 300, data_dir / "tokenizer")
    model = build_causal_lm(TINY, tokenizer, seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(scale)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def fit(
    module: LightningModule, data: LightningDataModule, folder: Path, *, ckpt_path: str | None = None, **settings
) -> Trainer:
    """Train on a CPU; `settings` are those of the trainer."""
    options = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "reload_dataloaders_every_n_epochs": 1,
        "num_sanity_val_steps": 0,
        "default_root_dir": folder,
    }
    trainer = Trainer(**(options | settings))
    trainer.fit(module, data, ckpt_path=ckpt_path, weights_only=True)
    return trainer
