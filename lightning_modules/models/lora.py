"""Low-rank adapters (Hu et al. 2021, arXiv 2106.09685) put into a causal LM by peft, and taken out again.

The causal LM stays a plain transformers model whose chosen layers are wrapped: with the adapters switched off it is the
model that training began with, which is what reinforcement learning needs as its reference.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from torch import nn
from transformers import PreTrainedModel

from lightning_modules.models.initialization import initialize_on_cpu


@dataclass(frozen=True, kw_only=True)
class LoRAConfig:
    """What is adapted, and by how much.

    Args:
        r: rank of the two factors.
        alpha: their product is scaled by alpha / r.
        dropout: of the adapter's input, in SFT; reinforcement learning trains without.
        target_modules: names of the linear layers that are adapted; null = all but the output layer.
    """

    r: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    target_modules: list[str] | None = None

    def __post_init__(self) -> None:
        if self.r < 1:
            raise ValueError(f"lora.r is {self.r}: at least 1 is needed (leave lora out, or null, for none)")
        if not self.alpha > 0:
            raise ValueError(f"lora.alpha is {self.alpha}: it must be above 0")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"lora.dropout is {self.dropout}: it must be from 0.0 to below 1.0")

    def to_json(self) -> str:
        """Write as text, for a checkpoint."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "LoRAConfig":
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


def add_lora(causal_lm: PreTrainedModel, settings: LoRAConfig, *, seed: int) -> None:
    """Wrap the layers in place; only the adapters are trained from then on. The first output is unchanged.

    Args:
        causal_lm: a model without adapters.
        settings: which.
        seed: of the first weights; the global random state is left as it was.

    Raises:
        ValueError: peft is not installed, or a target does not exist; one line.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ValueError("lora needs the package peft: pip install 'atomforge[pretrained]'") from error
    config = LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha,  # pyright: ignore[reportArgumentType]
        lora_dropout=settings.dropout,
        target_modules=settings.target_modules or "all-linear",
    )
    with initialize_on_cpu(seed):
        try:
            inject_adapter_in_model(config, causal_lm)
        except ValueError as error:
            names = ", ".join(sorted({name.rpartition(".")[2] for name in _linear_layers(causal_lm)}))
            raise ValueError(
                f"lora.target_modules {settings.target_modules} fits no layer of the model; it has {names}"
            ) from error
    for parameter in causal_lm.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()  # peft makes them in the type of the frozen weights


def has_lora(causal_lm: PreTrainedModel) -> bool:
    """Whether adapters have been put in."""
    return any(name.endswith("base_layer") for name, _ in causal_lm.named_modules())


def merge_lora(causal_lm: PreTrainedModel) -> None:
    """Add the adapters to the weights, in place, and remove them: a plain model is left."""
    from peft.tuners.lora import LoraLayer

    for name, layer in list(causal_lm.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.merge(safe_merge=False)  # pyright: ignore[reportCallIssue]
            parent = causal_lm.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], layer.get_base_layer())
    vars(causal_lm).pop("peft_config", None)  # with it, peft warns when adapters are added again
    causal_lm.requires_grad_(True)


@contextmanager
def adapters_off(causal_lm: PreTrainedModel) -> Iterator[None]:
    """Inside, the model is that before `add_lora`; adapters are neither applied nor changed."""
    from peft.tuners.lora import LoraLayer

    layers = [layer for layer in causal_lm.modules() if isinstance(layer, LoraLayer)]
    trained = [parameter for parameter in causal_lm.parameters() if parameter.requires_grad]
    for layer in layers:
        layer._disable_adapters = True  # `enable_adapters` also moves requires_grad, which optimizers and FSDP rely on
    try:
        yield
    finally:
        for layer in layers:
            layer._disable_adapters = False
        assert all(parameter.requires_grad for parameter in trained)


def _linear_layers(causal_lm: PreTrainedModel) -> list[str]:
    return [name for name, module in causal_lm.named_modules() if isinstance(module, nn.Linear)]
