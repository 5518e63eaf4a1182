"""Random collections of releases, and the files that a publisher would write for them."""

from __future__ import annotations

import functools
import hashlib
import json
import random
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

PLATFORMS = ["windows-x86_64", "macos-arm64", "macos-x86_64", "linux-x86_64", "linux-arm64"]
OCTETS = "application/octet-stream"
DEFAULT_KEY = "{sha256}/{filename}"

NUMBER = r"(?:0|[1-9][0-9]*)"
IDENTIFIER = rf"(?:{NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
VERSION = re.compile(rf"({NUMBER})\.({NUMBER})\.({NUMBER})(?:-({IDENTIFIER}(?:\.{IDENTIFIER})*))?")

# Whether the edge takes a tokens file; until it does, nobody could ask a family that requires access.
TOKENS = False


def is_version(text: str) -> bool:
    return len(text) <= 64 and bool(VERSION.fullmatch(text)) and not text.endswith((".json", ".gz", ".br"))


@functools.cache
def precedence(version: str):
    """A key that sorts as SemVer 2.0.0 says."""
    major, minor, patch, pre = VERSION.fullmatch(version).groups()
    identifiers = [(0, int(i), "") if i.isdigit() else (1, 0, i) for i in (pre or "").split(".") if i]
    return int(major), int(minor), int(patch), pre is None, identifiers


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# ---------------------------------------------------------------------------------------------------------- collections

@dataclass
class Artifact:
    filename: str
    content_type: str | None
    size: int | None
    sha256: str | None
    key: str | None = None      # only the unverified have their own
    data: bytes | None = None   # only where the edge serves artifacts


@dataclass
class Release:
    version: str
    channels: list[str]
    published_at: str | None    # normalised
    published_raw: str | None   # as the manifest writes it
    notes_url: str | None
    guid: str
    draft: bool = False
    yanked: str | None = None
    recalled: str | None = None
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    attachments: dict[str, Artifact] = field(default_factory=dict)


@dataclass
class Collection:
    store: str                  # cdn: a base_url; edge: a folder of artifacts; none: neither
    access: str                 # public or required
    host: str | None
    base_url: str | None
    key: str
    channels: dict[str, tuple | None]   # as declared, with (pin, reason)
    releases: list[Release] = field(default_factory=list)
    features: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)   # what the artifacts folder holds

    def key_of(self, release: Release, artifact: Artifact, platform: str | None) -> str:
        if artifact.key:
            return artifact.key
        system, _, arch = (platform or "").partition("-")
        return self.key.format(sha256=artifact.sha256, filename=artifact.filename, version=release.version,
                               platform=platform, os=system, arch=arch)

    def offers(self):
        for release in self.releases:
            for platform, artifact in release.artifacts.items():
                yield release, artifact, self.key_of(release, artifact, platform)
            for artifact in release.attachments.values():
                yield release, artifact, self.key_of(release, artifact, None)


def random_version(rng: random.Random, big: bool) -> str:
    numbers = [str(rng.choice([0, 1, 1, 2, rng.randint(0, 12)])), str(rng.randint(0, 11)), str(rng.randint(0, 15))]
    if big and rng.random() < 0.2:
        numbers[rng.randrange(3)] = str(rng.choice([2**32, 2**63, 2**64, 2**64 + 1, 10**21]))
    word = lambda: rng.choice(["alpha", "beta", "rc", "RC", "x-y", "-", "0a", "a0", "nightly", str(rng.randint(0, 30)),
                               "2026", "-1", str(10**24 + rng.randint(0, 3)) if big else "7"])
    pre = "-" + ".".join(word() for _ in range(rng.randint(1, 4))) if rng.random() < 0.35 else ""
    return ".".join(numbers) + pre


def random_time(rng: random.Random) -> tuple[str, str]:
    """A moment: normalised, and one of the spellings a manifest may use."""
    moment = datetime(2019, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=rng.randint(0, 220_000_000))
    digits = rng.choice(["", "", "0", "5", "08", "070", "999", "082"])
    minutes = rng.choice([0, 0, 60, -300, 330, 845, -720])
    local = (moment + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S") + ("." + digits if digits else "")
    sign, size = ("-" if minutes < 0 else "+"), abs(minutes)
    zone = "Z" if minutes == 0 else f"{sign}{size // 60:02}:{size % 60:02}"
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{digits:0<3}Z", local + zone


def random_reason(rng: random.Random) -> str:
    pieces = ["crashes on start", 'says "no"', "back\\slash", "bad signature; see #12", "<b>", "x: y", "100 %", "{}", "'q'"]
    return " ".join(rng.sample(pieces, rng.randint(1, 4)))


def random_artifact(rng: random.Random, collection: Collection, filename: str) -> Artifact:
    kind = rng.choice([None, None, OCTETS, "application/x-msi", "application/vnd.apple.installer+xml"])
    if collection.store == "edge":
        magic = {".msi": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ".pkg": b"xar!"}.get(filename[-4:], b"\x7fELF")
        data = magic + rng.randbytes(rng.choice([1, 10, rng.randint(2, 3000), 70_000 if rng.random() < 0.05 else 100]))
        return Artifact(filename, kind, None if rng.random() < 0.1 else len(data), sha256(data), None, data)
    size = rng.choice([None, 1, rng.randint(1, 99_999_999), rng.randint(1, 2**40)])
    return Artifact(filename, kind, size, sha256(rng.randbytes(16)))


def random_artifacts(rng: random.Random, collection: Collection, release: Release, legacy: bool) -> None:
    name = rng.choice(["ScalepadAgent-", "agent_", "Setup.", "A"]) + release.version
    if rng.random() < 0.05:
        name = (name + "." + "long-name_" * 12)[:100]
    extensions = dict(zip(PLATFORMS, [".msi", ".pkg", ".pkg", ".deb", ".tar.gz"]))
    for platform in PLATFORMS:
        if rng.random() < (0.8 if platform[0] != "l" else 0.3):
            suffix = "" if platform[0] == "m" and rng.random() < 0.5 else "-" + platform.replace("_", "-")
            release.artifacts[platform] = random_artifact(rng, collection, name + suffix + extensions[platform])
    if {"macos-arm64", "macos-x86_64"} <= release.artifacts.keys() and rng.random() < 0.4:
        release.artifacts["macos-x86_64"] = release.artifacts["macos-arm64"]    # a universal installer
    if not release.artifacts and "no artifacts" not in collection.features:
        release.artifacts["linux-arm64"] = random_artifact(rng, collection, name + ".run")
    if legacy:
        for platform in [p for p in release.artifacts if rng.random() < 0.6]:
            old = release.artifacts[platform]
            key = f"legacy/{release.version}/{platform}-{rng.randint(0, 9)}{extensions[platform]}"
            release.artifacts[platform] = Artifact(old.filename, old.content_type, None, None, key, old.data)
    if "{sha256}" in collection.key and "{platform}" not in collection.key and rng.random() < 0.3:
        for extra in rng.sample([".sbom.json", ".exe", ".msi.sig", ".rpm"], rng.randint(1, 3)):
            artifact = random_artifact(rng, collection, f"extra-{release.version}{extra}")
            artifact.content_type = None
            release.attachments[artifact.filename] = artifact


def random_collection(rng: random.Random) -> Collection:
    store = rng.choice(["cdn", "cdn", "edge", "edge", "none"])
    collection = Collection(
        store=store,
        access="required" if rng.random() < 0.12 and TOKENS else "public",
        host="releases.example.test" if rng.random() < 0.2 else None,
        base_url=rng.choice(["https://downloads.example.com/agent/", "https://cdn.example.net/"]) if store == "cdn" else None,
        key=rng.choice([DEFAULT_KEY, DEFAULT_KEY, "agent/{version}/{sha256}/{filename}", "{version}/{platform}/{filename}",
                        "{os}/{arch}/{version}/{filename}", "{platform}/{sha256}/{filename}"]),
        channels={},
        features=[name for name in ("big numbers", "stable not declared", "no artifacts") if rng.random() < 0.1],
    )
    others = rng.sample(["beta", "canary", "early-access-2", "z"], rng.randint(0, 3))
    names = others if "stable not declared" in collection.features else rng.sample(["stable", *others], 1 + len(others))
    collection.channels = dict.fromkeys(names)
    count = rng.choice([rng.randint(0, 1), *[rng.randint(2, 12), rng.randint(13, 60), rng.randint(61, 150)] * 3])
    versions: dict[str, str] = {}
    while len(versions) < count:
        version = random_version(rng, "big numbers" in collection.features)
        if is_version(version) and len(version) < 60:
            versions.setdefault(version.lower(), version)
    times = [random_time(rng) for _ in range(count // 2 + 1)]
    rates = [rng.choice([0.0, 0.05, 0.15, 0.3]) for _ in range(4)]
    nulls = rng.choice([0.0, 0.1, 0.5])
    streams = list({"stable": None, **collection.channels})
    for version in versions.values():
        normal, raw = (None, None) if rng.random() < nulls else rng.choice(times)
        digits = "0123456789abcdefghjkmnpqrstvwxyz"
        guid = "rel_" + str(rng.randint(0, 7)) + "".join(rng.choice(digits) for _ in range(25))
        channels = [name for name in rng.sample(streams, len(streams)) if rng.random() < 0.6]
        release = Release(version, channels, normal, raw, None, guid)
        if rng.random() < 0.6:
            release.notes_url = f"https://notes.example.com/r/{version}?a=1&b=%20" + "y" * rng.choice([0, 0, 0, 600])
        fate = rng.random()
        release.draft = fate < rates[0]
        if rates[0] <= fate < rates[0] + rates[1]:
            release.yanked = random_reason(rng)
        elif rates[0] + rates[1] <= fate < sum(rates[:3]):
            release.recalled = random_reason(rng)
        random_artifacts(rng, collection, release, legacy=rng.random() < rates[3])
        earlier = rng.choice(collection.releases) if collection.releases and rng.random() < 0.05 else None
        if earlier and "windows-x86_64" in earlier.artifacts and not earlier.artifacts["windows-x86_64"].key:
            release.artifacts["windows-x86_64"] = earlier.artifacts["windows-x86_64"]   # the same bytes once more
        collection.releases.append(release)
    for name in collection.channels:
        fit = [r for r in collection.releases if name in r.channels and not (r.draft or r.yanked or r.recalled)]
        if fit and rng.random() < 0.3:
            collection.channels[name] = (rng.choice(fit).version, random_reason(rng))
    return collection


# ----------------------------------------------------------------------------------------------------------- YAML files

def quoted(text: str) -> str:
    return json.dumps(text)


def scalar(rng: random.Random, text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9./:_+-]*", text) and rng.random() < 0.7 else quoted(text)


def mapping(rng: random.Random, indent: str, name: str, pairs: list[tuple[str, str]]) -> list[str]:
    if not pairs or rng.random() < 0.3:
        inner = ", ".join(f"{k}: {v}" for k, v in pairs)
        return [f"{indent}{name}: {{ {inner} }}" if inner else f"{indent}{name}: {{}}"]
    return [f"{indent}{name}:"] + [f"{indent}  {k}: {v}" for k, v in pairs]


def manifest_lines(rng: random.Random, release: Release) -> list[str]:
    def facts(artifact: Artifact, named: bool):
        pairs = [("filename", scalar(rng, artifact.filename))] if named else []
        if artifact.content_type:
            pairs.append(("content_type", quoted(artifact.content_type)))
        if artifact.key:
            pairs += [("unverified", "true"), ("key", scalar(rng, artifact.key))]
        else:
            pairs += [("size_bytes", str(artifact.size))] if artifact.size is not None else []
            pairs.append(("sha256", quoted(artifact.sha256)))
        return rng.sample(pairs, len(pairs))

    if release.channels and rng.random() < 0.3:
        channels = ["channels:"] + [f"  - {name}" for name in release.channels]
    else:
        channels = [f"channels: [{', '.join(release.channels)}]"]
    raw = release.published_raw
    blocks = [[f"version: {scalar(rng, release.version)}"], channels, [f"guid: {release.guid}"],
              [f"published_at: {'null' if raw is None else rng.choice([raw, quoted(raw)])}"]]
    if release.notes_url:
        blocks.append([f"notes_url: {quoted(release.notes_url)}"])
    if rng.random() < 0.3:
        blocks.append([f"notes: {quoted(random_reason(rng))}"])
    if release.draft or rng.random() < 0.2:
        blocks.append([f"draft: {'true' if release.draft else 'false'}"])
    for name in ("yanked", "recalled"):
        if getattr(release, name):
            blocks.append([f"{name}: {quoted(getattr(release, name))}"])
    if release.artifacts:
        inner = [mapping(rng, "  ", platform, facts(a, True)) for platform, a in release.artifacts.items()]
        rng.shuffle(inner)
        blocks.append(["artifacts:"] + sum(inner, []))
    else:
        blocks.append(["artifacts: {}"])
    if release.attachments:
        inner = [mapping(rng, "  ", name, facts(a, False)) for name, a in release.attachments.items()]
        blocks.append(["attachments:"] + sum(inner, []))
    rng.shuffle(blocks)
    return sum(blocks, ["# a release"] if rng.random() < 0.3 else [])


def catalog_lines(rng: random.Random, collection: Collection) -> list[str]:
    lines = ["product: ScalepadAgent", f"access: {{ v2: {collection.access}, v1: {collection.access} }}"]
    if rng.random() < 0.5:
        lines.append("public_url: https://api.example.com")
    storage = [("base_url", collection.base_url)] if collection.base_url else []
    if collection.key != DEFAULT_KEY or rng.random() < 0.3:
        storage.append(("key", quoted(collection.key)))
    lines += mapping(rng, "", "storage", storage) if storage else []
    if not collection.channels:
        lines.append("channels: {}")
    else:
        lines.append("channels:")
        for name, pin in collection.channels.items():
            lines += mapping(rng, "  ", name, [("pin", scalar(rng, pin[0])), ("reason", quoted(pin[1]))] if pin else [])
    if collection.access == "public" and rng.random() < 0.3:
        lines.append("v1: { deprecated_on: 2026-03-01, sunset_on: 2026-12-31 }")
    if rng.random() < 0.3:
        lines.append('page: { title: ScalePad Agent, accent: "#0b6e4f" }')
    return lines


def write_sources(rng: random.Random, collection: Collection, folder: Path, artifacts: Path) -> None:
    folder.mkdir()
    artifacts.mkdir(exist_ok=True)

    def write(name: str, lines: list[str]):
        end, mark = rng.choice(["\n", "\n", "\n", "\r\n"]), rng.choice(["", "", "", "\ufeff"])
        (folder / name).write_bytes((mark + end.join(lines) + end).encode())

    write("catalog.yaml", catalog_lines(rng, collection))
    for release in rng.sample(collection.releases, len(collection.releases)):
        write(f"{release.version}.yaml", manifest_lines(rng, release))
        if rng.random() < 0.1:
            (folder / f"{release.version}.md").write_text(f"# {release.version}\n\nLonger *notes*.\n")
    if collection.store == "edge":
        for _, artifact, key in collection.offers():
            if key not in collection.files and rng.random() < 0.9:
                collection.files[key] = artifact.data
                (artifacts / key).parent.mkdir(parents=True, exist_ok=True)
                (artifacts / key).write_bytes(artifact.data)
