"""Files that are not theirs: to read, to write, to replace, to reach by links. Each returns only if it succeeds."""

# ruff: noqa: E501

PROGRAMS = {
    "write_worker": ("exception", "def solve(n): open('/app/worker.py', 'w')"),
    "append_to_candidate": ("exception", "def solve(n): open('/app/candidate.py', 'a')"),
    "new_file_beside_worker": ("exception", "def solve(n): open('/app/json.py', 'w')"),
    "rename_worker": ("exception", "import os\ndef solve(n): os.rename('/app/worker.py', '/tmp/w'); return 0"),
    "replace_app": ("exception", "import os\ndef solve(n): os.rename('/app', '/app2'); return 0"),
    "write_python": ("exception", "import os\ndef solve(n): open(os.__file__, 'w')"),
    "write_bytecode": ("exception", "import os\ndef solve(n): open(os.__cached__, 'wb')"),
    "write_interpreter": ("exception", "import sys\ndef solve(n): open(sys.executable, 'wb')"),
    "write_library": ("exception", "import _ctypes\ndef solve(n): open(_ctypes.__file__, 'wb')"),
    "write_root": ("exception", "def solve(n): open('/x', 'w')"),
    "write_dev": ("exception", "def solve(n): open('/dev/x', 'w')"),
    "write_dev_shm": ("exception", "def solve(n): open('/dev/shm/x', 'w')"),
    "write_dev_mqueue": ("exception", "def solve(n): open('/dev/mqueue/x', 'w')"),
    "write_var_tmp": ("exception", "def solve(n): open('/var/tmp/x', 'w')"),
    "write_run": ("exception", "def solve(n): open('/run/x', 'w')"),
    "write_run_lock": ("exception", "def solve(n): open('/run/lock/x', 'w')"),
    "write_home": ("exception", "import os\ndef solve(n): open(os.path.expanduser('~/x'), 'w')"),
    "write_etc_hosts": ("exception", "def solve(n): open('/etc/hosts', 'a')"),
    "write_etc_resolv_conf": ("exception", "def solve(n): open('/etc/resolv.conf', 'a')"),
    "write_etc_hostname": ("exception", "def solve(n): open('/etc/hostname', 'a')"),
    "write_etc_passwd": ("exception", "def solve(n): open('/etc/passwd', 'a')"),
    "write_sys": ("exception", "def solve(n): open('/sys/kernel/uevent_helper', 'w').write('/tmp/x')"),
    "write_anywhere": (
        "wrong",
        # where the sandbox has one user, the input directory belongs to it; every reset empties it
        "import os\ndef solve(n):\n    found, skipped = [], ['/proc', '/tmp']\n"
        "    if os.stat('/').st_uid == os.getuid(): skipped.append('/input')\n"
        "    for folder, folders, files in os.walk('/'):\n"
        "        folders[:] = [] if folder.count('/') > 1 else [d for d in folders if os.path.join(folder, d) not in skipped]\n"
        "        if not os.path.islink(folder) and os.access(folder, os.W_OK): found.append(folder)\n    assert not found, found\n    return 0",
    ),
    "writable_files_anywhere": (
        "wrong",
        "import os\ndef solve(n):\n    for folder, folders, files in os.walk('/'):\n"
        "        folders[:] = [] if folder.count('/') > 1 else [d for d in folders if os.path.join(folder, d) not in ('/proc', '/sys', '/tmp', '/dev')]\n"
        "        for name in files:\n            path = os.path.join(folder, name)\n"
        "            if os.path.isfile(path) and os.access(path, os.W_OK): raise ValueError(path)\n    return 0",
    ),
    "owned_files_anywhere": (
        "wrong",
        "import os\ndef solve(n):\n    for folder, folders, files in os.walk('/'):\n"
        "        folders[:] = [] if folder.count('/') > 1 else [d for d in folders if os.path.join(folder, d) not in ('/proc', '/sys', '/tmp', '/dev')]\n"
        "        for name in files:\n            if os.lstat(os.path.join(folder, name)).st_uid == os.getuid(): raise ValueError(name)\n    return 0",
    ),
    "run_from_scratch_set_user_id": (
        "exception wrong",
        "import os, shutil, subprocess\ndef solve(n):\n    shutil.copy('/usr/bin/id', 'id')\n    os.chmod('id', 0o6755)\n"
        "    return int(subprocess.check_output(['./id', '-u'])) or 10",
    ),
    "read_the_workers_proc": (
        "exception",
        "import os\ndef solve(n): return os.listdir('/private')[0] + os.listdir('/private/proc')[0]",
    ),
    "read_the_workers_proc_by_name": ("exception", "def solve(n): return open('/private/proc/1/environ').read()"),
    "connect_to_the_handshake": (
        "exception",
        "import socket\ndef solve(n): socket.socket(socket.AF_UNIX).connect('/handshake/socket'); return 0",
    ),
    "write_to_the_handshake": ("exception", "def solve(n): open('/handshake/x', 'w')"),
    "read_shadow": ("exception", "def solve(n): return open('/etc/shadow').read()"),
    "read_root_home": (
        "exception",
        "import os\ndef solve(n): return os.listdir('/root')[0] + os.listdir('/root/.ssh')[0]",
    ),
    "read_homes": ("exception", "import os\ndef solve(n): return os.listdir('/home')[0]"),
    "read_ssh_keys": ("exception", "def solve(n): return open('/root/.ssh/id_rsa').read()"),
    "read_docker_socket": ("exception", "import os\ndef solve(n): return os.stat('/var/run/docker.sock').st_mode"),
    "read_service_account": (
        "exception",
        "def solve(n): return open('/run/secrets/kubernetes.io/serviceaccount/token').read()",
    ),
    "read_other_scratch": ("exception", "import os\ndef solve(n): return os.listdir('/slot')"),
    "read_kernel_log": ("exception", "def solve(n): return open('/dev/kmsg').read(1)"),
    "read_disk": (
        "exception",
        "def solve(n):\n    for d in ('/dev/sda', '/dev/vda', '/dev/nvme0n1'):\n        try: return open(d, 'rb').read(1)\n        except FileNotFoundError: pass\n    raise OSError",
    ),
    "read_memory_device": ("exception", "def solve(n): return open('/dev/mem', 'rb').read(1)"),
    "open_kvm": ("exception", "def solve(n): return open('/dev/kvm', 'rb+').fileno()"),
    "open_fuse": ("exception", "def solve(n): return open('/dev/fuse', 'rb+').fileno()"),
    "open_tun": ("exception", "def solve(n): return open('/dev/net/tun', 'rb+').fileno()"),
    "open_loop": ("exception", "def solve(n): return open('/dev/loop-control', 'rb+').fileno()"),
    "open_console": ("exception", "def solve(n): return open('/dev/console', 'rb+').fileno()"),
    "open_terminal": ("exception", "def solve(n): return open('/dev/tty', 'rb+').fileno()"),
    "push_into_a_terminal": (
        "exception",
        "import fcntl, termios\ndef solve(n):\n    for fd in range(3): fcntl.ioctl(fd, termios.TIOCSTI, b'x')\n    return 0",
    ),
    "make_a_device": (
        "exception",
        "import os, stat\ndef solve(n): os.mknod('d', 0o666 | stat.S_IFBLK, os.makedev(8, 0)); return 0",
    ),
    "chown": (
        "exception",
        "import os\ndef solve(n):\n    open('f', 'w').close()\n    os.chown('f', 0, 0)\n    return 0",
    ),
    "chmod_worker": ("exception", "import os\ndef solve(n): os.chmod('/app/worker.py', 0o777); return 0"),
    "touch_worker": ("exception", "import os\ndef solve(n): os.utime('/app/worker.py'); return 0"),
    "chmod_null": ("exception", "import os\ndef solve(n): os.chmod('/dev/null', 0); return 0"),
    "hard_link_to_worker": ("exception", "import os\ndef solve(n): os.link('/app/worker.py', 'w'); return 0"),
    "hard_link_to_sudo": ("exception", "import os\ndef solve(n): os.link('/usr/bin/su', 'su'); return 0"),
    "climb_out": (
        "wrong exception",
        "import os\ndef solve(n):\n    for _ in range(99): os.chdir('..')\n    return sorted(os.listdir('.')) == []",
    ),
    "open_by_handle": (
        "exception",
        "import ctypes, os, struct\nlibc = ctypes.CDLL(None)\ndef solve(n):\n    h = struct.pack('IiQ', 8, 1, 2)\n"
        "    fd = libc.open_by_handle_at(os.open('/', 0), h, 0)\n    if fd < 0: raise OSError\n    return fd",
    ),
    "import_from_scratch_poison": (
        "wrong",
        "import os\ndef solve(n):\n    for m in ('json', 'values', 'os', 'site', 'sitecustomize', 'usercustomize'):\n"
        "        open(m + '.py', 'w').write('raise SystemExit')\n    return 0",
    ),
}

PROGRAMS["append_to_candidate_main"] = ("exception", "def solve(n): open('/app/candidate/main.py', 'a')")
