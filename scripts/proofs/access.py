"""Proves that tokens, sessions and signed links open what they should and nothing else, also while they are replaced; that
none of them comes out anywhere; and that no cache gives one user's answer to another."""

# needs: nginx
# Varnish's command is varnishd; it is installed here. By pip: itsdangerous and Starlette, which make the sessions.
import asyncio
import base64
import hashlib
import hmac
import http.client
import http.server
import itertools
import json
import os
import pathlib
import random
import re
import shutil
import signal
import string
import subprocess
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from shared.common import (
    Answer,
    COMPILER,
    EDGE,
    Edge,
    Load,
    PATH,
    QUICK,
    Wrong,
    apt_install,
    compile_in,
    expect,
    folder,
    get,
    in_front,
    prove,
    raw,
    until,
    with_packages,
)

with_packages("itsdangerous==2.2.0", "starlette==1.10.0")

from starlette.middleware.sessions import SessionMiddleware

COOKIES = 200 if QUICK else 2_000
REPLACEMENTS = 3 if QUICK else 40
ROUNDS = 1 if QUICK else 5
AHEAD, MAX_AGE, LIFETIME, LONGEST = 60, 86_400, 3_600, 86_700
# What the clock may go on between making a question and its answer.
MARGIN = 5
# From the file in its place to the first answer that knows it.
SECONDS_TO_SEE = 1.0
HOST = "Host: proof.example"
BASE = "/api/agent/v1/releases"
ACTIVE = f"{BASE}/active"
STORAGE = "https://downloads.example.com/agent/"

V2 = [
    "/v2/agent-releases?channel=stable",
    "/v2/agent-releases/latest?channel=beta",
    "/v2/agent-releases/1.0.0?channel=stable",
    "/v2/agent-releases/latest/download?platform=windows",
]
V1 = [
    "/internal/v1/agent/releases/latest?channel=stable",
    "/internal/v1/agent/releases?channel=beta",
    "/internal/v1/agent/downloads/links?",
    "/internal/v1/agent/downloads/latest?platform=windows",
]

UNAUTHORIZED = "Authentication required"
NOT_VALID = "This download link is not valid; request a new one"
EXPIRED = "This download link has expired; request a new one"
MISSING = "The file of this artifact is missing on the server"
REFUSED = "a file of secrets refused, what it held before is kept"
RELOADED = "tokens, keys and secrets reloaded"


# The sites: two releases with small installers, served in each way that there is.


class Installer(NamedTuple):
    """An artifact of the chosen release."""

    platform: str
    filename: str
    content: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def key(self) -> str:
        return f"{self.sha256}/{self.filename}"


def installers(version: str) -> list[Installer]:
    """Of a release, in the order of the Active API."""
    def content(magic: bytes) -> bytes:
        return magic + random.Random(version).randbytes(1000 + len(magic))

    return [
        Installer("darwin-arm64", f"Agent-{version}-arm64.pkg", content(b"xar!")),
        Installer("linux-amd64", f"agent-{version}-linux-x86_64.tar.gz", content(b"\x1f\x8b")),
        Installer("windows-amd64", f"Agent-{version}.msi", content(b"\xd0\xcf\x11\xe0")),
    ]


def sources(where: pathlib.Path) -> pathlib.Path:
    """Both releases with their bytes, without a catalog of any use."""
    (where / "releases").mkdir(parents=True)
    (where / "releases/catalog.yaml").write_text("product: Agent\nchannels: { stable: {}, beta: {} }\n")
    for version, channel in [("1.0.0", "stable"), ("1.1.0", "beta")]:
        for installer in installers(version):
            (where / installer.filename).write_bytes(installer.content)
        names = [installer.filename for installer in installers(version)]
        compile_in(where, "add", version, *names, "--channel", channel, "--published-at", "2026-02-24T21:23:53Z")
    return where


def site(where: pathlib.Path, template: pathlib.Path, **catalog: object) -> pathlib.Path:
    """The sources with this catalog, built into `where`/dist, artifacts beside it."""
    for name in ["releases", "artifacts"]:
        shutil.copytree(template / name, where / name)
    usual = {"product": "Agent", "channels": {"stable": {}, "beta": {}}, "v1": {"deprecated_on": "2026-03-01"}}
    (where / "releases/catalog.yaml").write_text(json.dumps({**usual, **catalog}))
    compile_in(where, "build")
    return where


# Secrets, and where they are kept.

TOLD: set[str] = set()


def secret(text: str) -> str:
    """Notes what must come out nowhere."""
    TOLD.add(text)
    return text


def fresh(prefix: str = "") -> str:
    """A new key or secret, long enough."""
    return secret(prefix + "".join(random.choices(string.ascii_letters + string.digits, k=40)))


def put(path: pathlib.Path, *lines: str, mode: int = 0o600) -> pathlib.Path:
    """Puts a file of secrets in its place, whole."""
    coming = path.with_name(f".{path.name}.coming")
    coming.touch(mode=0o600)
    coming.write_text("".join(f"{line}\n" for line in lines))
    coming.chmod(mode)
    coming.rename(path)
    return path


def token_line(name: str, token: str, *expires_at: str) -> str:
    return " ".join([name, hashlib.sha256(token.encode()).hexdigest(), *expires_at])


def bearer(token: str) -> str:
    return f"Authorization: Bearer {token}"


def cookie_header(cookie: str) -> str:
    return f"Cookie: a=b; session={cookie}"


class Kept:
    """The files of one edge, and a good secret of each kind."""

    def __init__(self, where: pathlib.Path):
        self.token, self.key, self.session = fresh("agr_"), fresh(), fresh()
        self.tokens, self.keys, self.sessions = where / "tokens", where / "keys", where / "sessions"
        put(self.tokens, token_line("proof", self.token))
        put(self.keys, self.key)
        put(self.sessions, self.session)

    def flags(self) -> list[str]:
        files = {"--tokens": self.tokens, "--signing-keys": self.keys, "--session-secret": self.sessions}
        return [word for flag, path in files.items() for word in (flag, str(path))]


class Watched(Edge):
    """An edge that logs every request; what it refuses is kept, to be searched for secrets."""

    def __init__(self, where: pathlib.Path, *arguments: str, **options):
        self.refusals: list[bytes] = []
        super().__init__(where, "--access-log", *arguments, **options)

    def ask(self, target: str, *headers: str, method: str = "GET") -> Answer:
        lines = [f"{method} {target} HTTP/1.1", HOST, "Connection: close", *headers, "", ""]
        answer = raw(self.address, "\r\n".join(lines).encode("latin-1"))
        head, _, body = answer.partition(b"\r\n\r\n")
        status, *fields = head.decode("latin-1").split("\r\n")
        expect(status.startswith("HTTP/1.1 "), f"{method} {target}: an answer, found {answer[:100]!r}")
        pairs = (field.split(":", 1) for field in fields)
        answer = Answer(int(status.split()[1]), {name.lower(): value.strip() for name, value in pairs}, body)
        if answer.status >= 400:
            self.refusals.append(head + body)
        return answer

    def active(self, *headers: str) -> dict:
        """The document of the Active API."""
        answer = self.ask(ACTIVE, *headers)
        expect(answer.status == 200, f"the active release, found {answer.status} {answer.body!r}")
        return json.loads(answer.body)

    def tells_nothing(self) -> None:
        """No secret in the log, the metrics, a refusal, the command line or the environment, and no panic."""
        self.ask("/the-last")
        until("the log's last line", lambda: any('"/the-last"' in line for line in self.log[-20:]))
        places = {"the log": "\n".join(self.log).encode(), "the metrics": get(self.admin, "/metrics")[2]}
        places |= {f"/proc/PID/{name}": pathlib.Path(f"/proc/{self.pid}/{name}").read_bytes() for name in ["cmdline", "environ"]}
        places["a refusal"] = b"\n".join(self.refusals)
        for place, content in places.items():
            found = [each for each in TOLD if each.encode() in content]
            expect(not found, f"no secret in {place}, found {found[:2]}")
        expect(self.metrics()["agent_releases_panics_total"] == 0, "no panic")


def is_detail(answer: Answer, status: int, detail: str, what: str) -> None:
    """Whether a refusal has this status and these words, and what every refusal has."""
    body = json.dumps({"detail": detail}, separators=(",", ":")).encode() + b"\n"
    expect((answer.status, answer.body) == (status, body), f"{what}: {status} {body!r}, found {answer.status} {answer.body!r}")
    asks = 'Bearer realm="agent-releases"' if status == 401 else None
    wanted = {"cache-control": "no-store", "vary": "Authorization, Cookie", "www-authenticate": asks}
    wanted |= {"access-control-allow-origin": None, "location": None}
    found = {name: answer.headers.get(name) for name in wanted}
    expect(found == wanted, f"{what}: the headers of a refusal, {wanted}, found {found}")


# Sessions: the cookies are those of Starlette's own middleware.


class Application:
    """An application with Starlette's sessions, at any time of its clock."""

    def __init__(self, key: str):
        self.middleware = SessionMiddleware(self._run, key, max_age=MAX_AGE)
        self.coming: dict = {}
        self.session: dict = {}

    async def _run(self, scope, receive, send) -> None:
        self.session = dict(scope["session"])
        scope["session"].update(self.coming)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    def _ask(self, headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
        sent: list[dict] = []

        async def send(message: dict) -> None:
            sent.append(message)

        asyncio.run(self.middleware({"type": "http", "headers": headers}, None, send))
        return dict(sent[0]["headers"])

    def log_in(self, session: dict, when: float) -> str:
        """The cookie that holds a session, made at a time."""
        self.coming = session
        self.middleware.signer.get_timestamp = lambda: int(when)
        cookie = self._ask([])[b"set-cookie"].decode().split(";")[0].removeprefix("session=")
        TOLD.add(cookie.rsplit(".", 1)[1])
        return cookie

    def reads(self, cookie: str) -> dict:
        """The session that a cookie of now holds for the application; none when it is not good."""
        self.coming = {}
        self.middleware.signer.get_timestamp = lambda: int(time.time())
        self._ask([(b"cookie", f"session={cookie}".encode())])
        return self.session


def text(rng: random.Random, least: int) -> str:
    """Some text, with what JSON and base 64 make something else of."""
    return "".join(rng.choice('aZ09-_.:;=+/"\\<é名🦀\n\x00\x7f ') for _ in range(rng.randint(least, 40)))


def session_of(rng: random.Random, **user: object) -> dict:
    """A session with whatever else applications keep."""
    others = [{}, {"csrf": text(rng, 1)}, {"n": rng.randrange(1 << 53), "x": None, "list": [1.5, True, {"user_guid": 1}]}]
    pairs = [*rng.choice(others).items(), *user.items()]
    rng.shuffle(pairs)
    return dict(pairs) or {"x": 1}


# Sessions of nobody, and kinds of cookies that are not good.
NOBODY = [{}, {"user": "x"}, *({"user_guid": value} for value in ["", None, 7, True, ["x"], {"user_guid": "x"}])]
KINDS = ["ahead", "old", "nobody", "stranger", "changed"]


def cookie_of(kind: str, rng: random.Random, application: Application) -> tuple[str, int]:
    """A cookie of a kind, and its age; whatever the kind does not say of it is good."""
    ages = [-AHEAD + MARGIN, -MARGIN, 0, 1, MAX_AGE - MARGIN, rng.randrange(MAX_AGE - MARGIN)]
    if kind == "ahead":
        ages = [-AHEAD - MARGIN - more for more in (1, 2, 1_000_000, 1 << 31)]
    if kind == "old":
        ages = [MAX_AGE + more for more in (1, 2, 1_000_000)]
    user = rng.choice(NOBODY) if kind == "nobody" else {"user_guid": text(rng, 1)}
    age = rng.choice(ages)
    cookie = application.log_in(session_of(rng, **user), time.time() - age)
    return one_changed(cookie, rng) if kind == "changed" else cookie, age


def one_changed(cookie: str, rng: random.Random) -> str:
    """One character replaced, left out or put in."""
    place = rng.randrange(len(cookie))
    other = rng.choice([c for c in string.ascii_letters + string.digits + "-_=." if c != cookie[place]])
    return cookie[:place] + rng.choice([other, "", other + cookie[place]]) + cookie[place + 1 :]


def sessions(edge: Watched, known: list[Application]) -> str:
    """Cookies of every kind get what they should. Starlette agrees, but for clocks that are ahead, and for what it reads with
    less care."""
    rng, stranger = random.Random(1), Application(fresh())
    for number in range(COOKIES):
        kind = KINDS[number // 2 % len(KINDS)] if number % 2 else "good"
        application = rng.choice(known)
        cookie, age = cookie_of(kind, rng, stranger if kind == "stranger" else application)
        answer, user = edge.ask(ACTIVE, cookie_header(cookie)), application.reads(cookie).get("user_guid")
        if kind == "good":
            expect(answer.status == 200, f"a good cookie, {cookie}: 200, found {answer.status} {answer.body!r}")
            expect(user or age < 0, f"Starlette takes the good {cookie}")
        else:
            is_detail(answer, 401, UNAUTHORIZED, f"a cookie, {kind}: {cookie}")
            expect(kind == "changed" or not (isinstance(user, str) and user), f"Starlette takes {kind} {cookie}")
    return f"{COOKIES} cookies of Starlette, half of them good, the others {', '.join(KINDS)}: each as it should"


# Links.


def sign(key: str, guid: str, platform: str, expires: object) -> str:
    return secret(hmac.new(key.encode(), f"{guid}:{platform}:{expires}".encode(), hashlib.sha256).hexdigest())


def link(key: str, guid: str, platform: str, expires: object) -> str:
    return f"{BASE}/{guid}/download/{platform}?expires={expires}&signature={sign(key, guid, platform, expires)}"


def is_signed_by(document: dict, key: str) -> bool:
    """Whether every link of a document is what Python's hmac makes of it with this key."""
    return all(artifact["signed_url"] == own_link(document, artifact, key) for artifact in document["artifacts"])


def own_link(document: dict, artifact: dict, key: str) -> str:
    """An artifact's link as this key makes it; an hour is its time."""
    expires = re.search(r"\?expires=(\d+)&", artifact["signed_url"] or "")
    expect(expires, f"a signed link, found {artifact['signed_url']}")
    left = int(expires[1]) - time.time()
    expect(abs(left - LIFETIME) <= MARGIN, f"a link of an hour, found one of {left:.0f} s")
    return link(key, document["guid"], artifact["platform"], expires[1])


def signed_url(edge: Watched, kept: Kept) -> str:
    return edge.active(bearer(kept.token))["artifacts"][0]["signed_url"]


def links(edge: Watched, kept: Kept) -> str:
    """Python's hmac makes the links that the edge makes, and those that it makes are taken."""
    document = edge.active(bearer(kept.token))
    expected = [(each.platform, f"sha256:{each.sha256}", len(each.content)) for each in installers("1.0.0")]
    shown = [(each["platform"], each["checksum"], each["file_size"]) for each in document["artifacts"]]
    expect((shown, document["version"], document["dev_mode"]) == (expected, "1.0.0", False), f"the release, found {document}")
    until("that links lead to storage is told", lambda: any("direct downloads are not possible" in line for line in edge.log))
    expect(is_signed_by(document, kept.key), f"links that Python's hmac makes too, found {document}")
    count = sum(in_time(edge, kept.key, document["guid"], installer) for installer in installers("1.0.0"))
    count += changed(edge, kept, link(kept.key, document["guid"], "linux-amd64", int(time.time()) + 60))
    return f"{count} links made by Python's hmac, each as it should"


def in_time(edge: Watched, key: str, guid: str, installer: Installer) -> int:
    """Links with every end; how many."""
    now = int(time.time())
    good = [now + MARGIN, now + LIFETIME, now + LONGEST]
    for expires in good:
        answer = edge.ask(link(key, guid, installer.platform, expires))
        found = answer.status, answer.headers.get("location")
        expect(found == (302, STORAGE + installer.key), f"a link until {expires - now:+} s leads to storage, found {found}")
    bad = {now - 1: EXPIRED, 0: EXPIRED, now + LONGEST + 1 + MARGIN: NOT_VALID, 99_999_999_999: NOT_VALID, 10**12: NOT_VALID}
    for expires, words in bad.items():
        is_detail(edge.ask(link(key, guid, installer.platform, expires)), 401, words, f"a link until {expires - now:+} s")
    return len(good) + len(bad)


def changed(edge: Watched, kept: Kept, good: str) -> int:
    """A link with one character changed opens nothing; a token makes up for one that is no link any more, for no other."""
    query = good.index("?") + 1
    names = [place for name in ("expires=", "signature=") for place in range(good.index(name), good.index(name) + len(name))]
    places = range(query, len(good)) if not QUICK else random.Random(2).sample(range(query, len(good)), 30)
    for place in places:
        spoilt = good[:place] + ("0" if good[place] != "0" else "1") + good[place + 1 :]
        expect(edge.ask(spoilt).status == 401, f"{spoilt} opens nothing")
        is_link = place not in names and good[place] != "&"
        status = edge.ask(spoilt, bearer(kept.token)).status
        expect(status == (401 if is_link else 302), f"{spoilt} beside a token, found {status}")
    return len(places)


# While secrets are replaced.


def seen(what: str, holds) -> float:
    """Waits until a replacement is seen; how many seconds that took."""
    start = time.monotonic()
    until(what, holds, SECONDS_TO_SEE)
    return time.monotonic() - start


def rotate_keys(edge: Watched, kept: Kept) -> list[float]:
    """Links of the old key are good while both stand, and refused when it is gone."""
    old_link, new = signed_url(edge, kept), fresh()
    put(kept.keys, new, kept.key)
    took = [seen("links are signed with the new key", lambda: is_signed_by(edge.active(bearer(kept.token)), new))]
    expect(edge.ask(old_link).status == 302, "while both keys stand, an old link is good")
    put(kept.keys, new)
    took.append(seen("an old link is refused once its key is gone", lambda: edge.ask(old_link).status == 401))
    is_detail(edge.ask(old_link, bearer(kept.token)), 401, NOT_VALID, "a link of a key that is gone")
    expect(edge.ask(signed_url(edge, kept)).status == 302, "a link of the new key is good")
    kept.key = new
    return took


def rotate_sessions(edge: Watched, kept: Kept) -> list[float]:
    """The same for the application's secret."""
    new = fresh()
    before, after = (cookie_header(Application(key).log_in({"user_guid": "x"}, time.time())) for key in (kept.session, new))
    put(kept.sessions, new, kept.session)
    took = [seen("a session of the new secret is good", lambda: edge.ask(ACTIVE, after).status == 200)]
    expect(edge.ask(ACTIVE, before).status == 200, "while both secrets stand, an old session is good")
    put(kept.sessions, new)
    took.append(seen("an old session is refused once its secret is gone", lambda: edge.ask(ACTIVE, before).status == 401))
    expect(edge.ask(ACTIVE, after).status == 200, "a session of the new secret stays good")
    kept.session = new
    return took


def new_token(kept: Kept, name: str, *arguments: str) -> str:
    command = [COMPILER, "token", "new", name, "--tokens", kept.tokens, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    token = done.stdout.strip()
    expect(done.returncode == 0 and re.fullmatch(r"agr_[0-9a-hjkmnp-tv-z]{59}", token), f"a token, found {done}")
    expect(token not in done.stderr + kept.tokens.read_text(), "a token is told once, and its hash kept")
    expect(kept.tokens.stat().st_mode & 0o777 == 0o600, "the tokens file keeps its mode")
    return secret(token)


def revoke(kept: Kept, name: str) -> None:
    put(kept.tokens, *(line for line in kept.tokens.read_text().splitlines() if not line.startswith(f"{name} ")))


def accepts(edge: Watched, token: str) -> bool:
    status = edge.ask(ACTIVE, bearer(token)).status
    expect(status in (200, 401), f"let in or not, found {status}")
    return status == 200


def tokens(edge: Watched, kept: Kept) -> list[float]:
    """Made by the program and taken, revoked and refused, expired and refused."""
    token = new_token(kept, "made")
    took = [seen("a new token is taken", lambda: accepts(edge, token))]
    coming = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    brief = new_token(kept, "brief", "--expires-at", coming)
    gone = new_token(kept, "gone", "--expires-at", "2024-01-01T00:00:00Z")
    took.append(seen("a token that expires is taken", lambda: accepts(edge, brief)))
    expect(not accepts(edge, gone), "an expired token is refused")
    revoke(kept, "made")
    took.append(seen("a revoked token is refused", lambda: not accepts(edge, token)))
    until("a token is refused from its end on", lambda: not accepts(edge, brief), 4)
    is_detail(edge.ask(ACTIVE, bearer(brief)), 401, UNAUTHORIZED, "an expired token")
    both = edge.ask(ACTIVE, bearer(kept.token), bearer(kept.token))
    expect((both.status, both.headers.get("connection")) == (400, "close"), f"two credentials are no request, found {both}")
    return took


def is_let_in(target: str, answer: Answer) -> None:
    expect(answer.status in (200, 302), f"let in, found {answer.status}")


def under_load(edge: Watched, kept: Kept) -> tuple[int, list[float]]:
    """Files are replaced while somebody asks; who is in them all the time is never refused. Taken out (the negative control),
    they are."""
    token, took = fresh("agr_"), []
    targets = [ACTIVE, signed_url(edge, kept)]
    own = token_line("proof", kept.token)
    with Load(edge.address, targets, clients=4, rate=400, judge=is_let_in, headers=(bearer(kept.token),)) as load:
        for number in range(REPLACEMENTS):
            others = [token_line(f"other-{count}", fresh()) for count in range(random.randrange(200))]
            place = random.randrange(len(others) + 1)
            put(kept.tokens, *others[:place], own, *others[place:], token_line("comes-and-goes", token))
            put(kept.keys, *(fresh() for _ in range(number % 3)), kept.key)
            if number % 2:
                edge.signal(signal.SIGHUP)
            took.append(seen("a token that comes is taken", lambda: accepts(edge, token)))
            put(kept.tokens, *others, own)
            took.append(seen("a token that goes is refused", lambda: not accepts(edge, token)))
    expect(not load.errors, f"nobody who is in the file is refused: {load.errors[:3]}")
    put(kept.keys, kept.key)
    with Load(edge.address, [ACTIVE], clients=1, rate=100, judge=is_let_in, headers=(bearer(kept.token),)) as control:
        put(kept.tokens, "# nobody")
        until("the control is refused", lambda: control.errors, SECONDS_TO_SEE)
    put(kept.tokens, own)
    seen("a token that is in the file again is taken", lambda: accepts(edge, kept.token))
    return load.answers, took


def reloads(edge: Watched) -> dict[str, float]:
    metrics = edge.metrics()
    return {result: metrics[f'agent_releases_secrets_reloads_total{{result="{result}"}}'] for result in ["accepted", "refused"]}


def broken(edge: Watched, kept: Kept) -> int:
    """Files that are not as they should be are refused, counted and told, and the secrets from before stay."""
    good_link = signed_url(edge, kept)
    canary, own = fresh(), kept.tokens.read_text().splitlines()
    damages = {
        "no hash": lambda: put(kept.tokens, *own, f"x {canary}"),
        "the mode": lambda: put(kept.tokens, *own, mode=0o644),
        "a short key": lambda: put(kept.keys, kept.key, secret(fresh()[:31])),
        "nothing there": kept.tokens.unlink,
    }
    if not QUICK:
        damages |= {
            "too many words": lambda: put(kept.tokens, *own, f"x {'0' * 64} 2026-01-01T00:00:00Z {canary}"),
            "no time": lambda: put(kept.tokens, *own, f"x {'0' * 64} {canary}"),
            "twice": lambda: put(kept.tokens, *own, *own),
            "upper case": lambda: put(kept.tokens, *own, f"x {'A' * 64}"),
            "the mode, changed alone": lambda: kept.tokens.chmod(0o604),
            "the mode of keys": lambda: put(kept.keys, kept.key, mode=0o666),
            "no key": lambda: put(kept.keys),
            "a space behind a key": lambda: put(kept.keys, f"{kept.key} "),
            "a short secret": lambda: put(kept.sessions, secret(fresh()[:31])),
            "a folder": lambda: (kept.sessions.unlink(), kept.sessions.mkdir()),
            "a pipe": lambda: (kept.sessions.unlink(), os.mkfifo(kept.sessions, 0o600)),
            "no UTF-8": lambda: kept.keys.write_bytes(kept.key.encode() + b"\xff\n"),
        }
    for name, damage in damages.items():
        before, said = reloads(edge), len(edge.events(REFUSED))
        damage()
        seen(f"{name}: it is told", lambda: len(edge.events(REFUSED)) > said)
        line, files = edge.events(REFUSED)[-1], (str(kept.tokens), str(kept.keys), str(kept.sessions))
        expect(line["level"] == "error" and line["error"].startswith(files), f"{name}: the file, found {line}")
        expect(reloads(edge)["refused"] > before["refused"], f"{name}: it is counted")
        expect(accepts(edge, kept.token), f"{name}: the tokens from before stay")
        expect(edge.ask(good_link).status == 302, f"{name}: the keys from before stay")
        told = len(edge.events(RELOADED))
        if kept.sessions.is_dir():
            kept.sessions.rmdir()
        put(kept.tokens, *own)
        put(kept.keys, kept.key)
        put(kept.sessions, kept.session)
        seen(f"{name}: mended, it is told", lambda: len(edge.events(RELOADED)) > told)
    expect(accepts(edge, kept.token), "mended, the token is taken")
    return len(damages)


# What is not there.


def start(where: pathlib.Path, *arguments: str) -> tuple[int | None, str]:
    """How an edge ends that should not start, and what it says; no code when it starts."""
    command = [EDGE, "--site", "dist", "--listen", "127.0.0.1:0", *arguments]
    process = subprocess.Popen(command, cwd=where, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = process.stdout.readline()
    if said:
        process.kill()
    _, told = process.communicate(timeout=20)
    return (None if said else process.returncode), told


def starts(where: pathlib.Path) -> int:
    """An edge with a file of secrets that others may touch, or that is none, does not start, and says why."""
    count, key = 0, fresh()
    lines = {
        "--tokens": token_line("a", "b"),
        "--signing-keys": key,
        "--session-secret": key,
        "--storage-credentials": f"AKIA {key}",
    }
    for flag, line in lines.items():
        modes = {0o644: False, 0o604: False, 0o601: False, 0o602: False, 0o640: True, 0o660: True, 0o400: True}
        for mode, is_fine in modes.items():
            path = put(where / "file", line, mode=mode)
            code, told = start(where, flag, str(path))
            expect((code is None) == is_fine, f"{flag} with mode {mode:04o}: found {code} {told}")
            clear = all(word in told for word in [str(path), f"{mode:04o}", "others", "chmod o="])
            expect(is_fine or (code == 1 and clear), f"{flag} with mode {mode:04o}: a clear message, found {told}")
            expect(key not in told, f"{flag}: no secret in {told}")
            count += not is_fine
        path.unlink()
        code, told = start(where, flag, str(path))
        expect(code == 1 and str(path) in told, f"{flag} without its file: a clear message, found {code} {told}")
        path = put(where / "file", secret(fresh()[:31]))
        code, told = start(where, flag, str(path))
        expect(code == 1 and f"{path}: line 1: " in told, f"{flag} with nonsense: file and line, found {code} {told}")
        expect(not any(each in told for each in TOLD), f"{flag}: no secret in {told}")
        count += 2
    return count


def urls(document: dict, name: str) -> set:
    return {artifact[name] for artifact in document["artifacts"]}


def without_keys(where: pathlib.Path) -> None:
    """Nothing is signed, and nothing taken for signed."""
    kept, words = Kept(where), "Signed downloads are not configured"
    with Watched(where, "--tokens", str(kept.tokens)) as edge:
        document = edge.active(bearer(kept.token))
        expect(urls(document, "signed_url") == {None}, f"no links, found {document}")
        target = document["artifacts"][0]["download_url"]
        for query in ["?expires=1&signature=x", "?signature&expires", "?expires=99999999999&signature=" + "0" * 64]:
            for headers in [[], [bearer(kept.token)]]:
                is_detail(edge.ask(target + query, *headers), 500, words, f"without keys, {query}")
        for query in ["", "?expires=1", "?signature=x"]:
            expect(edge.ask(target + query, bearer(kept.token)).status == 200, f"without keys, a token opens {query}")
            is_detail(edge.ask(target + query), 401, UNAUTHORIZED, f"without keys, nobody: {query}")
        edge.tells_nothing()


def without_store(where: pathlib.Path) -> None:
    """There is a document, and nothing to download."""
    kept, words = Kept(where), "Downloads are not configured"
    with Watched(where, *kept.flags(), artifacts=False) as edge:
        document = edge.active(bearer(kept.token))
        expect(document["dev_mode"] is True and len(document["artifacts"]) == 3, f"dev_mode, found {document}")
        expect(urls(document, "signed_url") == urls(document, "download_url") == {None}, f"no addresses, found {document}")
        for guid, platform in [(document["guid"], "linux-amd64"), (document["guid"], "amiga"), ("nothing", "linux-amd64")]:
            plain, good = f"{BASE}/{guid}/download/{platform}", link(kept.key, guid, platform, int(time.time()) + 60)
            is_detail(edge.ask(plain, bearer(kept.token)), 500, words, f"without a store, {plain}")
            is_detail(edge.ask(good), 500, words, f"without a store, a link to {plain}")
            is_detail(edge.ask(plain), 401, UNAUTHORIZED, f"without a store, nobody: {plain}")
        edge.tells_nothing()


def without_anybody(where: pathlib.Path) -> None:
    """Without tokens and sessions, nobody is let in anywhere."""
    with Watched(where, artifacts=False) as edge:
        is_detail(edge.ask(ACTIVE, bearer(fresh())), 401, UNAUTHORIZED, "nobody is let in")
        for target in [*V2, *V1]:
            expect(edge.ask(target, bearer(fresh())).status == 401, f"nobody is told {target}")
        until("that nobody is let in is told", lambda: any("everybody is refused" in line for line in edge.log))
        edge.tells_nothing()


# Bytes from the edge's own store.


def headers_of(installer: Installer) -> dict[str, str]:
    """Of an artifact in the edge's own store."""
    digest = base64.b64encode(hashlib.sha256(installer.content).digest()).decode()
    return {
        "content-type": "application/octet-stream",
        "content-length": str(len(installer.content)),
        "content-disposition": f'attachment; filename="{installer.filename}"',
        "x-checksum-sha256": installer.sha256,
        "repr-digest": f"sha-256=:{digest}:",
        "etag": f'"{installer.sha256[:32]}"',
        "accept-ranges": "bytes",
        "cache-control": "private, no-store, no-transform",
        "vary": "Authorization, Cookie",
        "x-content-type-options": "nosniff",
    }


def has(answer: Answer, status: int, headers: dict[str, str], body: bytes, what: str) -> None:
    """Whether an answer is exactly this, the snapshot's id and what every connection says aside."""
    found = {name: value for name, value in answer.headers.items() if name not in ("date", "connection", "x-release-snapshot")}
    expect(answer.status == status, f"{what}: {status}, found {answer.status} {answer.body[:100]!r}")
    expect(found == headers, f"{what}: the headers {headers}, found {found}")
    expect(answer.body == body, f"{what}: {len(body)} bytes, found {len(answer.body)}: {answer.body[:100]!r}")


def ranges(edge: Watched, target: str, installer: Installer) -> int:
    """Whole, in parts, and not again."""
    whole, content, size = headers_of(installer), installer.content, len(installer.content)
    etag = whole["etag"]
    has(edge.ask(target), 200, whole, content, "the bytes")
    has(edge.ask(target, method="HEAD"), 200, whole, b"", "HEAD")
    parts = {
        "bytes=0-9": (0, 10),
        "bytes=0-0": (0, 1),
        "bytes=10-": (10, size),
        "bytes=-10": (size - 10, size),
        f"bytes=-{size + 5}": (0, size),
        f"bytes=5-{size + 5}": (5, size),
        f"bytes={size - 1}-": (size - 1, size),
        "Bytes=1-2": (1, 3),
        "bytes=1-99999999999999999999999": (1, size),
    }
    for asked, (first, end) in parts.items():
        part = {**whole, "content-length": str(end - first), "content-range": f"bytes {first}-{end - 1}/{size}"}
        has(edge.ask(target, f"Range: {asked}"), 206, part, content[first:end], asked)
        has(edge.ask(target, f"Range: {asked}", f"If-Range: {etag}"), 206, part, content[first:end], f"{asked} of the same")
        for other in ['"x"', f"W/{etag}", "Fri, 02 Feb 2024 00:00:00 GMT", etag.strip('"')]:
            has(edge.ask(target, f"Range: {asked}", f"If-Range: {other}"), 200, whole, content, f"{asked} if {other}")
    for asked in [f"bytes={size}-", f"bytes={size}-{size + 1}", "bytes=-0", "bytes=99999999999999999999999-"]:
        answer = edge.ask(target, f"Range: {asked}")
        found = (answer.status, answer.headers.get("content-range"), answer.headers.get("cache-control"), answer.body)
        expect(found == (416, f"bytes */{size}", "no-store", b""), f"{asked} lies behind the end, found {found}")
    for asked in ["bytes=0-1,3-4", "bytes=9-3", "bytes=a-b", "bytes=", "bytes=-", "items=0-1", "0-1", "bytes=+1-2", "bytes 0-1"]:
        has(edge.ask(target, f"Range: {asked}"), 200, whole, content, f"{asked} means the whole")
    known = {name: value for name, value in whole.items() if not name.startswith("content-")}
    for asked in [etag, "*", f"W/{etag}", f'"x", {etag}', f'{etag}, "x"']:
        has(edge.ask(target, f"If-None-Match: {asked}"), 304, known, b"", f"If-None-Match: {asked}")
        has(edge.ask(target, f"If-None-Match: {asked}", "Range: bytes=0-1"), 304, known, b"", f"a part, If-None-Match: {asked}")
    has(edge.ask(target, 'If-None-Match: "x"'), 200, whole, content, "another tag")
    return 4 + 6 * len(parts) + 4 + 9 + 10


def is_missing(answer: Answer, installer: Installer) -> None:
    """Step 5: there is no other place."""
    is_detail(answer, 404, MISSING, f"{installer.filename} is not there")


def is_elsewhere(answer: Answer, installer: Installer) -> None:
    """Step 6′: the storage has it."""
    wanted = {"location": STORAGE + installer.key, "cache-control": "private, no-store, no-transform"}
    wanted |= {"referrer-policy": "no-referrer", "vary": "Authorization, Cookie", "access-control-allow-origin": None}
    found = {name: answer.headers.get(name) for name in wanted}
    expect((answer.status, answer.body, found) == (302, b"", wanted), f"elsewhere: 302 {wanted}, found {answer}")


def stores(where: pathlib.Path, is_absent) -> int:
    """Bytes where the edge has them; what is missing, or not as long as recorded, is not there."""
    darwin, linux, windows = installers("1.0.0")
    (where / "artifacts" / linux.key).unlink()
    with open(where / "artifacts" / darwin.key, "ab") as file:
        file.write(b"x")
    kept = Kept(where)
    with Watched(where, *kept.flags()) as edge:
        document = edge.active(bearer(kept.token))
        expect(is_signed_by(document, kept.key), f"signed links, found {document}")
        signed = {artifact["platform"]: artifact["signed_url"] for artifact in document["artifacts"]}
        count = ranges(edge, signed["windows-amd64"], windows)
        plain, spoilt = signed["windows-amd64"].split("?")[0], f"{signed['windows-amd64']}0"
        has(edge.ask(plain, bearer(kept.token)), 200, headers_of(windows), windows.content, "with a token")
        is_detail(edge.ask(plain), 401, UNAUTHORIZED, "the bytes, nobody")
        is_detail(edge.ask(spoilt, bearer(kept.token)), 401, NOT_VALID, "the bytes, a bad link")
        for installer in [linux, darwin]:
            is_absent(edge.ask(signed[installer.platform]), installer)
            is_absent(edge.ask(signed[installer.platform], "Range: bytes=0-1", "If-None-Match: *"), installer)
            whole, head = (edge.ask(signed[installer.platform], method=method) for method in ("GET", "HEAD"))
            expect((head.status, head.body) == (whole.status, b""), f"HEAD of {installer.filename}, found {head}")
        edge.tells_nothing()
    return count + 9


# Storage with signatures.


def presigned(where: pathlib.Path) -> int:
    """What the edge signs for a storage, and what with, comes out nowhere but in the Location."""
    kept, access, key, token = Kept(where), "AKIAPROOF", fresh(), fresh()
    credentials = put(where / "credentials", f"{access} {key} {token}")
    with Watched(where, *kept.flags(), "--storage-credentials", str(credentials), artifacts=False) as edge:
        document = edge.active(bearer(kept.token))
        targets = [artifact["signed_url"] for artifact in document["artifacts"]]
        targets += ["/v2/agent-releases/latest/download?platform=windows", "/internal/v1/agent/downloads/1.0.0?platform=windows"]
        for target in targets:
            location = edge.ask(target).headers.get("location", "")
            signature = re.search(r"&X-Amz-Signature=([0-9a-f]{64})$", location)
            expect(signature, f"a signed Location for {target.split('?')[0]}, found {location}")
            secret(signature[1])
            is_head = edge.ask(target, method="HEAD")
            expect(is_head.status == 200 and "location" not in is_head.headers, f"HEAD is 200 without Location, found {is_head}")
        edge.tells_nothing()
    return len(targets)


def search_finds(where: pathlib.Path) -> None:
    """The negative control: what stands in a path is no secret, and the search finds it in the log."""
    canary = fresh()
    with Watched(where) as edge:
        edge.ask(f"/{canary}")
        try:
            edge.tells_nothing()
        except Wrong:
            return
        finally:
            TOLD.discard(canary)
    raise Wrong("the search finds a secret that was put into a path")


# Caches.


def nginx(where: pathlib.Path, port: int, upstream: int) -> list[str]:
    """Keeps whatever it is not told to leave."""
    (where / "nginx.conf").write_text(f"""
daemon off; master_process off; worker_processes 1; pid {where}/nginx.pid; error_log {where}/nginx.log crit;
events {{ worker_connections 256; }}
http {{
    access_log off; client_body_temp_path {where}/body; proxy_temp_path {where}/proxy; fastcgi_temp_path {where}/fastcgi;
    uwsgi_temp_path {where}/uwsgi; scgi_temp_path {where}/scgi; proxy_cache_path {where}/cache keys_zone=all:4m;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{upstream}; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_cache all; proxy_cache_valid any 10m; proxy_cache_lock on; proxy_cache_lock_timeout 50ms;
        }}
    }}
}}
""")
    return ["nginx", "-e", f"{where}/nginx.log", "-c", f"{where}/nginx.conf"]


def varnish(where: pathlib.Path, port: int, upstream: int) -> list[str]:
    """With the VCL that it has by itself."""
    address = ["-a", f"127.0.0.1:{port}", "-b", f"127.0.0.1:{upstream}"]
    return ["varnishd", "-F", "-j", "none", "-n", f"{where}/varnish", *address, "-s", "malloc,32m"]


CACHES = {"nginx": nginx} if QUICK else {"nginx": nginx, "Varnish": varnish}


class Origin(http.server.ThreadingHTTPServer):
    """The negative control: an upstream that lets everybody keep what it tells each user alone."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Careless)
        self.address, self.asked, self.lock = self.server_address, 0, threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def count(self) -> float:
        return self.asked


class Careless(http.server.BaseHTTPRequestHandler):
    """Its answers leave in one piece."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.asked += 1
        user = self.headers.get("Authorization", "") + self.headers.get("Cookie", "")
        body = hashlib.sha256(user.encode()).hexdigest().encode()
        self.send_response(200)
        self.send_header("Cache-Control", "public, max-age=60")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


class Counted:
    """An edge as an upstream."""

    def __init__(self, edge: Edge):
        self.edge, self.address = edge, edge.address

    def count(self) -> float:
        metrics = self.edge.metrics().items()
        return sum(value for name, value in metrics if name.startswith("agent_releases_requests_total"))


DOCUMENTS = ["/v2/agent-releases/latest.json?", "/v2/agent-releases/index.json?", "/v2/agent-releases/history/index.json?"]


class Kind(NamedTuple):
    """Addresses of one kind of access."""

    name: str
    targets: list[str]
    # Whether users get different answers, and whether a shared cache may keep them.
    differ: bool
    is_kept: bool = False


def public_kinds(document: dict) -> list[Kind]:
    """Of a site whose families are public; the Active API never is."""
    plain = [f"{artifact['download_url']}?" for artifact in document["artifacts"]]
    links = [artifact["signed_url"] for artifact in document["artifacts"]]
    return [
        Kind("V2", V2, differ=False),
        Kind("documents", [*DOCUMENTS, "/openapi.json?"], differ=False, is_kept=True),
        Kind("Active", [f"{ACTIVE}?", *plain], differ=True),
        Kind("links", links, differ=False),
    ]


def required_kinds(document: dict) -> list[Kind]:
    """Of a site whose families require access."""
    documents = [*DOCUMENTS, "/internal/v1/agent/releases/latest.json?"]
    return [Kind("V2", V2, differ=True), Kind("V1", V1, differ=True), Kind("documents", documents, differ=True)]


def told(address: tuple[str, int], target: str, headers: list[str]) -> tuple:
    """What of an answer is its user's: status, Location and body; links are made afresh each time."""
    connection = http.client.HTTPConnection(*address, timeout=20)
    connection.request("GET", target, headers=dict(header.split(": ", 1) for header in headers))
    answer = connection.getresponse()
    body = re.sub(rb"expires=\d+&signature=[0-9a-f]{64}", b"a link", answer.read())
    connection.close()
    return answer.status, answer.headers.get("Location"), body[:60], hashlib.sha256(body).hexdigest()


def keeps_apart(address: tuple[str, int], upstream, kind: Kind, users: dict[str, list[str]]) -> int:
    """Through a cache, in every order and at once, each user gets what the upstream tells this user; how many questions.
    Each of them reaches the upstream, unless the cache may keep the answer."""
    own = {(target, user): told(upstream.address, target, users[user]) for target in kind.targets for user in users}
    if kind.differ:
        same = [target for target in kind.targets if own[target, "nobody"] == own[target, "token"]]
        expect(not same, f"{kind.name}: users are told different things, found the same for {same}")
    asked = [0] * len(users)

    def ask(place: int, target: str, user: str, mark: str) -> None:
        answer = told(address, f"{target}&{mark}", users[user])
        asked[place] += 1
        expect(answer == own[target, user], f"{kind.name}, {target}, {user}: {own[target, user]}, found {answer}")

    before = upstream.count()
    for number in range(ROUNDS):
        for place, order in enumerate(itertools.permutations(users)):
            # A name that nobody knows makes an address that the cache does not know yet.
            for target, user in itertools.product(kind.targets, order * 2):
                ask(0, target, user, f"x={number}.{place}")
    at_once(lambda place, user: [ask(place, target, user, f"y={n}") for n in range(4) for target in kind.targets], users)
    reached = upstream.count() - before
    expected = f"{sum(asked)} questions make {'fewer' if kind.is_kept else 'as many'} at the upstream, found {reached:g}"
    expect(reached < sum(asked) if kind.is_kept else reached == sum(asked), f"{kind.name}: {expected}")
    return sum(asked)


def at_once(work, users: dict[str, list[str]]) -> None:
    """Does the same for every user at the same time."""
    wrong: list[Exception] = []

    def run(place: int, user: str) -> None:
        try:
            work(place, user)
        except (Wrong, OSError) as error:
            wrong.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(users)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise Wrong(f"at once: {wrong[0]}")


def control(name: str, where: pathlib.Path, users: dict[str, list[str]]) -> None:
    """An upstream that lets everybody keep its answers is found out."""
    with Origin() as origin, in_front(name, CACHES[name], where, origin.address[1]) as address:
        try:
            keeps_apart(address, origin, Kind("the control", ["/a?", "/b?"], True), users)
        except Wrong:
            return
        finally:
            origin.shutdown()
    raise Wrong(f"a careless upstream is found out behind {name}")


def users_of(kept: Kept) -> dict[str, list[str]]:
    """What each user sends."""
    session = Application(kept.session).log_in({"user_guid": "usr"}, time.time())
    users = {"token": [bearer(kept.token)], "nobody": []}
    return users if QUICK else {**users, "session": [cookie_header(session)]}


def caches(where: pathlib.Path, sites: dict[pathlib.Path, Callable[[dict], list[Kind]]]) -> str:
    """Every kind of access behind every cache."""
    if "Varnish" in CACHES and not shutil.which("varnishd", path=PATH):
        apt_install("varnish")
    asked = 0
    for name in CACHES:
        control(name, where / f"{name}-control", users_of(Kept(where)))
        for site_of, kinds in sites.items():
            kept = Kept(site_of)
            with (
                Watched(site_of, *kept.flags(), artifacts=False) as edge,
                in_front(name, CACHES[name], where / f"{name}-{site_of.name}", edge.address[1]) as address,
            ):
                listed = kinds(edge.active(bearer(kept.token)))
                asked += sum(keeps_apart(address, Counted(edge), kind, users_of(kept)) for kind in listed)
                edge.tells_nothing()
    return f"{asked} questions through {' and '.join(CACHES)}, nobody told what is another's, nothing private kept"


# All of it.


def replaced(where: pathlib.Path) -> str:
    """One edge, from its first token to its last key."""
    kept = Kept(where)
    older = fresh()
    put(kept.sessions, kept.session, older)
    with Watched(where, *kept.flags(), artifacts=False) as edge:
        known = [Application(kept.session), Application(older)]
        figures = [sessions(edge, known), links(edge, kept)]
        took = rotate_keys(edge, kept) + rotate_sessions(edge, kept) + tokens(edge, kept)
        answers, more = under_load(edge, kept)
        damages = broken(edge, kept)
        edge.tells_nothing()
        took += more
    figures.append(f"{len(took)} replacements seen after {sum(took) / len(took):.2f} s, at most {max(took):.2f} s")
    figures.append(f"{answers} answers under load, nobody good refused; {damages} damaged files refused, those from before kept")
    return "; ".join(figures)


def run() -> str:
    with folder() as where:
        template = sources(where / "sources")
        storage = {"storage": {"base_url": STORAGE}}
        signed = {"storage": {"base_url": STORAGE, "presign": {"kind": "s3", "region": "eu-central-1", "lifetime": 600}}}
        required = {"access": {"v2": "required", "v1": "required"}}
        plain, local = site(where / "plain", template, **storage), site(where / "local", template)
        figures = [replaced(plain)]
        refused = starts(plain)
        search_finds(plain)
        closed = site(where / "closed", template, **storage, **required)
        without_keys(local)
        without_store(site(where / "nowhere", template))
        without_anybody(closed)
        figures.append(f"{refused} starts with files that are not as they should be refused")
        count = stores(local, is_missing) + stores(site(where / "both", template, **storage), is_elsewhere)
        figures.append(f"{count} questions to the edge's own store")
        presigned(site(where / "presigned", template, **signed))
        figures.append(caches(where, {plain: public_kinds, closed: required_kinds}))
        figures.append(f"{len(TOLD)} secrets in no log, metric, refusal or /proc file; in a path (the control) one is found")
    return "; ".join(figures)


prove("access", "who may not ask learns nothing, also while secrets are replaced and behind caches; no secret comes out", run)
