"""What the reader of a sharded checkpoint's `.metadata` takes, and what it refuses to run."""

import io
import pickle

import pytest
from torch.distributed.checkpoint.metadata import _MEM_FORMAT_ENCODING, Metadata

from lightning_modules.models.sharded_checkpoints import _MetadataUnpickler


class GotByName:
    """Pickles as a call of getattr, as Python 3.11.0 to 3.11.3 pickle the members of enumerations."""

    def __init__(self, owner: type, name: str) -> None:
        self.call = (getattr, (owner, name))

    def __reduce__(self):
        return self.call


def read(value: object) -> object:
    return _MetadataUnpickler(io.BytesIO(pickle.dumps(value))).load()


def test_members_of_enumerations_come_back_whatever_pickled_them():
    member = _MEM_FORMAT_ENCODING.TORCH_CONTIGUOUS_FORMAT
    assert read(member) is member
    assert read(GotByName(_MEM_FORMAT_ENCODING, member.name)) is member


@pytest.mark.parametrize(
    "value", [GotByName(Metadata, "__init__"), GotByName(_MEM_FORMAT_ENCODING, "__class__"), print, io.StringIO]
)
def test_nothing_else_is_looked_up(value: object):
    with pytest.raises(pickle.UnpicklingError):
        read(value)
