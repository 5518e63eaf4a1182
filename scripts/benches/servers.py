"""The servers that are compared: the edge, nginx as people would configure it, and a floor that parses nothing."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

from common import EDGE, FLOOR, SERVER, ask, fields


class Server:
    """A running server: `address` is where it listens, `seconds` how long it took until it said so."""

    def __init__(self, command: list[object], where: pathlib.Path, cpus: str = SERVER):
        start = time.perf_counter()
        self.process = subprocess.Popen(
            ["taskset", "-c", cpus, *(str(word) for word in command)],
            cwd=where, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.address = self.listens()
        self.seconds = time.perf_counter() - start

    def listens(self) -> str:
        line = self.process.stdout.readline().strip()
        if not line.startswith("listening on http://"):
            sys.exit(f"{self.process.args}: it did not start")
        return line.removeprefix("listening on http://")

    def pids(self) -> list[int]:
        """The process, and the workers that it has."""
        pid = self.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *(int(child) for child in children)]

    def cpu_seconds(self) -> float:
        """Of all its threads, so far."""
        tasks = (task for pid in self.pids() for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"))
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def memory_mib(self, name: str) -> float:
        """`VmRSS`, which it has now, or `VmHWM`, the most it had."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{name}:\s+(\d+)", status)[1]) / 1024

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(3)
        self.process.kill()
        self.process.wait()


class Edge(Server):
    """The edge with a site in `where`/dist; it counts for its operators while it is measured."""

    def __init__(self, where: pathlib.Path, *arguments: object, program: pathlib.Path = EDGE, cpus: str = SERVER):
        command = [program, "--site", "dist", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", *arguments]
        super().__init__(command, where, cpus)


class Floor(Server):
    """Answers everything with the bytes of one answer."""

    def __init__(self, where: pathlib.Path, answer: bytes):
        file = where / f"floor-{abs(hash(answer))}"
        file.write_bytes(answer)
        super().__init__([FLOOR, file], where)


# Without `open_file_cache` nginx would make two system calls more for each document.
NGINX = """
{user}worker_processes 1; daemon off; pid {where}/nginx.pid; error_log {where}/nginx.log;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000; open_file_cache max=1000; access_log off;
    default_type application/json; types {{ }}
    client_body_temp_path {where}/body; proxy_temp_path {where}/proxy; fastcgi_temp_path {where}/fastcgi;
    uwsgi_temp_path {where}/uwsgi; scgi_temp_path {where}/scgi;
    map_hash_max_size 65536; map_hash_bucket_size 256;
    map $request_uri $target {{ default ""; include {where}/redirects.map; }}
    server {{
        listen 127.0.0.1:{port};
{locations}
    }}
}}
"""
# What nginx says itself, or what differs from one answer to the next.
OWN = {"content-length", "content-type", "date", "etag", "location", "connection"}


def headers(answer: bytes) -> str:
    """Directives that make nginx send the headers of the edge's answer."""
    return " ".join(f"add_header {name} {json.dumps(value)} always;" for name, value in fields(answer) if name not in OWN)


def redirects(site: pathlib.Path) -> dict[str, str]:
    """Every address that redirects, and where to, from the compiled map."""
    compiled = json.loads((site / "redirects.json").read_text())
    heads = {entry["head"]: [] for entry in compiled["channels"]}
    for entry in compiled["channels"]:
        heads[entry["head"]].append(entry["channel"])
    table = {}
    for row in compiled["rows"]:
        for form in (form["address"] for form in compiled["forms"] if form["platform"] == row["platform"]):
            address = form.replace("{version}", row["version"]).replace("{filename}", row["filename"])
            for channel in heads.get(row["version"], []) if "{channel}" in address else [""]:
                table[address.replace("{channel}", channel)] = row["location"]
    return table


class Nginx(Server):
    """nginx, with the locations given and the redirects of a map."""

    def __init__(self, where: pathlib.Path, locations: list[str], table: dict[str, str]):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (where / "redirects.map").write_text("".join(f'"{address}" "{target}";\n' for address, target in table.items()))
        user = "user root root; " if os.geteuid() == 0 else ""
        text = NGINX.format(where=where, port=self.port, user=user, locations="\n".join(f"        {line}" for line in locations))
        (where / "nginx.conf").write_text(text)
        super().__init__(["nginx", "-e", where / "nginx.log", "-c", where / "nginx.conf"], where)

    def listens(self) -> str:
        for _ in range(1000):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return f"127.0.0.1:{self.port}"
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        sys.exit("nginx did not start")


def nginx_beside(edge: Server, where: pathlib.Path, document: str, redirect: str) -> Nginx:
    """nginx with the edge's document and redirects, and their headers; it has to give the same answers."""
    expected = [ask(edge.address, document), ask(edge.address, redirect)]
    locations = [
        f"root {where}/dist/public;",
        f"location = {document} {{ {headers(expected[0])} }}",
        f'location ~ /download {{ {headers(expected[1])} if ($target = "") {{ return 404; }} return 302 $target; }}',
    ]
    nginx = Nginx(where, locations, redirects(where / "dist"))
    found = [ask(nginx.address, document), ask(nginx.address, redirect)]
    for ours, theirs in zip(expected, found):
        missing = set(fields(ours)) - set(fields(theirs)) - {field for field in fields(ours) if field[0] in OWN - {"location"}}
        if missing or ours[:12] != theirs[:12]:
            sys.exit(f"nginx does not answer what the edge does: {missing} {theirs!r}")
    if expected[0].partition(b"\r\n\r\n")[2] != found[0].partition(b"\r\n\r\n")[2]:
        sys.exit("nginx's document is not the edge's")
    return nginx
