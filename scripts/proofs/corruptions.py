"""Proves that a damaged snapshot is never taken up: the last good one goes on answering, byte for byte, and it is said."""

import hashlib
import json
import os
import pathlib
import shutil
import signal
import tempfile
import time

from shared.common import QUICK, Answer, Edge, compile_in, example, expect, folder, get, prove, until

V2 = "public/v2/agent-releases"
TARGETS = [
    "/v2/agent-releases",
    "/v2/agent-releases/latest",
    "/v2/agent-releases/latest.json",
    "/v2/agent-releases/1.8.3.json",
    "/v2/agent-releases/1.7.9",
    "/v2/agent-releases?channel=latest&sort_by=version&page_size=2",
    "/openapi.json",
    "/v2/agent-releases/latest/download?platform=windows",
    "/v2/agent-releases/1.8.2/download?platform=macos&arch=arm64",
    "/v2/agent-releases/latest/beta.json",
    "/v2/agent-releases/history/index.json",
    "/v2/agent-releases/9.9.9",
]
INDEX, REDIRECTS, SITE, LATEST = "snapshot.json", "redirects.json", "private/site.json", f"{V2}/latest.json"
ACTIVE, V1 = "private/active.json", "public/internal/v1/agent"


# Bytes of a file.


def truncate(path: str, by: int = 1):
    return lambda dist: os.truncate(dist / path, max(0, (dist / path).stat().st_size - by))


def empty(path: str):
    return lambda dist: os.truncate(dist / path, 0)


def append(path: str, what: bytes = b"\n"):
    return lambda dist: replace(dist / path, (dist / path).read_bytes() + what)


def flip(path: str):
    """One bit in the middle."""

    def damage(dist: pathlib.Path) -> None:
        text = bytearray((dist / path).read_bytes())
        text[len(text) // 2] ^= 1
        replace(dist / path, bytes(text))

    return damage


def zeros(path: str):
    """What a torn write leaves: the right length, and nothing in it."""
    return lambda dist: replace(dist / path, bytes((dist / path).stat().st_size))


def replace(path: pathlib.Path, text: bytes) -> None:
    path.write_bytes(text)


def write(path: str, text: bytes):
    return lambda dist: replace(dist / path, text)


def swap(one: str, other: str):
    def damage(dist: pathlib.Path) -> None:
        os.rename(dist / one, dist / "between")
        os.rename(dist / other, dist / one)
        os.rename(dist / "between", dist / other)

    return damage


# What stands in place of a file.


def missing(path: str):
    return lambda dist: shutil.rmtree(dist / path) if (dist / path).is_dir() else os.unlink(dist / path)


def a_folder(path: str):
    def damage(dist: pathlib.Path) -> None:
        os.unlink(dist / path)
        os.mkdir(dist / path)

    return damage


def a_pipe(path: str):
    def damage(dist: pathlib.Path) -> None:
        os.unlink(dist / path)
        os.mkfifo(dist / path)

    return damage


def a_link(path: str, to: str):
    def damage(dist: pathlib.Path) -> None:
        os.unlink(dist / path)
        os.symlink(to, dist / path)

    return damage


# The index, its id made to fit again, so that nothing but the mistake itself gives it away.


def row(index: dict, path: str) -> dict:
    return next(row for row in index["files"] if row["path"] == path)


def compact(value) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def id_of(index: dict) -> str:
    def line(row: dict) -> str:
        headers = compact(dict(sorted(row["headers"].items())))
        return f"{row['path']}\t{row['sha256']}\t{row['size']}\t{headers}\n"

    return hashlib.sha256("".join(line(row) for row in index["files"]).encode()).hexdigest()


def edit_index(change, fits: bool = True):
    def damage(dist: pathlib.Path) -> None:
        index = json.loads((dist / INDEX).read_text())
        change(index)
        if fits:
            index["id"] = id_of(index)
        (dist / INDEX).write_text(compact(index) + "\n")

    return damage


def set_row(path: str, **values):
    return edit_index(lambda index: row(index, path).update(values))


def drop_row(path: str):
    return edit_index(lambda index: index["files"].remove(row(index, path)))


def add_row(path: str, text: bytes):
    """A row, and the file that it names."""

    def damage(dist: pathlib.Path) -> None:
        place = pathlib.Path(path) if path.startswith("/") else dist / path
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text)
        sha256 = hashlib.sha256(place.read_bytes()).hexdigest()
        more = {"path": path, "sha256": sha256, "size": place.stat().st_size, "headers": {"Content-Type": "application/json"}}
        edit_index(lambda index: index.update(files=sorted([*index["files"], more], key=lambda row: row["path"])))(dist)

    return damage


# Files whose hashes all fit, but that do not fit each other.


def rewrite(path: str, change):
    """A changed JSON file, with its row and the id made to fit."""

    def damage(dist: pathlib.Path) -> None:
        value = json.loads((dist / path).read_text())
        text = (compact(change(value) or value) + "\n").encode()
        (dist / path).write_bytes(text)
        refit(path, text)(dist)

    return damage


def refit(path: str, text: bytes):
    return set_row(path, size=len(text), sha256=hashlib.sha256(text).hexdigest())


def copy_document(of: str, to: str):
    def damage(dist: pathlib.Path) -> None:
        text = (dist / of).read_bytes()
        (dist / to).write_bytes(text)
        refit(to, text)(dist)

    return damage


def redirect(**values):
    """The row of 1.8.3 for Windows, changed."""

    def change(value: dict) -> None:
        rows = value["rows"]
        own = next(row for row in rows if (row["version"], row["platform"]) == ("1.8.3", "windows-x86_64"))
        own.update({name: new(own, rows) for name, new in values.items()})

    return rewrite(REDIRECTS, change)


def of_older(name: str):
    """What 1.8.2 has there."""
    return lambda _, rows: next(row[name] for row in rows if (row["version"], row["platform"]) == ("1.8.2", "windows-x86_64"))


def release(of: str, **values):
    return rewrite(SITE, lambda site: next(entry for entry in site["releases"] if entry["version"] == of).update(values))


def chosen(change):
    """The document of the active release, changed in all its forms."""

    def changed(table: dict) -> None:
        forms = table["chosen"]
        forms.update(signed=[change(piece) for piece in forms["signed"]], plain=change(forms["plain"]), dev=change(forms["dev"]))

    return rewrite(ACTIVE, changed)


def active_of(version: str) -> dict[str, str]:
    return {"guid": "rel_00000000000000000000000001", "version": version}


CORRUPTIONS = {
    "a document, cut by a byte": truncate(LATEST),
    "a document, cut to nothing": empty(LATEST),
    "a document, a byte longer": append(LATEST),
    "a document, a bit flipped": flip(LATEST),
    "a document of zeros": zeros(f"{V2}/index.json"),
    "a document that is missing": missing(f"{V2}/1.8.3.json"),
    "two documents exchanged": swap(LATEST, f"{V2}/1.8.2.json"),
    "a folder in place of a document": a_folder(LATEST),
    "a pipe in place of a document": a_pipe(LATEST),
    "a link to itself in place of a document": a_link(LATEST, "latest.json"),
    "a link to nothing in place of a document": a_link(LATEST, "gone.json"),
    "a device in place of a document": a_link(LATEST, "/dev/zero"),
    "all documents missing": missing("public"),
    "a compressed form, a bit flipped": flip("public/openapi.json.br"),
    "a compressed form, cut": truncate("public/openapi.json.gz", 100),
    "a compressed form that is missing": missing("public/openapi.json.br"),
    "compressed forms exchanged": swap("public/openapi.json.br", "public/openapi.json.gz"),
    "the redirects, a bit flipped": flip(REDIRECTS),
    "the redirects missing": missing(REDIRECTS),
    "the table of releases, a bit flipped": flip(SITE),
    "the table of releases missing": missing(SITE),
    "the index missing": missing(INDEX),
    "the index empty": empty(INDEX),
    "the index `{}`": write(INDEX, b"{}\n"),
    "the index, cut in the middle": truncate(INDEX, 3000),
    "the index, all zeros": zeros(INDEX),
    "the index, not UTF-8": write(INDEX, b'{"id":"\xff\xfe","generation":0,"files":[]}\n'),
    "the index, 100,000 brackets": write(INDEX, b"[" * 100_000),
    "the index, two of them": append(INDEX, b'{"id":"","generation":0,"files":[]}\n'),
    "a folder in place of the index": a_folder(INDEX),
    "a pipe in place of the index": a_pipe(INDEX),
    "an index without files": edit_index(lambda index: index.update(files=[])),
    "rows out of order": edit_index(lambda index: index["files"].reverse()),
    "a row twice": edit_index(lambda index: index["files"].insert(0, index["files"][0])),
    "an id of other rows": edit_index(lambda index: index.update(id="0" * 64), fits=False),
    "an id that is none": edit_index(lambda index: index.update(id="\r\nX-Evil: yes"), fits=False),
    "a size that is wrong": set_row(LATEST, size=944),
    "a size below zero": set_row(LATEST, size=-1),
    "a size of 2^64": set_row(LATEST, size=1 << 64),
    "a size that is a text": set_row(LATEST, size="945"),
    "a generation of 10^400": edit_index(lambda index: index.update(generation=10**400)),
    "a hash that is wrong": set_row(LATEST, sha256="0" * 64),
    "a path that leads out": add_row("public/../../outside.json", b"{}\n"),
    "a path from the root": add_row("/etc/hostname", b"{}\n"),
    "a path with a backslash": add_row("public/..\\outside.json", b"{}\n"),
    "a path with an empty part": add_row("public//twice.json", b"{}\n"),
    "a header with a line break": set_row(LATEST, headers={"Content-Type": "application/json\r\nX-Evil: yes"}),
    "a header without a name": set_row(LATEST, headers={"": "application/json"}),
    "an unknown encoding": set_row(LATEST, encodings={"zstd": {"sha256": "0" * 64, "size": 1}}),
    "no row for a release's document": drop_row(f"{V2}/1.8.3.json"),
    "no row for the redirects": drop_row(REDIRECTS),
    "no row for the table of releases": drop_row(SITE),
    "a head that is no release": rewrite(SITE, lambda site: site["channels"][0].update(head="9.9.9")),
    "a release that is not in the table": rewrite(SITE, lambda site: site["releases"].pop(1)),
    "releases out of order": rewrite(SITE, lambda site: site["releases"].reverse()),
    "a release twice": rewrite(SITE, lambda site: site["releases"].insert(0, site["releases"][0])),
    "a version that is none": release("1.8.3", version="latest"),
    "a channel that is not there": release("1.8.3", channels=[0, 2, 99], default_channel=99),
    "a time that is none": release("1.8.3", published_at="yesterday"),
    "a state that is none": release("1.8.3", state="offered"),
    "a reason with a line break": release("1.7.9", reason="bad\r\nX-Evil: yes"),
    "access required, its documents public": rewrite(SITE, lambda site: site.update(v2_access="required")),
    "a redirect to elsewhere": redirect(location=lambda own, _: "https://evil.example/" + own["key"]),
    "a redirect to another scheme": redirect(location=lambda own, _: "//evil.example/" + own["key"]),
    "a redirect with a line break": redirect(location=lambda own, _: own["location"] + "\r\nX-Evil: yes"),
    "a redirect to another key": redirect(location=of_older("location")),
    "a redirect out of the storage": redirect(key=lambda *_: "../../outside", location=lambda *_: "/artifacts/../../outside"),
    "a redirect of a release that is not there": redirect(version=lambda *_: "9.9.9"),
    "a redirect to another version's bytes": redirect(key=of_older("key"), location=of_older("location")),
    "a redirect with another version's hash": redirect(
        key=of_older("key"), location=of_older("location"), sha256=of_older("sha256"), size_bytes=of_older("size_bytes")
    ),
    "no redirects": rewrite(REDIRECTS, lambda value: value.update(rows=[])),
    "a head's document that is another release's": copy_document(f"{V2}/1.8.2.json", LATEST),
    "a release's document that is another's": copy_document(f"{V2}/1.8.2.json", f"{V2}/1.8.3.json"),
    "a head's document of V1 that is another release's": copy_document(f"{V1}/releases/1.8.2.json", f"{V1}/releases/latest.json"),
    "a release's document of V1 that is another's": copy_document(f"{V1}/releases/1.8.2.json", f"{V1}/releases/1.8.3.json"),
    "a document of V1 by platform that is another's": rewrite(
        SITE, lambda site: site["v1"]["latest"][0].update(windows=site["v1"]["latest"][0]["macos"])
    ),
    "links of V1 to elsewhere": rewrite(f"{V1}/downloads/links.json", lambda links: links["latest"].update(windows="//evil.example/")),
    "no table of active releases": missing(ACTIVE),
    "an active document with another hash": chosen(lambda text: text.replace("sha256:", "sha256:0", 1)),
    "an active document of another release": chosen(lambda text: text.replace('"version":"1.', '"version":"0.')),
    "an active release that is not there": rewrite(ACTIVE, lambda table: table["releases"][-1].update(version="9.9.9")),
    "an active release that is recalled": rewrite(ACTIVE, lambda table: table["releases"].insert(0, active_of("1.7.9"))),
    "an active document that is not the highest's": rewrite(ACTIVE, lambda table: table["releases"].pop()),
}


def prebuild(where: pathlib.Path) -> None:
    """Two good sites, `a` and `b`."""
    example(where)
    shutil.copytree(where / "dist", where / "a")
    compile_in(where, "promote", "1.9.0-beta.1", "stable")
    compile_in(where, "build")
    shutil.copytree(where / "dist", where / "b")
    os.rename(where / "dist", where / "first")
    os.symlink("first", where / "dist")


def put(where: pathlib.Path, name: str, damage=None) -> None:
    """Puts a copy of a site in place, damaged, in one step: `dist` is a link."""
    coming = pathlib.Path(tempfile.mkdtemp(dir=where))
    shutil.copytree(where / name, coming, dirs_exist_ok=True)
    if damage:
        damage(coming)
    going = (where / "dist").resolve()
    os.symlink(coming.name, where / "link")
    os.rename(where / "link", where / "dist")
    shutil.rmtree(going)


def answers(edge: Edge) -> list[Answer]:
    """Everything that the edge says now, also compressed, without the date."""
    asked = [(target, accept) for target in TARGETS for accept in ["identity", "gzip", "br"]]
    found = [Answer(*get(edge.address, target, f"Accept-Encoding: {accept}", timeout=5)) for target, accept in asked]
    for answer in found:
        answer.headers.pop("date", None)
    return found


def served(edge: Edge) -> str:
    """The short id of the snapshot that answers."""
    return get(edge.address, TARGETS[0])[1]["x-release-snapshot"]


def refusals(edge: Edge) -> float:
    return edge.metrics()['agent_releases_reloads_total{result="refused"}']


def is_refused(where: pathlib.Path, edge: Edge, name: str, damage) -> str | None:
    """Puts a damaged site in place; what is wrong with how the edge takes it."""
    before, refused, snapshot = answers(edge), refusals(edge), served(edge)
    said = len(edge.events("snapshot refused, the last good one is kept"))
    put(where, name, damage)
    if QUICK:
        edge.signal(signal.SIGHUP)
    end = time.monotonic() + 3
    while refusals(edge) == refused and served(edge) == snapshot and time.monotonic() < end:
        time.sleep(0.01)
    if served(edge) != snapshot:
        return "it is taken up"
    if refusals(edge) == refused:
        return "no refusal is counted"
    if answers(edge) != before:
        return "the answers change"
    # The log is written by a thread of its own, a moment after the count.
    while not (lines := edge.events("snapshot refused, the last good one is kept")[said:]) and time.monotonic() < end:
        time.sleep(0.01)
    if not lines or not all(line["level"] == "error" and line.get("error") for line in lines):
        return "no line of the log says so"
    return None


def is_taken(where: pathlib.Path, edge: Edge, name: str) -> None:
    """Puts a good site in place; it must answer soon."""
    snapshot = json.loads((where / name / INDEX).read_text())["id"][:16]
    put(where, name)
    if QUICK:
        edge.signal(signal.SIGHUP)
    until("a good snapshot is taken up", lambda: served(edge) == snapshot, 3)


def is_mended_in_place(where: pathlib.Path, edge: Edge, name: str) -> None:
    """A document comes after its index, as copying a folder may have it; nothing else tells the edge of it."""
    problem = is_refused(where, edge, name, truncate(LATEST))
    expect(problem is None, f"a document that is not there in full is refused, found: {problem}")
    shutil.copyfile(where / name / LATEST, where / "dist" / LATEST)
    snapshot = json.loads((where / name / INDEX).read_text())["id"][:16]
    until("what was mended in place is taken up", lambda: served(edge) == snapshot, 3)


def run() -> str:
    with folder() as where:
        prebuild(where)
        # What is put in place is never what answers already.
        wrong, name = [], "a"
        with Edge(where) as edge:
            for words, damage in CORRUPTIONS.items():
                problem = is_refused(where, edge, name, damage)
                if problem:
                    wrong.append(f"{words}: {problem}")
                    is_taken(where, edge, "b" if name == "a" else "a")
                is_taken(where, edge, name)
                name = "a" if name == "b" else "b"
            # The negative control: what makes the ids fit again is not what is refused.
            problem = is_refused(where, edge, name, edit_index(lambda index: index.update(generation=7)))
            expect(problem == "it is taken up", f"an undamaged change is taken up, found: {problem}")
            name = "a" if name == "b" else "b"
            is_mended_in_place(where, edge, name)
            name = "a" if name == "b" else "b"
            for which in ["one", "another"]:
                problem = is_refused(where, edge, name, truncate(LATEST))
                wrong += [f"{which} that is damaged at the same place: {problem}"] if problem else []
        expect(not wrong, "; ".join(wrong))
        return (
            f"{len(CORRUPTIONS)} corruptions, each refused, counted and logged; {len(TARGETS) * 3} answers the same before and "
            "after; each mended one taken up; an undamaged change (the negative control) taken up"
        )


prove("corruptions", "a damaged snapshot is never served: the last good one stays, a counter and a log line say so", run)
