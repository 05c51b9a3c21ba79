"""Every way to train on one GPU, and SFT and PPO on two: tensors of two devices never meet, NCCL gets no CPU tensor."""

import pytest

WAYS = 12

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def reports(run_simulated, data_dir, policy_dir, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("ways")
    return {one["way"]: one for one in run_simulated("programs.train", scratch, data_dir, policy_dir)}


def test_all_ways_train_and_validate_on_one_gpu(reports):
    failed = {way: one["error"] for way, one in reports.items() if "error" in one}
    assert failed == {}
    assert len(reports) == WAYS
    for one in reports.values():
        assert one["device"] == "cuda"
        assert one["finite"]
        assert one["steps"] > 0
        assert one["passed"]


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_gpus(run_simulated, data_dir, policy_dir, tmp_path, strategy):
    found = run_simulated("programs.train", tmp_path / "out", data_dir, policy_dir, strategy, gpus=2)
    assert [one["way"] for one in found] == ["sft", "ppo"]
    for one in found:
        assert one["device"] == "cuda"
        assert one["finite"]
        assert one["passed"]
    # only torchmetrics waits in a barrier before it gathers; reducing a number does not
    assert 0 < found[-1]["collectives"]["barrier"] < 0.7 * found[-1]["collectives"]["allreduce"]
