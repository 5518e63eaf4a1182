"""Proves that an edge whose sockets are handed over can be stopped and started under load, and nobody is refused."""

import fcntl
import pathlib
import socket
import time

from shared.common import QUICK, Edge, Load, example, expect, folder, need_descriptors, percentile, prove

ROUNDS = 3 if QUICK else 20
RATE, CLIENTS = (500, 16) if QUICK else (1000, 32)
DRAIN = 2
# A new edge has to read its site; here it shares its cores with the load.
SECONDS_TO_WAIT = 3.0
TARGETS = ["/v2/agent-releases/latest.json", "/v2/agent-releases", "/openapi.json"]
# What systemd does between fork and exec.
BECOME = 'exec 3<&"$1" 4<&"$2"; shift 2; export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=clients:admin; exec "$@"'


class Sockets:
    """Two listening sockets that stay open whichever edge runs, as a service manager keeps them."""

    def __init__(self) -> None:
        self.listeners = [socket.create_server(("127.0.0.1", 0), backlog=1024) for _ in range(2)]
        # Numbers that are not those which they are to get.
        self.numbers = tuple(fcntl.fcntl(listener, fcntl.F_DUPFD_CLOEXEC, 100) for listener in self.listeners)

    def start(self, where: pathlib.Path) -> Edge:
        wrap = ["bash", "-c", BECOME, "bash", *map(str, self.numbers)]
        return Edge(where, "--drain-timeout", str(DRAIN), wrap=wrap, pass_fds=self.numbers)


def run() -> str:
    need_descriptors(4096)
    sockets = Sockets()
    ends, gaps = [], []
    with folder() as where:
        example(where)
        edge = sockets.start(where)
        expect(edge.address == sockets.listeners[0].getsockname(), f"the edge has the socket, found {edge.address}")
        begin = time.monotonic()
        with Load(edge.address, TARGETS, CLIENTS, RATE) as load:
            for _ in range(ROUNDS):
                time.sleep(0.5)
                ends.append(edge.stop())
                stopped = time.monotonic()
                edge = sockets.start(where)
                gaps.append(time.monotonic() - stopped)
            time.sleep(0.5)
            answers, errors, took = load.answers, list(load.errors), time.monotonic() - begin
        longest = max(load.seconds)
        # The negative control: sockets of its own, which end with the edge.
        edge.stop()
        with Edge(where, "--drain-timeout", str(DRAIN)) as alone, Load(alone.address, TARGETS, CLIENTS, RATE) as refused:
            time.sleep(0.5)
            alone.stop()
            time.sleep(0.5)
    expect(not errors, f"nobody is refused: {len(errors)} of {answers}, {errors[:5]}")
    expect(refused.errors, "with sockets of its own, clients notice")
    expect(longest < SECONDS_TO_WAIT, f"nobody waits for {SECONDS_TO_WAIT:g} s, found {longest:.2f} s")
    return (
        f"{ROUNDS} edges after each other under {answers / took:.0f} requests/s, {answers:,} answers: 0 client errors; between "
        f"two edges {percentile(gaps, 50) * 1000:.0f} ms, the longest answer {longest * 1000:.0f} ms; SIGTERM to the end at most "
        f"{max(ends):.1f} s with --drain-timeout {DRAIN}; with sockets of their own (the negative control): "
        f"{len(refused.errors)} errors within half a second"
    )


prove("handover", "sockets that are handed over stay open: an edge is stopped and started under load, and nobody is refused", run)
