import os
import subprocess
import sys
import time

import pytest

from executor.sandbox.supervisor import accounting
from executor.sandbox.supervisor.accounting import OomCounter, ProcessUsage, ProcFiles, Usage, open_proc_files

# Recorded on a kernel 5.10 with cgroup version 1 and one with version 2.
MEMORY_OOM_CONTROL = b"oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"
MEMORY_EVENTS = b"low 0\nhigh 12\nmax 85\noom 2\noom_kill 1\noom_group_kill 0\n"
CPUACCT_USAGE = b"8214065412\n"
CPU_STAT = (
    b"usage_usec 1527310\nuser_usec 1010000\nsystem_usec 517310\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n"
)


def stat(name=b"python3", utime=3, stime=2, cutime=40, cstime=5, start=7):
    fields = [b"S", *[b"1"] * 10, *(b"%d" % value for value in (utime, stime, cutime, cstime)), *[b"0"] * 4]
    return b"12 (" + name + b") " + b" ".join([*fields, b"%d" % start, b"9999999", b"300", *[b"0"] * 28]) + b"\n"


def test_parse_cgroup_files_of_both_versions():
    assert accounting.parse_cpu_s(CPUACCT_USAGE) == pytest.approx(8.214065412)
    assert accounting.parse_cpu_s(CPU_STAT) == pytest.approx(1.52731)
    assert accounting.parse_oom_kills(MEMORY_OOM_CONTROL) == 3
    assert accounting.parse_oom_kills(MEMORY_EVENTS) == 1
    assert accounting.parse_oom_kills(b"oom_kill_disable 0\nunder_oom 0\n") == 0


@pytest.mark.parametrize("name", [b"python3", b"a b", b") R 9 9 9", b"((", b"\n)\n", b""])
def test_parse_process_usage_with_any_process_name(name):
    assert accounting.parse_process_usage(stat(name)) == ProcessUsage(
        start=7, own=5, reaped=45, resident_bytes=4096 * 300
    )


def test_read_all_process_usage_includes_a_zombie():
    spin = "import time\nwhile time.process_time() < 0.2: pass"
    child = subprocess.Popen([sys.executable, "-S", "-c", spin])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    fd = os.open("/proc", os.O_RDONLY)
    found = accounting.read_all_process_usage(fd)
    os.close(fd)
    child.wait()
    assert os.getpid() not in found
    assert 0.15 * os.sysconf("SC_CLK_TCK") < found[child.pid].own < 1.0 * os.sysconf("SC_CLK_TCK")


# The beginning of memory.stat of both versions, and lines further down.
MEMORY_STAT_V1 = b"cache 9416704\nrss 7114752\nrss_huge 0\nshmem 4096\nmapped_file 7479296\ntotal_rss 9\n"
MEMORY_STAT_V2 = b"anon 7114752\nfile 9416704\nkernel 100000\nshmem 4096\nfile_mapped 7479296\n"


@pytest.mark.parametrize("text", [MEMORY_STAT_V1, MEMORY_STAT_V2])
def test_parse_memory_counts_anonymous_and_shared_pages(text):
    assert accounting.parse_memory_bytes(text) == 7114752 + 4096


def test_memory_of_a_cgroup_leaves_out_that_of_the_worker(tmp_path, monkeypatch):
    (tmp_path / "memory.stat").write_bytes(MEMORY_STAT_V1)
    monkeypatch.setattr(accounting, "_MEMORY_FILES", (str(tmp_path / "memory.stat"),))
    monkeypatch.setattr(accounting, "_CPU_FILES", ())
    monkeypatch.setattr(accounting, "_OOM_FILES", ())
    monkeypatch.setattr(accounting, "read_own_pages", lambda _files: [90_000_000, 5_000_000, 4_000_000])
    files = open_proc_files({"cgroup": True, "proc": "/proc"})
    assert Usage(files, os.getpid()).measure()[1] == 7114752 + 4096 - 1_000_000
    for fd in (files.proc_fd, files.memory_fd):
        os.close(fd)


def test_memory_in_a_shared_namespace_is_that_of_the_first_process():
    allocate = "import sys; data = bytearray(b'x') * (64 << 20); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-S", "-c", allocate], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdout.read(1)
        files = open_proc_files({"proc": "/proc", "owns_namespace": False})
        memory_bytes = Usage(files, child.pid).measure()[1]
        child.stdin.close()
    os.close(files.proc_fd)
    assert 64 << 20 < memory_bytes < 96 << 20


def cpu_time():
    return Usage(ProcFiles(), os.getpid())


def times(own, reaped=0, start=0):
    return ProcessUsage(start=start, own=own, reaped=reaped)


def test_cpu_time_sums_all_processes():
    assert cpu_time().sum_ticks({2: times(10), 3: times(20), 4: times(30, reaped=5)}) == 65


def test_cpu_time_keeps_the_last_snapshot_of_vanished_processes():
    cpu = cpu_time()
    assert cpu.sum_ticks({2: times(10), 3: times(20)}) == 30
    assert cpu.sum_ticks({2: times(11)}) == 31
    assert cpu.sum_ticks({2: times(11), 3: times(5, start=9)}) == 36  # the PID of another process
    assert cpu.sum_ticks({2: times(11)}) == 36


def test_cpu_time_counts_reaped_processes_once():
    cpu = cpu_time()
    assert cpu.sum_ticks({2: times(10), 3: times(20)}) == 30
    assert cpu.sum_ticks({2: times(11, reaped=22)}) == 33


def test_cpu_time_without_files_is_that_of_the_first_process():
    cpu = cpu_time()
    before = time.process_time()
    assert before <= cpu.measure()[0] <= time.process_time()


def test_cpu_time_of_a_cgroup_starts_at_zero_and_never_decreases(tmp_path, monkeypatch):
    file = tmp_path / "cpuacct.usage"
    file.write_bytes(b"50000000000\n")
    monkeypatch.setattr(accounting, "_CPU_FILES", (str(tmp_path / "cpu.stat"), str(file)))
    monkeypatch.setattr(accounting, "_OOM_FILES", ())
    files = open_proc_files({"cgroup": True})
    monkeypatch.setattr(accounting.time, "clock_gettime", lambda _clock: 0.25)  # of the candidate's first process
    monkeypatch.setattr(accounting.time, "process_time", lambda: 2.0)  # the worker's own
    cpu = Usage(files, 12)
    assert cpu.measure()[0] == pytest.approx(0.25)
    file.write_bytes(b"51500000000\n")
    assert cpu.measure()[0] == pytest.approx(1.75)
    monkeypatch.setattr(accounting.time, "process_time", lambda: 2.5)
    assert cpu.measure()[0] == pytest.approx(1.75)
    file.write_bytes(b"53000000000\n")
    assert cpu.measure()[0] == pytest.approx(2.75)
    assert files.cpu_fd is not None
    os.close(files.cpu_fd)


@pytest.mark.parametrize("text", [MEMORY_OOM_CONTROL, MEMORY_EVENTS])
def test_oom_counter_reports_an_increase_once(tmp_path, monkeypatch, text):
    file = tmp_path / "events"
    file.write_bytes(text)
    monkeypatch.setattr(accounting, "_CPU_FILES", ())
    monkeypatch.setattr(accounting, "_OOM_FILES", (str(file),))
    files = open_proc_files({"cgroup": True})
    oom_kills = OomCounter(files)
    assert not oom_kills.increased()
    file.write_bytes(text.replace(b"oom_kill 3", b"oom_kill 4").replace(b"oom_kill 1", b"oom_kill 2"))
    assert oom_kills.increased()
    assert not oom_kills.increased()
    assert files.oom_fd is not None
    os.close(files.oom_fd)


def test_open_proc_files_without_keys_opens_nothing():
    assert open_proc_files({"uid": None}) == ProcFiles()
    assert not OomCounter(ProcFiles()).increased()
    with pytest.raises(OSError, match="nowhere"):
        open_proc_files({"proc": "/nowhere/proc"})


def test_memory_of_forked_processes_counts_what_they_inherit_once(monkeypatch):
    mib = 1 << 20
    monkeypatch.setattr(accounting, "read_own_pages", lambda _files: [99 * mib, 10 * mib, 0])
    resident = {2: 50 * mib, 3: 12 * mib, 4: 11 * mib, 5: 2 * mib, 6: 0}  # the last but one executes another program
    processes = {pid: ProcessUsage(start=0, own=0, reaped=0, resident_bytes=size) for pid, size in resident.items()}
    monkeypatch.setattr(accounting, "read_all_process_usage", lambda _fd: processes)
    assert Usage(ProcFiles(proc_fd=99), os.getpid()).measure()[1] == (10 + 40 + 2 + 1) * mib
    monkeypatch.setattr(accounting, "read_own_pages", lambda _files: [999 * mib, 300 * mib, 0])  # with torch
    assert Usage(ProcFiles(proc_fd=99), os.getpid()).measure()[1] == (16 + 34) * mib
