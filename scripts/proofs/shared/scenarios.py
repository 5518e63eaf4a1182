"""Commands that change something, what there is before and after each, and whether a folder is one or the other, whole."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
from typing import Callable, NamedTuple

from shared.common import COMPILER, Wrong, compile_in, example, expect, folder

NEWEST = "2.0.0"
TEMPORARY = ".agent-releases-"
# Hashes that are remembered, with inodes.
CACHE = ".hashes.json"
GUID = re.compile(rb"guid: rel_\w+")
NOT_PUBLISHED = {"generation": 0, "id": "", "record": "", "at": "", "by": ""}


class Scenario(NamedTuple):
    """A command, and which parts of the working folder it may change: each is whole-old or whole-new at any time."""

    name: str
    command: Callable[[pathlib.Path], list]
    prepare: Callable[[pathlib.Path], None]
    parts: tuple[str, ...]
    # Commands that edit two files: they may be cut between them, if the same command again finishes it.
    between: bool = False


def address(where: pathlib.Path) -> str:
    return f"file://{where / 'target'}"


def publish(where: pathlib.Path) -> list:
    return ["publish", address(where), "--by", "proof", "--settle", "0", "--patience", "60"]


def add(_: pathlib.Path) -> list:
    files = [f"ExampleAgent-{NEWEST}.msi", f"ExampleAgent-{NEWEST}-arm64.pkg"]
    return ["add", NEWEST, *files, "--channel", "stable", "--published-at", "2026-11-01T00:00:00Z"]


def follow(where: pathlib.Path) -> list:
    return ["follow", address(where), "--once", "--out", "mirror", "--artifacts", "mirrored"]


def rollback(where: pathlib.Path) -> list:
    words = ["--reason", "proof", "--restore", "1.8.2", "--by", "proof", "--settle", "0", "--patience", "60"]
    return ["rollback", address(where), "1", *words]


def sources(where: pathlib.Path) -> None:
    """The example, and installers of a release that is not added yet."""
    example(where)
    (where / f"ExampleAgent-{NEWEST}.msi").write_bytes(b"\xd0\xcf\x11\xe0" + bytes(range(256)) * 400)
    (where / f"ExampleAgent-{NEWEST}-arm64.pkg").write_bytes(b"xar!" + bytes(range(255)) * 400)


def pinned(where: pathlib.Path) -> None:
    sources(where)
    compile_in(where, "pin", "stable", "1.8.3", "--reason", "proof")


def unpublished(where: pathlib.Path) -> None:
    sources(where)
    shutil.rmtree(where / "dist")


def changed(where: pathlib.Path) -> None:
    """Published and mirrored once; then a head moves, and a release's bytes are withdrawn."""
    sources(where)
    compile_in(where, *publish(where))
    compile_in(where, *follow(where))
    compile_in(where, *add(where))
    compile_in(where, "recall", "1.8.2", "--reason", "proof")


def twice(where: pathlib.Path) -> None:
    changed(where)
    compile_in(where, *publish(where))


SCENARIOS = [
    Scenario("build", lambda _: ["build"], changed, ("dist",)),
    Scenario("first build", lambda _: ["build"], unpublished, ("dist",)),
    Scenario("publish", publish, changed, ("dist", "target")),
    Scenario("first publish", publish, unpublished, ("dist", "target")),
    Scenario("rollback", rollback, twice, ("target",)),
    Scenario("follow", follow, twice, ("mirror", "mirrored")),
    Scenario("prune", lambda where: ["prune", address(where), "--keep", "1", "--grace", "0"], twice, ("target",)),
    Scenario("add", add, sources, ("releases", "artifacts")),
    Scenario("yank", lambda _: ["yank", "1.8.3", "--reason", "proof"], sources, ("releases",)),
    Scenario("yank --repin", lambda _: ["yank", "1.8.3", "--reason", "proof", "--repin", "1.8.2"], pinned, ("releases",), True),
]


@contextlib.contextmanager
def in_memory():
    """A temporary folder, in memory where there is such a place: a hundred thousand syncs would take hours on a disk."""
    memory = pathlib.Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        with folder() as path:
            yield path
        return
    with tempfile.TemporaryDirectory(prefix="proof-", dir=memory) as path:
        yield pathlib.Path(path)


class Case:
    """A scenario with its two ends: `before`, and `after` the command ran in peace. `trial` is worked in."""

    def __init__(self, base: pathlib.Path, scenario: Scenario):
        self.scenario, self.base = scenario, base / scenario.name.replace(" ", "-")
        self.trial = self.base / "trial"
        self.trial.mkdir(parents=True)
        # A target's address is absolute: everything is made where it will be tried.
        scenario.prepare(self.trial)
        shutil.copytree(self.trial, self.base / "before")
        self.old = State(self.trial)
        self.run()
        shutil.copytree(self.trial, self.base / "after")
        self.new = State(self.trial)

    @property
    def command(self) -> list:
        return self.command_in(self.trial)

    def command_in(self, where: pathlib.Path) -> list:
        return [COMPILER, *self.scenario.command(where)]

    def again(self, name: str = "before") -> None:
        """Puts the trial back to one of the ends."""
        shutil.rmtree(self.trial)
        shutil.copytree(self.base / name, self.trial)

    def run(self, where: pathlib.Path | None = None) -> None:
        """The command, in peace: it does not wait for anybody."""
        where = where or self.trial
        done = subprocess.run(self.command_in(where), cwd=where, capture_output=True, text=True, timeout=50)
        expect(done.returncode == 0, f"`{self.scenario.name}` again is fine, found {done.returncode}: {done.stderr[-600:]}")
        expect('"waiting"' not in done.stderr, f"`{self.scenario.name}` again waits for nobody, found {done.stderr[-600:]}")

    def is_whole(self, where: pathlib.Path | None = None) -> tuple[str, ...]:
        """Which end each part of the trial, or of a copy elsewhere, is at; raises when one is at neither."""
        now, ends, wrong = State(where or self.trial), [], []
        for part in self.scenario.parts:
            try:
                ends.append(self.end_of(part, now))
            except Wrong as why:
                wrong.append(str(why))
        expect(not wrong, "; ".join(wrong))
        return tuple(ends)

    def end_of(self, part: str, now: "State") -> str:
        if part == "target":
            return end_of_target(now, self.old, self.new)
        old, new, here = self.old.part(part), self.new.part(part), now.part(part)
        if part in ("artifacts", "mirrored"):
            # Artifacts are never replaced: each is there, whole, or not yet.
            both = {**old, **new}
            torn = [path for path, text in here.items() if both.get(path) != text]
            expect(not torn, f"{part}: {torn[:3]} is torn")
            sites = {"artifacts": "releases", "mirrored": "mirror"}
            is_new = now.part(sites[part]) == self.new.part(sites[part])
            expect(not is_new or all(path in here for path in new), f"{part}: all that the new site needs is there")
            return "new" if here == new else "old" if here == old else "between"
        if here == old or here == new:
            return "new" if here == new else "old"
        if self.scenario.between and all(here[path] in (old[path], new[path]) for path in old) and len(here) == len(old):
            return "between"
        words = f"{differences(here, old)} to the old one, {differences(here, new)} to the new one"
        raise Wrong(f"{part} is neither old nor new: {words}")

    def is_finished(self, where: pathlib.Path | None = None) -> None:
        """After the next run nothing tells that there was trouble."""
        now = State(where or self.trial)
        left = [path for path in now.paths if TEMPORARY in path]
        expect(not left, f"no temporary files are left, found {left[:4]}")
        for part in ("releases", "artifacts", "dist", "mirror", "mirrored"):
            here, should = now.part(part), self.new.part(part)
            expect(here == should, f"{part} ends like a run in peace, found {differences(here, should)}")
        if "target" not in self.scenario.parts:
            return
        for part in ("target/public", "target/private", "target/artifacts"):
            here, should = now.part(part), self.new.part(part)
            expect(here == should, f"{part} ends like a run in peace, found {differences(here, should)}")
        expect(end_of_target(now, self.old, self.new) == "new", "the new generation is live")
        current = now.json("target/current")
        expect("next" not in current, "nothing is claimed")
        if self.scenario.name == "prune":
            expect(now.part("target").keys() == self.new.part("target").keys(), "what no generation reaches is gone")
        if "dist" in self.scenario.parts:
            site = now.json("dist/snapshot.json")["generation"]
            expect(site == current["generation"], f"dist/ knows its generation, {current['generation']}, found {site}")


class State:
    """Every file below a folder."""

    def __init__(self, where: pathlib.Path):
        self.where = where
        self.paths: dict[str, bytes] = {}
        for folder, _, names in os.walk(where):
            for name in names:
                path = pathlib.Path(folder, name)
                self.paths[str(path.relative_to(where))] = path.read_bytes()

    def json(self, path: str) -> dict:
        expect(path in self.paths, f"{path} is there")
        try:
            return json.loads(self.paths[path])
        except ValueError as error:
            raise Wrong(f"{path} is torn: {error}") from None

    def part(self, name: str) -> dict[str, bytes]:
        """The files below a folder that are somebody's: by path, without what differs from run to run."""
        found = {}
        for path, text in self.paths.items():
            if path.startswith(name + "/") and TEMPORARY not in path and not path.endswith(CACHE):
                found[path.removeprefix(name + "/")] = self.plain(path, text)
        return found

    @staticmethod
    def plain(path: str, text: bytes) -> bytes:
        if path.endswith(".yaml"):
            return GUID.sub(b"guid: any", text)
        if path.endswith("/snapshot.json"):
            return re.sub(rb'"generation":\d+', b'"generation":0', text)
        return text


def differences(here: dict, there: dict) -> str:
    """How two folders differ, shortly."""
    words = [f"{path} {'is missing' if path not in here else 'is more' if path not in there else 'differs'}"
             for path in sorted(here.keys() | there.keys()) if here.get(path) != there.get(path)]
    return f"{len(words)} differences ({', '.join(words[:4])})"


def sha256(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def end_of_target(now: State, old: State, new: State) -> str:
    """Which generation a target is at, judged by itself: whoever reads it finds all that it names."""
    here = now.part("target")
    if not any(path.startswith(("current", "public/")) for path in here):
        return "old"
    for path, text in here.items():
        if path.startswith("objects/"):
            expect(sha256(text) == path.removeprefix("objects/"), f"target/{path} has the bytes of its name")
    current = now.json("target/current") if "current" in here else dict(NOT_PUBLISHED)
    records = [record_of(now, f"target/snapshots/{current['generation']}.json", current)] if current["generation"] else []
    if "next" in current:
        records.append(record_of(now, f"target/objects/{current['next']['record']}", current["next"]))
    for record in records:
        has_all(record, here)
    ends = documents_end(here, old.part("target"), new.part("target"), [path for record in records for path in record["gone"]])
    before, after = (state.json("target/current") if "target/current" in state.paths else NOT_PUBLISHED for state in (old, new))
    is_live = current["id"] == after["id"] and current["generation"] > before["generation"]
    if before == after:
        return "new"
    expect(not is_live or ends == "new", "the documents of the live generation are there")
    return "new" if is_live else ends


def record_of(now: State, path: str, named: dict) -> dict:
    record = now.json(path)
    expect(sha256(now.paths[path]) == named["record"], f"{path} is the record that `current` names")
    expect(record["id"] == named["id"] and record["generation"] == named["generation"], f"{path} is of the generation named")
    return record


def has_all(record: dict, here: dict[str, bytes]) -> None:
    """A record can be served: every document and artifact of it is on the target."""
    for path, digest, size, _ in [*record["files"], *record["kept"]]:
        texts = [here.get(f"objects/{digest}"), here.get(path)]
        is_there = any(text is not None and sha256(text) == digest and len(text) == size for text in texts)
        expect(is_there, f"{path} of generation {record['generation']} is on the target")
    for key, digest, size in record["artifacts"]:
        text = here.get(f"artifacts/{key}")
        is_right = text is not None and digest in (None, sha256(text)) and size in (None, len(text))
        expect(is_right, f"artifacts/{key} is on the target, whole")


def documents_end(here: dict, old: dict, new: dict, gone: list[str]) -> str:
    """Whether public/ is all old or all new; tiles come before and go later, and what is withdrawn goes last."""
    def documents(part: dict) -> dict:
        return {path: text for path, text in part.items() if path.startswith("public/") and not is_tile(path)}

    for path, text in here.items():
        if is_tile(path) and path.startswith("public/"):
            named = sha256(text)
            expect(path.endswith(f"/{named}.json") or f".{named[:16]}." in path, f"{path} has the bytes of its name")
    found, before, after = documents(here), documents(old), documents(new)
    if found == before:
        return "old"
    leaving = {path: text for path, text in before.items() if path in gone and path not in after}
    without = {path: text for path, text in found.items() if leaving.get(path) != text}
    words = f"{differences(found, before)} to the old one, {differences(without, after)} to the new one"
    expect(without == after, f"public/ is all old or all new: {words}")
    return "new"


def is_tile(path: str) -> bool:
    return re.search(r"/history/[0-9a-f]{64}\.json$|^public/assets/", path) is not None
