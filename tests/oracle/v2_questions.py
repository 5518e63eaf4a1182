"""The questions that are put to one edge, and how they are sent."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import random
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from v2_model import ANY, CORS, MINUTE, P, STRONG, Answer, Model, b64url, compact, cursor_text, fits, tag
from v2_sources import PLATFORMS, random_time, random_version

TOKEN = "oracle-token-0123456789abcdef"

# -------------------------------------------------------------------------------------------------------- what is asked

ENCODINGS = """
|identity|*|*;q=0|deflate|gzip;q=0|GZIP|gzip;q=0.5, identity;q=0.8|gzip;q=0.5, identity;q=0.5|gzip;q=1.0, br;q=0.9|gzip;q=0.001
|br;q=0, gzip;q=0, identity;q=0|gzip;q=0, *|deflate, gzip;q=1.000, br;q=1.000|gzip ; q=0.4, br; q=0.3|identity;q=0, br;q=0.2
|*;q=0.5, gzip;q=0.3|gzip;q=0.2, *;q=0|br;q=0.1,gzip;q=0.1,deflate
""".replace("\n", "").split("|")

NOT_CHANNELS = ["nope", "Stable", "", "download", "index", "beta,stable", "a" * 1500]

NOT_RELEASES = """
9.9.9 1.2.3-zz 01.2.3 1.2 latest.json history index download 1.0.0-rc..1 1.0.0-a.json 1.0.0+b . .. null 1.0.0-01
""".split() + ["1.0.0-" + "a" * 58, "1.0.0-" + "a" * 59]

DOWNLOADS = ["?platform=windows", "?platform=macos&arch=arm64", "?arch=x86_64&platform=macos"]

ODD_DOWNLOADS = """
? ?platform= ?platform ?platform=linux ?platform=linux&arch=x86_64 ?platform=Windows ?platform=macos ?platform=macos&arch=
?platform=macos&arch=ARM64 ?platform=windows&arch=x86_64 ?platform=windows&arch= ?platform=windows&arch=bad ?arch=arm64
?platform=macos&arch=arm64&arch=x86_64 ?platform=windows&platform=windows ?platform=windows&platform=macos&arch=arm64
?platform=bad&platform=bad ?platform[]=windows ?platform=macos&arch=arm64+ ?platform=windows%20 ?platform=windows,macos
?platform=&platform=windows ?platform=windows&platform= ?PLATFORM=windows ?platform=windows;arch=arm64
?platform=windows&url=https://evil.example/ ?next=//evil.example&platform=macos&arch=x86_64 ?%70latform=wind%6Fws
?platform=macos&%61%72%63%68=arm64&x ?&&platform=windows&=& ?platform=windows&channel=beta ?platform=windows&page_size=0
""".split() + [""]

ODD_TAILS = """
/windows /bsd/x.pkg /macos/x.pkg /macos/riscv/x.pkg /linux/riscv/x.deb /windows/x86_64/a.msi /Windows/a.msi /files /files/a/b /
/macos/arm64 /windows/%61.msi /linux/x86_64/a/b
""".split()

ODD_PATHS = """
//evil.example/ /%2f%2fevil /.. /%2e%2e /%252e /..;/ /%c0%ae%c0%ae/ /%00 /%zz /% /%a // /./ /nope /v2 /v2/ /V2/agent-releases
/v2/Agent-Releases /v2//agent-releases /v2/agent-releases2 /v2/agent-releases;x=y /v2/agent-releases.json /v2/agent-releases.bak
/.git/config /C:/ /%0d%0aSet-Cookie:%20a=b /v2/clients /artifacts /artifacts/ /artifacts/../snapshot.json /artifacts/%2e%2e/x
/nope?x=1 /snapshot.json /redirects.json /private/ledger.json /public/openapi.json /exports/nginx.conf /public/ /private/
@/ @// @//latest @/latest/ @/Latest @/LATEST/download @/latest/Download @/latest/download/ @/latest//download @/lat%65st
@%2Flatest @/latest%2Fdownload @/%zz @/latest/../latest @/./latest @/VERSION/ @/VERSION;x=y @/VERSION/. @/VERSION/.. @/VERSION.bak
@/VERSION.JSON @/VERSION/download/.. @/%31.8.3 @/VERSION/notes @/../../etc/passwd @/..%2f..%2fetc/passwd @/history/ @/history
@/history/..%2findex.json @/index.json/ @/latest/nope.json @/latest/download.json @/latest/stable @/latest/../index.json
@/latest/download%3Fplatform=windows @/latest%00 @/a%
""".replace("@", P).split() + [f"{P}/" + "a" * 1500, f"/{'a/' * 700}", f"/public{P}/index.json", f"{P}/history/{'0' * 64}.json"]

# A library may refuse these by itself.
ODD_BYTES = ["/\\evil", f"{P}/\"", f"{P}/<x>", f"{P}/^", f"{P}/`", f"{P}/\xe9", f"{P}/\xff\xfe", f"{P}/a|b", f"{P}/{{x}}"]

ODD_VALUES = """
Stable st+able ARM64 null ../ € "q"\\ 0 -1 201 1e2 050 +5 1000 999 ١٢ %73table a=b x?y true [] / 5.0
""".split() + ["", " stable", "stable ", "é\u202e", "\0", "a\nb", "\x7f", "\x85", "windows\r\nX: y", "\ufeff1"]

ODD_PIECES = """
x=1 channel = Channel=beta platform[]=macos x=%zz %zz=1 channel=% arch=%c3%28 utm_source=a%0ab _=%ff x=%e2%82%ac
""".split() + [""]

METHODS = ["POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "get", "Head", "QUERY", "X-" + "Y" * 60]

DISTRACTIONS = [("X-HTTP-Method-Override", "DELETE"), ("X-Original-URL", "/nope"), ("X-Forwarded-Host", "evil.example"),
                ("X-Forwarded-Proto", "http"), ("Forwarded", "host=evil.example"), ("Upgrade", "websocket")]

NO_ACCESS = [[], [("Cookie", f"session={TOKEN}")], [("X-Original-URL", "/openapi.json")]]
NO_ACCESS += [[("Authorization", value)] for value in (
    "Bearer", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer " + "a" * 8000,
    f"Bearer {TOKEN}, Bearer {TOKEN}")]

GATE = {400: ("bad_request", "Malformed request"), 405: ("method_not_allowed", "Method not allowed"),
           414: ("uri_too_long", "URI Too Long"), 417: ("expectation_failed", "Expectation Failed"),
           421: ("misdirected_request", "Misdirected Request"), 431: ("headers_too_large", "Request Header Fields Too Large")}


# ----------------------------------------------------------------------------------------------------------------- wire

@dataclass
class Got:
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    serial: int = 1         # which answer of its connection

    def joined(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, value in self.headers:
            found[name] = f"{found[name]}, {value}" if name in found else value
        return found


def read_answer(stream, method: str) -> Got:
    line = stream.readline(8192)
    if not line:
        raise EOFError("closed without an answer")
    found = re.match(rb"HTTP/1\.[01] ([1-5][0-9]{2}) ?[^\r\n]*\r\n$", line)
    if not found:
        raise ValueError(f"not a status line: {line[:80]!r}")
    headers = []
    while (line := stream.readline(65536)) not in (b"\r\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers.append((name.lower(), value.strip()))
    status, joined = int(found[1]), dict(headers)
    body = b""
    if method != "HEAD" and status >= 200 and status not in (204, 304):
        if "content-length" not in joined and "close" not in joined.get("connection", ""):
            raise ValueError(f"an answer without Content-Length: {status} {headers}")
        body = stream.read(int(joined["content-length"])) if "content-length" in joined else stream.read()
        if len(body) != int(joined.get("content-length", len(body))):
            raise EOFError("closed within a body")
    return Got(status, headers, body)


class Wire:
    """One connection that is kept alive."""

    def __init__(self, port: int, host: str):
        self.port, self.host, self.stream, self.serial = port, host, None, 0

    def open(self, timeout: float):
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock, sock.makefile("rb")

    def close(self):
        if self.stream:
            self.stream.close()
            self.sock.close()
        self.stream = None

    def ask(self, method: str, target: str, headers) -> Got:
        if not self.stream:
            self.sock, self.stream = self.open(20)
            self.serial = 0
        head = [f"{method} {target} HTTP/1.1", f"Host: {self.host}", *(f"{n}: {v}" for n, v in headers), "", ""]
        try:
            self.sock.sendall("\r\n".join(head).encode("latin-1"))
            got = read_answer(self.stream, method)
        except (OSError, EOFError, ValueError):
            self.close()
            raise
        self.serial += 1
        got.serial = self.serial
        if "close" in got.joined().get("connection", "").lower():
            self.close()
        return got

    def raw(self, data: bytes, count: int):
        """Up to `count` answers to some bytes, and what comes after: 'closed', 'open' or 'more'."""
        sock, stream = self.open(3)
        answers, after = [], "open"
        try:
            sock.sendall(data)
            for _ in range(count):
                answers.append(read_answer(stream, "GET"))
            sock.settimeout(1.0)
            after = "more" if stream.read(1) else "closed"
        except (EOFError, ConnectionError):
            after = "closed"
        except TimeoutError:
            pass
        finally:
            stream.close()
            sock.close()
        return answers, after


def difference(want: Answer, got: Got, method: str) -> list[str]:
    """Why an answer is not the expected one."""
    if got.status != want.status:
        return [f"the status is {got.status}, not {want.status}"]
    why, heads = [], got.joined()
    if len(heads) != len(got.headers):
        why.append("a header is sent twice")
    if not heads.pop("date", None):
        why.append("there is no Date")
    length = heads.pop("content-length", None)
    if heads.get("connection") == "close" and got.serial >= 1000:
        heads.pop("connection")
    empty = want.bodies == (b"",)
    if got.status in (204, 304):
        why += [f"Content-Length: {length} on {got.status}"] if length is not None else []
    elif method != "HEAD":
        why += [f"Content-Length is {length}, the body has {len(got.body)} bytes"] if length != str(len(got.body)) else []
    elif length is None:
        why += [] if empty else ["there is no Content-Length"]
    elif want.bodies is not None and not want.coding and length not in {str(len(body)) for body in want.bodies}:
        why.append(f"Content-Length is {length}, GET's body has {len(want.bodies[0])} bytes")
    for name, value in want.must.items():
        if name not in heads:
            why.append(f"{name} is missing")
    for name, value in heads.items():
        rule = want.must.get(name, want.may.get(name))
        if rule is None:
            why.append(f"{name}: {value} is not expected")
        elif not fits(rule, value):
            why.append(f"{name}: {value} is not {rule if isinstance(rule, str) else getattr(rule, 'pattern', rule)}")
    if method == "HEAD" or why:
        return why
    if want.coding:
        if heads.get("etag") != tag(got.body):
            why.append("the ETag is not made from the encoded form")
        try:
            if want.coding == "gzip" and gzip.decompress(got.body) not in want.bodies:
                why.append("the body decodes to something else")
        except (OSError, EOFError) as error:
            why.append(f"the body does not decode: {error}")
    elif want.error_codes:
        try:
            error = json.loads(got.body)["error"]
            fine = list(error) == ["code", "message", "details"] and error["code"] in want.error_codes
        except (ValueError, KeyError, TypeError):
            fine = False
        why += [] if fine else ["the body is not such an error"]
    elif want.bodies is not None and got.body not in want.bodies:
        why.append("the body differs")
    return why


# ------------------------------------------------------------------------------------------------------------ questions

class Questions:
    """The questions to one edge."""

    def __init__(self, oracle: Oracle, model: Model, port: int, rng: random.Random, files: Path):
        self.oracle, self.model, self.rng, self.files = oracle, model, rng, files
        self.col = model.col
        self.wire = Wire(port, self.col.host or f"127.0.0.1:{port}")
        self.versions = [r.version for r in self.col.releases]

    def ask(self, target: str, method="GET", headers=(), authorized=True, want=None, twin=True) -> Got | None:
        """One question; now and then also its HEAD twin."""
        headers = list(headers)
        want = want or self.model.answers(method, target, headers, authorized)
        if authorized and not self.model.public:
            headers.append(("Authorization", f"Bearer {TOKEN}"))
        self.oracle.questions += 1
        question = f"{method} {target} {headers or ''}"
        try:
            got = self.wire.ask(method, target, headers)
        except (OSError, EOFError, ValueError) as error:
            self.oracle.fail(question, f"{want[0].status}", f"{type(error).__name__}: {error}")
            return None
        faults = [difference(answer, got, method) for answer in want]
        if all(faults):
            best = min(range(len(want)), key=lambda i: (want[i].status != got.status, len(faults[i])))
            body = (want[best].bodies or (b"(any)",))[0]
            self.oracle.fail(question, f"{want[best].status} {body.decode(errors='replace')!r} and {len(want) - 1} other forms",
                             f"{faults[best]}; {got.status} {got.headers} {got.body[:600]!r}")
        elif method == "GET":
            self.learn(target, got, want[faults.index([])])
        if twin and method == "GET" and self.rng.random() < 0.15:
            self.ask(target, "HEAD", [h for h in headers if h[0] != "Authorization"], authorized)
        return got

    def learn(self, target: str, got: Got, answer: Answer) -> None:
        """Remembers what the contract leaves free, so that it must stay the same."""
        path = target.partition("?")[0]
        if answer.must.get("etag") is STRONG and got.status == 200:
            if answer.coding:
                beside = self.files / f"{path[1:]}.{dict(gzip='gz', br='br')[answer.coding]}"
                if beside.exists():
                    self.oracle.check(f"the {answer.coding} form of {path}", beside.read_bytes(), got.body)
                self.model.forms[path, answer.coding] = got.body
            else:
                query = target.partition("?")[2]
                self.model.tags[path if path.startswith("/artifacts/") else f"{path}?{query}"] = got.joined()["etag"]
        if path == P and got.status == 200 and len(self.model.version_keys) == 2 and "sort_by=version" in target:
            following = json.loads(got.body)["next_cursor"]
            if following and answer.bodies:
                key = json.loads(base64.urlsafe_b64decode(following + "=="))["k"]
                self.model.version_keys = {key[0] is not None}

    def everything(self) -> None:
        for part in (self.statics, self.views, self.downloads, self.lists, self.cursors, self.random_queries, self.conditions,
                     self.paths, self.methods, self.artifacts, self.access, self.oddities, self.gate):
            part()
        self.wire.close()

    # The parts

    def statics(self):
        documents = self.model.documents
        for path, data in list(documents.items()):
            self.ask(path)
            if len(documents) < 40 or self.rng.random() < 0.2 or len(data) >= 1400:
                self.ask(path, "HEAD")
                self.ask(path + "?channel=nope&platform=&cursor=%41&x=1&x=2")
                for accepted in ("gzip", "br", "gzip, br"):
                    self.ask(path, headers=[("Accept-Encoding", accepted)])
            for suffix in (".gz", ".br"):
                if self.rng.random() < 0.05:
                    self.ask(path + suffix)
        for accepted in ENCODINGS:
            self.ask(max(documents, key=lambda path: len(documents[path])), headers=[("Accept-Encoding", accepted)])
            self.ask(P, headers=[("Accept-Encoding", accepted)])
        if self.model.public:
            bodies = ((self.files / "openapi.json").read_bytes(),)
            must, may = {"cache-control": MINUTE, "content-type": ANY}, {"etag": ANY, "vary": ANY}
            self.ask("/openapi.json", want=[self.model.make("/openapi.json", 200, bodies, must, may)], twin=False)

    def views(self):
        for target in (f"{P}/latest", P):
            self.ask(target)
            self.ask(f"{target}?")
            for channel in [*self.model.channels, *NOT_CHANNELS, "st%61ble"]:
                self.ask(f"{target}?channel={channel}")
        for version in self.versions:
            self.ask(f"{P}/{version}")
            for channel in self.model.channels:
                self.ask(f"{P}/{version}?channel={channel}")
            wrong = (version.upper(), version + ".0", version.replace(".", ""), f"v{version}", version + "%20", version + "/")
            for other in wrong:
                if other != version and self.rng.random() < 0.2:
                    self.ask(f"{P}/{other}")
        for version in NOT_RELEASES:
            for query in ("", "?channel=stable", "?channel=latest", "?channel=", "?channel=x&channel=stable"):
                self.ask(f"{P}/{version}{query}")

    def downloads(self):
        for query in DOWNLOADS + ODD_DOWNLOADS:
            self.ask(f"{P}/latest/download{query}")
            for channel in [*self.model.channels, "nope", ""]:
                self.ask(f"{P}/latest/download{query or '?'}&channel={channel}")
        for release in self.col.releases:
            base = f"{P}/{release.version}/download"
            for query in DOWNLOADS + self.rng.sample(ODD_DOWNLOADS, 3):
                self.ask(base + query)
            for platform in PLATFORMS:
                system, _, arch = platform.partition("-")
                place = base + ("/windows/" if system == "windows" else f"/{system}/{arch}/")
                found = release.artifacts.get(platform)
                name = found.filename if found else "missing.bin"
                self.ask(place + name)
                if self.rng.random() < 0.1:
                    for other in (name.upper() + "x", f"{name}/", name[:-1], "", "..", f"{name}%00", f"{name}?platform=bad&arch=&x"):
                        self.ask(place + other)
            for name in [*release.attachments, "none.deb"]:
                self.ask(f"{base}/files/{name}")
            for tail in ODD_TAILS if self.rng.random() < 0.1 else ():
                self.ask(base + tail)
        for version in ("9.9.9", "latest", "nope"):
            for tail in ("/windows/a.msi", "/linux/arm64/x", "/files/a.deb", "?platform=windows", "?platform=no", ""):
                self.ask(f"{P}/{version}/download{tail}")

    def lists(self):
        combinations = list(itertools.product(self.model.channels, ("published_at", "version"), ("asc", "desc")))
        thorough = self.rng.choice(combinations)
        for place in combinations:
            some = self.rng.sample([1, 2, 3, 7, 20, 49, 50, 51, 100, 199, 200], 3)
            for size in range(1, 201) if place == thorough else some:
                self.walk(*place, lambda: size)
            self.walk(*place, lambda: self.rng.randint(1, 30))
        for channel in self.model.channels:     # the defaults
            self.ask(f"{P}?channel={channel}&sort_order=asc")
            self.ask(f"{P}?sort_by=version&channel={channel}")

    def walk(self, channel, sort, order, size):
        cursor, pages = "", 0
        while cursor is not None and pages <= len(self.versions) + 1:
            target = f"{P}?channel={channel}&sort_by={sort}&sort_order={order}&page_size={size()}"
            got = self.ask(f"{target}&cursor={cursor}" if cursor else target)
            pages += 1
            try:
                cursor = json.loads(got.body)["next_cursor"]
            except (AttributeError, ValueError, KeyError, TypeError):
                return      # reported already

    def cursors(self):
        pick = self.rng.choice
        for _ in range(60):
            channel, sort, order = pick(self.model.channels), pick(["published_at", "version"]), pick(["asc", "desc"])
            version = pick([random_version(self.rng, False), pick(self.versions or ["1.8.3"])])
            value = pick([None, random_time(self.rng)[0], pick([None, *(r.published_at for r in self.col.releases)])])
            if sort == "version":
                value = version if True in self.model.version_keys else None
            good = cursor_text(channel, sort, order, [value, version])
            where = f"{P}?channel={channel}&sort_by={sort}&sort_order={order}&page_size={self.rng.randint(1, 20)}&cursor="
            self.ask(where + good)
            self.ask(where + "".join(f"%{ord(c):02x}" if self.rng.random() < 0.3 else c for c in good))
            self.ask(where + good + f"&cursor={good}")
            self.ask(f"{P}?cursor={good}")      # foreign, but for the defaults
            self.ask(f"{P}?channel={pick(self.model.channels)}&sort_by={sort}&sort_order={pick(['asc', 'desc'])}&cursor={good}")
            for text in self.rng.sample(self.bad_cursors(channel, sort, order, value, version), 12):
                self.ask(where + text)

    def bad_cursors(self, channel, sort, order, value, version) -> list[str]:
        """Most are bad, some only look so; the model knows."""
        plain = {"v": 1, "c": channel, "s": sort, "o": order, "k": [value, version]}
        changes = [("v", 2), ("v", "1"), ("v", True), ("c", None), ("s", "channel"), ("o", "DESC"), ("x", 1), ("k", version)]
        changes += [("k", key) for key in (
            [value], [1, version], [value, "1.0"], [value, None], [value, version, 1], [value, f"{version}+b"],
            ["2026-13-01T00:00:00.000Z", version], ["yesterday", version])]
        values = [{**plain, name: other} for name, other in changes] + [{"k": plain["k"], **plain}, [], "text", None, 1]
        good = b64url(compact(plain))
        place = self.rng.randrange(len(good))
        changed = good[:place] + self.rng.choice("ABCxyz019_-") + good[place + 1:]
        raw = [b"\xff\xfe", b"[" * 700, compact(plain)[:-1], compact(plain) + b" ", json.dumps(plain).encode()]
        raw += map(compact, values)
        return [good[:place], good[:-1], changed, good + "=", good + "==", good + "A", good.lower(), good + "%0a", "%20" + good,
                good + good, good.replace("-", "%2B"), "A" * 1024, "A" * 1025, "*", *map(b64url, raw)]

    def random_queries(self):
        cursor = cursor_text("stable", "published_at", "desc", [None, "1.0.0"])
        values = {"channel": [*self.model.channels], "platform": ["windows", "macos"], "arch": ["arm64", "x86_64"],
                  "sort_by": ["published_at", "version"], "sort_order": ["asc", "desc"],
                  "page_size": ["1", "9", "10", "50", "200"], "cursor": [cursor, "x"]}

        def encode(text: str) -> str:
            heavy, form = self.rng.random() < 0.15, self.rng.choice(["%{:02x}", "%{:02X}"])
            safe = lambda c: chr(c).isascii() and (chr(c).isalnum() or chr(c) in "-._~+:@!*,/?")
            kept = lambda c: safe(c) and not (heavy and self.rng.random() < 0.4)
            return "".join(chr(c) if kept(c) else form.format(c) for c in text.encode())

        for _ in range(1500):
            version = self.rng.choice([*self.versions[:60], "9.9.9"])
            path, names = self.rng.choice([
                (P, ["channel", "sort_by", "sort_order", "page_size", "cursor"]), (f"{P}/latest", ["channel"]),
                (f"{P}/latest/download", ["channel", "platform", "arch"]), (f"{P}/{version}", ["channel"]),
                (f"{P}/{version}/download", ["platform", "arch"])])
            given = self.rng.sample(ODD_PIECES, self.rng.choice([0, 0, 0, 0, 0, 1, 2]))
            for name in values:
                for _ in range(self.rng.choice([0, 1, 1, 1, 1, 1, 1, 2]) if name in names else self.rng.random() < 0.1):
                    value = self.rng.choice(ODD_VALUES if self.rng.random() < 0.12 else values[name])
                    given.append(f"{encode(name)}={encode(value)}")
            self.rng.shuffle(given)
            self.ask(path + "?" + "&".join(given))
        self.ask(P + "?" + "a&" * 1000)
        self.ask(f"{P}?page_size=1000000000&page_size=")

    def conditions(self):
        some = lambda names, count: self.rng.sample(names, min(count, len(names)))
        targets = [P, f"{P}?page_size=1&sort_by=version", f"{P}/latest", f"{P}/latest?channel=latest", f"{P}/latest?channel=nope",
                   *(f"{P}/{version}" for version in some(self.versions, 15)),
                   *(f"{P}/{version}/download?platform=windows" for version in some(self.versions, 3)),
                   *some(sorted(self.model.documents), 25)]
        for target in targets:
            got = self.ask(target)
            known = got.joined().get("etag", '"none"') if got else '"none"'
            for asked in (known, f"W/{known}", "*", f'"a", {known}', f'"a",W/"b" , W/{known},"c"', '"a", "b"', '""',
                          known[:-2] + '"', '"x' + known[1:]):
                self.ask(target, headers=[("If-None-Match", asked)])
                self.ask(target, "HEAD", [("If-None-Match", asked)])
            self.ask(target, headers=[("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT")])
            self.ask(target, headers=[("Range", "bytes=0-3")])
            self.ask(target, headers=[("Authorization", "Bearer no"), ("Cookie", "session=x")] if self.model.public else [])
        for (path, how), form in some(sorted(self.model.forms.items()), 10):
            plain = tag(self.model.documents[path]) if path in self.model.documents else '"a"'
            for asked in (tag(form), f"W/{tag(form)}", plain):
                self.ask(path, headers=[("Accept-Encoding", how), ("If-None-Match", asked)])

    def paths(self):
        version = self.rng.choice(self.versions or ["1.8.3"])
        for path in ODD_PATHS:
            path = path.replace("VERSION", version)
            self.ask(path)
            if self.rng.random() < 0.3 and "?" not in path:
                self.ask(path + "?channel=stable&platform=windows", "HEAD")
        bare = Answer(400, (b"",), {}, {"connection": "close"})
        free = {name: ANY for name in (*CORS, "connection")}
        for path in ODD_BYTES:
            want = [self.model.make(path, status, None, may=free, error_codes=(code,))
                    for status, code in ((400, "bad_request"), (404, "not_found"))]
            self.ask(path, want=[*want, bare], twin=False)

    def methods(self):
        version = self.rng.choice(self.versions or ["1.8.3"])
        for tail in ("", "/latest", "/latest?channel=nope", f"/{version}", f"/{version}/download", "/9.9.9", "s", "/index.json",
                     "/latest/download?platform=windows", f"/{version}/download/windows/x.msi", "/history/index.json", "/nope/nope"):
            for method in METHODS:
                self.ask(P + tail, method, [("Content-Length", "0")] if method == "POST" else [], authorized=method != "PUT")
            origin = [("Origin", "https://app.example.com")]
            self.ask(P + tail, "OPTIONS")
            self.ask(P + tail, "OPTIONS", [*origin, ("Access-Control-Request-Method", "GET")], authorized=False)
            self.ask(P + tail, headers=origin)
            self.ask(P + tail, headers=DISTRACTIONS)

    def artifacts(self):
        if self.col.store == "cdn":
            return
        offers = list(self.col.offers())
        for _, artifact, key in self.rng.sample(offers, min(80, len(offers))):
            target = f"/artifacts/{key}"
            got = self.ask(target)
            self.ask(target, "HEAD")
            if not got or got.status != 200 or not artifact.sha256 or self.rng.random() < 0.3:
                continue
            size, etag = len(got.body), got.joined().get("etag", '"x"')
            ranges = "0-0 0-4 3- -5 0-1,3-4 5-2 a-b - -0".split() + [
                "", f"{size}-", f"0-{size}", f"{size - 1}-", f"-{size + 9}", f"{2**63}-"]
            for wanted in [f"bytes={text}" for text in self.rng.sample(ranges, 8)] + ["bites=0-1", "0-4"]:
                other = self.rng.choice([etag, '"other"', f"W/{etag}", "Fri, 01 Jan 2100 00:00:00 GMT"])
                self.ask(target, headers=[("Range", wanted)])
                self.ask(target, headers=[("Range", wanted), ("If-Range", other)])
            for asked in (etag, f"W/{etag}", "*", '"other"', f'"other", {etag}'):
                self.ask(target, headers=[("If-None-Match", asked)])
            self.ask(target, headers=[("If-None-Match", etag), ("Range", "bytes=0-1")])
            self.ask(target, headers=[("Accept-Encoding", "gzip, br")])
        for key in ("nope", "a/b/c", "0" * 64 + "/x.msi", "legacy", "../snapshot.json"):
            self.ask(f"/artifacts/{key}")

    def access(self):
        version = self.rng.choice(self.versions or ["1.8.3"])
        documents = self.rng.sample(sorted(self.model.documents), min(10, len(self.model.documents)))
        tails = ("", "?channel=nope", "/latest", f"/{version}", "/latest/download", "/9.9.9", "/nope/nope",
                 f"/{version}/download/windows/a.msi")
        for target in [*(P + tail for tail in tails), *documents]:
            for headers in NO_ACCESS:
                self.ask(target, headers=headers, authorized=False)
        if self.model.public:
            return
        for scheme in ("bearer", "BEARER"):
            good = [("Authorization", f"{scheme} {TOKEN}")]
            self.ask(P, headers=good, want=self.model.answers("GET", P), authorized=False, twin=False)
        for path in [path.replace("VERSION", version) for path in ODD_PATHS if path.startswith(P)]:
            got = self.ask(path, authorized=False, twin=False)
            self.oracle.check(f"{path} without access tells nothing", True, got is not None and got.status not in (200, 302))

    # Raw bytes

    def oddities(self):
        """Many answers on one connection, in order; a name that is not ours; heads that are too large."""
        host = self.wire.host.encode()
        get = lambda path, *heads, name=host: b"GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (path, name, b"".join(heads))
        names = [f"/nope-{i}" for i in range(100)]
        self.raw("100 pipelined requests", b"".join(get(name.encode()) for name in names), [404] * 100, paths=names)
        self.raw("a target of 3,000 bytes", get(b"/" + b"a" * 3000), [414])
        self.raw("a head of 40 KiB", get(b"/", b"X-A: %s\r\n" % (b"a" * 1000) * 40), [431])
        self.raw("200 headers", get(b"/", b"X-A: a\r\n" * 200), [431])
        if self.col.host:
            for name in (b"evil.example", host + b".evil.example", b"127.0.0.1", b"x" + host):
                self.raw(f"Host: {name.decode()}", get(b"/", name=name), [421])
            self.raw("the name in capitals", get(b"/nope", name=host.upper()), [404])

    def gate(self):
        host = b"Host: " + self.wire.host.encode()
        whole = lambda line, *heads: b"".join(part + b"\r\n" for part in (line, host, *heads, b""))
        line, end = b"GET /nope HTTP/1.1", b"0\r\n\r\n"
        get = lambda *heads: whole(line, *heads)
        chunked, length = b"Transfer-Encoding: chunked", b"Content-Length: 5"
        closed = {
            "no Host": line + b"\r\n\r\n",
            "two Hosts": get(host),
            "absolute-form to another host": whole(b"GET http://evil.example/nope HTTP/1.1"),
            "GET *": whole(b"GET * HTTP/1.1"),
            "GET !": whole(b"GET ! HTTP/1.1"),
            "authority-form": whole(b"GET evil.example:443 HTTP/1.1"),
            "CONNECT": whole(b"CONNECT evil.example:443 HTTP/1.1"),
            "length, then chunked": get(length, chunked) + end,
            "chunked, then length": get(chunked, length) + end,
            "chunked": get(chunked) + end,
            "chunked twice": get(chunked, chunked) + end,
            "chunked on HTTP/1.0": whole(b"GET /nope HTTP/1.0", chunked) + end,
            "two lengths": get(length, b"Content-Length: 6") + b"hello!",
            "space before colon": get(b"X-A : b"),
            "obs-fold": get(b"X-A: b", b" c"),
            "NUL in a value": get(b"X-A: b\0c"),
            "CR in a value": get(b"X-A: b\rc"),
            "two Authorizations": get(b"Authorization: Bearer a", b"Authorization: Bearer b"),
            "a body": get(length) + b"hello",
            "a request in a body": get(b"Content-Length: %d" % len(get())) + get(),
        }
        for name in (b"", b"u@h", b"a b", b"h/x", b"h:99999", b"h:x", b"h:80:80", b"[::1", b"h\\x", b"h?x", b"h#x"):
            closed[f"Host: {name.decode()}"] = line + b"\r\nHost: " + name + b"\r\n\r\n"
        for value in (b",chunked", b"gzip, chunked", b"identity", b"chunked, chunked", b"xchunked"):
            closed[f"Transfer-Encoding: {value.decode()}"] = get(b"Transfer-Encoding: " + value) + end
        for value in (b"+5", b"-1", b"5,5", b"5, 6", b"0x10", b"9" * 20, b"", b"5 5", b"\xb25"):
            closed[f"Content-Length: {value!r}"] = get(b"Content-Length: " + value) + b"hello"
        for name, data in closed.items():
            self.raw(name, data, [400], after="closed")
        foreign = {
            "HTTP/0.9": b"GET /nope\r\n\r\n",
            "HTTP/1.2": whole(b"GET /nope HTTP/1.2"),
            "HTTP/2.0": whole(b"GET /nope HTTP/2.0"),
            "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "a TLS hello": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"\0" * 60,
        }
        for name, data in foreign.items():
            self.raw(name, data, [(400, 505, None)], after="closed")
        self.raw("POST with a body", whole(b"POST /nope HTTP/1.1", length) + b"hello" + get(), [405], after="closed")
        self.raw("a method of 5,000 bytes", whole(b"M" * 5000 + b" /nope HTTP/1.1"), [(405, 400)])
        self.raw("Expect", get(b"Expect: 100-continue"), [417])
        self.raw("Upgrade", get(b"Connection: Upgrade", b"Upgrade: h2c"), [404], paths=["/nope"])
        self.raw("good, then bad", get() + get(b"X A: b"), [404, 400], after="closed", paths=["/nope"])
        self.raw("HTTP/1.0", whole(b"GET /nope HTTP/1.0"), [404], paths=["/nope"])
        self.raw("Content-Length: 0", get(b"Content-Length: 0") + get(), [404, 404], paths=["/nope", "/nope"])

    def raw(self, name: str, data: bytes, statuses: list, after: str | None = None, paths=()):
        """Some bytes, the statuses that answer them (None: nothing), and whether the connection is closed then."""
        self.oracle.questions += 1
        try:
            answers, then = self.wire.raw(data, len(statuses))
        except (OSError, ValueError) as error:
            answers, then = [], f"{type(error).__name__}: {error}"
        seen = [answer.status for answer in answers]
        pairs = itertools.zip_longest(statuses, seen)
        fine = all(status in (want if isinstance(want, tuple) else (want,)) for want, status in pairs)
        if not fine or then not in (("closed",) if after else ("open", "closed")):
            wanted = f"{statuses[:5]}, then {after or 'open or closed'}"
            return self.oracle.fail(f"raw: {name}: {data[:160]!r}", wanted, f"{seen[:5]}, then {then}")
        for answer, path in itertools.zip_longest(answers, paths):
            if path:
                error = {"code": "not_found", "message": "Resource not found", "details": {"path": path}}
            elif answer.status in GATE and answer.body:
                error = dict(zip(("code", "message", "details"), (*GATE[answer.status], {})))
            else:
                continue    # the bare answer of the HTTP library
            body = compact({"error": error})
            must = {"cache-control": "no-store", "x-content-type-options": "nosniff", "content-type": "application/json",
                    "x-release-snapshot": self.model.snapshot}
            heads = answer.joined()
            self.oracle.check(f"raw: {name}: the body", True, answer.body in (body, body + b"\n") or answer.body)
            self.oracle.check(f"raw: {name}: the headers", must, {header: heads.get(header) for header in must})
