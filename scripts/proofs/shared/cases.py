"""The cases of tests/http: reading them, asking them of a server, and comparing its answers."""

import contextlib
from typing import NamedTuple

from shared.common import connect

SECONDS = 5.0

# What an engine of HTTP decides for itself; of these only a length that a case names is compared.
FRAMING = {"connection", "content-length", "transfer-encoding", "date", "server"}
# What the contract says of headers, compared with the edge's where no case says it.
CONTRACT = [
    "access-control-allow-headers", "access-control-allow-methods", "access-control-allow-origin",
    "access-control-expose-headers", "access-control-max-age", "allow", "cache-control", "content-disposition",
    "content-encoding", "content-type", "deprecation", "etag", "link", "location", "referrer-policy", "retry-after", "sunset",
    "vary", "www-authenticate", "x-checksum-sha256", "x-content-type-options", "x-release-snapshot", "x-release-yanked",
]


class Case(NamedTuple):
    """A question and what must hold of its answer; `None` for a header is its absence, for the body that it does not matter."""

    place: str
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    status: int
    expected: tuple[tuple[str, str | None], ...]
    body: bytes | None

    @property
    def name(self) -> str:
        """As it is told."""
        headers = "".join(f" [{name.lower()}: {value}]" for name, value in self.headers)
        return f"{self.place} {self.method} {self.target}{headers} {self.status}"

    @property
    def path(self) -> str:
        return self.target.split("?")[0]


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def parse(place: str, block: str) -> Case | None:
    """One case, in the form that tests/http/README.md describes."""
    lines = iter(block.split("\n"))
    first = next((line for line in lines if line and not line.startswith("#")), None)
    if first is None:
        return None
    method, target = first.split(" ", 1)
    headers = []
    for line in lines:
        if not line:
            break
        name, value = line.split(":", 1)
        headers.append((name, value.removeprefix(" ")))
    status, expected, body = int(next(lines)), [], None
    for line in filter(None, lines):
        if line == '""':
            body = b""
        elif line.startswith("{"):
            body = line.encode() + b"\n"
        elif line.startswith("!"):
            expected.append((line[1:].lower(), None))
        else:
            name, value = line.split(":", 1)
            expected.append((name.lower(), value.removeprefix(" ")))
    return Case(place, method, target, tuple(headers), status, tuple(expected), body)


def ask(address: tuple[str, int], case: Case) -> Reply:
    """The answer to a case, on a connection of its own."""
    given = {name.lower() for name, _ in case.headers}
    lines = [f"{case.method} {case.target} HTTP/1.1"]
    lines += [] if "host" in given else ["Host: test.example"]
    lines += [f"{name}: {value}" for name, value in case.headers]
    lines += [] if "connection" in given else ["Connection: close"]
    with connect(address, SECONDS) as stream:
        stream.sendall("\r\n".join([*lines, "", ""]).encode())
        with stream.makefile("rb") as incoming, contextlib.suppress(ConnectionResetError, TimeoutError):
            return read(incoming, case.method == "HEAD")
    # No answer at all, or only the beginning of one.
    return Reply(0, {}, b"")


def read(incoming, is_head: bool) -> Reply:
    status = incoming.readline().decode("latin-1")
    headers: dict[str, str] = {}
    while (line := incoming.readline().decode("latin-1").rstrip("\r\n")):
        name, value = line.split(":", 1)
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if not status.startswith("HTTP/1."):
        return Reply(0, headers, b"")
    number = int(status.split()[1])
    if is_head or number in (204, 304):
        return Reply(number, headers, b"")
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(incoming.readline(), 16):
            body += incoming.read(size)
            incoming.readline()
        return Reply(number, headers, body)
    length = headers.get("content-length")
    return Reply(number, headers, incoming.read(int(length)) if length else incoming.read())


def differences(case: Case, reply: Reply, without: set[str] = frozenset()) -> list[str]:
    """What is wrong with an answer, but for some headers."""
    wrong = [] if reply.status == case.status else [f"status {reply.status} instead of {case.status}"]
    for name, value in case.expected:
        found = reply.headers.get(name)
        if found != value and name not in without and (name not in FRAMING or name == "content-length" and value is not None):
            wrong.append(f"{name}: `{found}` instead of `{value}`")
    if case.body is not None and "body" not in without and reply.body != case.body:
        wrong.append(f"body {reply.body[:200]!r} instead of {case.body[:200]!r}")
    return wrong
