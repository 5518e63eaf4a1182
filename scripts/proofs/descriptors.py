"""Proves that an edge without descriptors neither spins nor falls over, and serves again as soon as there are some."""

import contextlib
import selectors
import socket
import threading
import time

from shared.common import (
    QUICK,
    Connection,
    Edge,
    Load,
    Wrong,
    add_artifact,
    example,
    expect,
    folder,
    get,
    need_descriptors,
    prove,
    until,
)

OPEN_FILES = 64
CLIENTS = 500
SECONDS = 4 if QUICK else 30
MOST_OF_A_CORE = 0.20
SECONDS_TO_RECOVER = 1.0
LATEST = "/v2/agent-releases/latest.json"
ASKED = f"GET {LATEST} HTTP/1.1\r\nHost: proof.example\r\n\r\n".encode()


class Crowd:
    """Clients that each ask once and stay; one that is sent away comes again a second later."""

    def __init__(self, address: tuple[str, int]):
        self.address, self.selector = address, selectors.DefaultSelector()
        self.statuses: dict[str, int] = {}
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _come(self) -> None:
        stream = socket.socket()
        stream.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            stream.connect(self.address)
        self.selector.register(stream, selectors.EVENT_WRITE)

    def _run(self) -> None:
        waiting = [time.monotonic() + number / CLIENTS for number in range(CLIENTS)]
        while not self.done.is_set():
            now = time.monotonic()
            while waiting and waiting[0] <= now:
                waiting.pop(0)
                self._come()
            for key, events in self.selector.select(0.05):
                if not self._stays(key.fileobj, events):
                    self.selector.unregister(key.fileobj)
                    key.fileobj.close()
                    waiting.append(time.monotonic() + 1)
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()

    def _stays(self, stream: socket.socket, events: int) -> bool:
        """Asks, then counts what it is told; false when it has been sent away."""
        told = b""
        with contextlib.suppress(OSError):
            if events & selectors.EVENT_WRITE:
                self.selector.modify(stream, selectors.EVENT_READ)
                # Who has been told already may not be able to ask; the answer is there all the same.
                with contextlib.suppress(OSError):
                    stream.send(ASKED)
                return True
            told = stream.recv(65536)
        status = told[9:12].decode("latin-1") if told.startswith(b"HTTP/1.1 ") else "none"
        if told or not self.selector.get_key(stream).data:
            self.statuses[status] = self.statuses.get(status, 0) + 1
        self.selector.modify(stream, selectors.EVENT_READ, "answered")
        return bool(told)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


def run() -> str:
    need_descriptors(2048)
    with folder() as where:
        example(where)
        artifact = add_artifact(where, 1)
        with Edge(where, wrap=["prlimit", f"--nofile={OPEN_FILES}"]) as edge, Connection(edge.address) as early:
            expect(early.ask(LATEST).status == 200, "it answers")
            with Crowd(edge.address) as crowd:
                time.sleep(1.5)
                start, before = time.monotonic(), edge.cpu_seconds()
                statuses = set()
                while time.monotonic() < start + SECONDS:
                    expect(early.ask(LATEST).status == 200, "who was there before is served")
                    status = early.ask(artifact.target).status
                    statuses.add(status)
                    expect(status in (200, 503), f"a download is served or refused, found {status}")
                    expect(get(edge.admin, "/ready", timeout=1)[0] == 200, "the admin address answers")
                    time.sleep(0.1)
                share = (edge.cpu_seconds() - before) / (time.monotonic() - start)
                told = dict(crowd.statuses)
            left = time.monotonic()
            until("it serves again once they have left", lambda: is_served(edge), SECONDS_TO_RECOVER)
            took = time.monotonic() - left
            with Load(edge.address, [LATEST], clients=4, rate=200) as load:
                time.sleep(1)
            expect(not load.errors, f"and all of them: {load.errors[:3]}")
            edge.stop()
        expect(share <= MOST_OF_A_CORE, f"at most {MOST_OF_A_CORE:.0%} of a core, found {share:.1%}")
        expect(told.get("503", 0) > 0, f"clients are told that there is no room, found {told}")
        expect(any("warn" in line for line in edge.log), "a line of the log warns of it")
        counts = ", ".join(f"{count:,} times {status}" for status, count in sorted(told.items()))
        return (
            f"{OPEN_FILES} descriptors, {CLIENTS} clients for {SECONDS} s: {counts}; {share:.1%} of a core; "
            f"a kept connection was served all the time; served again {took * 1000:.0f} ms after they left"
        )


def is_served(edge: Edge) -> bool:
    with contextlib.suppress(OSError, Wrong):
        return get(edge.address, LATEST, timeout=1)[0] == 200
    return False


prove("descriptors", "without descriptors: at most 20 % of a core, and served again within 1 s", run)
