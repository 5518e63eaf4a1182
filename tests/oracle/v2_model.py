"""What V2 answers, and which documents it compiles: a model of the contract for one collection."""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
import json
import re
from collections import namedtuple
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import unquote_to_bytes

from v2_sources import OCTETS, PLATFORMS, Artifact, Collection, Release, is_version, precedence, sha256

P = "/v2/agent-releases"
MINUTE = "public, max-age=60, must-revalidate"
FOREVER = "public, max-age=31536000, immutable"
CORS = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "ETag, Link, X-Checksum-SHA256, X-Release-Snapshot, X-Release-Yanked, Deprecation, Sunset",
}
ANY = re.compile(r".*")
STRONG = re.compile(r'"[!#-~]+"')
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")


# ---------------------------------------------------------------------------------------------------------------- words

def is_time(text: str) -> bool:
    try:
        return bool(TIME.fullmatch(text)) and bool(datetime.fromisoformat(text[:-1]))
    except ValueError:
        return False


def compact(value) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def document(value) -> bytes:
    return compact(value) + b"\n"


def tag(data: bytes) -> str:
    return f'"{sha256(data)[:32]}"'


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def cursor_text(channel, sort, order, key) -> str:
    return b64url(compact({"v": 1, "c": channel, "s": sort, "o": order, "k": key}))


def read_cursor(text: str, channel: str, sort: str, order: str):
    """'bad', 'loose' (both answers are sensible), or the key."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,1024}", text) or len(text) % 4 == 1:
        return "bad"
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    try:
        value = json.loads(raw.decode())
    except (ValueError, RecursionError):
        return "bad"
    if not isinstance(value, dict) or isinstance(value.get("v"), bool) or value.get("v") != 1:
        return "bad"
    key = value.get("k")
    if (value.get("c"), value.get("s"), value.get("o")) != (channel, sort, order):
        return "bad"
    if not isinstance(key, list) or len(key) != 2 or not isinstance(key[1], str) or not is_version(key[1]):
        return "bad"
    if key[0] is not None and not isinstance(key[0], str):
        return "bad"
    if cursor_text(channel, sort, order, key) != text:
        return "loose"
    plain = key[0] is None or (is_time(key[0]) if sort == "published_at" else key[0] == key[1])
    return key if plain else "loose"


def coding(header: str | None) -> str:
    """Which encoding a request gets where every form exists."""
    weights = {}
    for part in (header or "").split(","):
        name, *rest = [piece.strip() for piece in part.split(";")]
        weights[name.lower()] = float(rest[0][2:]) if rest else 1.0
    star = weights.get("*", 0.0)
    best = max(("br", "gzip"), key=lambda name: weights.get(name, star))
    weight = weights.get(best, star)
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else "identity"


def byte_range(header: str, size: int):
    """None (the whole), 'none' (unsatisfiable), 'either', or (first, last)."""
    found = re.fullmatch(r"bytes=([0-9]*)-([0-9]*)", header)
    if not found or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return (max(0, size - int(last)), size - 1) if int(last) else "either"
    if last and int(last) < int(first):
        return None
    return "none" if int(first) >= size else (int(first), min(int(last or size), size - 1))


def tiles(versions: list[str]) -> list[list[str]]:
    """Ascending versions, cut after each one whose hash begins with a byte below 4."""
    cut = [[]]
    for version in versions:
        cut[-1].append(version)
        if hashlib.sha256(version.encode()).digest()[0] < 4:
            cut.append([])
    return [tile for tile in cut if tile]


def snapshot_id(rows: list[dict]) -> str:
    """The id that the rows of snapshot.json make."""
    paths = {row["path"] for row in rows}
    lines = []
    for row in sorted(rows, key=lambda row: row["path"].encode()):
        inside = row["path"].startswith(("public/", "private/")) or row["path"] == "redirects.json"
        if inside and not compressed(row["path"], paths):
            headers = json.dumps(row["headers"], separators=(",", ":"), sort_keys=True, ensure_ascii=False)
            lines.append(f"{row['path']}\t{row['sha256']}\t{row['size']}\t{headers}\n")
    return sha256("".join(lines).encode())


def compressed(path: str, among) -> bool:
    return path.endswith((".gz", ".br")) and path[:-3] in among


# ---------------------------------------------------------------------------------------------------------------- model

HistoryStyle = namedtuple("HistoryStyle", "channels latest platforms named attachments file")
STYLES = [HistoryStyle(*choice) for choice in itertools.product(
    ("catalog", "catalog, stable late", "manifest", "sorted"), (False, True), ("table", "sorted"), (True, False), ("sorted", "source"),
    ("name", "address", "hash"))]


@dataclass
class Names:
    """A Vary header: these names, in any order, and perhaps those."""
    needed: set[str]
    allowed: set[str] = field(default_factory=set)

    def fullmatch(self, text: str) -> bool:
        names = {name.strip().lower() for name in text.split(",")}
        return self.needed <= names <= self.needed | self.allowed


def fits(rule, value: str) -> bool:
    """Whether a header has the value that a rule (a text, a pattern or Names; None: no such header) wants."""
    return rule is not None and bool(value == rule if isinstance(rule, str) else rule.fullmatch(value))


@dataclass
class Answer:
    status: int
    bodies: tuple[bytes, ...] | None        # None: any
    must: dict
    may: dict = field(default_factory=dict)
    coding: str | None = None               # the body is in bodies once it is decoded
    error_codes: tuple[str, ...] = ()       # any error with one of these codes


class Model:
    def __init__(self, collection: Collection):
        self.col = collection
        self.snapshot = "?"
        self.tags: dict[str, str] = {}                      # target: a tag that the contract leaves free
        self.forms: dict[tuple[str, str], bytes] = {}       # (address, coding): bytes
        self.version_keys = {True, False}                   # readings left of open reading 6
        self.public = collection.access == "public"
        self.releases = sorted((r for r in collection.releases if not r.draft), key=lambda r: precedence(r.version))
        self.by_version = {r.version: r for r in self.releases}
        declared = list(collection.channels)
        self.orders = [declared + ["latest"]]
        if "stable" not in declared:
            self.orders = [["stable", *declared, "latest"], [*declared, "stable", "latest"]]
        self.channels = self.orders[0]
        self.documents: dict[str, bytes] = {f"{P}/index.json": self.page("stable", "published_at", "desc", 50, None)[0]}
        for release in self.releases:
            self.documents[f"{P}/{release.version}.json"] = document(self.view(release, self.home(release)))
        for channel in self.channels:
            if head := self.head_of(channel):
                self.documents[f"{P}/latest/{channel}.json"] = document(self.view(head, channel))
                if channel == "stable":
                    self.documents[f"{P}/latest.json"] = document(self.view(head, channel))

    # Releases and channels

    def holds(self, channel: str, release: Release) -> bool:
        return channel == "latest" or channel in release.channels

    def home(self, release: Release) -> str:
        order = ["stable", *(name for name in self.col.channels if name != "stable"), "latest"]
        return next(name for name in order if self.holds(name, release))

    def listed(self, channel: str) -> list[Release]:
        return [r for r in self.releases if self.holds(channel, r) and not r.yanked and not r.recalled]

    def head_of(self, channel: str) -> Release | None:
        pin = self.col.channels.get(channel)
        return self.by_version[pin[0]] if pin else max(self.listed(channel), key=lambda r: precedence(r.version), default=None)

    # Documents

    def artifact(self, release: Release, platform: str, path_form=False):
        found = release.artifacts.get(platform)
        if not found:
            return None
        system, _, arch = platform.partition("-")
        if path_form:
            place = "windows" if system == "windows" else f"{system}/{arch}"
            url = f"{P}/{release.version}/download/{place}/{found.filename}"
        else:
            url = f"{P}/{release.version}/download?platform={system}" + ("" if system == "windows" else f"&arch={arch}")
        return {"filename": found.filename, "content_type": found.content_type or OCTETS, "size_bytes": found.size,
                "sha256": found.sha256, "download_url": url}

    def view(self, release: Release, channel: str):
        return {"channel": channel, "version": release.version, "published_at": release.published_at,
                "notes_url": release.notes_url, "artifacts": {
                    "windows": self.artifact(release, "windows-x86_64"),
                    "macos": {arch: self.artifact(release, f"macos-{arch}") for arch in ("arm64", "x86_64")}}}

    @staticmethod
    def comes_before(a, b, sort: str, order: str) -> bool:
        """Whether position a stands before b; a position is (published_at, version)."""
        if sort == "published_at" and a[0] != b[0]:
            if a[0] is None or b[0] is None:
                return b[0] is None
            return (a[0] > b[0]) if order == "desc" else (a[0] < b[0])
        one, two = precedence(a[1]), precedence(b[1])
        return one > two if order == "desc" else one < two

    def ordered(self, channel: str, sort: str, order: str) -> list[Release]:
        place = lambda r: (r.published_at, r.version)
        compare = lambda a, b: -1 if self.comes_before(place(a), place(b), sort, order) else 1
        return sorted(self.listed(channel), key=functools.cmp_to_key(compare))

    def page(self, channel, sort, order, size, key, doubled=True):
        """A page's bytes and its next cursor; `key` is a cursor's."""
        everything = self.ordered(channel, sort, order)
        rest = everything if key is None else [
            r for r in everything if self.comes_before(key, (r.published_at, r.version), sort, order)]
        following = None
        if len(rest) > size:
            last = rest[size - 1]
            value = last.published_at if sort == "published_at" else last.version if doubled else None
            following = cursor_text(channel, sort, order, [value, last.version])
        data = [self.view(r, channel) for r in rest[:size]]
        return document({"data": data, "total_count": len(everything), "next_cursor": following}), following

    def history(self, style: HistoryStyle) -> dict[str, bytes]:
        def row(r: Release):
            names = r.channels + ["latest"] * style.latest
            order = {"catalog": self.orders[0], "catalog, stable late": self.orders[-1], "manifest": names, "sorted": sorted(names)}
            platforms = [p for p in (PLATFORMS if style.platforms == "table" else sorted(PLATFORMS)) if p in r.artifacts]
            extras = sorted(r.attachments) if style.attachments == "sorted" else list(r.attachments)
            return {"version": r.version, "channels": [name for name in order[style.channels] if name in names],
                    "state": "recalled" if r.recalled else "yanked" if r.yanked else "published",
                    "reason": r.recalled or r.yanked, "published_at": r.published_at, "notes_url": r.notes_url,
                    "artifacts": {platform: self.artifact(r, platform, True) for platform in platforms},
                    "attachments": {name: attachment(r, r.attachments[name]) for name in extras}}

        def attachment(r: Release, found: Artifact):
            name = {"filename": found.filename} if style.named else {}
            return {**name, "content_type": found.content_type or OCTETS, "size_bytes": found.size, "sha256": found.sha256,
                    "download_url": f"{P}/{r.version}/download/files/{found.filename}"}

        made, index = {}, []
        for versions in tiles(list(self.by_version)):
            data = document({"data": [row(self.by_version[v]) for v in versions]})
            address = f"{P}/history/{sha256(data)}.json"
            made[address] = data
            name = {"name": address.rsplit("/", 1)[1], "address": address, "hash": sha256(data)}[style.file]
            index.append({"file": name, "count": len(versions), "first": versions[0], "last": versions[-1]})
        made[f"{P}/history/index.json"] = document({"total_count": len(self.releases), "tiles": index})
        return made

    # Answers

    def make(self, path: str, status: int, bodies, must=None, may=None, **more) -> Answer:
        must, may = dict(must or {}), dict(may or {})
        must |= {"x-content-type-options": "nosniff", "x-release-snapshot": self.snapshot}
        if path != P and not path.startswith(P + "/"):
            may |= {name: ANY for name in CORS}
        elif self.public:
            must |= CORS
        else:
            may.setdefault("vary", ANY)
        if status >= 400:
            must |= {"cache-control": "no-store", "content-type": "application/json"}
        if status == 401:
            must["www-authenticate"] = 'Bearer realm="agent-releases"'
        if status == 405:
            must["allow"] = "GET, HEAD, OPTIONS"
        if status == 503:
            must["retry-after"] = re.compile("[1-9][0-9]*")
        return Answer(status, bodies, must, may, **more)

    def error(self, path, status, code, message, details, **more) -> Answer:
        body = compact({"error": {"code": code, "message": message, "details": details}})
        return self.make(path, status, (body + b"\n", body), **more)

    def malformed(self, path) -> Answer:
        return self.make(path, 400, None, may={"connection": "close"} | {name: ANY for name in CORS},
                         error_codes=("bad_request", "invalid_request"))

    def missing(self, path):
        return self.error(path, 404, "not_found", "Resource not found", {"path": path})

    def no_release(self, path, **details):
        return self.error(path, 404, "not_found", "Agent release not found", details)

    def no_artifact(self, path, release, platform, arch):
        may = {"x-release-yanked": release.yanked} if release.yanked else {}
        return self.error(path, 404, "not_found", "Agent artifact not found",
                          {"version": release.version, "platform": platform, "arch": arch}, may=may)

    def static(self, path: str, headers: dict) -> list[Answer]:
        data = self.documents[path]
        tile = re.fullmatch(rf"{P}/history/[0-9a-f]{{64}}\.json", path)
        must = {"cache-control": (FOREVER if tile else MINUTE) if self.public else "private, no-cache",
                "vary": Names({"accept-encoding"}) if self.public else Names({"authorization", "cookie"}, {"accept-encoding"})}
        may = {}
        release = self.by_version.get(path[len(P) + 1:-len(".json")])
        if release and release.yanked:
            must["x-release-yanked"] = release.yanked
        if path == f"{P}/index.json":
            may["link"] = ANY
        return [self.encoded(path, data, headers, must, may)]

    def encoded(self, path, data, headers, must, may) -> Answer:
        how = coding(headers.get("accept-encoding")) if len(data) >= 1400 else "identity"
        must = {"content-type": "application/json", **must}
        if how == "identity":
            return self.make(path, 200, (data,), {"etag": tag(data), **must}, may)
        form = self.forms.get((path, how))
        must = {"content-encoding": how, "etag": tag(form) if form else STRONG, **must}
        return self.make(path, 200, (form,) if form else (data,), must, may, coding=None if form else how)

    def fresh(self, path, data, headers, must=None) -> list[Answer]:
        """The latest and version views, which take a query."""
        must = {"cache-control": "private, no-cache", **(must or {})}
        may = {"vary": Names({"accept-encoding"})}
        if not self.public:
            must["vary"], may = Names({"authorization", "cookie"}, {"accept-encoding"}), {}
        plain = self.encoded(path, data, {}, must, may)
        return [plain] if len(data) < 1400 else [plain, self.encoded(path, data, headers, must, may)]

    def latest(self, path, query, headers):
        values, refused = self.parameters(path, query, ["channel"])
        if values is None:
            return refused
        channel = values.get("channel", "stable")
        head = self.head_of(channel)
        good = self.fresh(path, document(self.view(head, channel)), headers) if head else [self.no_release(path, channel=channel)]
        return refused + good

    def version(self, version, path, query, headers):
        values, refused = self.parameters(path, query, ["channel"])
        if values is None:
            return refused
        channel, release = values.get("channel"), self.by_version.get(version)
        if not release:
            both = [self.no_release(path, version=version, channel=channel)] if channel else []
            return refused + [self.no_release(path, version=version), *both]
        if channel and not self.holds(channel, release):
            return refused + [self.no_release(path, version=version, channel=channel)]
        must = {"x-release-yanked": release.yanked} if release.yanked else {}
        return refused + self.fresh(path, document(self.view(release, channel or self.home(release))), headers, must)

    def listing(self, path, query, headers):
        values, refused = self.parameters(path, query, ["channel", "sort_by", "sort_order", "page_size", "cursor"])
        if values is None:
            return refused
        channel, size = values.get("channel", "stable"), int(values.get("page_size", 50))
        sort, order = values.get("sort_by", "published_at"), values.get("sort_order", "desc")
        must = {"content-type": "application/json", "cache-control": "private, no-cache",
                "etag": self.tags.get(f"{path}?{query}", STRONG)}
        if not self.public:
            must["vary"] = Names({"authorization", "cookie"}, {"accept-encoding"})
        key = read_cursor(values["cursor"], channel, sort, order) if "cursor" in values else None
        if key == "loose":
            return refused + [*self.refuse(path, "cursor", "cursor is not valid for this list", [values["cursor"]], [None]),
                              self.make(path, 200, None, must, {"link": ANY})]
        answers = []
        for doubled in sorted(self.version_keys) if sort == "version" else [True]:
            body, following = self.page(channel, sort, order, size, key, doubled)
            more = {}
            if following:
                more["link"] = (f"<{P}?channel={channel}&sort_by={sort}&sort_order={order}&page_size={size}"
                                f'&cursor={following}>; rel="next"')
            answers.append(self.make(path, 200, (body,), must | more))
        return refused + answers

    def fetch(self, path, version, platform, arch, pick) -> list[Answer]:
        release = self.by_version.get(version)
        if not release:
            return [self.no_release(path, version=version)]
        if release.recalled:
            return [self.error(path, 410, "gone", "Agent release recalled", {"version": version, "reason": release.recalled})]
        found, place = pick(release)
        if not found and platform == "files":
            return [self.make(path, 404, None, may={"x-release-yanked": ANY}, error_codes=("not_found",))]
        if not found:
            return [self.no_artifact(path, release, platform, arch)]
        yanked = {"x-release-yanked": release.yanked} if release.yanked else {}
        if self.col.store == "none":
            return [self.error(path, 503, "unavailable", "Service unavailable", {}, may=yanked)]
        key = self.col.key_of(release, found, place)
        must = {"location": (self.col.base_url or "/artifacts/") + key, "cache-control": "private, no-store",
                "content-disposition": f'attachment; filename="{found.filename}"', "referrer-policy": "no-referrer", **yanked}
        if found.sha256:
            must["x-checksum-sha256"] = found.sha256
        return [self.make(path, 302, (b"",), must)]

    def download(self, version, path, query, headers):
        values, refused = self.parameters(path, query, ["channel"] * (version is None) + ["platform", "arch"])
        if values is None:
            return refused
        if version is None:
            channel = values.get("channel", "stable")
            head = self.head_of(channel)
            if not head:
                return refused + [self.no_release(path, channel=channel)]
            version = head.version
        arch = values.get("arch")
        platform = f"macos-{arch}" if arch else "windows-x86_64"
        return refused + self.fetch(path, version, values["platform"], arch, lambda r: (r.artifacts.get(platform), platform))

    def path_form(self, version, system, arch, filename, path, query, headers):
        platform = f"{system}-{arch or 'x86_64'}"

        def pick(release):
            if system == "files":
                return release.attachments.get(filename), None
            found = release.artifacts.get(platform)
            return (found if found and found.filename == filename else None), platform
        return self.ignored(path, query) + self.fetch(path, version, system, arch, pick)

    def stored(self, path, query, headers):
        """/artifacts/<key>"""
        key = path[len("/artifacts/"):]
        offers = [(r, a) for r, a, k in self.col.offers() if k == key and not r.draft]
        nothing = [self.make(path, 404, None, error_codes=("not_found",))]
        if self.col.store != "edge":
            others = ((503, "unavailable"), (410, "gone"))
            return nothing + [self.make(path, status, None, error_codes=(code,)) for status, code in others]
        if not offers:
            return nothing
        if all(r.recalled for r, _ in offers):
            return [self.error(path, 410, "gone", "Agent release recalled", {"version": r.version, "reason": r.recalled})
                    for r, _ in offers]
        artifact, data = offers[0][1], self.col.files.get(key)
        if data is None or artifact.size not in (None, len(data)):
            return nothing
        must = {"content-type": artifact.content_type or OCTETS, "accept-ranges": "bytes", "cache-control": ANY,
                "content-disposition": f'attachment; filename="{artifact.filename}"'}
        may = {"vary": ANY}
        if artifact.sha256:
            digest = base64.b64encode(bytes.fromhex(artifact.sha256)).decode()
            must |= {"x-checksum-sha256": artifact.sha256, "repr-digest": f"sha-256=:{digest}:"}
            must["etag"] = self.tags.get(path, STRONG)
            if self.public and "{sha256}" in self.col.key:
                must["cache-control"] = FOREVER
        else:
            may |= {"etag": ANY}
        if not self.public:
            must["cache-control"] = re.compile("private, .*")
        whole = self.make(path, 200, (data,), must, may)
        wanted, condition = headers.get("range"), headers.get("if-range")
        span = byte_range(wanted, len(data)) if wanted and condition in (None, must.get("etag")) else None
        if span is None:
            return [whole]
        refusal = self.make(path, 416, None, {"content-range": f"bytes */{len(data)}"}, {name: ANY for name in (*must, "vary")})
        refusal.must.pop("content-type")
        if span in ("none", "either"):
            return [refusal, whole] if span == "either" else [refusal]
        first, last = span
        must["content-range"] = f"bytes {first}-{last}/{len(data)}"
        part = self.make(path, 206, (data[first:last + 1],), must, may)
        return [part, whole] if headers.get(":method") == "HEAD" else [part]

    # Parameters

    def ignored(self, path, query) -> list[Answer]:
        return [self.malformed(path)] if any(bad for _, _, bad in pieces(query)) else []

    def refuse(self, path, name, message, values, sets) -> list[Answer]:
        """The 400 of a parameter, in each form of its details."""
        made = []
        for value, allowed in itertools.product(values, sets):
            details = {"field": name} | ({} if value is None else {"value": value}) | ({"allowed": allowed} if allowed else {})
            made.append(self.error(path, 400, "invalid_request", message, details))
        return made

    def parameters(self, path, query, names):
        """The values, and answers that are as good; or None, and the refusals."""
        given: dict[str, list[str]] = {}
        refused = []
        for name, value, bad in pieces(query):
            if bad and name in names:
                return None, [self.malformed(path)]
            if bad:
                refused = [self.malformed(path)]
            elif name in names:
                given.setdefault(name, []).append(value)
        values: dict[str, str] = {}
        for name in names:
            found = self.fault(path, name, given, values)
            if found:
                return None, refused + found
            if name in given:
                values[name] = given[name][0]
        return values, refused

    def fault(self, path, name, given, earlier) -> list[Answer]:
        got = given.get(name, [])
        closed = {"channel": self.orders, "platform": [["windows", "macos"]], "arch": [["arm64", "x86_64"]],
                  "sort_by": [["published_at", "version"]], "sort_order": [["asc", "desc"]]}.get(name, [None])
        loose = [None, *closed] if closed != [None] else closed
        windows = name == "arch" and earlier.get("platform") == "windows"
        answers = []
        if windows and got:
            answers += self.refuse(path, "arch", "arch is not allowed when platform=windows", {got[0], got[0] or None}, loose)
        if len(got) > 1:
            answers += self.refuse(path, name, f"{name} must be given once", {got[0], got[0] or None}, loose)
        if "" in got:
            answers += self.refuse(path, name, f"{name} must not be empty", {got[0], None}, loose)
        if len(got) > 1 or got == [""]:
            return answers
        if not got:
            required = name == "platform" or (name == "arch" and earlier.get("platform") == "macos")
            message = "platform is required" if name == "platform" else "arch is required when platform=macos"
            return self.refuse(path, name, message, [None], closed) if required else []
        value = got[0]
        if closed != [None] and value not in closed[0]:
            for allowed in closed:
                answers += self.refuse(path, name, f"{name} must be one of: {', '.join(allowed)}", [value], [allowed])
        elif name == "page_size" and not (re.fullmatch("[1-9][0-9]{0,2}", value) and int(value) <= 200):
            answers += self.refuse(path, name, "page_size must be an integer between 1 and 200", [value], [None])
        elif name == "cursor":
            place = earlier.get("channel", "stable"), earlier.get("sort_by", "published_at"), earlier.get("sort_order", "desc")
            if read_cursor(value, *place) == "bad":
                answers += self.refuse(path, name, "cursor is not valid for this list", [value], [None])
        return answers

    # Addresses

    def route(self, path: str) -> list:
        """The endpoints that an address may mean, None for no such address."""
        if path in self.documents:
            return [lambda p, q, h: self.ignored(p, q) + self.static(p, h)]
        if path.startswith("/artifacts/"):
            return [self.stored] if self.public or any(k == path[11:] for _, _, k in self.col.offers()) else [self.stored, None]
        if path != P and not path.startswith(P + "/"):
            return [None]
        parts = path[len(P):].split("/")[1:]
        bind = functools.partial
        match parts:
            case []:
                return [self.listing]
            case ["latest"]:
                return [self.latest]
            case ["latest", "download"]:
                return [bind(self.download, None)]
            case ["latest", name] if name.endswith(".json") and name[:-5] in self.channels:
                return [None, lambda p, q, h: [self.no_release(p, channel=name[:-5])]]
            case ["latest.json"]:
                return [None, lambda p, q, h: [self.no_release(p, channel="stable")], bind(self.version, "latest.json")]
            case [version]:
                endpoint = bind(self.version, version)
            case [version, "download"]:
                endpoint = bind(self.download, version)
            case [version, "download", ("windows" | "files") as system, filename]:
                endpoint = bind(self.path_form, version, system, None, filename)
            case [version, "download", ("macos" | "linux") as system, arch, filename]:
                endpoint = bind(self.path_form, version, system, arch, filename)
            case _:
                return [None]
        return [endpoint] if is_version(parts[0]) and parts[-1] else [endpoint, None]

    def answers(self, method: str, target: str, headers=(), authorized=True) -> list[Answer]:
        path, _, query = target.partition("?")
        heads = {":method": method}
        for name, value in headers:
            heads[name.lower()] = f"{heads[name.lower()]}, {value}" if name.lower() in heads else value
        if method not in ("GET", "HEAD", "OPTIONS"):
            return [self.error(path, 405, "method_not_allowed", "Method not allowed", {})]
        if "%" in path:
            return [self.missing(path) if re.fullmatch("(?:[^%]|%[0-9A-Fa-f]{2})*", path) else self.malformed(path)]
        endpoints = self.route(path)
        if method == "OPTIONS":
            names = {"access-control-allow-methods": "GET, HEAD", "access-control-max-age": "86400",
                     "access-control-allow-headers": "Authorization, If-None-Match"}
            inside = self.public and endpoints[0] not in (None, self.stored)
            must = {"allow": "GET, HEAD, OPTIONS"} | (names if inside else {})
            may = {"cache-control": ANY} | ({} if inside else {name: ANY for name in (*names, *CORS)})
            nothing = [self.missing(path)] if None in endpoints else []
            return [self.make(path, 204, (b"",), must, may), *nothing]
        found = []
        for endpoint in endpoints:
            if endpoint is None:
                found.append(self.missing(path))
            elif not authorized and not self.public:
                found.append(self.error(path, 401, "unauthorized", "Authentication required", {}))
            else:
                found += endpoint(path, query, heads)
        return [self.conditional(answer, heads.get("if-none-match")) for answer in found]

    @staticmethod
    def conditional(answer: Answer, asked: str | None) -> Answer:
        known = answer.must.get("etag")
        if asked is None or answer.status not in (200, 206) or known is None:
            return answer
        if asked.strip() != "*" and known not in re.findall(r'"[^"]*"', asked):
            return answer
        must = {name: value for name, value in answer.must.items() if not name.startswith("content-")}
        return Answer(304, (b"",), must, answer.may)


def pieces(query: str):
    """Each name and value of a query, decoded once, and whether that failed."""
    for piece in filter(None, query.split("&")):
        texts, bad = [], False
        for part in piece.partition("=")[::2]:
            raw = unquote_to_bytes(part)
            bad |= bool(re.search("%(?![0-9A-Fa-f]{2})", part))
            try:
                texts.append(raw.decode())
            except UnicodeDecodeError:
                texts.append(raw.decode(errors="replace"))
                bad = True
        bad |= any(ord(c) < 32 or 127 <= ord(c) < 160 for text in texts for c in text)
        yield texts[0], texts[1], bad
