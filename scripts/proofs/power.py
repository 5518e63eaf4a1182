"""Proves that a power cut tears nothing: what a disk holds at any moment of a run is mounted, and looked at.

The image of a loop device holds exactly what was sent to the device, and nothing of what the kernel still keeps in memory. What
a disk itself forgets or reorders although it was told to flush is not tried.
"""

import collections
import contextlib
import os
import pathlib
import shutil
import sys

from shared.common import PATH, QUICK, Wrong, apt_install, expect, prove
from shared.mounts import command, may_mount, mounted
from shared.scenarios import SCENARIOS, Case, in_memory
from shared.steps import GO_ON, SYNCS, Step, traced

MOMENTS = 10 if QUICK else 200
# Of the commands besides `publish`, in the long form.
MOMENTS_OF_OTHERS = 40
IMAGE_MIB = 24
# The journal is written when somebody asks, not by the clock, so that the image stands still while it is copied; and ext4 does
# not help a program that forgot to sync before it renamed, as other file systems do not.
OPTIONS = "loop,commit=900,noauto_da_alloc"


class Disk:
    """An ext4 file system in an image: the image holds what a disk would hold if the power went now."""

    def __init__(self, base: pathlib.Path):
        self.image, self.copy = base / "image", base / "copy"
        self.there, self.seen = base / "there", base / "seen"
        for place in (self.there, self.seen):
            place.mkdir()
        self.image.touch()
        os.truncate(self.image, IMAGE_MIB << 20)
        command(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image])

    def commit(self) -> None:
        """What the file system does by itself every few seconds: the journal, which holds names and sizes, is written."""
        with open(self.there / "unrelated", "ab") as file:
            file.write(b".")
            os.fsync(file.fileno())

    @contextlib.contextmanager
    def after_a_cut(self):
        """The folder as whoever boots finds it."""
        command(["cp", "--sparse=always", self.image, self.copy])
        with mounted(self.seen, "-o", "loop", self.copy):
            yield self.seen / self.trial

    def settle(self) -> None:
        """All that was done so far is on the disk."""
        command(["sync", "-f", self.there])

    @property
    def trial(self) -> pathlib.Path:
        return next(self.there.glob("*/trial")).relative_to(self.there)


class Cuts:
    """Looks at the disk at some of a run's steps: as it is, or after the journal was written."""

    def __init__(self, disk: Disk, case: Case, moments: int, commits: bool, syncs: bool = True):
        self.disk, self.case, self.commits, self.syncs = disk, case, commits, syncs
        case.again()
        self.total = len(traced(case.command, case.trial).steps)
        self.moments = {1 + number * (self.total - 1) // max(1, moments - 1) for number in range(moments)}
        self.wrong, self.ends = [], collections.Counter()

    def run(self) -> "Cuts":
        self.case.again()
        self.disk.settle()
        ended = traced(self.case.command, self.case.trial, self.at)
        expect(ended.code == 0, f"`{self.case.scenario.name}` is fine, found {ended.code}: {ended.err}")
        return self

    def at(self, step: Step):
        if step.number in self.moments:
            if self.commits:
                self.disk.commit()
            try:
                self.look()
            except Wrong as why:
                self.wrong.append(f"{self.case.scenario.name}, {step} of {self.total}: {why}")
        return 0 if step.name in SYNCS and not self.syncs else GO_ON

    def look(self) -> None:
        with self.disk.after_a_cut() as where:
            self.ends.update([" ".join(self.case.is_whole(where))])
            if self.syncs:
                self.case.run(where)
                self.case.is_finished(where)


def cuts(base: pathlib.Path, scenario, moments: int, control: bool) -> tuple[int, collections.Counter, list[str], int]:
    """How often the power was cut, what was found, what was wrong with it; and how often without syncs."""
    disk, torn = Disk(base), 0
    with mounted(disk.there, "-o", OPTIONS, disk.image):
        case = Case(disk.there, scenario)
        found = [Cuts(disk, case, moments // 2, commits).run() for commits in (False, True)]
        if control:
            without = Cuts(disk, case, moments, commits=True, syncs=False).run()
            torn = sum("target/" in why or "public/ is" in why for why in without.wrong)
            expect(torn, f"without fsync and syncfs, the negative control, the target is torn at least once: {without.wrong[:3]}")
    count = sum(len(each.moments) for each in found)
    return count, found[0].ends + found[1].ends, found[0].wrong + found[1].wrong, torn


def run() -> str:
    said, wrong, torn = [], [], 0
    scenarios = [scenario for scenario in SCENARIOS if not QUICK or scenario.name == "publish"]
    with in_memory() as base:
        for scenario in scenarios:
            place = base / scenario.name.replace(" ", "-")
            place.mkdir()
            is_publish = scenario.name == "publish"
            count, ends, found, without = cuts(place, scenario, MOMENTS if is_publish else MOMENTS_OF_OTHERS, is_publish)
            said.append(f"{scenario.name} {count}" + (f" ({', '.join(f'{n} {end}' for end, n in ends.items())})" if is_publish else ""))
            wrong, torn = wrong + found, torn + without
            shutil.rmtree(place)
    expect(not wrong, "\n  ".join([f"{len(wrong)} times with harm:", *wrong[:20]]))
    return (
        f"power cut at moments of {', '.join(said)}: on ext4, mounted after that, nothing torn, empty or dangling, and the next run "
        f"ended well; with fsync and syncfs left out (the negative control): {torn} torn"
    )


if may_mount():
    if not shutil.which("mkfs.ext4", path=PATH):
        apt_install("e2fsprogs")
    prove("power", "a power cut at any moment of a publish leaves no torn, empty or dangling document", run)
else:
    print("power: not tried, it takes a user who may mount")
    sys.exit(0 if QUICK else 1)
