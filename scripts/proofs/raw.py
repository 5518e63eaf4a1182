"""Proves that hostile bytes get the answer that tests/raw promises, and that behind nginx, HAProxy and Varnish no request
reaches the edge that its client did not send, and no answer reaches another client."""

# needs: haproxy nginx
# Varnish's command is varnishd; it is installed here.
import concurrent.futures
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import threading

from shared.common import PATH, QUICK, ROOT, Edge, Wrong, compile_in, connect, expect, folder, in_front, prove

STORAGE = "https://downloads.example.com/agent/"
PROBE = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}


# The data.


@dataclasses.dataclass
class Expected:
    """One answer: any of these statuses, whether the edge closes behind it, and a word of its body."""
    statuses: list[int]
    closes: bool
    word: bytes


@dataclasses.dataclass
class Case:
    """Bytes, and the answers to them in order."""
    place: str
    sent: bytes
    expected: list[Expected]

    def method(self, number: int) -> bytes:
        """Of the request that the answer with this number is for."""
        heads = re.split(rb"\r?\n\r?\n", self.sent.lstrip(b"\r\n"))
        return heads[min(number, len(heads) - 1)].lstrip(b"\r\n").split(b" ")[0]


def unescape(text: str) -> bytes:
    """`\\r \\n \\t \\0 \\\\ \\xNN`, and `{x*5}` for what stands before the star, five times."""
    out, at = b"", 0
    while at < len(text):
        if repeated := re.compile(r"\{([^{}]*)\*(\d+)\}").match(text, at):
            out += unescape(repeated[1]) * int(repeated[2])
            at = repeated.end()
        elif text.startswith("\\x", at):
            out += bytes.fromhex(text[at + 2:at + 4])
            at += 4
        elif text[at] == "\\":
            out += ESCAPES[text[at + 1]]
            at += 2
        else:
            out += text[at].encode()
            at += 1
    return out


def parse(place: str, text: str) -> Case:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    sent = b"".join(unescape(line[2:]) for line in lines if line.startswith("> "))
    expected = []
    for line in lines:
        if line.startswith("> "):
            continue
        form = re.fullmatch(r"(\d{3}(?:\|\d{3})*) (keep|close)(?: `(.+)`)?", line)
        expect(form, f"{place}: an expected answer, found `{line}`")
        expected.append(Expected([int(status) for status in form[1].split("|")], form[2] == "close", (form[3] or "").encode()))
    expect(sent and expected, f"{place}: bytes and an answer")
    expect(not any(answer.closes for answer in expected[:-1]), f"{place}: nothing is answered behind a close")
    return Case(place, sent, expected)


def cases() -> dict[str, list[Case]]:
    """Of every file, by its name."""
    found = {}
    for path in sorted((ROOT / "tests/raw").glob("*.txt")):
        line, found[path.stem] = 1, []
        for block in path.read_text().split("\n---\n"):
            found[path.stem].append(parse(f"tests/raw/{path.name}:{line}", block))
            line += block.count("\n") + 2
    return found


# Directly at the edge.


class Ended(Wrong):
    """The other side has closed, where an answer was due."""


class Answers:
    """Reads answers from a connection, one after the other."""

    def __init__(self, stream: socket.socket):
        self.stream, self.buffer = stream, b""

    def more(self) -> bool:
        """Whether something came before the other side closed."""
        piece = self.stream.recv(65536)
        self.buffer += piece
        return bool(piece)

    def next(self, method: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in lower case, and body."""
        while b"\r\n\r\n" not in self.buffer:
            if not self.more():
                raise Ended(f"an answer, found the end of the connection behind {self.buffer[:60]!r}")
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *fields = head.decode("latin-1").split("\r\n")
        expect(re.match(r"HTTP/1\.[01] \d{3} ", first), f"a status line, found {first!r}")
        headers = {name.lower(): value.strip() for name, value in (field.split(":", 1) for field in fields)}
        status = int(first[9:12])
        length = int(headers.get("content-length", "0"))
        length = 0 if method == b"HEAD" or status in (204, 304) or status < 200 else length
        while len(self.buffer) < length:
            expect(self.more(), f"a body of {length} bytes, found {len(self.buffer)}")
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return status, {**headers, ":version": first[:8]}, body

    def rest(self) -> bytes:
        """Everything until the other side closes."""
        while self.more():
            pass
        return self.buffer


def send(stream: socket.socket, pieces: list[bytes]) -> None:
    """Sends; that nobody listens any more is for the answer to say."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for piece in pieces:
            stream.sendall(piece)


def is_as_expected(answer: tuple[int, dict[str, str], bytes], expected: Expected) -> None:
    status, headers, body = answer
    expect(status in expected.statuses, f"{expected.statuses}, found {status} {body[:100]!r}")
    expect(expected.word in body, f"`{expected.word.decode()}` in the body, found {body[:200]!r}")
    expect(headers.get("location", STORAGE).startswith(STORAGE), f"a compiled Location, found {headers.get('location')}")
    expect("set-cookie" not in headers, f"no Set-Cookie, found {headers}")
    says_so = headers.get("connection") == "close"
    expect(says_so == expected.closes or headers[":version"] == "HTTP/1.0", f"Connection: close to be said and done, {headers}")


def direct(address: tuple[str, int], case: Case, pieces: list[bytes]) -> str | None:
    """Sends a case; returns what is wrong with the answers."""
    stream = connect(address, 10.0)
    with contextlib.closing(stream):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answers = Answers(stream)
        number = 0
        try:
            send(stream, pieces)
            for number, expected in enumerate(case.expected):
                is_as_expected(answers.next(case.method(number)), expected)
            if not case.expected[-1].closes:
                number += 1
                send(stream, [PROBE])
                status, _, body = answers.next(b"GET")
                good = status == 401 or (status == 200 and b'"openapi"' in body)
                expect(good, f"the next answer, found {status} {body[:80]!r}")
            number += 1
            rest = answers.rest()
            expect(not rest, f"the end of the connection, found {rest[:80]!r}")
        except (Wrong, OSError) as wrong:
            return f"{case.place}: answer {number + 1}: expected {wrong}"
    return None


def ways(sent: bytes) -> list[list[bytes]]:
    """At once; in the long form also byte by byte, or in 400 pieces. A head that does not end is then waited for, so that
    only those with an empty line are asked so."""
    if QUICK or not re.search(rb"\n\r?\n", sent):
        return [[sent]]
    size = max(1, len(sent) // 400)
    return [[sent], [sent[at:at + size] for at in range(0, len(sent), size)]]


def all_direct(sites: dict[str, tuple[str, int]], files: dict[str, list[Case]]) -> int:
    """Every case, whole; in the long form also byte by byte. Returns how many were sent."""
    wrong, count = [], 0
    for name, listed in files.items():
        for case in listed:
            for pieces in ways(case.sent):
                count += 1
                wrong.append(direct(sites.get(name, sites["public"]), case, pieces))
    wrong = [what for what in wrong if what]
    expect(not wrong, f"{len(wrong)} answers differ:\n" + "\n".join(wrong))
    return count


# Through proxies, as lax as they can be made, so that as much as possible gets through.


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def nginx(where: pathlib.Path, port: int, upstream: int) -> list[str]:
    (where / "nginx.conf").write_text(f"""
daemon off; master_process off; worker_processes 1; pid {where}/nginx.pid; error_log {where}/nginx.log crit;
events {{ worker_connections 512; }}
http {{
    access_log off; merge_slashes off; ignore_invalid_headers off; underscores_in_headers on; large_client_header_buffers 8 64k;
    client_body_temp_path {where}/body; proxy_temp_path {where}/proxy; fastcgi_temp_path {where}/fastcgi;
    uwsgi_temp_path {where}/uwsgi; scgi_temp_path {where}/scgi;
    upstream edge {{ server 127.0.0.1:{upstream}; keepalive 1; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://edge; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
            proxy_request_buffering off; proxy_next_upstream off; proxy_read_timeout 5s;
        }}
    }}
}}
""")
    return ["nginx", "-e", f"{where}/nginx.log", "-c", f"{where}/nginx.conf"]


def haproxy(where: pathlib.Path, port: int, upstream: int) -> list[str]:
    (where / "haproxy.cfg").write_text(f"""
global
    nbthread 1
    tune.bufsize 65536
    tune.http.maxhdr 1024
defaults
    mode http
    retries 0
    timeout connect 5s
    timeout client 5s
    timeout server 5s
    http-reuse always
frontend clients
    bind 127.0.0.1:{port}
    option accept-invalid-http-request
    default_backend edge
backend edge
    server edge 127.0.0.1:{upstream} pool-max-conn 1
""")
    return ["haproxy", "-db", "-f", f"{where}/haproxy.cfg"]


def varnish(where: pathlib.Path, port: int, upstream: int) -> list[str]:
    (where / "varnish.vcl").write_text(f"""
vcl 4.1;
backend edge {{ .host = "127.0.0.1"; .port = "{upstream}"; .first_byte_timeout = 5s; }}
sub vcl_recv {{ return (pass); }}
""")
    sizes = [f"{name}={size}" for name, size in {
        "http_req_size": "128k", "http_req_hdr_len": "120k", "http_max_hdr": 1100, "workspace_client": "512k",
        "workspace_backend": "512k", "thread_pools": 1, "thread_pool_min": 20, "vsl_space": "16m"}.items()]
    parameters = [word for size in sizes for word in ("-p", size)]
    return ["varnishd", "-F", "-j", "none", "-n", f"{where}/varnish", "-a", f"127.0.0.1:{port}", "-f", f"{where}/varnish.vcl",
            "-s", "malloc,16m", *parameters]


PROXIES = {"nginx": nginx, "HAProxy": haproxy, "Varnish": varnish}


def install_varnish() -> None:
    """As scripts/lib.sh does for commands that are named like their package."""
    if shutil.which("varnishd", path=PATH):
        return
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    subprocess.run([*as_root, "apt-get", "update", "-qq"], capture_output=True)
    done = subprocess.run([*as_root, "apt-get", "install", "-y", "-qq", "varnish"], capture_output=True, text=True)
    expect(done.returncode == 0, f"apt-get to install varnish: {done.stderr}")


class Recorder:
    """An upstream that answers like the edge and counts what reaches it, by the rules of RFC 9112. Without `reads_bodies` it
    takes every body for requests, which is the mistake that the proof has to find."""

    def __init__(self, reads_bodies: bool = True):
        self.reads_bodies, self.requests = reads_bodies, 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def count(self) -> int:
        return self.requests

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=[self.listener.accept()[0]], daemon=True).start()

    def _serve(self, stream: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError, OverflowError), stream, stream.makefile("rb") as lines:
            while line := lines.readline():
                if line.strip():
                    self._answer(stream, lines, line)

    def _answer(self, stream: socket.socket, lines, line: bytes) -> None:
        method, target = (line.split() + [b"", b""])[:2]
        self.requests += not target.startswith(b"/probe/")
        headers = {}
        while (field := lines.readline()).strip():
            name, _, value = field.partition(b":")
            headers[name.lower()] = value.strip().lower()
        if self.reads_bodies:
            self._read_body(lines, headers)
        body = json.dumps({"error": {"details": {"path": target.decode("latin-1")}}}, separators=(",", ":")).encode()
        head = f"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        stream.sendall(head if method == b"HEAD" else head + body)

    @staticmethod
    def _read_body(lines, headers: dict[bytes, bytes]) -> None:
        if b"transfer-encoding" not in headers:
            lines.read(int(headers.get(b"content-length", b"0")))
            return
        while size := int(lines.readline().split(b";")[0], 16):
            lines.read(size + 2)
        while lines.readline().strip():
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


class Counted:
    """An edge as an upstream: its access log has a line for each request, also for those that have no address."""

    def __init__(self, edge: Edge):
        self.edge, self.port, self.read, self.requests = edge, edge.address[1], 0, 0

    def count(self) -> int:
        while self.read < len(self.edge.log):
            line = json.loads(self.edge.log[self.read])
            self.requests += line["event"] == "request" and not (line["target"] or "").startswith("/probe/")
            self.read += 1
        return self.requests


class Probe:
    """An innocent client of the same proxy: every answer must be its own, told by the path that it repeats."""

    def __init__(self, address: tuple[str, int], name: str):
        self.address, self.name, self.asked, self.answers = address, name, 0, None

    def ask(self) -> None:
        """On the connection from before, or on a new one when that has been closed meanwhile."""
        self.asked += 1
        path = f"/probe/{self.name}/{self.asked}"
        try:
            status, headers, body = self._answer(path)
        except (Ended, ConnectionError):
            self.close()
            status, headers, body = self._answer(path)
        expect(status == 404 and f'"{path}"'.encode() in body, f"the answer to {path}, found {status} {body[:200]!r}")
        if headers.get("connection") == "close":
            self.close()

    def _answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        self.answers = self.answers or Answers(connect(self.address, 10.0))
        self.answers.stream.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        return self.answers.next(b"GET")

    def close(self) -> None:
        if self.answers:
            self.answers.stream.close()
        self.answers = None


@contextlib.contextmanager
def asking(probe: Probe):
    """Asks without end beside everything else, and says at the end what was wrong with an answer."""
    stop, wrong = threading.Event(), []

    def ask() -> None:
        try:
            while not stop.wait(0.005):
                probe.ask()
        except (Wrong, OSError) as error:
            wrong.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        probe.close()
    expect(not wrong, f"beside the cases: {wrong}")


def tell(address: tuple[str, int], sent: bytes, quiet: float) -> bytes:
    """Sends a case and reads until the proxy closes, or says nothing for a moment."""
    stream = connect(address, 5.0)
    received = b""
    with contextlib.closing(stream), contextlib.suppress(TimeoutError, ConnectionResetError):
        send(stream, [sent])
        stream.settimeout(quiet)
        while piece := stream.recv(65536):
            received += piece
    return received


class Front:
    """A proxy before an upstream, and two innocent clients of it: one that stays, one that is new each time."""

    def __init__(self, address: tuple[str, int], upstream):
        self.address, self.upstream, self.staying, self.fresh = address, upstream, Probe(address, "a"), Probe(address, "b")

    def requests_of(self, case: Case, quiet: float) -> int:
        """How many requests of a case reach the upstream."""
        self.staying.ask()
        before = self.upstream.count()
        received = tell(self.address, case.sent, quiet)
        expect(b"/probe/" not in received, f"{case.place}: no answer of somebody else, found {received!r}")
        self.staying.ask()
        self.fresh.ask()
        self.fresh.close()
        return self.upstream.count() - before


class Smuggled(Wrong):
    """More requests have arrived than were sent."""


def at_most(case: Case, recorded: Front, counted: Front) -> tuple[int, int]:
    """No more requests at the upstream under test than the proxy has sent, and no more than the client has. A slow machine
    is given the time to be wrong again."""
    for quiet in [0.1, 0.5, 2.0]:
        sent, arrived = recorded.requests_of(case, quiet), counted.requests_of(case, quiet)
        if arrived <= sent <= max(1, case.sent.count(b"HTTP/")):
            return sent, arrived
    raise Smuggled(f"{case.place}: {arrived} requests arrived of {sent} that the proxy sent")


def through(name: str, where: pathlib.Path, upstream, listed: list[Case]) -> str:
    """All cases through a proxy, to a recorder and to the upstream under test; returns the figures."""
    with Recorder() as recorder, in_front(name, PROXIES[name], where / f"{name}-recorder", recorder.port) as left, \
            in_front(name, PROXIES[name], where / f"{name}-edge", upstream.port) as right:
        recorded, counted, beside = Front(left, recorder), Front(right, upstream), Probe(right, "c")
        with asking(beside):
            sums = [at_most(case, recorded, counted) for case in listed]
        probes = sum(probe.asked for probe in (recorded.staying, recorded.fresh, counted.staying, counted.fresh, beside))
    return f"{name} sent on {sum(sent for sent, _ in sums)}, the edge counted {sum(arrived for _, arrived in sums)}, " \
           f"{probes} probes each got its own answer"


def control(name: str, where: pathlib.Path, listed: list[Case]) -> None:
    """An upstream that takes bodies for requests is found out."""
    where.mkdir()
    with Recorder(reads_bodies=False) as naive:
        try:
            through(name, where, naive, listed)
        except Smuggled:
            return
    raise Wrong(f"expected an upstream that takes bodies for requests to be found out behind {name}")


def behind(name: str, where: pathlib.Path, site: pathlib.Path, files: dict[str, list[Case]]) -> str:
    """One proxy: the control, then the edge."""
    control(name, where / f"{name}-control", files["bodies"])
    with Edge(site, "--access-log", artifacts=False) as edge:
        figures = through(name, where, Counted(edge), [case for stem in files if stem != "protected" for case in files[stem]])
        metrics = edge.metrics()
        expect(metrics["agent_releases_log_lines_dropped_total"] == 0, "no line of the log to be lost")
        expect(metrics["agent_releases_panics_total"] == 0, f"no panic, found {metrics}")
    return figures


def site(where: pathlib.Path, more: str = "") -> pathlib.Path:
    """The collection of tests/http, compiled."""
    shutil.copytree(ROOT / "tests/good/http", where / "releases")
    with open(where / "releases/catalog.yaml", "a") as catalog:
        catalog.write(more)
    compile_in(where, "build")
    return where


def run() -> str:
    files = cases()
    count = sum(map(len, files.values()))
    with folder() as where:
        public, protected = site(where / "public"), site(where / "protected", "access: { v2: required }\n")
        with Edge(public, artifacts=False) as edge, Edge(protected, artifacts=False) as closed:
            sent = all_direct({"public": edge.address, "protected": closed.address}, files)
        figures = f"{count} raw cases, sent {sent} times, as promised"
        if QUICK:
            return figures
        install_varnish()
        with concurrent.futures.ThreadPoolExecutor(len(PROXIES)) as pool:
            parts = list(pool.map(lambda name: behind(name, where, public, files), PROXIES))
    return "; ".join([figures, *parts])


if __name__ == "__main__":
    prove("raw", "hostile bytes get the promised answer; behind nginx, HAProxy and Varnish nothing is smuggled", run)
