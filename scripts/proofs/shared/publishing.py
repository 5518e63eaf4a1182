"""What the proofs of publishing share: small sites, runs of the program, and whether what lies on a target hangs together."""

import concurrent.futures
import hashlib
import itertools
import json
import os
import pathlib
import queue
import re
import shutil
import subprocess
import sys
from typing import NamedTuple

from shared.common import COMPILER, Wrong, expect
from shared.s3 import Asked, Stored, Stub

TARGET = "s3://bucket/agent"
PREFIX = "agent/"
CATALOG = {"product": "ProofAgent", "channels": {"stable": {}, "beta": {}}, "v1": {"deprecated_on": "2026-03-01"}}
CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
EXITS = {0, 1, 3, 4, 5}
SHOWN = 6
AT_ONCE = 4
# Nobody is waited for.
NOW = ["--settle", "0", "--patience", "0"]


class Ended(NamedTuple):
    """How a run of the program ended."""

    code: int
    out: str
    err: str


def start(where: pathlib.Path, env: dict[str, str], *arguments: str) -> subprocess.Popen:
    """Begins a run in a folder."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GITHUB_"))}
    return subprocess.Popen([str(COMPILER), *arguments], cwd=where, env={**clean, **env}, **pipes)


def finish(process: subprocess.Popen, seconds: float = 180) -> Ended:
    """Waits for a run to end."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise Wrong(f"a run ends within {seconds:g} s; it said: {err}") from None
    return Ended(process.returncode, out, err)


def run_in(where: pathlib.Path, env: dict[str, str], *arguments: str) -> Ended:
    return finish(start(where, env, *arguments))


class Sources:
    """A collection in a folder of its own: `releases/` and `artifacts/`."""

    def __init__(self, where: pathlib.Path, catalog: dict | None = None):
        self.where = where
        (where / "releases").mkdir(parents=True)
        (where / "artifacts").mkdir()
        (where / "releases/catalog.yaml").write_text(json.dumps(catalog or CATALOG))

    def copy(self, where: pathlib.Path) -> "Sources":
        """The same once more, to be changed."""
        for name in ["releases", "artifacts"]:
            shutil.copytree(self.where / name, where / name)
        return Sources.at(where)

    @staticmethod
    def at(where: pathlib.Path) -> "Sources":
        """Those that are in a folder already."""
        found = object.__new__(Sources)
        found.where = where
        return found

    def add(self, version: str, size: int = 20, stored: bool = True, **more) -> None:
        """A release of one installer for Windows and one for macOS."""
        artifacts = {}
        for platform, ending, magic in [("windows-x86_64", ".msi", b"\xd0\xcf\x11\xe0"), ("macos-arm64", "-arm64.pkg", b"xar!")]:
            filename = f"ProofAgent-{version}{ending}"
            body = magic + f" {version} {platform} ".encode()
            body += b"." * max(0, size - len(body))
            sha256 = hashlib.sha256(body).hexdigest()
            artifacts[platform] = {"filename": filename, "size_bytes": len(body), "sha256": sha256}
            if stored:
                place = self.where / "artifacts" / sha256 / filename
                place.parent.mkdir()
                place.write_bytes(body)
            # One large file is enough.
            size = 20
        manifest = {"version": version, "channels": ["stable"], "published_at": "2026-02-03T04:05:06.789Z"}
        manifest |= {"guid": guid(version), "artifacts": artifacts}
        (self.where / f"releases/{version}.yaml").write_text(json.dumps(manifest | more))

    def change(self, version: str, **more) -> None:
        """Of a release's manifest."""
        file = self.where / f"releases/{version}.yaml"
        file.write_text(json.dumps(json.loads(file.read_text()) | more))

    def arguments(self) -> list[str]:
        """That name them, for a run in another folder."""
        return ["--releases", str(self.where / "releases"), "--artifacts", str(self.where / "artifacts")]


def guid(version: str) -> str:
    digits = hashlib.sha256(version.encode()).digest()[:25]
    return "rel_0" + "".join(CROCKFORD[digit % 32] for digit in digits)


# What lies on a target.


def pointer(objects: dict[str, Stored]) -> dict:
    """`current`; nothing is live on generation 0."""
    return json.loads(objects["current"].body) if "current" in objects else {"generation": 0, "id": ""}


def problems(objects: dict[str, Stored]) -> list[str]:
    """What can be reached and leads to something that is missing or wrong. Nothing, if all is well."""
    found: list[str] = []
    records = claimed_and_live(objects, found)
    for record in records:
        found += missing_of(objects, record)
    maps = [json.loads(objects["private/redirects.json"].body)] if "private/redirects.json" in objects else []
    # An edge that follows takes up what is claimed when it may, else what is live.
    early = pointer(objects).get("next", {}).get("early", False)
    maps += [parsed for record in records[-1 if early else 0 :][:1] if (parsed := of_record(objects, record, "redirects.json"))]
    known = [addresses(redirects) for redirects in maps]
    recalled = withdrawn(objects, records[0]) if records and pointer(objects)["generation"] else set()
    named = named_tiles(objects)
    for key, held in sorted(objects.items()):
        if key.startswith("objects/") and key != f"objects/{hashlib.sha256(held.body).hexdigest()}":
            found.append(f"{key} holds other bytes")
        # A tile that no index names any more is found by nobody who asks now.
        if key.startswith("public/") and key.endswith(".json") and (not is_tile(key) or key in named):
            found += unresolved(objects, key, held.body, known, recalled)
    return found


def claimed_and_live(objects: dict[str, Stored], found: list[str]) -> list[dict]:
    """The records that the pointer names: of what is live first, then of what is claimed."""
    current = pointer(objects)
    wanted = [(f"snapshots/{current['generation']}.json", current["record"])] if current["generation"] else []
    if following := current.get("next"):
        wanted.append((f"objects/{following['record']}", following["record"]))
    records = []
    for key, sha256 in wanted:
        if key not in objects or hashlib.sha256(objects[key].body).hexdigest() != sha256:
            found.append(f"current names {key}, which is missing or another one")
        else:
            records.append(json.loads(objects[key].body))
    # Without a live one, what is claimed is not the first.
    return records if current["generation"] else [{"files": [], "kept": [], "artifacts": []}, *records]


def missing_of(objects: dict[str, Stored], record: dict) -> list[str]:
    """What a record names and the target lacks."""
    found = []
    for path, sha256, *_ in record["files"] + record["kept"]:
        key = path if is_tile(path) else f"objects/{sha256}"
        if key not in objects or hashlib.sha256(objects[key].body).hexdigest() != sha256:
            found.append(f"generation {record['generation']} names {path}, and {key} is missing or another one")
    for key, sha256, size in record["artifacts"]:
        held = objects.get(f"artifacts/{key}")
        if held is None or len(held.body) != size or hashlib.sha256(held.body).hexdigest() != sha256:
            found.append(f"generation {record['generation']} names artifacts/{key}, which is missing or another one")
    return found


def is_tile(path: str) -> bool:
    return re.search(r"/history/[0-9a-f]{64}\.json$|^public/assets/", path) is not None


def named_tiles(objects: dict[str, Stored]) -> set[str]:
    """Those that the public indexes of the history name."""
    named = set()
    for key, held in objects.items():
        if key.startswith("public/") and key.endswith("/history/index.json"):
            named |= {key.removesuffix("index.json") + tile["file"] for tile in json.loads(held.body)["tiles"]}
    return named


def of_record(objects: dict[str, Stored], record: dict, path: str) -> dict | None:
    """A document of a record's snapshot, from the objects."""
    sha256 = next((row[1] for row in record["files"] if row[0] == path), "")
    held = objects.get(f"objects/{sha256}")
    return json.loads(held.body) if held else None


def addresses(redirects: dict) -> dict[str, dict]:
    """Every address of a redirect map, and the row that it leads to."""
    heads = {channel["channel"]: channel["head"] for channel in redirects["channels"]}
    found = {}
    for row in redirects["rows"]:
        for form in redirects["forms"]:
            if form["platform"] != row["platform"]:
                continue
            channels = [name for name, head in heads.items() if head == row["version"]] if "{channel}" in form["address"] else [""]
            for channel in channels:
                address = form["address"].format(channel=channel, version=row["version"], filename=row["filename"])
                # The alias of V1 leaves the channel out, and means stable.
                found[address] = found[address.replace("channel=stable&", "")] = row
    return found


def withdrawn(objects: dict[str, Stored], record: dict) -> set[str]:
    """The versions that a record's snapshot recalls."""
    table = of_record(objects, record, "private/site.json") or {"releases": []}
    return {release["version"] for release in table["releases"] if release["state"] == "recalled"}


def unresolved(objects: dict[str, Stored], key: str, body: bytes, known: list[dict], recalled: set[str]) -> list[str]:
    """What of a public document leads nowhere."""
    try:
        document = json.loads(body)
    except ValueError:
        return [f"{key} is no JSON"]
    if key.endswith("/openapi.json"):
        return []
    found = []
    if key.endswith("/history/index.json"):
        folder = key.removesuffix("index.json")
        found += [f"{key}: the tile {tile['file']} is missing" for tile in document["tiles"] if folder + tile["file"] not in objects]
    for address in texts(document):
        if not re.match(r"/(v2/agent-releases|internal/v1/agent)/.*download", address):
            continue
        rows = [redirects[address] for redirects in known if address in redirects]
        if not rows:
            found.append(f"{key}: no redirect map knows {address}")
        for row in rows:
            held = objects.get(f"artifacts/{row['key']}")
            if (held is None or len(held.body) != row["size_bytes"]) and row["version"] not in recalled:
                found.append(f"{key}: {address} leads to artifacts/{row['key']}, which is missing or has another size")
    return found


def texts(value):
    """Every text in a document."""
    match value:
        case str():
            yield value
        case dict():
            for inner in value.values():
                yield from texts(inner)
        case list():
            for inner in value:
                yield from texts(inner)


def differences(clean: dict[str, Stored], now: dict[str, Stored], leftovers: bool = False) -> list[str]:
    """Where a target is not like one that nothing happened to. `leftovers`: more tiles and artifacts than there may lie there."""
    found = []
    for key in sorted(clean.keys() | now.keys()):
        if not key.startswith(("public/", "private/", "artifacts/")):
            continue
        if key not in now:
            found.append(f"{key} is missing")
        elif key not in clean:
            if not (leftovers and (is_tile(key) or key.startswith("artifacts/"))):
                found.append(f"{key} is too much")
        elif now[key].body != clean[key].body:
            found.append(f"{key} has other bytes")
        elif now[key].headers != clean[key].headers:
            found.append(f"{key} has {now[key].headers} beside it, and should have {clean[key].headers}")
    was, is_now = pointer(clean), pointer(now)
    if was["id"] != is_now["id"]:
        found.append(f"current names the snapshot {is_now['id'][:16]}, and should name {was['id'][:16]}")
    if "next" in is_now:
        found.append(f"generation {is_now['next']['generation']} is still claimed")
    return found


def expect_sensible(ended: Ended, what: str) -> None:
    """An exit code of ours, no panic, and words to go with a failure."""
    expect(ended.code in EXITS, f"{what}: one of the exit codes {EXITS}, found {ended.code}: {ended.err}")
    expect("panicked" not in ended.err, f"{what}: no panic, found {ended.err}")
    words = [line for line in ended.err.splitlines() if line and not line.startswith('{"event"')]
    expect(ended.code == 0 or words, f"{what}: exit code {ended.code} has a reason, found none")


def expect_none(found: list[str], what: str) -> None:
    expect(not found, f"{what}: {len(found)} wrong: {'; '.join(found[:SHOWN])}")


# Ways to publish, each played without a fault first.


class Scenario(NamedTuple):
    """A way to publish: what lies there before, and what is run."""

    name: str
    before: dict[str, Stored]
    command: list[str]
    clean: dict[str, Stored]
    requests: list[Asked]


def publish_command(sources: Sources) -> list[str]:
    return ["publish", TARGET, *NOW, *sources.arguments()]


def play(stub: Stub, where: pathlib.Path, name: str, before: dict[str, Stored], command: list[str]) -> Scenario:
    """A scenario without any fault, which shows what its requests are and what comes out."""
    stub.forget(before)
    ended = run_fresh(where, stub, command)
    expect(ended.code == 0, f"{name}: published, found {ended}")
    clean = stub.below(PREFIX)
    expect_none(problems(clean), name)
    return Scenario(name, before, command, clean, list(stub.requests))


FOLDERS = itertools.count()


def run_fresh(where: pathlib.Path, stub: Stub, command: list[str]) -> Ended:
    """A run in a folder of its own, as on a machine that never published before."""
    here = where / f"run-{next(FOLDERS)}"
    here.mkdir()
    process = start(here, stub.environment(), *command)
    stub.victim = process
    return finish(process)


def claim_of(scenario: Scenario) -> int:
    """The number of the request that claims the pointer: the first write of it that is not refused, once something is live."""
    for number, asked in enumerate(scenario.requests, 1):
        if asked.method == "PUT" and asked.key.endswith("/current") and asked.status == 200 and "if-match" in asked.condition:
            return number
    raise AssertionError(scenario.name)


def in_parallel(where: pathlib.Path, tasks: list, at_once: int = AT_ONCE) -> list:
    """Calls each task with a server that nobody else uses; all that is wrong, together."""
    stubs: queue.Queue[Stub] = queue.Queue()
    for _ in range(at_once):
        stubs.put(Stub())

    def call(task):
        stub = stubs.get()
        try:
            return task(stub, where), None
        except Wrong as wrong:
            return None, str(wrong)
        finally:
            stubs.put(stub)

    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        done = list(pool.map(call, tasks))
    while not stubs.empty():
        stubs.get().__exit__()
    wrong = [why for _, why in done if why]
    for why in wrong:
        print(f"  {why}", file=sys.stderr)
    expect(not wrong, f"{len(wrong)} of {len(tasks)} are not as they should be, the first: {wrong[:1]}")
    return [result for result, _ in done]
