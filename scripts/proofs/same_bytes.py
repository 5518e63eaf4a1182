"""Proves that the same sources make the same bytes, whoever builds them, where, when and in which order."""

import hashlib
import itertools
import os
import pathlib
import random
import shutil
import subprocess

from shared.common import COMPILER, QUICK, ROOT, expect, folder, prove

BUILDS = 8 if QUICK else 100
RELEASES = 60
ZONES = ["UTC", "Asia/Kathmandu", "Pacific/Kiritimati", "America/St_Johns", "XYZ+25:59", ":broken/zone"]
LANGUAGES = ["C", "C.UTF-8", "tr_TR.UTF-8", "de_DE", "ar_EG.UTF-8", "nowhere"]
MASKS = [0o000, 0o022, 0o027, 0o077]
THREADS = [1, 2, 3, 8, 64]
NAMES = ["a", "a folder with spaces", "ünïcode-名前", "deep/er/and/deeper", "x" * 120]


def originals(where: pathlib.Path) -> None:
    """A collection with everything: the example, its artifacts, and random releases of all kinds."""
    for name in ["releases", "artifacts"]:
        shutil.copytree(ROOT / name, where / name)
    subprocess.run(["python3", ROOT / "scripts/make-collection", str(RELEASES), where / "more"], check=True, capture_output=True)
    for manifest in (where / "more").glob("*.yaml"):
        if manifest.name != "catalog.yaml" and not (where / "releases" / manifest.name).exists():
            shutil.move(manifest, where / "releases")
    (where / "releases" / ".ignored.swp").write_text("not a source")


def copy_in_order(origin: pathlib.Path, where: pathlib.Path, chance: random.Random) -> None:
    """Copies the sources in a random order, with random times; so their inodes and places in the folder differ, too."""
    files = [path for name in ("releases", "artifacts") for path in (origin / name).rglob("*") if path.is_file()]
    chance.shuffle(files)
    for path in files:
        to = where / path.relative_to(origin)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
        time = chance.randrange(0, 4_000_000_000)
        os.utime(to, (time, time))


def build(origin: pathlib.Path, where: pathlib.Path, chance: random.Random) -> tuple[str, str]:
    """One build in circumstances by chance; the snapshot's id, and the hash of every path and byte of the site."""
    copy_in_order(origin, where, chance)
    environment = {
        "PATH": os.environ["PATH"],
        "TZ": chance.choice(ZONES),
        "LANG": chance.choice(LANGUAGES),
        "LC_ALL": chance.choice([*LANGUAGES, ""]),
        "RAYON_NUM_THREADS": str(chance.choice(THREADS)),
        "HOME": chance.choice(["/nonexistent", "/root", ""]),
        "SOURCE_DATE_EPOCH": str(chance.randrange(2_000_000_000)),
        "USER": chance.choice(["root", "somebody", "名前"]),
    }
    # From inside, and from elsewhere by absolute or relative names.
    inside = chance.random() < 0.5
    base = pathlib.Path(".") if inside else chance.choice([where, pathlib.Path(os.path.relpath(where, origin))])
    command = [COMPILER, "build", "--releases", base / "releases", "--artifacts", base / "artifacts", "--out", base / "dist"]
    mask = chance.choice(MASKS)
    done = subprocess.run(command, cwd=where if inside else origin, env=environment, capture_output=True, text=True, umask=mask)
    expect(done.returncode == 0, f"a build with {environment} is fine, found {done.returncode}: {done.stderr[-600:]}")
    return identity(where / "dist")


def identity(site: pathlib.Path) -> tuple[str, str]:
    """What the program says that it is, and what it is."""
    digest = hashlib.sha256()
    for path in sorted(path for path in site.rglob("*") if path.is_file()):
        text = path.read_bytes()
        digest.update(f"{path.relative_to(site)}\0{len(text)}\0".encode() + text)
    index = (site / "snapshot.json").read_text()
    return index.split('"id":"')[1][:64], digest.hexdigest()


def run() -> str:
    with folder() as base:
        origin = base / "origin"
        origin.mkdir()
        originals(origin)
        found, names = set(), itertools.cycle(NAMES)
        for number in range(BUILDS):
            place = base / str(number) / next(names)
            place.mkdir(parents=True)
            found.add(build(origin, place, random.Random(number)))
            expect(len(found) == 1, f"builds 0 to {number} are all the same, found {found}")
            files = sum(path.is_file() for path in (place / "dist").rglob("*"))
            shutil.rmtree(base / str(number))
        (origin / "releases/1.8.3.yaml").write_text((origin / "releases/1.8.3.yaml").read_text().replace("24T", "23T", 1))
        (base / "other").mkdir()
        other = build(origin, base / "other", random.Random(1))
        is_other = all(one != same for one, same in zip(other, *found))
        expect(is_other, "a changed digit, the negative control, makes another id and other bytes")
        short = next(iter(found))[0][:16]
    return (
        f"{BUILDS} builds with varied TZ, LANG, LC_ALL, umask, folder, user, thread count, file order and times: one id ({short}), "
        f"and {files} files with the same names and bytes; a changed digit (the negative control) made another"
    )


prove("same_bytes", "same sources, same bytes: one id, on any machine", run)
