"""The network, and sockets of every family. Each returns only if it succeeds."""

# ruff: noqa: E501


def _family(number: int, kind: int = 3, protocol: int = 0) -> tuple[str, str]:
    return "exception", f"import socket\ndef solve(n): return socket.socket({number}, {kind}, {protocol}).fileno()"


def _connect(host: str, port: int) -> tuple[str, str]:
    return "exception", f"import socket\ndef solve(n): socket.create_connection(({host!r}, {port}), 0.3); return 0"


PROGRAMS = {
    "inet": ("exception", "import socket\ndef solve(n): return socket.socket().connect_ex(('1.1.1.1', 53))"),
    "inet_datagram": (
        "exception",
        "import socket\ndef solve(n): return socket.socket(2, 2).sendto(b'x', ('8.8.8.8', 53))",
    ),
    "inet6": ("exception", "import socket\ndef solve(n): return socket.socket(10, 1).connect_ex(('::1', 80))"),
    "to_loopback_service": _connect("127.0.0.1", 8000),
    "to_docker_bridge": _connect("172.17.0.1", 22),
    "to_docker_api": _connect("172.17.0.1", 2375),
    "to_metadata_service": _connect("169.254.169.254", 80),
    "to_the_world": _connect("93.184.215.14", 80),
    "listen": (
        "exception",
        "import socket\ndef solve(n):\n    s = socket.socket()\n    s.bind(('0.0.0.0', 8080))\n    s.listen()\n    return 0",
    ),
    "resolve": ("exception", "import socket\ndef solve(n): return socket.gethostbyname('example.com')"),
    "download": (
        "exception",
        "import urllib.request\ndef solve(n): return urllib.request.urlopen('http://example.com', timeout=0.3).status",
    ),
    "by_curl": (
        "wrong exception",
        "import subprocess\ndef solve(n): return subprocess.call('curl -m 1 http://example.com || exit 9', shell=True) == 0",
    ),
    "by_bash": (
        "wrong exception",
        "import subprocess\ndef solve(n): return subprocess.call(['/bin/bash', '-c', 'echo > /dev/tcp/127.0.0.1/22']) == 0",
    ),
    "by_perl": (
        "wrong exception",
        "import subprocess\ndef solve(n):\n    return subprocess.call(['perl', '-MIO::Socket', '-e',\n"
        "        'exit(IO::Socket::INET->new(\"127.0.0.1:22\") ? 0 : 9)']) == 0",
    ),
    "pip_install": (
        "wrong exception timeout",
        "import subprocess, sys\ndef solve(n): return subprocess.call([sys.executable, '-m', 'pip', 'install', 'six']) == 0",
    ),
    "vsock": _family(40, 1),
    "netlink": _family(16),
    "packet": _family(17),
    "raw": _family(2, 3, 1),
    "kernel_crypto": _family(38, 5),
    "bluetooth": _family(31),
    "can": _family(29),
    "xdp": _family(44),
    "tipc": _family(30, 1),
    "rds": _family(21, 5),
    "key": _family(15),
    "qipcrtr": _family(42, 2),
    "host_unix_socket": (
        "exception",
        "import socket\ndef solve(n): socket.socket(socket.AF_UNIX).connect('/run/docker.sock'); return 0",
    ),
    "containerd_socket": (
        "exception",
        "import socket\ndef solve(n): socket.socket(socket.AF_UNIX).connect('/run/containerd/containerd.sock'); return 0",
    ),
    "abstract_sockets_of_the_host": (
        "exception",
        "import socket\ndef solve(n):\n    for name in ('/tmp/.X11-unix/X0', '/containerd-shim', 'dbus', '/run/systemd/journal/stdout'):\n"
        "        if socket.socket(socket.AF_UNIX).connect_ex('\\0' + name) == 0: return name\n    raise OSError",
    ),
    "interfaces": (
        "wrong",
        "import socket\ndef solve(n):\n    try: names = [name for _, name in socket.if_nameindex()]\n    except OSError: return 0\n"
        "    assert set(names) <= {'lo', 'tunl0', 'sit0', 'ip6tnl0', 'gre0'}, names\n    return 0",
    ),
    "interfaces_by_sys": (
        "wrong",
        "import os\ndef solve(n):\n    try: names = os.listdir('/sys/class/net')\n    except OSError: return 0\n"
        "    assert set(names) <= {'lo', 'tunl0', 'sit0', 'ip6tnl0', 'gre0', 'gretap0', 'erspan0', 'ip_vti0', 'ip6_vti0', 'ip6gre0'}, names\n    return 0",
    ),
    "steal_a_socket_by_fork": (
        "exception",
        "import socket\ndef solve(n):\n    for fd in range(4, 64):\n        try: return socket.socket(fileno=fd).getpeername()\n"
        "        except OSError: pass\n    raise OSError",
    ),
}
