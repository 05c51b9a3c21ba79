"""Data sets of composed tasks: `synthesize` builds one from a `SynthesisConfig`, `audit_dataset` checks one."""

from datamodules.synthesis.audit import Audit, audit_dataset
from datamodules.synthesis.build import synthesize
from datamodules.synthesis.config import Counts, SynthesisConfig, TensorCounts
from datamodules.synthesis.manifest import Manifest, read_manifest

__all__ = [
    "Audit",
    "Counts",
    "Manifest",
    "SynthesisConfig",
    "TensorCounts",
    "audit_dataset",
    "read_manifest",
    "synthesize",
]
