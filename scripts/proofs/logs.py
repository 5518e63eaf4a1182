"""Proves that a hostile request makes exactly one line of the log, can forge nothing there, and leaves no secret in it."""

import contextlib
import json
import os
import random
import socket
import threading
import time

from shared.common import QUICK, Connection, Edge, Load, Wrong, example, expect, folder, prove, until

REQUESTS = 5_000 if QUICK else 100_000
SENDERS = 8
# More than the edge keeps for a log that nobody reads.
FLOOD = 25_000
CANARY = "CaNaRy"
PROBE_MS = 250.0
# Control, bidirectional and other characters that a terminal or a reader obeys.
EVIL = [
    "\x1b[2J",
    "\x07",
    "\x00",
    "\r",
    "\t",
    "\x7f",
    "\x9b",
    "\u202e",
    "\u2066",
    "\u200f",
    "\u2028",
    "\ufeff",
    '"',
    "\\",
    "\\u000a",
    "'",
    "<",
]
FORGED = '"}\\n{"time":"2026-01-01T00:00:00.000Z","level":"error","event":"forged"}'
PLAIN = ["/v2/agent-releases/latest.json", "/v2/agent-releases", "/nothing", "/v2/agent-releases/1.8.3", "/"]
QUERIES = [
    "channel=stable",
    "platform=windows",
    "page_size=-1",
    "sort_by=version",
    "cursor=x",
    "channel=%0d%0aX:1",
    "channel=%e2%80%ae",
]
SECRET_NAMES = [
    "signature",
    "token",
    "access_token",
    "Signature",
    "expires",
    "s%69gnature",
    "X-Amz-Signature",
    "key",
    "",
    "channel[]",
]
SECRET_HEADERS = [
    "Authorization: Bearer {}",
    "Authorization: Basic {}",
    "Cookie: session={}",
    "X-Api-Key: {}",
    "X-Forwarded-For: {}",
    "Referer: https://example.com/?token={}",
    "User-Agent: {}",
    "Proxy-Authorization: {}",
]

METHODS = ["HEAD", "OPTIONS", "POST", "get", "TRACE", "G\x1bT", 'G"T', "A" * 5000, "CONNECT", "\u202eGET"]
BAD_HEADERS = [
    "Content-Length: 5",
    "Transfer-Encoding: chunked",
    "Content-Length: x",
    "X: a\x00b",
    "X-Evil: \x1b[2J\u202e",
    "No colon",
    f"X-Big: {CANARY * 3000}",
    "Expect: 100-continue",
    f"Host: {CANARY}@b",
    f"Authorization: {CANARY}",
    f"Cookie: session={CANARY}",
]


def secret(rng: random.Random) -> str:
    return f"{CANARY}{rng.randrange(1 << 40):x}"


def path(rng: random.Random) -> str:
    """A path without a secret: what is in a path is no secret to the log."""
    evil = "".join(rng.choice(EVIL) for _ in range(rng.randrange(1, 4)))
    return rng.choice(
        [
            rng.choice(PLAIN),
            f"/v2/agent-releases/{evil}",
            "/" + "".join(f"%{byte:02x}" for byte in evil.encode()),
            f"/{FORGED}",
            "/" + "a" * rng.choice([100, 2047, 2048, 5000, 17_000]),
            "/" + bytes(rng.randrange(128, 256) for _ in range(8)).decode("utf-8", "surrogateescape"),
        ]
    )


def target(rng: random.Random) -> str:
    queries = [rng.choice(QUERIES) for _ in range(rng.randrange(3))]
    queries += [f"{rng.choice(SECRET_NAMES)}={secret(rng)}" for _ in range(rng.randrange(3))]
    rng.shuffle(queries)
    found = path(rng) + ("?" + "&".join(queries) if queries else "")
    return f"http://user:{secret(rng)}@proof.example{found}" if rng.randrange(20) == 0 else found


def hostile(rng: random.Random) -> bytes:
    """One request, the last of its connection however it is taken."""
    method = rng.choice(["GET"] * 12 + METHODS)
    version = rng.choice(["HTTP/1.1"] * 12 + ["HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTX/1.1"])
    fields = [field.format(secret(rng)) for field in rng.sample(SECRET_HEADERS, rng.randrange(4))]
    fields += ["Connection: close", *(["Host: proof.example"] if rng.randrange(15) else [])]
    fields += rng.sample(BAD_HEADERS, 1) if rng.randrange(4) == 0 else []
    rng.shuffle(fields)
    return "\r\n".join([f"{method} {target(rng)} {version}", *fields, "", ""]).encode("utf-8", "surrogateescape")


def ask(address: tuple[str, int], rng: random.Random) -> int:
    """Sends a hostile request, alone and gone at once, or behind plain ones and patient; how many there were."""
    leaves, plain = (True, 0) if rng.randrange(50) == 0 else (False, rng.randrange(3))
    sent = "".join(f"GET {rng.choice(PLAIN)} HTTP/1.1\r\nHost: proof.example\r\n\r\n" for _ in range(plain)).encode() + hostile(
        rng
    )
    with socket.create_connection(address, timeout=20) as stream:
        try:
            stream.sendall(sent)
            while not leaves and stream.recv(65536):
                pass
        except ConnectionError:
            pass
    return plain + 1


def fire(address: tuple[str, int]) -> int:
    """Sends all of them, from several threads."""
    counts = [0] * SENDERS

    def send(number: int) -> None:
        rng = random.Random(number)
        while counts[number] < REQUESTS // SENDERS:
            counts[number] += ask(address, rng)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts)


def once(pairs: list[tuple[str, object]]) -> dict:
    """An object, if no name is in it twice."""
    expect(len(dict(pairs)) == len(pairs), f"each name once in {pairs}")
    return dict(pairs)


def check(line: bytes) -> dict:
    """A line of the log; raises what is wrong with it."""
    shown = line[:300]
    expect(all(0x20 <= byte < 0x7F for byte in line), f"nothing but printable ASCII in {shown!r}")
    expect(CANARY.lower().encode() not in line.lower(), f"no secret in {shown!r}")
    try:
        value = json.loads(line, object_pairs_hook=once)
    except ValueError:
        raise Wrong(f"JSON, found {shown!r}") from None
    expect(isinstance(value, dict) and {"time", "level", "event"} <= value.keys(), f"the keys of every line in {shown!r}")
    if value["event"] == "request":
        keys = {"id", "client", "method", "target", "status", "bytes", "seconds"}
        allowed = keys | {"time", "level", "event", "aborted", "request_id"}
        expect(keys <= value.keys() <= allowed, f"the keys of a request in {shown!r}")
    expect(value["event"] != "forged", f"no forged line: {shown!r}")
    return value


def check_the_check() -> int:
    """The negative control: lines that must not pass."""
    good = {"time": "x", "level": "info", "event": "request", "id": "1", "client": "c", "method": "GET", "target": "/"}
    good |= {"status": 200, "bytes": 1, "seconds": 0.1}
    plain = json.dumps(good).encode()
    check(plain)
    targets = ["\u202e", "\x7f", "\ufeff", f"?token={CANARY}1"]
    bad = [json.dumps({**good, "target": target}, ensure_ascii=False).encode() for target in targets]
    bad += [json.dumps({**good, **more}).encode() for more in [{"event": "forged"}, {"cookie": ""}]]
    bad += [
        b"",
        b"{}",
        b'{"time":',
        b"\t" + plain,
        plain[:-1] + b',"event":"request"}',
        plain + plain,
        plain.replace(b"GET", b"\x1b[2J"),
    ]
    for line in bad:
        try:
            check(line)
        except Wrong:
            continue
        raise Wrong(f"the check finds nothing wrong with {line!r}")
    return len(bad)


def lines_of_hostile_requests(where) -> str:
    """As many lines as requests, and nothing evil in any."""
    log = where / "log"
    with open(log, "wb") as stderr, Edge(where, "--access-log", stderr=stderr) as edge:
        count = fire(edge.address)
        metrics = edge.metrics()
        expect(metrics["agent_releases_log_lines_dropped_total"] == 0, "a file takes every line")
        edge.stop()
    text = log.read_bytes()
    expect(text.endswith(b"\n"), "the last line is whole")
    lines = [check(line) for line in text.split(b"\n")[:-1]]
    requests = [line for line in lines if line["event"] == "request"]
    expect(len({line["id"] for line in requests}) == len(requests), "no two requests share an id")
    expect(len(requests) == count, f"{count} requests make {count} lines, found {len(requests)}")
    counted = sum(value for name, value in metrics.items() if name.startswith("agent_releases_requests_total"))
    expect(counted == count, f"{count} requests are counted, found {counted:g}")
    statuses = sorted({str(line["status"]) for line in requests})
    return (
        f"{count:,} hostile requests (answers {', '.join(statuses)}), {len(requests):,} lines, each JSON, "
        "without a secret or a character that is obeyed"
    )


def flood(address: tuple[str, int]) -> int:
    """Many requests as fast as they go, more than may wait for a log that nobody reads."""
    plain = f"GET {PLAIN[0]} HTTP/1.1\r\nHost: proof.example\r\n\r\n".encode() * 100
    for _ in range(FLOOD // 100):
        with Connection(address) as connection:
            connection.stream.sendall(plain)
            for _ in range(100):
                expect(connection.answer().status == 200, "with a full pipe, every request is answered")
    return FLOOD


def full_pipe(where) -> str:
    """Nobody reads the log: the edge answers all the same, counts what it can't say, and says more when somebody reads."""
    reads, writes = os.pipe()
    with Edge(where, "--access-log", stderr=writes) as edge:
        os.close(writes)
        asked = flood(edge.address)
        with Load(edge.address, PLAIN[:2], clients=4, rate=400) as load:
            time.sleep(1 if QUICK else 20)
        asked += load.answers
        dropped = edge.metrics()["agent_releases_log_lines_dropped_total"]
        expect(not load.errors, f"every request is answered: {load.errors[:3]}")
        expect(load.p99_ms() < PROBE_MS, f"p99 stays below {PROBE_MS:g} ms, found {load.p99_ms():.0f}")
        expect(dropped > 0, "lines that can't be written are counted")
        kept = bytearray()
        os.set_blocking(reads, False)
        until("what waited is written once somebody reads", lambda: take(reads, kept) + dropped >= asked, 5)
        with Load(edge.address, PLAIN[:1], clients=1, rate=20):
            until("and the log goes on", lambda: take(reads, kept) + dropped > asked, 3)
        for line in bytes(kept).splitlines():
            check(line)
        flood(edge.address)
        seconds = edge.stop(10)
        expect(seconds < 5, f"with a full pipe it ends in time, found {seconds:.1f} s")
        os.close(reads)
    return (
        f"a full pipe: {asked:,} answers in p99 {load.p99_ms():.1f} ms, {dropped:,.0f} lines dropped and counted, the others "
        f"written when somebody reads; ended {seconds:.1f} s after SIGTERM"
    )


def take(reads: int, kept: bytearray) -> int:
    """Reads what there is of the log; how many requests it tells of so far."""
    with contextlib.suppress(BlockingIOError):
        while piece := os.read(reads, 1 << 20):
            kept += piece
    return kept.count(b'"event":"request"')


def closed_pipe(where) -> None:
    """Whoever read the log has gone."""
    reads, writes = os.pipe()
    with Edge(where, "--access-log", stderr=writes) as edge:
        os.close(writes)
        os.close(reads)
        with Load(edge.address, PLAIN[:2], clients=1, rate=100) as load:
            time.sleep(0.5)
        expect(not load.errors, f"without a reader of the log, every request is answered: {load.errors[:3]}")
        edge.stop(10)


def run() -> str:
    control = check_the_check()
    with folder() as where:
        example(where)
        first = lines_of_hostile_requests(where)
        second = full_pipe(where)
        closed_pipe(where)
        return f"{first}; {second}; {control} forged lines (the negative control) were all found"


prove("logs", "lines = requests, each JSON, no control or bidi characters, no secret in them; a full pipe stops nothing", run)
