"""`atomforge submit` without Slurm: config, scripts (run by bash with stand-ins), plans, errors."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from cli.main import main
from cli.slurm.client import SubmittedJob, read_submitted
from cli.slurm.config import SlurmConfig, parse_time, read_slurm_config
from cli.slurm.plan import plan_evaluation, plan_fit, plan_study
from cli.slurm.script import Job, write_script
from cli.study.arm import Arm
from executor.commands.errors import UsageError
from tests.support.study_results import make_arm

ROOT = Path(__file__).resolve().parents[4]


def script(config: SlurmConfig, *commands: list[str], log: Path = Path("/logs")) -> str:
    return write_script(Job(name="n", commands=commands, runs=[None] * len(commands)), config, log=log)


def test_script_requests_the_resources_of_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "w d").mkdir()
    monkeypatch.chdir(tmp_path / "w d")
    asked = SlurmConfig(
        nodes=4, tasks_per_node=8, gpus_per_node=8, cpus_per_task=6, mem_gib_per_node=400, partition="p", account="a",
        qos="q", time="1-02:00:00", directives=("--constraint=h100",), container="i.sqsh", setup=("module load cuda",),
        environment={"A": "b c"},
    )  # fmt: skip
    text = script(asked, ["atomforge", "fit", "--name", "it's"])
    assert {line for line in text.splitlines() if line.startswith("#SBATCH")} == {
        "#SBATCH --job-name=n", "#SBATCH --nodes=4", "#SBATCH --ntasks-per-node=8", "#SBATCH --cpus-per-task=6",
        "#SBATCH --time=1-02:00:00", "#SBATCH --output=/logs/n-%j.log", "#SBATCH --open-mode=append",
        "#SBATCH --requeue", "#SBATCH --signal=B:USR1@300", "#SBATCH --gpus-per-node=8", "#SBATCH --mem=400G",
        "#SBATCH --partition=p", "#SBATCH --account=a", "#SBATCH --qos=q", "#SBATCH --constraint=h100",
    }  # fmt: skip
    assert f"cd '{tmp_path}/w d' || exit 1\nexport A='b c'\nmodule load cuda\n" in text
    assert "srun --cpus-per-task=6 --kill-on-bad-exit=1 --container-image=i.sqsh" in text
    once = script(SlurmConfig(requeue=False), ["x"])
    assert "--no-requeue" in once
    assert "trap" not in once


def run_script(tmp_path: Path, text: str, srun: str, *, signal: str = "", **environment: str) -> tuple[int, str]:
    """Run a script with stand-ins for srun and scontrol; returns (exit code, what was printed)."""
    for name, body in (("srun", srun), ("scontrol", 'echo "scontrol $@"')):
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    process = subprocess.Popen(
        ["bash", "-c", text], env=os.environ | {"PATH": path, **environment}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    if signal:
        subprocess.run(["kill", f"-{signal}", str(process.pid)], check=True)
    return process.wait(timeout=20), first + process.stdout.read()


def test_words_arrive_whole_and_the_exit_code_comes_back(tmp_path: Path):
    text = script(SlurmConfig(), ["a", "it's", '"b" c'])
    code, said = run_script(tmp_path, text, 'shift 2; echo "$#:$1:$2:$3"; exit 7')
    assert (code, said) == (7, '3:a:it\'s:"b" c\n')


def test_an_element_of_an_array_runs_its_own_command(tmp_path: Path):
    text = script(SlurmConfig(), ["a", "0"], ["a", "1"])
    assert "#SBATCH --array=0-1" in text
    assert run_script(tmp_path, text, 'echo "$4"', SLURM_ARRAY_TASK_ID="1") == (0, "1\n")


def test_rollout_servers_have_nodes_of_their_own_and_the_command_gets_their_addresses(tmp_path: Path):
    config = SlurmConfig(nodes=2, tasks_per_node=4, gpus_per_node=4, cpus_per_task=3, rollout_servers=2)
    job = Job(name="n", commands=[["python", "fit"]], runs=[None], server=["serve", "it's"])
    text = write_script(job, config, log=tmp_path)
    assert "#SBATCH --nodes=4" in text
    calls = tmp_path / "calls"
    srun = f"""[[ $* == *servers* ]] || sleep 0.5; printf '%s|' "$@" >> {calls}; echo >> {calls}; echo done"""
    for name, body in (("srun", srun), ("scontrol", 'printf "%s\\n" n1 n2 n3 n4')):
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_NODELIST": "n[1-4]"}
    subprocess.run(["bash", "-c", text], env=environment, check=True, timeout=20)
    servers, ranks = (line.rstrip("|").split("|") for line in calls.read_text().splitlines())
    assert servers == [
        "--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--cpus-per-task=12", "--nodelist=n3,n4",
        f"--output={tmp_path}/n-servers-%j.log", "serve", "it's",
    ]  # fmt: skip
    assert ranks == [
        "--cpus-per-task=3", "--kill-on-bad-exit=1", "--nodes=2", "--ntasks=8", "--nodelist=n1,n2", "python", "fit",
        "--model.init_args.rollout.engine", "http://n3:8000,http://n4:8000",
    ]  # fmt: skip


def test_a_rollout_server_starts_with_the_policy_of_the_run(tmp_path: Path):
    base = tmp_path / "rl.yaml"
    base.write_text(yaml.safe_dump({"run_dir": "r", "model": {"init_args": {"init_from": "runs/sft"}}}))
    config = SlurmConfig(tasks_per_node=2, gpus_per_node=2, rollout_servers=1, container="i.sqsh")
    assert plan_fit([str(base)], [], config, name="n", seeds=[]).server == [
        "python", "-m", "lightning_modules.generation.vllm.serve", "--checkpoint", "runs/sft",
        "--host", "0.0.0.0", "--port", "8000", "--tensor-parallel-size", "2",
    ]  # fmt: skip
    other = ["--model.init_args.init_from", "runs/other"]
    assert plan_fit([str(base)], other, config, name="n", seeds=[]).server[4] == "runs/other"
    assert plan_fit([str(base)], [], SlurmConfig(), name="n", seeds=[]).server == []
    with pytest.raises(UsageError, match=r"rollout\.engine follows from slurm\.rollout_servers"):
        plan_fit([str(base)], ["--model.init_args.rollout.engine", "vllm"], config, name="n", seeds=[])
    base.write_text("run_dir: r\n")
    with pytest.raises(UsageError, match=r"slurm\.rollout_servers is for RL"):
        plan_fit([str(base)], [], config, name="n", seeds=[])
    with pytest.raises(UsageError, match="an evaluation uses none"):
        plan_evaluation([str(base)], [], SlurmConfig(rollout_servers=1), name="n")


@pytest.mark.parametrize(
    ("environment", "number"),
    [
        ({"SLURM_JOB_ID": "5"}, "5"),
        ({"SLURM_JOB_ID": "6", "SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "2"}, "5_2"),
    ],
)
def test_before_the_time_is_over_the_job_goes_back_into_the_queue(tmp_path: Path, environment: dict, number: str):
    text = script(SlurmConfig(), ["a"])
    code, said = run_script(tmp_path, text, "echo begun; sleep 1; echo ended", signal="USR1", **environment)
    assert code == 0
    assert said.splitlines()[-1] == "ended"  # the ranks go on until Slurm ends them
    assert f"scontrol requeue {number}" in said


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"tiem": "1"}, r"unknown key slurm.tiem; did you mean 'time'\?"),
        ({"time": 14400}, "slurm.time must be text, not 14400"),
        ({"time": "4 hours"}, r"slurm.time must have the form \[D-\]HH:MM:SS.*'4 hours'"),
        ({"time": "00:05:00"}, "slurm.time 00:05:00 is too short: signal_before_end_s takes 300 s of it"),
        ({"requeue_before_s": 60}, "slurm.requeue_before_s was renamed to slurm.signal_before_end_s"),
        ({"rollout_servers": -1}, "slurm.rollout_servers must be at least 0, not -1"),
        ({"nodes": 0}, "slurm.nodes must be at least 1, not 0"),
        ({"gpus_per_node": 8}, "tasks_per_node is 1, but gpus_per_node 8"),
        ({"directives": ["constraint=h100"]}, "'constraint=h100' is not an option of sbatch"),
    ],
)
def test_impossible_settings_are_one_line(tmp_path: Path, changes: dict, line: str):
    path = tmp_path / "slurm.yaml"
    path.write_text(yaml.safe_dump({"slurm": changes}))
    with pytest.raises(UsageError, match=line):
        read_slurm_config([str(path)])


def test_the_shipped_file_is_the_defaults_or_said_there():
    settings, others = read_slurm_config([str(ROOT / "configs/sft.yaml"), str(ROOT / "configs/cluster/slurm.yaml")])
    assert others == [str(ROOT / "configs/sft.yaml")]
    assert settings == SlurmConfig(cpus_per_task=2, environment={"OMP_NUM_THREADS": "1"})


TRAINING = {
    "model": {"class_path": "lightning_modules.sft_module.SFTModule"},
    "data": {
        "class_path": "datamodules.sft_data.SFTDataModule",
        "init_args": {
            "data_dir": "d",
            "mixture": {"atomic": {}},
            "batch_size": 1,
            "max_length": 8,
            "steps_per_epoch": 1,
        },
    },
}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--config", "a.yaml"], "no --config has a section `slurm`"),
        (["--config", "slurm.yaml"], "no config file of the fit is given"),
        (
            ["--config", "a.yaml", "--config", "mixed.yaml"],
            "mixed.yaml: slurm must be the only section of its file; move run_dir",
        ),
        (["--config", "a.yaml", "--config", "slurm.yaml"], "no run_dir is given"),
        (
            ["--config", "a.yaml", "--config", "slurm.yaml", "--run_dir", "r", "--seeds", "0,0"],
            "--seeds takes different",
        ),
        (
            ["--config", "a.yaml", "--config", "slurm.yaml", "--run_dir", "r", "--trainer.devices=2"],
            "--trainer.devices",
        ),
        (
            ["--config", "a.yaml", "--config", "slurm.yaml", "--run_dir", "r", "--trainer.max_epoch", "3"],
            "command line: unknown key trainer.max_epoch; did you mean 'max_epochs'?",
        ),
        (["study", "--config", "a.yaml", "--config", "slurm.yaml", "--seeds", "1"], "--seeds is for fit"),
        (["--config", "a.yaml", "--config", "slurm.yaml", "--run_dir", "r"], "sbatch was not found"),
    ],
)
def test_refusals_are_one_line(
    tmp_path: Path, words: list[str], line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, content in (
        ("a", TRAINING),
        ("slurm", {"slurm": {}}),
        ("mixed", {"slurm": {}, "run_dir": "r"}),
    ):
        Path(f"{name}.yaml").write_text(yaml.safe_dump(content))
    assert main(["submit", *words]) == 2
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
    assert not Path("runs").exists()


def test_seeds_make_an_array_and_nothing_is_handed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(yaml.safe_dump(TRAINING | {"run_dir": "r"}))
    Path("s.yaml").write_text("slurm: { nodes: 2, tasks_per_node: 4 }\n")
    words = ["--config", "a.yaml", "--config", "s.yaml", "--seeds", "3,5", "--trainer.max_epochs=1", "--print-script"]
    assert main(["submit", *words]) == 0
    text = capsys.readouterr().out
    assert "#SBATCH --array=0-1" in text
    assert "--trainer.max_epochs=1 --trainer.num_nodes 2 --trainer.devices 4 --ckpt_path last" in text
    assert "--seed_everything 5 --data.init_args.seed 5 --model.init_args.seed 5 --run_dir r/seed5" in text
    assert not Path("runs").exists()


def test_arms_wait_for_those_of_their_own_seed(tmp_path: Path):
    def arm(stage: str, seed: int, parent: str | None, done: bool) -> Arm:
        folder = tmp_path / stage / str(seed)
        folder.mkdir(parents=True)
        if done:
            (folder / "result.json").write_text("{}")
        above = None if parent is None else tmp_path / parent / str(seed)
        return make_arm(stage, folder, seed=seed, parent=above)

    arms = [arm("base", 0, None, True), arm("base", 1, None, False), arm("base", 2, None, False)]
    arms += [arm("sft", seed, "base", False) for seed in range(3)]
    planned = plan_study(arms, SlurmConfig(), name="s")
    assert [(one.name, one.parent) for one in planned] == [("s-base", None), ("s-sft", None), ("s-sft", 0)]
    assert [[run.parent.name for run in one.runs if run] for one in planned] == [["1", "2"], ["0"], ["1", "2"]]
    with pytest.raises(UsageError, match="one rank"):
        plan_study(arms, SlurmConfig(nodes=2), name="s")


def test_records_come_back_in_order(tmp_path: Path):
    for number in ("10", "9"):
        SubmittedJob(number=number, name="n", runs=["r", None], log="l").write(tmp_path)
    assert [one.number for one in read_submitted(tmp_path)] == ["9", "10"]
    with pytest.raises(UsageError, match="holds no jobs"):
        read_submitted(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "expected"), [("1:00:00", 3600), ("30:00", 1800), ("2-01:00:00", 176400), ("infinite", None)]
)
def test_times_as_slurm_writes_them(text: str, expected: int | None):
    assert parse_time(text) == expected
