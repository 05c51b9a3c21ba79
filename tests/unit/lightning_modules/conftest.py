"""A small data set, an untrained policy, and an executor that runs nothing."""

import pytest

from tests.support.rl_runs import save_sharp_policy, use
from tests.support.small_data import write_small_data


@pytest.fixture
def executor(monkeypatch):
    return use(monkeypatch)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    return write_small_data(tmp_path_factory.mktemp("data") / "small", synthetic_rl=6)


@pytest.fixture(scope="session")
def start(tmp_path_factory, data_dir):
    """Save an untrained policy as a Hugging Face folder."""
    return save_sharp_policy(tmp_path_factory.mktemp("policy"), data_dir, seed=1)
