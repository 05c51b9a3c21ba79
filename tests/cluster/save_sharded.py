"""Shards a tiny policy over two CPU ranks, takes one step, saves a sharded checkpoint; rank 0 saves the logits too."""

import os
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import ModelParallelStrategy
from torch.distributed.fsdp import fully_shard
from torch.utils.data import DataLoader

from datamodules.encoding.tokenizer import train_tokenizer
from lightning_modules.models.loading import PAYLOAD_KEY, checkpoint_payload
from lightning_modules.models.policy import Policy
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm

IDS = torch.tensor([[5, 9, 11, 7, 3]])


class ShardedTraining(LightningModule):
    """Lowers the log-probability of fixed tokens; a second model and a value head are in the checkpoint as well."""

    def __init__(self, tie_embeddings: bool, scratch: Path) -> None:
        super().__init__()
        self.sizes = TinyLlamaConfig(
            hidden_size=32, num_layers=2, num_heads=2, num_kv_heads=1, intermediate_size=48, max_position=64,
            tie_embeddings=tie_embeddings,
        )  # fmt: skip
        self.tokenizer = train_tokenizer(["def solve(x): return x"], 280, scratch / f"tokenizer_{os.environ['RANK']}")

    def configure_model(self) -> None:
        self.policy = Policy(build_causal_lm(self.sizes, self.tokenizer, 0), critic="separate")
        mesh = self.device_mesh["data_parallel"]
        for block in self.policy.causal_lm.model.layers:
            fully_shard(block, mesh=mesh)
        fully_shard(self.policy, mesh=mesh)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.policy.parameters(), lr=0.1)

    def logits(self) -> torch.Tensor:
        positions = torch.arange(IDS.shape[1])[None]
        chosen = torch.ones_like(IDS, dtype=torch.bool)
        logits, values = self.policy(IDS, torch.ones_like(IDS), positions, chosen)
        return logits + 0.0 * values.sum()

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        return self.logits().log_softmax(-1)[:, 4].mean()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[PAYLOAD_KEY] = checkpoint_payload(self.policy.causal_lm, self.tokenizer)


def main(tie_embeddings: bool, scratch: Path) -> None:
    torch.set_num_threads(1)
    scratch.mkdir(exist_ok=True)
    trainer = Trainer(
        accelerator="cpu", devices=2, strategy=ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1),
        max_steps=1, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False, default_root_dir=scratch,
    )  # fmt: skip
    module = ShardedTraining(tie_embeddings, scratch)
    trainer.fit(module, DataLoader([0, 0], batch_size=1))
    trainer.save_checkpoint(scratch / "checkpoints" / "epoch_00001.ckpt")
    with torch.no_grad():
        logits = module.logits()
    if trainer.is_global_zero:
        torch.save(logits, scratch / "logits.pt")


if __name__ == "__main__":
    main(sys.argv[1] == "tied", Path(sys.argv[2]))
