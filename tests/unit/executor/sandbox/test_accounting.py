import os
import subprocess
import sys
import time

import pytest

from executor.sandbox import accounting as usage
from executor.sandbox.accounting import CpuTime, OutOfMemory, ProcessTimes, Sources, open_sources

# Written down from a kernel 5.10 with cgroup version 1 and one with version 2.
MEMORY_OOM_CONTROL = b"oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"
MEMORY_EVENTS = b"low 0\nhigh 12\nmax 85\noom 2\noom_kill 1\noom_group_kill 0\n"
CPUACCT_USAGE = b"8214065412\n"
CPU_STAT = (
    b"usage_usec 1527310\nuser_usec 1010000\nsystem_usec 517310\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n"
)


def stat(name=b"python3", utime=3, stime=2, cutime=40, cstime=5, began=7):
    fields = [b"S", *[b"1"] * 10, *(b"%d" % value for value in (utime, stime, cutime, cstime)), *[b"0"] * 4]
    return b"12 (" + name + b") " + b" ".join([*fields, b"%d" % began, *[b"0"] * 30]) + b"\n"


def test_the_files_of_both_versions_of_cgroups():
    assert usage.parse_cpu_s(CPUACCT_USAGE) == pytest.approx(8.214065412)
    assert usage.parse_cpu_s(CPU_STAT) == pytest.approx(1.52731)
    assert usage.parse_oom_kills(MEMORY_OOM_CONTROL) == 3
    assert usage.parse_oom_kills(MEMORY_EVENTS) == 1
    assert usage.parse_oom_kills(b"oom_kill_disable 0\nunder_oom 0\n") == 0


@pytest.mark.parametrize("name", [b"python3", b"a b", b") R 9 9 9", b"((", b"\n)\n", b""])
def test_a_process_whatever_it_calls_itself(name):
    assert usage.parse_process(stat(name)) == ProcessTimes(began=7, own=5, waited=45)


def test_a_real_process_that_ended_and_was_not_waited_for_counts():
    spin = "import time\nwhile time.process_time() < 0.2: pass"
    child = subprocess.Popen([sys.executable, "-S", "-c", spin])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    fd = os.open("/proc", os.O_RDONLY)
    found = usage.read_processes(fd)
    os.close(fd)
    child.wait()
    assert os.getpid() not in found
    assert 0.15 * os.sysconf("SC_CLK_TCK") < found[child.pid].own < 1.0 * os.sysconf("SC_CLK_TCK")


def cpu_time():
    return CpuTime(Sources(), os.getpid())


def times(own, waited=0, began=0):
    return ProcessTimes(began=began, own=own, waited=waited)


def test_all_processes_are_summed_up():
    assert cpu_time().take({2: times(10), 3: times(20), 4: times(30, waited=5)}) == 65


def test_who_vanished_without_being_waited_for_still_counts_as_last_seen():
    cpu = cpu_time()
    assert cpu.take({2: times(10), 3: times(20)}) == 30
    assert cpu.take({2: times(11)}) == 31
    assert cpu.take({2: times(11), 3: times(5, began=9)}) == 36  # the id given to another process
    assert cpu.take({2: times(11)}) == 36


def test_who_was_waited_for_does_not_count_twice():
    cpu = cpu_time()
    assert cpu.take({2: times(10), 3: times(20)}) == 30
    assert cpu.take({2: times(11, waited=22)}) == 33


def test_without_sources_it_is_the_first_process():
    cpu = cpu_time()
    before = time.process_time()
    assert before <= cpu.seconds() <= time.process_time()


def test_a_cgroup_counts_from_the_first_look_on_and_never_goes_down(tmp_path, monkeypatch):
    file = tmp_path / "cpuacct.usage"
    file.write_bytes(b"50000000000\n")
    monkeypatch.setattr(usage, "_CPU_FILES", (str(tmp_path / "cpu.stat"), str(file)))
    monkeypatch.setattr(usage, "_MEMORY_FILES", ())
    sources = open_sources({"cgroup": True})
    monkeypatch.setattr(usage.time, "clock_gettime", lambda _clock: 0.25)  # of the first process, then
    monkeypatch.setattr(usage.time, "process_time", lambda: 2.0)  # the worker's own
    cpu = CpuTime(sources, 12)
    assert cpu.seconds() == pytest.approx(0.25)
    file.write_bytes(b"51500000000\n")
    assert cpu.seconds() == pytest.approx(1.75)
    monkeypatch.setattr(usage.time, "process_time", lambda: 2.5)
    assert cpu.seconds() == pytest.approx(1.75)
    file.write_bytes(b"53000000000\n")
    assert cpu.seconds() == pytest.approx(2.75)
    assert sources.cpu_fd is not None
    os.close(sources.cpu_fd)


@pytest.mark.parametrize("text", [MEMORY_OOM_CONTROL, MEMORY_EVENTS])
def test_out_of_memory_is_told_once(tmp_path, monkeypatch, text):
    file = tmp_path / "events"
    file.write_bytes(text)
    monkeypatch.setattr(usage, "_CPU_FILES", ())
    monkeypatch.setattr(usage, "_MEMORY_FILES", (str(file),))
    sources = open_sources({"cgroup": True})
    out_of_memory = OutOfMemory(sources)
    assert not out_of_memory.happened()
    file.write_bytes(text.replace(b"oom_kill 3", b"oom_kill 4").replace(b"oom_kill 1", b"oom_kill 2"))
    assert out_of_memory.happened()
    assert not out_of_memory.happened()
    assert sources.memory_fd is not None
    os.close(sources.memory_fd)


def test_a_box_that_names_nothing_has_no_sources():
    assert open_sources({"uid": None}) == Sources()
    assert not OutOfMemory(Sources()).happened()
    with pytest.raises(OSError, match="nowhere"):
        open_sources({"proc": "/nowhere/proc"})
