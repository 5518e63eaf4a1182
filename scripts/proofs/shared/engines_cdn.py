"""A bucket behind a CDN: a site published into SeaweedFS, Varnish with deploy/varnish.vcl before it, and an edge on a folder that
`follow` keeps for what the CDN hands over."""

import atexit
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from shared.common import COMPILER, PATH, ROOT, Wrong, apt_install, expect, free_port, get, is_open, seaweed, until

VCL = ROOT / "deploy/varnish.vcl"
KEYS = {"accessKey": "publisher", "secretKey": "publishers-secret"}
# Anyone may read what a CDN serves, and nothing else.
IDENTITIES = [
    {"name": "publisher", "credentials": [KEYS], "actions": ["Admin"]},
    {"name": "anonymous", "actions": ["Read:site/*/public/*"]},
]
BUCKET = "site"


class Store:
    """One SeaweedFS for all sites of a run: each has a prefix of the bucket. It ends with the run."""

    started: "Store | None" = None

    @classmethod
    def get(cls) -> "Store":
        cls.started = cls.started or cls()
        return cls.started

    def __init__(self):
        stack = contextlib.ExitStack()
        atexit.register(stack.close)
        where = stack.enter_context(tempfile.TemporaryDirectory(prefix="store-", dir=ROOT / "target"))
        self.url = stack.enter_context(seaweed(pathlib.Path(where) / "weed", IDENTITIES))
        self.port = int(self.url.rsplit(":", 1)[1])
        self.sites = 0
        credentials = {"AWS_ACCESS_KEY_ID": KEYS["accessKey"], "AWS_SECRET_ACCESS_KEY": KEYS["secretKey"]}
        self.env = {**os.environ, **credentials, "AWS_ENDPOINT_URL": self.url, "AWS_REGION": "us-east-1"}
        signed = ["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", ":".join(KEYS.values())]
        subprocess.run(["curl", "-fsS", "-X", "PUT", *signed, f"{self.url}/{BUCKET}"], check=True)

    def new_prefix(self) -> str:
        self.sites += 1
        return f"{BUCKET}/{self.sites}"

    def run(self, where: pathlib.Path, *words: object) -> str:
        """Runs the compiler with the store's credentials."""
        done = subprocess.run([str(COMPILER), *map(str, words)], cwd=where, env=self.env, capture_output=True, text=True)
        expect(done.returncode == 0, f"agent-releases {' '.join(map(str, words))}: {done.stderr}")
        return done.stdout


class Varnish:
    """Varnish with the template, filled in; `address` is (host, port)."""

    def __init__(self, vcl: str):
        if not shutil.which("varnishd", path=PATH):
            apt_install("varnish")
        self.temporary = tempfile.TemporaryDirectory(prefix="varnish-", dir=ROOT / "target")
        self.where = pathlib.Path(self.temporary.name)
        self.address = ("127.0.0.1", free_port())
        (self.where / "site.vcl").write_text(vcl)
        # The parameters that the template's head asks for.
        parameters = [word for value in re.findall(r"-p (\S+=\S+)", vcl) for word in ("-p", value)]
        parameters += ["-p", "vsl_space=16m", "-p", "thread_pools=1", "-p", "thread_pool_min=20"]
        command = ["varnishd", "-F", "-j", "none", "-n", self.where / "state", "-a", ":".join(map(str, self.address))]
        command += ["-f", self.where / "site.vcl", "-s", "malloc,32m", *parameters]
        with open(self.where / "output", "wb") as output:
            env = {**os.environ, "PATH": PATH}
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=env, start_new_session=True)
        try:
            until("Varnish listens", lambda: self.process.poll() is not None or is_open(self.address))
            expect(self.process.poll() is None, f"Varnish to run, found {(self.where / 'output').read_text()}")
        except BaseException:
            self.stop()
            raise

    def counters(self) -> dict[str, int]:
        """As varnishstat names them: requests to `bucket` and to `edge`, and answers from the cache, `hit`."""
        command = ["varnishstat", "-1", "-j", "-n", self.where / "state"]
        said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["counters"]
        names = {"bucket": r"VBE\..*\.bucket\.req", "edge": r"VBE\..*\.edge\.req", "hit": r"MAIN\.cache_hit"}
        return {
            short: sum(counter["value"] for name, counter in said.items() if re.fullmatch(pattern, name))
            for short, pattern in names.items()
        }

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.temporary.cleanup()


def filled_in(site: dict, folder: str, bucket: int, edge: int) -> str:
    """The template with a site's own values, of its snapshot.json, in the three parts that its head names."""
    template = VCL.read_text()
    values = {
        r'\.port = "8333"': f'.port = "{bucket}"',
        r'\.host_header = "127\.0\.0\.1:8333"': f'.host_header = "127.0.0.1:{bucket}"',
        r'\.port = "8080"': f'.port = "{edge}"',
        r'X-Folder = "/site/public"': f'X-Folder = "/{folder}/public"',
        r"(?s)(?<=sub tell_of_the_end_of_v1 \{\n).*?(?=\n\})": end_of_v1(site),
    }
    for pattern, value in values.items():
        template, count = re.subn(pattern, lambda _: value, template)
        expect(count == 1, f"{VCL.relative_to(ROOT)} to have one place like `{pattern}`")
    return template


def end_of_v1(site: dict) -> str:
    """What V1's documents say of its end."""
    of_v1 = [file["headers"] for file in site["files"] if file["path"].startswith("public/internal/v1/")]
    said = of_v1[0] if of_v1 else {}
    lines = [f'set resp.http.{name} = "{said[name]}";' for name in ["Deprecation", "Sunset"] if name in said]
    docs = said.get("Link", "").partition(", ")[2]
    return "\n".join([*lines, *([f'set resp.http.Link = resp.http.Link + {{", {docs}"}};'] if docs else [])])


class Cdn:
    """The engine: `edge_on(folder)` starts an edge on a site's folder, with whatever secrets the site's cases need. At its end
    it makes sure that documents came from the bucket. `spoil` changes what Varnish is told."""

    def __init__(self, dist: pathlib.Path, edge_on, spoil=lambda vcl: vcl):
        self.store = store = Store.get()
        prefix = store.new_prefix()
        self.target = f"s3://{prefix}"
        self.where = dist.resolve().parent
        self.edge = None
        self.publish()
        self.edge = edge_on("followed")
        try:
            self.varnish = Varnish(spoil(filled_in(self.snapshot(), prefix, store.port, self.edge.address[1])))
        except BaseException:
            self.edge.__exit__()
            raise
        self.address = self.varnish.address

    def publish(self, *arguments: str) -> None:
        """Publishes the site's sources, and lets the edge follow."""
        made = ["--no-artifacts", "--settle", "0", "--out", "published"]
        self.store.run(self.where, "publish", self.target, *made, *arguments)
        self.store.run(self.where, "follow", self.target, "--once", "--out", "followed")
        if self.edge:
            snapshot = self.snapshot()["id"][:16]
            until("the edge is new", lambda: get(self.edge.address, "/")[1].get("x-release-snapshot") == snapshot)

    def __enter__(self):
        return self

    def snapshot(self) -> dict:
        """Of what was published last."""
        return json.loads((self.where / "published/snapshot.json").read_text())

    def documents(self) -> list[str]:
        """The address of every document that a CDN serves."""
        paths = [file["path"] for file in self.snapshot()["files"]]
        # Pages are the edge's: a store cannot say what their Content-Security-Policy is.
        return [path.removeprefix("public") for path in paths if path.startswith("public/") and path.endswith(".json")]

    def of_the_bucket(self) -> int:
        """Asks twice for every document; makes sure that none came from the edge, and each from the cache the second time."""
        before, documents = self.varnish.counters(), self.documents()
        for document in documents * 2:
            status = get(self.address, document)[0]
            expect(status == 200, f"{document}: 200 from the CDN, found {status}")
        # Counters are written a moment later.
        enough = before["hit"] + len(documents)
        with contextlib.suppress(Wrong):
            until("the hits are counted", lambda: self.varnish.counters()["hit"] >= enough, 3)
        after = self.varnish.counters()
        expect(after["hit"] >= enough, f"{len(documents)} documents asked for twice: as many hits, found {after} after {before}")
        expect(after["edge"] == before["edge"], f"no document to come from the edge, found {after} after {before}")
        expect(after["bucket"] > 0 or not documents, f"documents to come from the bucket, found {after}")
        return len(documents)

    def __exit__(self, kind=None, *_):
        try:
            if kind is None:
                self.of_the_bucket()
        finally:
            self.stop()

    def stop(self) -> None:
        self.varnish.stop()
        self.edge.__exit__()
        for made in ["published", "followed"]:
            shutil.rmtree(self.where / made, ignore_errors=True)
