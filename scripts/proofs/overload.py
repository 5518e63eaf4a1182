"""Proves that past its limits the edge says so at once, serves those that it has, and stays small."""

import json
import random
import time

from shared.common import (
    QUICK,
    Artifact,
    Connection,
    Edge,
    Load,
    Wrong,
    add_artifact,
    collection,
    expect,
    folder,
    need_descriptors,
    prove,
    until,
)

CONNECTIONS, STREAMS = 1024, 512
MOST_MIB = 128.0
PROBE_MS = 250.0
RELEASES = 1000
LONGEST = "/v2/agent-releases?page_size=200"
LATEST = "/v2/agent-releases/latest.json"


def is_unavailable(status: int, headers: dict[str, str], body: bytes) -> None:
    """The refusal of the contract, which closes the connection."""
    found = f"{status} {headers} {body!r}"
    expect(status == 503 and headers.get("connection") == "close", f"503, and closed, found {found}")
    expect("retry-after" in headers, f"it says when to come again, found {found}")
    expect(json.loads(body) == {"error": {"code": "unavailable", "message": "Service unavailable", "details": {}}}, found)


def place(edge: Edge) -> Connection:
    """A connection that the edge serves, kept."""
    connection = Connection(edge.address)
    answer = connection.ask(LATEST)
    expect(answer.status == 200, f"below the limit there is an answer, found {answer.status}")
    return connection


def refusal(edge: Edge, asks: bool) -> float:
    """A connection past the limit, which asks or keeps silent; seconds until it was told and closed."""
    start = time.monotonic()
    with Connection(edge.address, timeout=5) as connection:
        if asks:
            connection.send(LATEST)
        is_unavailable(*connection.answer())
        took = time.monotonic() - start
        expect(connection.is_closed_within(5), "and the connection is closed")
        return took


def place_within(edge: Edge, seconds: float) -> Connection:
    """A connection that is served as soon as one has left."""
    end = time.monotonic() + seconds
    while True:
        try:
            return place(edge)
        except (Wrong, ConnectionError):
            expect(time.monotonic() < end, f"within {seconds:g} s of one leaving, another is served")
            time.sleep(0.02)


def connections(edge: Edge) -> str:
    """The limit of connections, at n−1, n and n+1."""
    refused = 'agent_releases_connections_total{outcome="refused"}'
    before = edge.metrics()[refused]
    held = [place(edge) for _ in range(CONNECTIONS - 1)]
    until(f"{CONNECTIONS - 1} are counted", lambda: edge.metrics()["agent_releases_connections"] == CONNECTIONS - 1, 2)
    held.append(place(edge))
    tries = 20 if QUICK else 200
    seconds = [refusal(edge, asks=number % 2 == 0) for number in range(tries)]
    expect(max(seconds) < 1, f"past the limit it is said at once, found {max(seconds):.2f} s")
    until(f"{CONNECTIONS} are counted", lambda: edge.metrics()["agent_releases_connections"] == CONNECTIONS, 2)
    until(f"{tries} refusals are counted", lambda: edge.metrics()[refused] - before == tries, 2)
    for connection in held:
        expect(connection.ask(LATEST).status == 200, "those that are held are served still")
    start = time.monotonic()
    for number in range(10):
        held.pop(random.randrange(len(held))).close()
        held.append(place_within(edge, 1))
    freed = (time.monotonic() - start) / 10
    refusal(edge, asks=True)
    for connection in held:
        connection.close()
    return (
        f"{CONNECTIONS} connections served, {tries} more refused in at most {max(seconds) * 1000:.0f} ms, "
        f"a place free again after {freed * 1000:.0f} ms"
    )


def stall(edge: Edge, artifact: Artifact) -> tuple[int, dict[str, str], Connection]:
    """A download whose reader reads its head and then nothing."""
    connection = Connection(edge.address, receive_buffer=4096)
    connection.send(artifact.target)
    return *connection.head(), connection


def most_memory(edge: Edge, seconds: float):
    """What it takes, ten times a second."""
    for _ in range(int(seconds * 10)):
        time.sleep(0.1)
        yield edge.memory_mib()


def streams(edge: Edge, artifact: Artifact) -> str:
    """The limit of downloads, at n−1, n and n+1, with all other connections taken."""
    stalled = []
    for number in range(STREAMS):
        status, _, connection = stall(edge, artifact)
        expect(status == 200, f"download {number + 1} of {STREAMS} is served, found {status}")
        stalled.append(connection)
    until(f"{STREAMS} downloads are counted", lambda: edge.metrics()["agent_releases_streams"] == STREAMS, 2)
    refused = edge.metrics()["agent_releases_streams_refused_total"]
    for _ in range(3):
        status, headers, connection = stall(edge, artifact)
        expect(status == 503 and "retry-after" in headers, f"download {STREAMS + 1} is refused, found {status} {headers}")
        connection.close()
    expect(edge.metrics()["agent_releases_streams_refused_total"] - refused == 3, "three refusals are counted")
    held = [place(edge) for _ in range(CONNECTIONS - STREAMS - 1)]
    with Load(edge.address, [LATEST, "/v2/agent-releases"], clients=1, rate=200) as probe:
        memory = max(most_memory(edge, 1 if QUICK else 10))
    expect(not probe.errors, f"documents are answered all the time: {probe.errors[:3]}")
    expect(probe.p99_ms() < PROBE_MS, f"a document's p99 stays below {PROBE_MS:g} ms, found {probe.p99_ms():.0f}")
    expect(memory <= MOST_MIB, f"at most {MOST_MIB:g} MiB with {STREAMS} stalled downloads, found {memory:.0f}")
    stalled.pop().close()
    until("a download's place is free again", lambda: stall(edge, artifact)[0] == 200, 1)
    for connection in [*stalled, *held]:
        connection.close()
    until("all places are free again", lambda: edge.metrics()["agent_releases_streams"] == 0, 3)
    return (
        f"{STREAMS} stalled downloads, the next ones refused; documents meanwhile in p99 {probe.p99_ms():.1f} ms; "
        f"memory with {CONNECTIONS} connections {memory:.0f} MiB"
    )


def lists(edge: Edge) -> str:
    """All connections taken by clients that ask for the longest list again and again, and read nothing."""
    stalled = [Connection(edge.address, receive_buffer=4096) for _ in range(CONNECTIONS)]
    for connection in stalled:
        for _ in range(20):
            connection.send(LONGEST)
    memory = max(most_memory(edge, 2))
    expect(memory <= MOST_MIB, f"at most {MOST_MIB:g} MiB with {CONNECTIONS} stalled readers of lists, found {memory:.0f}")
    for connection in stalled:
        connection.close()
    until("all places are free again", lambda: edge.metrics()["agent_releases_connections"] == 0, 3)
    return f"with {CONNECTIONS} stalled readers of the longest list {memory:.0f} MiB"


def run() -> str:
    need_descriptors(4096)
    with folder() as where:
        collection(where, RELEASES)
        artifact = add_artifact(where, 32)
        with Edge(where) as edge:
            empty, files = edge.memory_mib(), edge.metrics()["process_open_fds"]
            told = [connections(edge), streams(edge, artifact), lists(edge)]
            left = edge.metrics()["process_open_fds"]
            expect(left <= files, f"no descriptor is lost, found {files:g}, then {left:g}")
            return f"{'; '.join(told)}; without clients, {RELEASES:,} releases: {empty:.0f} MiB"


prove("overload", "past 1,024 connections or 512 downloads: 503 at once, those that are there are served, at most 128 MiB", run)
