"""The keys `compat` and `compat_tasks` of the service's config."""

import pytest

from executor.commands.config import parse_dataclass
from executor.commands.errors import UsageError
from executor.service.settings import COMPAT_ENDPOINTS, ServiceConfig


def test_compat_is_a_list_in_the_config():
    config = parse_dataclass(
        ServiceConfig, {"compat": ["run_code", "slime"], "compat_tasks": "a.jsonl"}, source="x.yaml"
    )
    assert (config.compat, config.compat_tasks) == (("run_code", "slime"), "a.jsonl")
    assert ServiceConfig().compat == ()


def test_compat_names_what_there_is():
    with pytest.raises(UsageError, match="compat must be a list of any of run_code, open_instruct, .* not of 'verl'"):
        parse_dataclass(ServiceConfig, {"compat": ["verl"]}, source="x.yaml")


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.5", "::", "node1"])
def test_compat_needs_a_loopback_address(host):
    with pytest.raises(ValueError, match=f"host {host} is reachable from other machines.*compat.*127.0.0.1"):
        ServiceConfig(host=host, compat=("run_code",))


@pytest.mark.parametrize("keys", [{"host": "::1"}, {"host": "localhost"}, {"host": "0.0.0.0", "unix_socket": "/tmp/x"}])
def test_compat_on_loopback_or_a_socket(keys):
    assert ServiceConfig(**keys, compat=COMPAT_ENDPOINTS).compat == COMPAT_ENDPOINTS


def test_compat_tasks_need_an_endpoint_with_labels():
    with pytest.raises(ValueError, match="compat_tasks applies to the endpoints openrlhf and slime"):
        ServiceConfig(compat=("run_code",), compat_tasks="tasks.jsonl")
