"""Runs an edge under what its systemd unit allows: these system calls, no socket of its own, two that are handed over.

Usage: check-unit.py EDGE SITE    needs libseccomp's module for Python (Debian: python3-seccomp) and systemd-analyze
"""

import errno
import os
import pathlib
import signal
import socket
import subprocess
import sys
import urllib.request

import seccomp

UNIT = pathlib.Path(__file__).resolve().parents[1] / "deploy/systemd/agent-releases-edge.service"


def calls(names: list[str]) -> set[str]:
    """The system calls of a list of names and sets."""
    found = set()
    for name in names:
        if not name.startswith("@"):
            found.add(name)
            continue
        said = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True).stdout
        found |= calls([word for line in said.splitlines()[1:] if (word := line.strip()) and not word.startswith("#")])
    return found


def allowed() -> set[str]:
    lines = UNIT.read_text().splitlines()
    rows = [line.split("=", 1)[1] for line in lines if line.startswith("SystemCallFilter=")]
    some = calls([name for row in rows if not row.startswith("~") for name in row.split()])
    # No family of addresses: no socket at all.
    none = {"socket"} if "RestrictAddressFamilies=none" in lines else set()
    return some - none - calls([name for row in rows if row.startswith("~") for name in row[1:].split()])


def become(edge: str, site: str, listeners: list[socket.socket], names: set[str]) -> None:
    """What systemd does between fork and exec. Without listeners the edge has to open its own, which it can't."""
    high = [os.dup2(listener.fileno(), 100 + place) for place, listener in enumerate(listeners)]
    for place, descriptor in enumerate(high):
        os.dup2(descriptor, 3 + place)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(high)), LISTEN_FDNAMES="clients:admin")
    rules = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    for name in sorted(names):
        try:
            rules.add_rule(seccomp.ALLOW, name)
        except RuntimeError:
            pass  # another architecture's
    rules.load()
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    os.execv(edge, [edge, "--site", site, "--access-log"])


def main() -> None:
    edge, site = sys.argv[1:]
    names = allowed()
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    clients, admin = (f"http://127.0.0.1:{listener.getsockname()[1]}" for listener in listeners)
    child = os.fork()
    if child == 0:
        become(edge, site, listeners, names)
    asked = [clients + path for path in ("/v2/agent-releases", "/v2/agent-releases/latest.json", "/openapi.json")]
    asked += [admin + path for path in ("/healthz", "/ready", "/metrics")]
    try:
        for address in asked:
            with urllib.request.urlopen(address, timeout=10) as answer:
                answer.read()
        os.kill(child, signal.SIGHUP)
        with urllib.request.urlopen(asked[0], timeout=10) as answer:
            answer.read()
    finally:
        os.kill(child, signal.SIGTERM)
        _, status = os.waitpid(child, 0)
    assert status == 0, f"the edge ended with {status}"
    # The other way round, so that it is known that the rules hold.
    if (child := os.fork()) == 0:
        become(edge, site, [], names)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1, "the edge could open a socket"
    print(f"the edge answers, reloads and drains with the {len(names)} system calls that its unit leaves it")


main()
