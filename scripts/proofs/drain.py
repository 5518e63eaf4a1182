"""Proves that an edge behind HAProxy can be stopped and started under load, and no client notices."""

# needs: haproxy
import contextlib
import pathlib
import random
import signal
import socket
import subprocess
import threading
import time

from shared.common import (
    QUICK,
    Answer,
    Artifact,
    Connection,
    Edge,
    Load,
    Wrong,
    add_artifact,
    download,
    example,
    expect,
    folder,
    get,
    need_descriptors,
    prove,
    until,
)

ROUNDS = 2 if QUICK else 20
RATE, CLIENTS = (500, 16) if QUICK else (1000, 32)
DRAIN = 2 if QUICK else 10
# A download lasts longer than the drain does, so that it has to go on after it.
SECONDS_OF_DOWNLOAD = 3.0 if QUICK else 14.0
DOWNLOADS = 4
SECONDS_TO_EXIT = 10.0
MIB = 32
TARGETS = [
    "/v2/agent-releases/latest.json",
    "/v2/agent-releases",
    "/v2/agent-releases/1.8.3",
    "/openapi.json",
    "/v2/agent-releases/latest/download?platform=windows",
]
HAPROXY = """
global
    maxconn 4000
    stats socket {socket} mode 600 level admin
defaults
    mode http
    timeout connect 5s
    timeout client 75s
    timeout server 75s
    timeout http-keep-alive 60s
    http-reuse safe
frontend front
    bind 127.0.0.1:{front}
    default_backend edges
backend edges
    balance roundrobin
    option httpchk GET /ready
    http-response set-header X-Edge %s
    server one 127.0.0.1:{ports[0]} check port {admins[0]} inter 200ms fall 1 rise 1
    server two 127.0.0.1:{ports[1]} check port {admins[1]} inter 200ms fall 1 rise 1
"""
NAMES = ["one", "two"]


def version() -> str:
    """HAProxy's name and version."""
    said = subprocess.run(["haproxy", "-v"], capture_output=True, text=True).stdout
    return " ".join(said.split()[:1] + said.split()[2:3]).split("-")[0]


def free_ports(count: int) -> list[int]:
    """Ports that nothing uses, outside the range from which clients' own ports come."""
    found: list[int] = []
    for port in random.sample(range(20_000, 30_000), 1000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            break
    return found


class Proxy:
    """HAProxy before two edges."""

    def __init__(self, where: pathlib.Path, front: int, ports: list[int], admins: list[int]):
        self.address, self.socket = ("127.0.0.1", front), where / "haproxy.sock"
        text = HAPROXY.format(socket=self.socket, front=front, ports=ports, admins=admins)
        (where / "haproxy.cfg").write_text(text)
        self.log = open(where / "haproxy.log", "wb")
        self.process = subprocess.Popen(["haproxy", "-db", "-f", where / "haproxy.cfg"], stdout=self.log, stderr=self.log)

    def states(self) -> dict[str, str]:
        """Of each server: UP, DOWN …"""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as stream:
            stream.connect(str(self.socket))
            stream.sendall(b"show stat\n")
            text = b"".join(iter(lambda: stream.recv(65536), b"")).decode()
            rows = [line.split(",") for line in text.splitlines() if line.startswith("edges,")]
            return {row[1]: row[17] for row in rows}
        return {}

    def are_up(self) -> bool:
        return [self.states().get(name) for name in NAMES] == ["UP", "UP"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()


class Download:
    """A slow download, through the proxy or from an edge itself; which edge sends it, and when it ended well."""

    def __init__(self, address: tuple[str, int], artifact: Artifact, edge: str | None = None):
        self.edge, self.end, self.error = edge, 0.0, ""
        self.connection = Connection(address, receive_buffer=1 << 16)
        self.artifact = artifact
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            download(self.connection, self.artifact, MIB / SECONDS_OF_DOWNLOAD, self._begun)
            self.end = time.monotonic()
        except (OSError, Wrong) as error:
            self.error = f"{type(error).__name__}: {error}"

    def _begun(self, headers: dict[str, str]) -> None:
        self.edge = self.edge or headers.get("x-edge")


def is_last(answer: Answer) -> bool:
    return (answer.status, answer.headers.get("connection")) == (200, "close")


def watch_drain(edge: Edge) -> None:
    """Sends SIGTERM, and looks at the edge itself: /ready is 503 at once, and answers say that they are the last."""
    with Connection(edge.address) as kept:
        expect("close" not in kept.ask(TARGETS[0]).headers.get("connection", ""), "before it drains, connections are kept")
        edge.signal(signal.SIGTERM)
        until("/ready is 503", lambda: get(edge.admin, "/ready")[0] == 503, 0.5)
        status, _, body = get(edge.admin, "/ready")
        expect((status, body) == (503, b"draining\n"), f"/ready says that it drains, found {status} {body!r}")
        expect(get(edge.admin, "/healthz")[0] == 200, "/healthz is 200 still")
        answer = kept.ask(TARGETS[0])
        expect(is_last(answer), f"the answer says `Connection: close`: {answer.headers}")
        expect(kept.is_closed_within(1), "and so it is")
    with Connection(edge.address) as late:
        answer = late.ask(TARGETS[0])
        expect(is_last(answer), f"who comes late is served: {answer}")


def drain(proxy: Proxy, edge: Edge, name: str, artifact: Artifact) -> float:
    """One edge is drained; how many seconds it took from the end of its last download."""
    downloads = [Download(proxy.address, artifact) for _ in range(DOWNLOADS - 1)]
    downloads.append(Download(edge.address, artifact, name))
    until("the downloads run", lambda: all(each.edge or each.error for each in downloads))
    watch_drain(edge)
    with contextlib.suppress(subprocess.TimeoutExpired):
        edge.process.wait(SECONDS_OF_DOWNLOAD + DRAIN + 30)
    end = time.monotonic()
    for each in downloads:
        each.thread.join()
    expect(edge.process.returncode == 0, f"the edge ends well, found {edge.process.returncode}: {edge.log[-3:]}")
    errors = [each.error for each in downloads if each.error]
    expect(not errors, f"running downloads finish: {errors}")
    # When the edge ended before the reader, the rest was in the system's buffers.
    return max(0.0, end - max(each.end for each in downloads if each.edge == name))


def kill(edge: Edge, load: Load) -> int:
    """The negative control: an edge that is just killed; how many clients notice."""
    before = len(load.errors)
    edge.signal(signal.SIGKILL)
    edge.process.wait()
    until("clients notice that an edge is killed", lambda: len(load.errors) > before)
    time.sleep(1)
    return len(load.errors) - before


def run() -> str:
    need_descriptors(4096)
    with folder() as where, contextlib.ExitStack() as stack:
        example(where)
        artifact = add_artifact(where, MIB)
        front, *ports = free_ports(5)

        def start(number: int) -> Edge:
            listen, admin = (f"127.0.0.1:{port}" for port in ports[2 * number : 2 * number + 2])
            return stack.enter_context(Edge(where, "--drain-timeout", str(DRAIN), listen=listen, admin_listen=admin))

        edges, seconds = [start(0), start(1)], []
        proxy = stack.enter_context(Proxy(where, front, [edge.address[1] for edge in edges], [edge.admin[1] for edge in edges]))
        until("HAProxy finds both edges", proxy.are_up)
        begin = time.monotonic()
        with Load(proxy.address, TARGETS, CLIENTS, RATE) as load:
            for number in range(ROUNDS):
                seconds.append(drain(proxy, edges[number % 2], NAMES[number % 2], artifact))
                edges[number % 2] = start(number % 2)
                until("HAProxy finds the edge again", proxy.are_up)
            answers, errors, took = load.answers, list(load.errors), time.monotonic() - begin
            noticed = kill(edges[0], load)
        expect(not errors, f"no client notices: {len(errors)} of {answers}, {errors[:5]}")
        last = max(seconds)
        expect(last <= SECONDS_TO_EXIT, f"ends within {SECONDS_TO_EXIT:g} s of the last download, found {last:.1f} s")
        expect(QUICK or answers / took > 0.8 * RATE, f"about {RATE} requests/s, found {answers / took:.0f}")
        return (
            f"{ROUNDS} drains under {answers / took:.0f} requests/s, {answers:,} answers, {ROUNDS * DOWNLOADS} downloads "
            f"of {MIB} MiB: 0 client errors; --drain-timeout {DRAIN}, downloads of {SECONDS_OF_DOWNLOAD:g} s finished; "
            f"the edge ended at most {last:.1f} s after them; SIGKILL instead (the negative control): {noticed} errors within a second; "
            f"{version()}, http-reuse safe, its default of 3 tries to connect, no redispatch"
        )


prove("drain", "behind HAProxy, an edge is stopped and started under load: no client error, downloads finish", run)
