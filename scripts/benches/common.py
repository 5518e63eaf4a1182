"""What the measurements share: rounds, processor time, pinned processes, limits, and a theme's part of docs/bench.md."""

import contextlib
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = pathlib.Path(os.environ.get("PROGRAMS", ROOT / "target/release"))
COMPILER, EDGE, FLOOR = PROGRAMS / "agent-releases", PROGRAMS / "agent-releases-edge", PROGRAMS / "examples/floor"
EDGE_PGO = pathlib.Path(os.environ.get("EDGE_PGO", ROOT / "target/pgo/agent-releases-edge"))
# The server has one processor and the client the other.
SERVER, CLIENT = "0", "1"


class Limit(NamedTuple):
    """What is promised of a figure: `≤` or `≥` a value, and perhaps a better one that is aimed at."""

    sign: str
    value: float
    unit: str = ""
    aim: float | None = None

    def __str__(self) -> str:
        aim = "" if self.aim is None else f" (aim {self.aim:g})"
        return f"{self.sign} {self.value:g}{self.unit}{aim}"

    def holds(self, figure: float, value: float | None = None) -> bool:
        """Of the figure as it is shown, with two decimals."""
        value, figure = self.value if value is None else value, round(figure, 2)
        return figure <= value if self.sign == "≤" else figure >= value


class Section:
    """A theme's part of the page: its words, its tables, and the promises that do not hold."""

    def __init__(self, title: str, *words: str):
        self.lines = [f"## {title}", "", *words, ""]
        self.misses: list[str] = []

    def say(self, *words: str) -> None:
        self.lines += [*words, ""]

    def table(self, columns: list[str], rows: list[list[object]]) -> None:
        texts = [[str(cell) for cell in row] for row in rows]
        self.lines += [f"| {' | '.join(row)} |" for row in [columns, ["---"] * len(columns), *texts]] + [""]

    def judge(self, what: str, *promises: tuple[str, float, Limit]) -> list[str]:
        """Two cells: the limits of a row's figures, and whether they hold; the name of a figure tells it from others."""
        if not promises:
            return ["", ""]
        broken = [f"{name} {figure:.2f}".strip() for name, figure, limit in promises if not limit.holds(figure)]
        aimed = [(name, figure, limit) for name, figure, limit in promises if limit.aim is not None]
        short = [name or "it" for name, figure, limit in aimed if not limit.holds(figure, limit.aim)]
        self.misses += [f"{what}: {miss}" for miss in broken]
        limits = ", ".join(f"{name} {limit}".strip() for name, _, limit in promises)
        if broken:
            return [limits, f"**no**: {', '.join(broken)}"]
        return [limits, "yes" + (f", short of the aim: {', '.join(short)}" if short else "")]

    def text(self) -> str:
        missed = [f"Does not hold: {'; '.join(self.misses)}.", ""] if self.misses else []
        return "\n".join(self.lines + missed).strip() + "\n"


def middle(figures: list[float]) -> float:
    return statistics.median(figures)


def ratio(ours: list[float], theirs: list[float]) -> float:
    """The median of the ratios of each round."""
    return middle([our / their for our, their in zip(ours, theirs, strict=True)])


def told(what: str) -> None:
    """Says on stderr how far the run is."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def folder():
    """A temporary folder under target/, removed at the end."""
    (ROOT / "target").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / "target") as path:
        yield pathlib.Path(path)


def run(where: pathlib.Path, *command: object) -> str:
    """What a command prints; it has to end well."""
    done = subprocess.run([str(word) for word in command], cwd=where, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(str(word) for word in command)}: {done.stderr}")
    return done.stdout


def collection(where: pathlib.Path, releases: int) -> None:
    """A large collection whose downloads lie at another address, built into `where`/dist."""
    run(where, sys.executable, ROOT / "scripts/make-collection", releases, where / "releases")
    run(where, COMPILER, "build")


class Spent(NamedTuple):
    """What one process took."""

    wall: float
    cpu: float
    mib: float


def spend(where: pathlib.Path, *command: object, fine: int = 0) -> Spent:
    """Runs a process, which has to end with the exit code; the figures include the children that it waited for."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [str(word) for word in command], cwd=where, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != fine:
        sys.exit(f"{' '.join(str(word) for word in command)}: exit code {process.returncode}")
    return Spent(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


class Load(NamedTuple):
    """What a load generator saw."""

    requests: int
    rate: float
    mean_ms: float
    p50_ms: float
    p99_ms: float
    failures: int


UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}
PAUSES = pathlib.Path(__file__).with_name("pauses.lua")


def load(
    address: str,
    target: str,
    connections: int,
    seconds: int,
    cpus: str = CLIENT,
    fine: bool = True,
    pause_ms: int = 0,
    headers: tuple[str, ...] = (),
) -> Load:
    """Asks for one target on so many connections, each as fast as it is answered or after pauses of at most so many ms;
    not `fine` answers are 4xx."""
    command = ["taskset", "-c", cpus, "wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency"]
    command += ["-s", str(PAUSES)] if pause_ms else []
    command += [word for header in headers for word in ("-H", header)]
    environment = {**os.environ, "PAUSE_MS": str(pause_ms)}
    done = subprocess.run([*command, f"http://{address}{target}"], capture_output=True, text=True, check=True, env=environment)
    text = done.stdout
    requests = int(re.search(r"(\d+) requests in", text)[1])
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    failures = sum(int(number) for number in broken.groups()) if broken else 0
    refusals = int(refused[1]) if refused else 0
    failures += refusals if fine else requests - refusals
    times = re.findall(r"(?:Latency|50%|99%) +([\d.]+)([a-z]+)", text)
    mean, p50, p99 = (float(number) * UNITS[unit] for number, unit in times)
    return Load(requests, float(re.search(r"Requests/sec: +([\d.]+)", text)[1]), mean, p50, p99, failures)


def load_all_counted(address: str, target: str, connections: int, seconds: int) -> Load:
    """The same under full load, by h2load: it counts from one answer to the next, where wrk leaves out what it takes to ask again."""
    command = ["taskset", "-c", CLIENT, "h2load", "--h1", "-t1", f"-c{connections}", f"-D{seconds}", "--warm-up-time=1s"]
    command += ["--log-file=times", f"http://{address}{target}"]
    for _ in range(5):
        with folder() as where, contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(command, cwd=where, check=True, stdout=subprocess.DEVNULL, timeout=seconds + 8)
            lines = [line.split("\t") for line in (where / "times").read_text().splitlines()]
            break
        told("h2load did not end, as it does now and then when a connection closes at the last moment: again")
    else:
        raise SystemExit("h2load did not end, five times")
    times = sorted(int(micros) / 1000 for _, _, micros in lines)
    failures = sum(not 200 <= int(status) < 400 for _, status, _ in lines)
    count = len(times)
    return Load(count, count / seconds, sum(times) / count, times[count // 2], times[count * 99 // 100], failures)


def ask(address: str, target: str, *headers: str) -> bytes:
    """The whole answer to one GET, on a connection that is kept."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as stream:
        lines = [f"GET {target} HTTP/1.1", f"Host: {address}", *headers, "", ""]
        stream.sendall("\r\n".join(lines).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += stream.recv(65536)
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", answer)
        whole = answer.index(b"\r\n\r\n") + 4 + int(length[1] if length else 0)
        while len(answer) < whole:
            answer += stream.recv(1 << 20)
        return answer


def fields(answer: bytes) -> list[tuple[str, str]]:
    """An answer's headers, names in lower case."""
    lines = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
