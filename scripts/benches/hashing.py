"""Hashing artifacts: `add` and `check --deep` beside `openssl dgst -sha256`, one file on one core and four files on both."""

import os
import pathlib
import shutil

from common import COMPILER, Limit, Section, Spent, folder, middle, ratio, run, spend, told

ONE_MIB, FOUR_MIB = 512, 256
# Level, as far as a run here can tell.
LEVEL = Limit("≤", 1.1)
PLATFORMS = ["windows-x86_64", "macos-arm64", "macos-x86_64", "linux-x86_64"]
OPENSSL_ONE = "openssl dgst -sha256 of it"
OPENSSL_FOUR = "xargs -P2 openssl dgst -sha256 of them"
CP = "cp of it, sync, openssl dgst -sha256 of the copy"
ADD = "add: hashes, copies, syncs, hashes the copy"
AS_ADD_DOES = "openssl dgst, cp, sync, openssl dgst of the copy"
Runs = dict[str, list[Spent]]


def write(file: pathlib.Path, mib: int) -> None:
    with file.open("wb") as out:
        for _ in range(mib):
            out.write(os.urandom(1 << 20))


def collection(where: pathlib.Path, files: int, mib: int) -> list[str]:
    """One release of so many files, added; the files."""
    (where / "releases").mkdir(parents=True)
    (where / "releases/catalog.yaml").write_text("product: BigAgent\nchannels: { stable: {} }\n")
    names = [f"BigAgent-{number}.bin" for number in range(files)]
    for name in names:
        write(where / name, mib)
    run(where, COMPILER, "add", "1.0.0", *(f"{platform}={name}" for platform, name in zip(PLATFORMS, names)))
    return names


def measure(one: pathlib.Path, four: pathlib.Path, rounds: int) -> Runs:
    """What each command spent; what lies unwritten on its way to the disk is written before it starts."""
    runs: Runs = {}
    [single], several = collection(one, 1, ONE_MIB), collection(four, 4, FOUR_MIB)
    openssl = ["openssl", "dgst", "-sha256", single]
    cp = ["sh", "-c", f"cp {single} copy && sync copy && openssl dgst -sha256 copy"]
    for number in range(rounds):
        told(f"hashing, round {number + 1} of {rounds}")
        shutil.rmtree(one / "artifacts", ignore_errors=True)
        (one / "releases/1.0.0.yaml").unlink()
        (one / "copy").unlink(missing_ok=True)
        for name, where, command in [
            (OPENSSL_ONE, one, openssl),
            (CP, one, cp),
            (ADD, one, [COMPILER, "add", "1.0.0", f"{PLATFORMS[0]}={single}"]),
            ("check --deep of it", one, [COMPILER, "check", "--deep"]),
            (OPENSSL_FOUR, four, ["sh", "-c", f"echo {' '.join(several)} | xargs -P2 -n1 openssl dgst -sha256"]),
            ("check --deep of them", four, [COMPILER, "check", "--deep"]),
        ]:
            os.sync()
            runs.setdefault(name, []).append(spend(where, *command))
    pairs = zip(runs[OPENSSL_ONE], runs[CP])
    runs[AS_ADD_DOES] = [Spent(one.wall + two.wall, one.cpu + two.cpu, max(one.mib, two.mib)) for one, two in pairs]
    return runs


def hashing(rounds: int) -> Section:
    section = Section(
        "Hashing",
        f"Whole processes on both cores; one file of {ONE_MIB} MiB, and four of {FOUR_MIB} MiB; they are in the system's memory.",
        "`check --deep` reads and hashes artifacts and writes nothing, so it is judged. `add` also stores a copy, waits until it",
        "is on the disk, and hashes it too, so it stands beside commands that do the same one after the other; how long that",
        "takes is the disk's.",
    )
    with folder() as where:
        runs = measure(where / "one", where / "four", rounds)
    one, four = f"one file of {ONE_MIB} MiB", f"four files of {FOUR_MIB} MiB"
    table = []
    for files, name, beside, promised in [
        (one, OPENSSL_ONE, OPENSSL_ONE, False),
        (one, "check --deep of it", OPENSSL_ONE, True),
        (one, AS_ADD_DOES, AS_ADD_DOES, False),
        (one, ADD, AS_ADD_DOES, False),
        (four, OPENSSL_FOUR, OPENSSL_FOUR, False),
        (four, "check --deep of them", OPENSSL_FOUR, True),
    ]:
        wall = ratio([spent.wall for spent in runs[name]], [spent.wall for spent in runs[beside]])
        cpu = ratio([spent.cpu for spent in runs[name]], [spent.cpu for spent in runs[beside]])
        cells = [files, name, *(f"{middle([spent[column] for spent in runs[name]]):.3f}" for column in (0, 1))]
        cells += [f"{wall:.2f}", f"{cpu:.2f}", f"{middle([spent.mib for spent in runs[name]]):.0f}"]
        promises = [("wall", wall, LEVEL), ("processor", cpu, LEVEL)] if promised else []
        table.append(cells + section.judge(f"{files}, {name}", *promises))
    columns = ["what", "command", "wall s", "processor s", "× openssl …, wall", "× openssl …, processor"]
    section.table([*columns, "memory MiB", "limit", "holds"], table)
    return section
