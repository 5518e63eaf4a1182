"""Proves each limit of time, and of requests a connection, on both of its sides."""

import contextlib
import pathlib
import signal
import socket
import subprocess
import threading
import time
from typing import NamedTuple

from shared.common import QUICK, Artifact, Connection, Edge, Wrong, add_artifact, example, expect, folder, need_descriptors, prove, until

LATEST = "/v2/agent-releases/latest.json"
ASKED = f"GET {LATEST} HTTP/1.1\r\nHost: proof.example\r\n\r\n".encode()
HEAD, IDLE, WRITE, REQUESTS, LIFETIME = 10.0, 75.0, 30.0, 1000, 600.0
# How much later than its limit a connection may end.
LATE = 2.0


class Stage(NamedTuple):
    """What the checks share: edges with the real limits and with an idle timeout of 2 s, and an artifact that they send."""

    where: pathlib.Path
    artifact: Artifact
    real: Edge
    short: Edge

    def ending(self) -> Edge:
        """An edge to be stopped, with a drain timeout of 2 s."""
        return Edge(self.where, "--drain-timeout", "2")


def timeouts(edge: Edge, kind: str) -> float:
    return edge.metrics()[f'agent_releases_timeouts_total{{kind="{kind}"}}']


def closes_at(connection: Connection, since: float, limit: float, what: str) -> None:
    """The connection ends after its limit, and soon after it."""
    closed = connection.is_closed_within(max(0.1, limit + LATE - (time.monotonic() - since)))
    took = time.monotonic() - since
    expect(closed, f"{what}: closed after {limit:g} s, found open after {took:.1f} s")
    expect(took > limit - 0.2, f"{what}: closed after {limit:g} s, found closed after {took:.1f} s")


def is_answered(connection: Connection, what: str) -> None:
    try:
        status = connection.answer().status
    except ConnectionError as error:
        raise Wrong(f"{what}: answered, found {error}") from None
    expect(status == 200, f"{what}: answered, found {status}")


# The checks; they run side by side.


def a_head_may_take_9_s(stage: Stage) -> None:
    with Connection(stage.real.address) as connection:
        connection.stream.sendall(ASKED[:20])
        time.sleep(HEAD - 1)
        connection.stream.sendall(ASKED[20:])
        is_answered(connection, "a head of 9 s")


def a_head_takes_no_longer(stage: Stage) -> None:
    with Connection(stage.real.address) as connection:
        since = time.monotonic()
        connection.stream.sendall(ASKED[:20])
        closes_at(connection, since, HEAD, "half a head")


def a_head_in_drops_takes_no_longer(stage: Stage) -> None:
    """Each byte is progress, but the limit is for the whole head."""
    with Connection(stage.real.address) as connection:
        since = time.monotonic()
        for byte in range(18):
            with contextlib.suppress(OSError):
                connection.stream.sendall(ASKED[byte : byte + 1])
            if connection.is_closed_within(0.5):
                break
        closes_at(connection, since, HEAD, "a head in drops")


def a_second_head_has_the_same_limit(stage: Stage) -> None:
    with Connection(stage.real.address) as connection:
        connection.ask(LATEST)
        time.sleep(1)
        since = time.monotonic()
        connection.stream.sendall(ASKED[:20])
        closes_at(connection, since, HEAD, "half a head on a kept connection")


def a_head_begun_is_not_idle(stage: Stage) -> None:
    with Connection(stage.short.address) as connection:
        connection.stream.sendall(ASKED[:20])
        time.sleep(4)
        connection.stream.sendall(ASKED[20:])
        is_answered(connection, "a head of 4 s, where 2 s may be idle")


def an_idle_connection_is_kept_and_closed(stage: Stage) -> None:
    with Connection(stage.short.address) as connection:
        for _ in range(2):
            connection.send(LATEST)
            is_answered(connection, "after 1.5 s idle, where 2 s may be")
            time.sleep(1.5)
        connection.send(LATEST)
        is_answered(connection, "after 1.5 s idle, where 2 s may be")
        closes_at(connection, time.monotonic(), 2, "an idle connection")


def a_silent_connection_is_closed(stage: Stage) -> None:
    with Connection(stage.short.address) as connection:
        closes_at(connection, time.monotonic(), 2, "a connection that says nothing")


def the_last_request_says_so(stage: Stage) -> None:
    with Connection(stage.real.address) as connection:
        for number in range(1, REQUESTS):
            answer = connection.ask(LATEST)
            expect(answer.headers.get("connection") != "close", f"request {number} is not the last: {answer.headers}")
        expect(connection.ask(LATEST).headers.get("connection") == "close", f"answer {REQUESTS} says `Connection: close`")
        expect(connection.is_closed_within(1), "and the connection is closed")


def pipelined_requests_end_well(stage: Stage) -> None:
    """More than the limit are sent at once: exactly so many are answered, and none of the answers is lost."""
    with Connection(stage.real.address) as connection:
        sender = threading.Thread(target=lambda: send_quietly(connection, ASKED * (REQUESTS + 100)))
        sender.start()
        for number in range(1, REQUESTS + 1):
            is_answered(connection, f"pipelined request {number}")
        expect(not connection.rest and connection.is_closed_within(2), f"after {REQUESTS} answers it is closed")
        sender.join()


def send_quietly(connection: Connection, sent: bytes) -> None:
    with contextlib.suppress(OSError):
        connection.stream.sendall(sent)


def idle_75_s(stage: Stage) -> None:
    with Connection(stage.real.address) as connection:
        connection.ask(LATEST)
        time.sleep(IDLE - 1.5)
        connection.send(LATEST)
        is_answered(connection, "after 73.5 s idle")
        closes_at(connection, time.monotonic(), IDLE, "an idle connection")


def a_pause_in_reading_of_27_s(stage: Stage) -> None:
    with Connection(stage.real.address, timeout=60, receive_buffer=4096) as connection:
        connection.send(stage.artifact.target)
        connection.head()
        time.sleep(WRITE - 3)
        connection.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        size = rest_of(connection, stage.artifact)
        expect(
            size == stage.artifact.size,
            f"after a pause of {WRITE - 3:g} s the rest comes, found {size} of {stage.artifact.size} bytes",
        )


def a_stalled_reader_is_cut_off(stage: Stage) -> None:
    with Connection(stage.real.address, receive_buffer=4096) as connection:
        before = timeouts(stage.real, "write")
        since = time.monotonic()
        connection.send(stage.artifact.target)
        connection.head()
        until("the download runs", lambda: streams(stage.real) > 0, 2)
        until("a stalled reader is cut off", lambda: timeouts(stage.real, "write") > before, WRITE + LATE + 2)
        took = time.monotonic() - since
        expect(took > WRITE - 0.5, f"a stalled reader is cut off after {WRITE:g} s, found {took:.1f} s")


def streams(edge: Edge) -> float:
    return edge.metrics()["agent_releases_streams"]


def a_slow_reader_is_not_cut_off(stage: Stage) -> None:
    """It reads 256 KiB every 6 s, for longer than the limit."""
    with Connection(stage.real.address, timeout=60, receive_buffer=1 << 17) as connection:
        connection.send(stage.artifact.target)
        connection.head()
        size = 0
        try:
            for _ in range(10):
                taken = 0
                while taken < 1 << 18:
                    taken += len(connection.piece(1 << 16))
                size += taken
                time.sleep(6)
            while size < stage.artifact.size:
                size += len(connection.piece(1 << 20))
        except ConnectionError:
            pass
        expect(size == stage.artifact.size, f"a slow reader gets everything, found {size} of {stage.artifact.size} bytes")


def ten_minutes(stage: Stage) -> None:
    with Connection(stage.real.address) as connection:
        since = time.monotonic()
        while (age := time.monotonic() - since) < LIFETIME + 10:
            answer = connection.ask(LATEST)
            closes = answer.headers.get("connection") == "close"
            expect(not closes or age > LIFETIME - 1, f"after {age:.0f} s the connection is kept")
            if closes:
                expect(connection.is_closed_within(1), "and the connection is closed")
                return
            time.sleep(3)
        raise Wrong(f"after {LIFETIME:g} s an answer says `Connection: close`, found none after {age:.0f} s")


def an_edge_with_idle_connections_ends(stage: Stage) -> None:
    with stage.ending() as edge, Connection(edge.address) as kept, Connection(edge.address), Connection(edge.address) as begun:
        kept.ask(LATEST)
        begun.stream.sendall(ASKED[:20])
        took = edge.stop()
        expect(took < 2 + LATE, f"an edge with idle connections ends after 2 s, found {took:.1f} s")


def a_reload_while_it_drains_changes_nothing(stage: Stage) -> None:
    with stage.ending() as edge, Connection(edge.address, receive_buffer=1 << 16) as connection:
        connection.send(stage.artifact.target)
        connection.head()
        edge.signal(signal.SIGTERM)
        time.sleep(0.5)
        edge.signal(signal.SIGHUP)
        time.sleep(2)
        expect(rest_of(connection, stage.artifact) == stage.artifact.size, "a download that goes on after the drain is whole")
        edge.process.wait(5)
        expect(edge.process.returncode == 0, f"and the edge ends well, found {edge.process.returncode}")


def a_stalled_reader_holds_up_the_end_for_30_s(stage: Stage) -> None:
    with stage.ending() as edge, Connection(edge.address, receive_buffer=4096) as connection:
        connection.send(stage.artifact.target)
        connection.head()
        time.sleep(0.5)
        took = edge.stop(60)
        expect(took < WRITE + LATE, f"an edge with a stalled download ends after {WRITE:g} s, found {took:.1f} s")


def rest_of(connection: Connection, artifact: Artifact) -> int:
    """Reads what is left of a download; how many bytes there were."""
    size = 0
    with contextlib.suppress(ConnectionError):
        while size < artifact.size:
            size += len(connection.piece(1 << 20))
    return size


QUICK_ONES = [
    a_head_may_take_9_s,
    a_head_takes_no_longer,
    a_head_in_drops_takes_no_longer,
    a_second_head_has_the_same_limit,
    a_head_begun_is_not_idle,
    an_idle_connection_is_kept_and_closed,
    a_silent_connection_is_closed,
    the_last_request_says_so,
    pipelined_requests_end_well,
    an_edge_with_idle_connections_ends,
    a_reload_while_it_drains_changes_nothing,
]
LONG_ONES = [
    idle_75_s,
    a_pause_in_reading_of_27_s,
    a_stalled_reader_is_cut_off,
    a_slow_reader_is_not_cut_off,
    ten_minutes,
    a_stalled_reader_holds_up_the_end_for_30_s,
]


def side_by_side(checks: list, stage: Stage) -> list[str]:
    """Runs the checks at the same time; what is wrong."""
    wrong: list[str] = []

    def run_one(check) -> None:
        try:
            check(stage)
        except (Wrong, OSError, subprocess.TimeoutExpired) as error:
            wrong.append(f"{check.__name__}: {error}")

    threads = [threading.Thread(target=run_one, args=(check,)) for check in checks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


def run() -> str:
    need_descriptors(2048)
    with folder() as where:
        example(where)
        artifact = add_artifact(where, 32)
        checks = QUICK_ONES if QUICK else QUICK_ONES + LONG_ONES
        with Edge(where) as real, Edge(where, "--idle-timeout", "2") as short:
            wrong = side_by_side(checks, Stage(where, artifact, real, short))
            heads, idle = timeouts(real, "head"), timeouts(short, "idle")
        if heads != 3 or idle != 2:
            wrong.append(f"3 heads and 2 idle connections that were cut off are counted, found {heads:g} and {idle:g}")
        expect(not wrong, "; ".join(wrong))
        more = "" if QUICK else ", idle 75 s, write 30 s, 10 min a connection"
        return f"{len(checks)} checks on both sides of: head 10 s, idle 2 s{more}, {REQUESTS:,} requests a connection, drain"


prove("limits", "limits of time and of requests a connection: on this side kept, on that side closed", run)
