#!/usr/bin/env python3
"""An independent check of the V2 family.

It makes random collections of releases, has `agent-releases` compile them, compares every compiled document with a model
of its own, then asks `agent-releases-edge` thousands of questions over raw sockets and compares each answer: the status,
the exact bytes of the body, and the exact set of headers. The model was written from the contract alone and shares no
code with the program.

    python3 tests/oracle/v2.py [--seed N] [--rounds N] [--bin DIR] [--stop-after K] [--keep]
    python3 tests/oracle/v2.py --self-check
"""

# Open readings. Where the contract leaves room, each of these passes:
#  1. Errors end with a newline, as documents do, or without one.
#  2. `details` of a repeated, an empty or a not allowed parameter: with or without `allowed`, an empty one with or without
#     `value`; repeated and empty at once: either message; windows with a wrong or empty arch: either message; `?channel`
#     without `=` counts as empty.
#  3. A `{version}` that is no version (also `latest` in the path form, `x.json` without a document): no such release, or
#     no such address. A version that exists nowhere, asked with a channel: details with or without the channel.
#  4. `stable` that the catalog does not declare: first in the list of channels, or just before `latest`.
#  5. A malformed query (escape, control character, invalid UTF-8): 400 as `bad_request` or `invalid_request`, kept open or
#     closed; in the value of an ignored name, or where the query is ignored: 400 or ignored.
#  6. Cursors of sort_by=version hold the version twice, or null first (one of the two, always). A cursor that decodes but
#     was not written in the compact form: 400 or answered.
#  7. History rows: order and extent of `channels`, order of platforms and attachments, `filename` inside an attachment,
#     the form of `file` (one reading throughout, see HistoryStyle).
#  8. X-Release-Yanked is optional on a 404 or 503 about a yanked release; Link is optional on the compiled first page;
#     Vary is optional on the latest and version views, which may also be compressed from 1,400 bytes.
#  9. CORS headers are optional outside the family; Vary is optional on errors and redirects of a family that requires
#     access; OPTIONS of an address that does not exist is 204 or 404; Cache-Control is optional on a 204.
# 10. `/artifacts/`: Cache-Control is free where the key does not hold {sha256}; the body of 416 and of a missing file is
#     free; HEAD with a Range is 200 or 206; `bytes=-0` is 416 or 200; without a store: 404, 410 or 503.
# 11. An attachment that does not exist: any of the 404 forms. Content-Length is optional on HEAD of an empty answer.

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from datetime import datetime, timezone
from pathlib import Path

sys.dont_write_bytecode = True

from v2_model import (  # noqa: E402
    P, STYLES, Model, b64url, byte_range, coding, compressed, cursor_text, fits, is_time, pieces, read_cursor, snapshot_id, tag,
    tiles)
from v2_questions import TOKEN, Questions  # noqa: E402
from v2_sources import (  # noqa: E402
    DEFAULT_KEY, Artifact, Collection, Release, is_version, precedence, random_collection, random_time, sha256, write_sources)


class Stop(Exception):
    """Enough mismatches."""


class Oracle:
    """Counts questions and reports mismatches, over all rounds."""

    def __init__(self, limit: int | None):
        self.questions, self.mismatches, self.limit, self.round = 0, 0, limit, ""
        self.styles = list(STYLES)

    def fail(self, question: str, expected, got) -> None:
        self.mismatches += 1
        cut = lambda text: text if len(text) <= 1500 else f"{text[:1500]}… ({len(text)} characters)"
        print(f"MISMATCH {self.mismatches} ({self.round})\n  question: {question}")
        print(f"  expected: {cut(str(expected))}\n  got:      {cut(str(got))}", flush=True)
        if self.limit and self.mismatches >= self.limit:
            raise Stop

    def check(self, question: str, expected, got) -> bool:
        self.questions += 1
        if expected != got:
            self.fail(question, expected, got)
        return expected == got


# --------------------------------------------------------------------------------------------------------------- rounds

def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("AGENT_RELEASES_")}


def build(program: Path, work: Path, sources: Path, out: Path):
    command = [program, "build", "--releases", sources, "--artifacts", work / "artifacts", "--out", out]
    return subprocess.run(command, cwd=work, env=clean_environment(), capture_output=True, text=True, timeout=300)


def files_under(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def check_site(oracle: Oracle, model: Model, out: Path) -> bool:
    """Everything that was compiled. False when there is no snapshot to go on with."""
    on_disk = files_under(out)
    if "snapshot.json" not in on_disk:
        oracle.fail("snapshot.json", "a file", sorted(on_disk)[:20])
        return False
    snapshot = json.loads(on_disk["snapshot.json"])
    rows = {row["path"]: row for row in snapshot["files"]}
    oracle.check("snapshot.json lists each file once", len(rows), len(snapshot["files"]))
    oracle.check("the snapshot's id", snapshot_id(snapshot["files"]), snapshot["id"])
    model.snapshot = snapshot["id"][:16]
    for path, row in rows.items():
        data = on_disk.get(path)
        found = data is not None and (sha256(data), len(data))
        oracle.check(f"{path} as snapshot.json lists it", (row["sha256"], row["size"]), found)
    known = {"snapshot.json", *rows}
    unlisted = [p for p in on_disk if p not in known and not p.startswith("exports/") and not compressed(p, on_disk)]
    oracle.check("files that snapshot.json does not list", [], unlisted)
    for path in on_disk:
        if path.endswith(".gz") and compressed(path, on_disk):
            oracle.check(f"{path} decodes to its document", True, gzip.decompress(on_disk[path]) == on_disk[path[:-3]])
    for path in ["redirects.json", "private/ledger.json"] + ["public/openapi.json"] * model.public:
        oracle.check(f"{path} exists", True, path in on_disk)

    folder = "public" if model.public else "private"
    prefix = f"{folder}{P}/"
    if not model.public:    # the folder inside private/ is not promised
        found = [p for p in on_disk if p.startswith("private/") and p.endswith(f"{P}/index.json") and "/history/" not in p]
        prefix = found[0].removesuffix("index.json") if found else prefix
        open_files = b"".join(data for path, data in on_disk.items() if path.startswith("public/"))
        hashes = {a.sha256 for _, a, _ in model.col.offers() if a.sha256}
        told = [hash for hash in hashes if hash.encode() in open_files]
        oracle.check("public/ holds no hash of a release that requires access", [], told)
    made = {f"{P}/{path.removeprefix(prefix)}": data for path, data in on_disk.items()
            if path.startswith(prefix) and not compressed(path, on_disk)}
    past = {path: data for path, data in made.items() if path.startswith(f"{P}/history/")}
    fitting = [style for style in oracle.styles if model.history(style) == past]
    if oracle.check("the history fits one reading", True, bool(fitting)):
        oracle.styles = fitting
    else:
        closest = model.history(oracle.styles[0])
        wanted = {path: data for path, data in closest.items() if past.get(path) != data}
        found = {path: data for path, data in past.items() if closest.get(path) != data}
        oracle.fail("the history, by the first reading", wanted, found)
    oracle.check("the addresses of the documents", sorted(model.documents), sorted(set(made) - set(past)))
    for path, data in model.documents.items():
        oracle.check(f"the bytes of {path}", data, made.get(path))
    model.documents |= past
    for path in model.documents:
        stored = rows.get(prefix + path[len(P) + 1:], {}).get("headers", {})
        wanted = model.static(path, {})[0]
        for name, value in stored.items():
            rule = wanted.must.get(name.lower(), wanted.may.get(name.lower()))
            fine = name.lower() != "x-release-snapshot" and fits(rule, value)
            oracle.check(f"the stored header {name} of {path}", "as the contract says", "as the contract says" if fine else value)
    return True


def check_sameness(oracle: Oracle, program: Path, work: Path, collection: Collection) -> None:
    """A second build, without the drafts, makes the same site."""
    sources, out = work / "again", work / "dist-again"
    drafts = {f"{r.version}{end}" for r in collection.releases if r.draft for end in (".yaml", ".md")}
    shutil.copytree(work / "releases", sources, ignore=lambda _, names: drafts & set(names))
    result = build(program, work, sources, out)
    said = result.stderr[-1500:] if result.returncode else ""
    if oracle.check("a second build, without the drafts", (0, ""), (result.returncode, said)):
        ids = [json.loads((folder / "snapshot.json").read_bytes())["id"] for folder in (work / "dist", out)]
        oracle.check("the id of a second build, without the drafts", ids[0], ids[1])


class Edge:
    def __init__(self, program: Path, work: Path, collection: Collection):
        command = [program, "--site", work / "dist", "--listen", "127.0.0.1:0"]
        if collection.store == "edge":
            command += ["--artifacts", work / "artifacts"]
        if collection.host:
            command += ["--host", collection.host]
        if collection.access == "required":
            tokens = work / "tokens"
            tokens.write_text(f"# tokens\noracle {sha256(TOKEN.encode())}\n")
            tokens.chmod(0o600)
            command += ["--tokens", tokens]
        self.log = work / "edge.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=work, env=clean_environment(), stdout=subprocess.PIPE, stderr=log)
        self.port, ready = None, threading.Event()

        def listen():
            for line in self.process.stdout:
                if found := re.fullmatch(rb"listening on http://127\.0\.0\.1:([0-9]+)\n", line):
                    self.port = int(found[1])
                    ready.set()
            ready.set()
        threading.Thread(target=listen, daemon=True).start()
        ready.wait(20)

    def stop(self) -> int | None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None


def run_round(oracle: Oracle, seed: int, programs: Path, work: Path) -> None:
    rng = random.Random(seed)
    collection = random_collection(rng)
    facts = [f"{len(collection.releases)} releases", f"store {collection.store}", f"access {collection.access}"]
    facts += collection.features
    oracle.round = f"seed {seed}: {', '.join(facts)}"
    print(oracle.round, flush=True)
    write_sources(rng, collection, work / "releases", work / "artifacts")
    result = build(programs / "agent-releases", work, work / "releases", work / "dist")
    said = result.stderr[-3000:] + result.stdout[-1000:] if result.returncode else ""
    if not oracle.check("build", (0, ""), (result.returncode, said)):
        return
    model = Model(collection)
    if not check_site(oracle, model, work / "dist"):
        return
    check_sameness(oracle, programs / "agent-releases", work, collection)
    sized = sorted({key for _, artifact, key in collection.offers() if key in collection.files and artifact.size})
    for key in rng.sample(sized, len(sized) // 20):     # a file of a wrong size is not served
        collection.files[key] += b"!"
        (work / "artifacts" / key).write_bytes(collection.files[key])
    edge = Edge(programs / "agent-releases-edge", work, collection)
    try:
        if edge.port is None:
            oracle.fail("the edge starts", "listening on http://127.0.0.1:<port>", edge.log.read_text()[-1500:])
            return
        Questions(oracle, model, edge.port, rng, work / "dist" / "public").everything()
        oracle.check("the edge is still running", None, edge.process.poll())
    finally:
        code = edge.stop()
    oracle.check("the edge ends by SIGTERM", 0, code)


def self_check() -> None:
    """The model against examples that are known to be right."""
    check_words()
    check_requests()
    check_answers(example_model())
    print("the model agrees with its examples")


def check_words() -> None:
    order = """
        0.9.9 1.0.0-1 1.0.0-2 1.0.0-10 1.0.0-- 1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11
        1.0.0-rc.1 1.0.0 1.0.1 1.2.0 1.10.0 2.0.0 18446744073709551616.0.0""".split()
    assert sorted(random.Random(1).sample(order, len(order)), key=precedence) == order
    assert all(map(is_version, order))
    wrong = "1.0 01.0.0 v1.0.0 1.0.0- 1.0.0-01 1.0.0+b 1.0.0-a.json latest".split()
    assert not any(map(is_version, [*wrong, "1.0.0-" + "a" * 59, "1.0.0\n"]))
    for seed in range(200):
        normal, raw = random_time(random.Random(seed))
        moment = datetime.fromisoformat(raw.replace("Z", "+00:00")).astimezone(timezone.utc)
        assert is_time(normal) and moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z" == normal
    versions = [f"1.0.{i}" for i in range(600)]
    assert sum(tiles(versions), []) == versions
    assert all(hashlib.sha256(tile[-1].encode()).digest()[0] < 4 for tile in tiles(versions)[:-1])
    assert snapshot_id([{"path": "exports/x", "sha256": "0", "size": 1, "headers": {}}]) == sha256(b"")


def check_requests() -> None:
    place, key = ("stable", "published_at", "desc"), ["2026-02-24T21:23:53.082Z", "1.8.3"]
    text = cursor_text(*place, key)
    decoded = b'{"v":1,"c":"stable","s":"published_at","o":"desc","k":["2026-02-24T21:23:53.082Z","1.8.3"]}'
    assert base64.urlsafe_b64decode(text + "==") == decoded
    assert read_cursor(text, *place) == key
    for bad in (text[:-1], text + "=", "", "A" * 1025, "bnVsbA", text[4:]):
        assert read_cursor(bad, *place) == "bad"
    for other in (("beta", "published_at", "desc"), ("stable", "version", "desc"), ("stable", "published_at", "asc")):
        assert read_cursor(text, *other) == "bad"
    assert read_cursor(b64url(decoded.replace(b",", b", ")), *place) == "loose"

    codings = {None: "identity", "": "identity", "gzip, br": "br", "gzip": "gzip", "gzip;q=0.5, identity;q=0.8": "identity",
               "*": "br", "gzip;q=0": "identity", "gzip;q=1.0, br;q=0.9": "gzip", "*;q=0.5, gzip;q=0.3": "br",
               "br;q=0, *": "gzip", "*;q=0": "identity"}
    assert {header: coding(header) for header in codings} == codings
    ranges = {"0-4": (0, 4), "5-": (5, 9), "-3": (7, 9), "-99": (0, 9), "0-99": (0, 9), "10-": "none", "5-2": None,
              "0-1,3-4": None, "-0": "either"}
    assert {text: byte_range(f"bytes={text}", 10) for text in ranges} == ranges

    assert list(pieces("a=%41+b&&c&%61=x%3Dy=z")) == [("a", "A+b", False), ("c", "", False), ("a", "x=y=z", False)]
    assert [bad for _, _, bad in pieces("a=%zz&b=%0a&c=%ff&d=%e2%82%ac&e=%C2%85")] == [True, True, True, False, True]


def example_model() -> Model:
    def release(version, at, **more):
        return Release(version, ["stable"], at, at, None, "rel_" + "0" * 26, **more)

    collection = Collection("cdn", "public", None, "https://d.example/", DEFAULT_KEY, {"stable": ("1.8.3", "x"), "beta": None})
    msi = Artifact("ScalepadAgent-1.8.3.msi", None, 12345678, "ab" * 32)
    time = "2026-02-24T21:23:53.082Z"
    collection.releases = [
        release("1.8.3", time, artifacts={"windows-x86_64": msi}),
        release("1.9.0", time),
        release("1.9.0-rc.1", None),
        release("1.10.0", None),
        release("2.0.0", time, yanked="no"),
        release("3.0.0", time, recalled="no"),
        release("4.0.0", time, draft=True),
        release("1.0.0", "2025-01-01T00:00:00.000Z"),
    ]
    return Model(collection)


def check_answers(model: Model) -> None:
    names = lambda sort, way: [release.version for release in model.ordered("stable", sort, way)]
    assert names("published_at", "desc") == ["1.9.0", "1.8.3", "1.0.0", "1.10.0", "1.9.0-rc.1"]
    assert names("published_at", "asc") == ["1.0.0", "1.8.3", "1.9.0", "1.9.0-rc.1", "1.10.0"]
    assert names("version", "desc") == ["1.10.0", "1.9.0", "1.9.0-rc.1", "1.8.3", "1.0.0"]
    walked, cursor = [], None
    while cursor or not walked:
        key = cursor and read_cursor(cursor, "stable", "published_at", "desc")
        body, cursor = model.page("stable", "published_at", "desc", 2, key)
        walked += [row["version"] for row in json.loads(body)["data"]]
    assert walked == names("published_at", "desc")

    latest = model.documents[f"{P}/latest.json"]
    assert latest == (
        b'{"channel":"stable","version":"1.8.3","published_at":"2026-02-24T21:23:53.082Z","notes_url":null,"artifacts":{"windows":'
        b'{"filename":"ScalepadAgent-1.8.3.msi","content_type":"application/octet-stream","size_bytes":12345678,"sha256":"' +
        b"ab" * 32 + b'","download_url":"/v2/agent-releases/1.8.3/download?platform=windows"},"macos":{"arm64":null,"x86_64":null}}}\n')
    assert {f"{P}/latest/beta.json", f"{P}/4.0.0.json"}.isdisjoint(model.documents) and f"{P}/3.0.0.json" in model.documents
    assert json.loads(model.history(STYLES[0])[f"{P}/history/index.json"])["total_count"] == 7

    def first(target, method="GET", headers=()):
        answer = model.answers(method, target, headers)[0]
        details = json.loads(answer.bodies[0])["error"]["details"] if answer.status >= 400 else None
        return answer.status, answer.must.get("location", details)

    assert first(f"{P}/latest/download?platform=windows") == (302, f"https://d.example/{'ab' * 32}/ScalepadAgent-1.8.3.msi")
    nothing = {"version": "1.8.3", "platform": "macos", "arch": "arm64"}
    assert first(f"{P}/1.8.3/download?platform=macos&arch=arm64") == (404, nothing)
    assert first(f"{P}/1.8.3/download?platform=macos") == (400, {"field": "arch", "allowed": ["arm64", "x86_64"]})
    assert first(f"{P}/3.0.0/download?platform=windows") == (410, {"version": "3.0.0", "reason": "no"})
    assert first(f"{P}/1.8.3?channel=beta") == (404, {"version": "1.8.3", "channel": "beta"})
    assert first(f"{P}/latest?channel=beta") == (404, {"channel": "beta"})
    assert first(f"{P}?channel=x&sort_by=y") == (400, {"field": "channel", "value": "x", "allowed": ["stable", "beta", "latest"]})
    assert first(f"{P}/%6catest") == (404, {"path": f"{P}/%6catest"})
    assert first(P, "POST") == (405, {})
    assert first(f"{P}/latest", headers=[("If-None-Match", f"W/{tag(latest)}")])[0] == 304


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6),
            help="of the first round; the next ones count up")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--bin", type=Path, default=Path("target/release"), help="the folder of the two programs")
    options.add_argument("--stop-after", type=int, default=20, help="mismatches (0: never)")
    options.add_argument("--keep", action="store_true", help="keep the folders of rounds with mismatches")
    options.add_argument("--self-check", action="store_true", help="only check the model")
    given = options.parse_args()
    if given.self_check:
        self_check()
        return 0
    oracle = Oracle(given.stop_after)
    programs = given.bin.resolve()
    for name in ("agent-releases", "agent-releases-edge"):
        if not (programs / name).exists():
            print(f"{programs / name} does not exist", file=sys.stderr)
            return 2
    try:
        for seed in range(given.seed, given.seed + given.rounds):
            work = Path(tempfile.mkdtemp(prefix="v2-oracle-"))
            before = oracle.mismatches
            try:
                run_round(oracle, seed, programs, work)
            except (KeyError, TypeError, ValueError, OSError):
                oracle.fail("the round", "files and answers that can be read", traceback.format_exc())
            finally:
                if given.keep and oracle.mismatches > before:
                    print(f"kept {work}")
                else:
                    shutil.rmtree(work)
    except Stop:
        print(f"stopped after {oracle.mismatches} mismatches")
    print(f"seed {given.seed}: {oracle.questions} questions, {oracle.mismatches} mismatches")
    return 1 if oracle.mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
