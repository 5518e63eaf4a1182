"""A download of 200 MB, by its key and by a signed link of the Active API: the edge beside nginx with sendfile."""

import json
import os
import pathlib
import socket
import sys
import time

from access import BEARER, Guarded
from common import CLIENT, COMPILER, Limit, Section, ask, folder, middle, ratio, run, told
from servers import Nginx, Server

MB = 200
TIMES = 5
BESIDE_NGINX = Limit("≥", 0.9)
# So many downloads whose clients take nothing, to see what each holds.
STALLED = 400
A_CONNECTION = Limit("≤", 1, " MiB")


def download(address: str, target: str, buffer: bytearray) -> int:
    """Reads one answer to its end, and does nothing with it; how many bytes there were."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as stream:
        stream.sendall(f"GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
        size = 0
        while received := stream.recv_into(buffer):
            size += received
        return size


def timed(server: Server, target: str) -> tuple[float, float]:
    """MB a second, and the server's processor milliseconds for each download, of several in a row."""
    buffer = bytearray(1 << 20)
    cpu, start = server.cpu_seconds(), time.perf_counter()
    for _ in range(TIMES):
        if download(server.address, target, buffer) < MB * 1_000_000:
            sys.exit(f"{target}: not all of it came")
    wall = time.perf_counter() - start
    return MB * TIMES / wall, (server.cpu_seconds() - cpu) / TIMES * 1000


def site(where: pathlib.Path) -> str:
    """A release of one large file, which the edge itself hands out; its address."""
    (where / "releases").mkdir()
    (where / "releases/catalog.yaml").write_text("product: BigAgent\nchannels: { stable: {} }\n")
    with (where / "BigAgent.tar.gz").open("wb") as file:
        for _ in range(MB):
            file.write(os.urandom(1_000_000))
    run(where, COMPILER, "add", "1.0.0", "linux-x86_64=BigAgent.tar.gz", "--channel", "stable")
    run(where, COMPILER, "build")
    [file] = (where / "artifacts").glob("*/BigAgent.tar.gz")
    return f"/{file.relative_to(where)}"


def held(edge: Server, target: str) -> float:
    """MiB that each of many downloads holds whose client has stopped reading."""
    host, port = edge.address.split(":")
    before, streams = edge.memory_mib("VmRSS"), []
    for _ in range(STALLED):
        stream = socket.create_connection((host, int(port)), timeout=30)
        stream.sendall(f"GET {target} HTTP/1.1\r\nHost: {edge.address}\r\n\r\n".encode())
        stream.recv(1)
        streams.append(stream)
    holds = edge.memory_mib("VmRSS") - before
    for stream in streams:
        stream.close()
    return holds / STALLED


def link(edge: Server) -> str:
    """The signed link that the Active API shows."""
    document = json.loads(ask(edge.address, "/api/agent/v1/releases/active", BEARER).partition(b"\r\n\r\n")[2])
    return document["artifacts"][0]["signed_url"]


def streaming(rounds: int) -> Section:
    section = Section(
        f"Streaming {MB} MB",
        f"One client, {TIMES} downloads in a row, each on a connection of its own; the file is in the system's memory. The server",
        "has one core, the client the other; it reads a MiB at a time and drops it. nginx uses sendfile. Memory is what each of",
        f"{STALLED} downloads adds whose client has stopped reading.",
    )
    with folder() as where:
        target = site(where)
        mine = os.sched_getaffinity(0)
        location = f"location /artifacts/ {{ root {where}; }}"
        with Guarded(where, "--artifacts", "artifacts") as edge, Nginx(where, [location], {}) as nginx:
            servers = {"edge": (edge, target), "edge, signed link": (edge, link(edge)), "nginx": (nginx, target)}
            seen: dict[str, list[tuple[float, float]]] = {name: [] for name in servers}
            os.sched_setaffinity(0, {int(CLIENT)})
            for number in range(rounds):
                told(f"streaming, round {number + 1} of {rounds}")
                for name, (server, address) in servers.items():
                    seen[name].append(timed(server, address))
            os.sched_setaffinity(0, mine)
            memory = {name: held(edge, address) for name, (server, address) in servers.items() if server is edge}
    table = []
    for name, figures in seen.items():
        throughput, cpu = ([figure[column] for figure in figures] for column in (0, 1))
        gain = ratio(throughput, [figure[0] for figure in seen["nginx"]])
        holds = memory.get(name)
        cells = [name, f"{middle(throughput):,.0f}", f"{gain:.2f}", f"{middle(cpu):.0f}", f"{holds:.3f}" if holds is not None else ""]
        promises = [] if holds is None else [("nginx", gain, BESIDE_NGINX), ("memory", holds, A_CONNECTION)]
        table.append(cells + section.judge(f"a stream, {name}", *promises))
    section.table(["server", "MB/s", "× nginx", "processor ms a download", "MiB a connection", "limit", "holds"], table)
    return section
