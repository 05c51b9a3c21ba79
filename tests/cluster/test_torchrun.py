"""torchrun on two nodes, as docs/training.md says: the losses of one rank, and one executor service a node.

Both nodes are this machine, each with an agent of its own and one rank, over gloo.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from lightning.fabric.plugins.environments.lightning import find_free_network_port

from lightning_modules.training.checkpointing import is_finished
from tests.cluster.warm_start import OPTIONS, warm_up
from tests.support.killed_runs import ROOT, finish, scalars, start, write_inputs

TIMEOUT_S = 250


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torchrun")
    write_inputs(folder)
    warm_up(folder)
    return folder


def run_two_nodes(folder: Path, kind: str, run_dir: str, *options: str) -> list[str]:
    """Run `fit` by two agents of torchrun; returns what each said."""
    port = find_free_network_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ATOMFORGE_")}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    agents = []
    for node_rank in range(2):
        command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
        command += ["--node-rank", str(node_rank), "--master-addr", "127.0.0.1", "--master-port", str(port)]
        command += ["-m", "cli.main", "fit", "--config", str(ROOT / "configs" / f"{kind}.yaml")]
        command += ["--config", f"{kind}.yaml", "--run_dir", run_dir, "--ckpt_path", "last"]
        command += ["--trainer.num_nodes=2", "--trainer.devices=1", "--trainer.strategy=ddp", *options]
        with (folder / f"{run_dir}_{node_rank}.log").open("wb") as log:
            agents.append(subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log))
    try:
        codes = [agent.wait(TIMEOUT_S) for agent in agents]
    finally:
        for agent in agents:
            agent.kill()
            agent.wait()
    said = [(folder / f"{run_dir}_{node_rank}.log").read_text() for node_rank in range(2)]
    assert codes == [0, 0], said[0][-2000:] + said[1][-2000:]
    return said


@pytest.mark.parametrize(
    ("kind", "options", "tags"),
    [
        ("sft", (), ("loss/train",)),
        # one minibatch an iteration: a rank's responses stay with it, so smaller ones would not hold the same
        pytest.param(
            "ppo",
            (*OPTIONS, "--data.init_args.minibatch_size=8"),
            ("policy/loss", "value/loss", "reward/mean"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_two_nodes_train_as_one_rank_and_have_a_service_each(
    kind: str, options: tuple[str, ...], tags: tuple[str, ...], folder: Path
) -> None:
    options += ("--trainer.max_epochs=3",)
    finish(start(folder, kind, f"{kind}_one", *options), folder, f"{kind}_one")
    backend = "--model.init_args.executor_backend=per_node:process"
    said = run_two_nodes(folder, kind, f"{kind}_two", *options, backend)
    assert is_finished(folder / f"{kind}_two")
    one, two = scalars(folder / f"{kind}_one"), scalars(folder / f"{kind}_two")
    for tag in tags:
        wanted = [float.fromhex(value) for _, value in one[tag]]
        assert len(set(wanted)) >= 2, f"{tag} does not move"
        assert [step for step, _ in two[tag]] == [step for step, _ in one[tag]], tag
        assert [float.fromhex(value) for _, value in two[tag]] == pytest.approx(wanted, abs=1e-5), tag
    for node_rank in range(2):
        log = (folder / f"{kind}_two" / f"executor_{node_rank}.log").read_text()
        assert log.count("Started server process") == 1, log[-2000:]
        assert "batch finished" in log, f"node {node_rank} asked another service than its own"
    assert not any(re.search(r"\[rank\d\].*Error", text) for text in said)
