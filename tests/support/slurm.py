"""A real Slurm on this machine: one controller, two nodes, everything in one folder, gone afterwards."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch")
CONF = """
ClusterName=atomforge
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
SlurmctldPort={ports[0]}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
StateSaveLocation={folder}/state
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdSpoolDir={folder}/spool-%n
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
KillWait=2
SchedulerParameters=sched_interval=1,batch_sched_delay=0
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4 RealMemory=8000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4 RealMemory=8000
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=60 State=UP
"""


def why_not() -> str | None:
    """Say why no Slurm can be started here; None where it can."""
    if os.geteuid() != 0:
        return "not root"
    missing = [name for name in NEEDED if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)} (Debian: slurm-wlm, munge)" if missing else None


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Path]:
    """Start it, set SLURM_CONF, and stop it at the end; yields the configuration file."""
    folder.mkdir(parents=True)
    for parent in (folder, *folder.parents):  # the daemon of munge runs as its own user
        if parent.stat().st_uid == 0 and parent not in (Path("/"), Path("/tmp")):
            parent.chmod(parent.stat().st_mode | 0o011)
    _start_munge(folder / "munge")
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(host=socket.gethostname().split(".")[0], folder=folder, ports=_free_ports(3)))
    (folder / "state").mkdir()
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(conf)
    try:
        _run("slurmctld", "-f", str(conf))
        for node in ("n1", "n2"):
            (folder / f"spool-{node}").mkdir()
            _run("slurmd", "-f", str(conf), "-N", node)
        _until(lambda: _run("sinfo", "--noheader", "--format=%D %t").stdout.split() == ["2", "idle"], "idle nodes", 30)
        yield conf
    finally:
        for pid_file in (*folder.glob("*.pid"), folder / "munge" / "pid"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(pid_file.read_text()), signal.SIGTERM)
        os.environ.pop("SLURM_CONF")
        if before is not None:
            os.environ["SLURM_CONF"] = before


def wait_for(number: str, *, timeout_s: float) -> str:
    """Wait until a job has ended, and return its last state."""
    state = ""

    def has_ended() -> bool:
        nonlocal state
        shown = _run("scontrol", "show", "job", number).stdout
        found = [word.partition("=")[2] for word in shown.split() if word.startswith("JobState=")]
        state = ",".join(sorted(set(found)))
        return bool(found) and not {"PENDING", "RUNNING", "COMPLETING", "REQUEUED", "CONFIGURING"} & set(found)

    _until(has_ended, f"the end of job {number}", timeout_s)
    return state


def start_now(number: str) -> None:
    """Let a job that was put back into the queue start at once: Slurm keeps it waiting for two minutes."""
    _until(lambda: "JobState=PENDING" in _run("scontrol", "show", "job", number).stdout, f"job {number} to wait", 60)
    _run("scontrol", "update", f"JobId={number}", "StartTime=now")


def _start_munge(folder: Path) -> None:
    folder.mkdir()
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    folder.chmod(0o711)
    for path in (folder, folder / "munge.key"):
        shutil.chown(path, "munge")
    options = {"key-file": "munge.key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    words = " ".join(["munged", "--force", *(f"--{name}={folder / file}" for name, file in options.items())])
    _run("su", "-s", "/bin/sh", "munge", "-c", words)


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
    return done


def _until(is_so, what: str, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s for {what}"
        time.sleep(0.3)
