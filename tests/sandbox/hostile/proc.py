"""/proc and /sys: the worker's memory, descriptors and surroundings, switches of the kernel. Each returns on success."""

# ruff: noqa: E501

_READ = {
    "environ": "/proc/1/environ",
    "mem": "/proc/1/mem",
    "maps": "/proc/1/maps",
    "auxv": "/proc/1/auxv",
    "stack": "/proc/1/stack",
    "syscall": "/proc/1/syscall",
    "io": "/proc/1/io",
    "pagemap": "/proc/1/pagemap",
    "kcore": "/proc/kcore",
    "kmsg": "/proc/kmsg",
    "kpagecount": "/proc/kpagecount",
    "slabinfo": "/proc/slabinfo",
    "efivars": "/sys/firmware/efi/efivars/x",
    "debugfs": "/sys/kernel/debug/x",
    "tracing": "/sys/kernel/tracing/trace",
}
_WRITE = {
    "sysrq": ("/proc/sysrq-trigger", "h"),
    "core_pattern": ("/proc/sys/kernel/core_pattern", "|/tmp/x"),
    "modprobe": ("/proc/sys/kernel/modprobe", "/tmp/x"),
    "drop_caches": ("/proc/sys/vm/drop_caches", "1"),
    "overcommit": ("/proc/sys/vm/overcommit_memory", "1"),
    "panic": ("/proc/sys/kernel/panic", "1"),
    "hostname": ("/proc/sys/kernel/hostname", "x"),
    "shmmni": ("/proc/sys/kernel/shmmni", "4096"),
    "msgmni": ("/proc/sys/kernel/msgmni", "4096"),
    "queues_max": ("/proc/sys/fs/mqueue/queues_max", "99"),
    "user_namespaces": ("/proc/sys/user/max_user_namespaces", "99"),
    "pid_max": ("/proc/sys/kernel/pid_max", "400"),
    "ns_last_pid": ("/proc/sys/kernel/ns_last_pid", "9"),
    "ip_forward": ("/proc/sys/net/ipv4/ip_forward", "1"),
    "binfmt": ("/proc/sys/fs/binfmt_misc/register", ":x:M::x::/tmp/x:"),
    "oom_of_pid_1": ("/proc/1/oom_score_adj", "1000"),
    "oom_of_self_below_zero": ("/proc/self/oom_score_adj", "-1000"),
    "comm_of_pid_1": ("/proc/1/comm", "x"),
    "clear_refs_of_pid_1": ("/proc/1/clear_refs", "1"),
    "mem_of_pid_1": ("/proc/1/mem", "x"),
    "limits_of_pid_1": ("/proc/1/limits", "x"),
    "attr": ("/proc/1/attr/current", "x"),
    "uid_map": ("/proc/self/uid_map", "0 0 1"),
    "loginuid": ("/proc/1/loginuid", "0"),
    "autogroup_of_pid_1": ("/proc/1/autogroup", "19"),
    "coredump_filter": ("/proc/1/coredump_filter", "0xff"),
    "timerslack_of_pid_1": ("/proc/1/timerslack_ns", "999999999"),
    "scsi": ("/proc/scsi/scsi", "x"),
    "irq": ("/proc/irq/default_smp_affinity", "1"),
    "power": ("/sys/power/state", "mem"),
    "uevent_helper": ("/sys/kernel/uevent_helper", "/tmp/x"),
    "cgroup_procs": ("/sys/fs/cgroup/cgroup.procs", "0"),
    "cgroup_memory": ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "-1"),
    "cgroup_memory_2": ("/sys/fs/cgroup/memory.max", "max"),
    "cgroup_pids": ("/sys/fs/cgroup/pids/pids.max", "max"),
    "cgroup_pids_2": ("/sys/fs/cgroup/pids.max", "max"),
    "cgroup_kill": ("/sys/fs/cgroup/cgroup.kill", "1"),
    "cgroup_freeze": ("/sys/fs/cgroup/cgroup.freeze", "1"),
    "cgroup_freezer": ("/sys/fs/cgroup/freezer/freezer.state", "FROZEN"),
    "cgroup_release_agent": ("/sys/fs/cgroup/memory/release_agent", "/tmp/x"),
    "cgroup_devices": ("/sys/fs/cgroup/devices/devices.allow", "a"),
}

PROGRAMS = {
    **{
        f"read_{name}": ("exception", f"def solve(n): return open({path!r}, 'rb').read(8).hex()")
        for name, path in _READ.items()
    },
    **{
        f"write_{name}": (
            "exception",
            f"import os\ndef solve(n): return os.write(os.open({path!r}, os.O_WRONLY), {text.encode()!r})",
        )
        for name, (path, text) in _WRITE.items()
    },
    "list_descriptors_of_pid_1": ("exception", "import os\ndef solve(n): return os.listdir('/proc/1/fd')"),
    "open_descriptor_of_pid_1": (
        "exception",
        "def solve(n):\n    for fd in range(20):\n        try: return open(f'/proc/1/fd/{fd}', 'wb').write(b'x')\n"
        "        except FileNotFoundError: pass\n    raise OSError",
    ),
    "root_of_pid_1": ("exception", "import os\ndef solve(n): return os.listdir('/proc/1/root/')"),
    "folder_of_pid_1": ("exception", "import os\ndef solve(n): return os.readlink('/proc/1/cwd')"),
    "executable_of_pid_1": ("exception", "import os\ndef solve(n): return os.readlink('/proc/1/exe')"),
    "map_files_of_pid_1": ("exception", "import os\ndef solve(n): return os.listdir('/proc/1/map_files')"),
    "namespaces_of_pid_1": ("exception", "import os\ndef solve(n): return os.readlink('/proc/1/ns/mnt')"),
    "enter_namespaces_of_pid_1": (
        "exception",
        "import ctypes, os\ndef solve(n):\n    if ctypes.CDLL(None).setns(os.open('/proc/1/ns/mnt', 0), 0): raise OSError\n    return 0",
    ),
    "host_processes": (
        "wrong",
        "import os\ndef solve(n):\n    if not os.path.isdir('/proc'): return 0\n"
        "    pids = [int(p) for p in os.listdir('/proc') if p.isdigit()]\n    assert len(pids) <= 2, pids\n    return 0",
    ),
    "host_file_systems": (
        "wrong",
        "import os\ndef solve(n):\n    try: mounts = open('/proc/self/mounts').read()\n    except OSError: return 0\n"
        "    for line in mounts.splitlines():\n        place = line.split()[1]\n"
        "        assert place == '/tmp' or not os.path.isdir(place) or not os.access(place, os.W_OK), line\n    return 0",
    ),
    "new_cgroup": (
        "exception",
        "import os, glob\ndef solve(n):\n    for d in ['/sys/fs/cgroup'] + glob.glob('/sys/fs/cgroup/*/'):\n"
        "        try: return os.mkdir(d + '/x')\n        except OSError: pass\n    raise OSError",
    ),
    "oom_score_lowered_then_bomb": (
        "memory crash timeout exception",
        "import os\ntry: open('/proc/self/oom_score_adj', 'w').write('0')\nexcept OSError: pass\n"
        "def solve(n):\n    for _ in range(6): os.fork()\n    a = []\n    while True: a.append(bytearray(b'x' * (1 << 20)))",
    ),
    "wchan_spy": (
        "wrong exception",
        "def solve(n):\n    for _ in range(2000): open('/proc/1/wchan').read()\n    return 0",
    ),
}
