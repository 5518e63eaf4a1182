"""Proves that a full disk, a read-only one, a failing one, and no descriptors end a run clearly, and harm nothing."""

import collections
import contextlib
import errno
import os
import pathlib
import re
import resource
import subprocess

from shared.common import QUICK, Wrong, expect, prove
from shared.mounts import may_mount, mounted, remount, used_kib
from shared.scenarios import SCENARIOS, Case, in_memory
from shared.steps import GO_ON, SYNCS, Step, traced

WRITES = ("write", "pwrite64", "writev", "pwritev", "copy_file_range", "sendfile", "ftruncate", "fallocate")
MAKES = ("open", "openat", "mkdir", "mkdirat", "link", "linkat", "symlink", "symlinkat", "rename", "renameat", "renameat2")
# Cloning is tried, and copying comes next: its failure is nobody's.
OTHERS = ("ioctl",)
# What a publish says of its staged edge when that has no descriptors to speak with.
UNANSWERED = "no answer within"
QUICK_RUNS = 2
QUICK_SCENARIOS = ("build", "publish", "follow", "add")


def no_space(step: Step) -> bool:
    return step.name in WRITES + MAKES


def changes(step: Step) -> bool:
    return step.name not in SYNCS + OTHERS


def syncs(step: Step) -> bool:
    return step.name in SYNCS


def writes_or_syncs(step: Step) -> bool:
    return step.name in WRITES + SYNCS


def takes(step: Step) -> bool:
    """A runtime that gets no pair of sockets panics; the programs see to it before that there are enough descriptors."""
    return step.name != "socketpair"


class Fault:
    """What the system says from some step on, or at this one alone."""

    def __init__(self, what: str, number: int, concerns, lasts: bool, every: int = 1):
        self.what, self.number, self.concerns, self.lasts, self.every = what, number, concerns, lasts, every
        self.descriptors = concerns is takes

    def at(self, first: int):
        """Fails the concerned steps from this one on, or it alone."""

        def decide(step: Step):
            hit = step.number >= first if self.lasts else step.number == first
            return -self.number if hit and self.concerns(step) else GO_ON

        return decide


# Each step meets one of each kind; its other form, which differs in how the run cleans up, every fourth.
FAULTS = [
    Fault("disk full", errno.ENOSPC, no_space, lasts=True),
    Fault("disk full for a moment", errno.ENOSPC, no_space, lasts=False, every=4),
    Fault("read-only", errno.EROFS, changes, lasts=True),
    Fault("I/O error on sync", errno.EIO, syncs, lasts=False),
    Fault("I/O errors", errno.EIO, writes_or_syncs, lasts=True, every=4),
    Fault("no descriptors", errno.EMFILE, takes, lasts=True, every=4),
    Fault("no descriptors for a moment", errno.EMFILE, takes, lasts=False),
]


def harm(case: Case, fault: Fault, step: Step) -> tuple[str, int | None]:
    """Runs into a fault; what is wrong with how that ends, or nothing, and the exit code."""
    case.again()
    ended = traced(case.command, case.trial, fault.at(step.number), fault.descriptors, seconds=60)
    try:
        is_clear(ended.code, ended.err, fault.number, bool(step.path))
        ends = case.is_whole()
        expect(ended.code != 0 or set(ends) == {"new"}, f"a run that ends well has done its work, found {ends}")
        case.run()
        case.is_finished()
    except Wrong as wrong:
        return str(wrong), ended.code
    return "", ended.code


def is_clear(code: int | None, err: str, number: int, names_file: bool = True) -> None:
    """Ended well, or with a line that says what the system said and of which file; never by a panic."""
    words = os.strerror(number)
    expect(code is not None and "panicked" not in err and "Backtrace" not in err, f"no panic, found {code}: {err[-500:]}")
    expect(code in (0, 1, 5), f"exit code 0, 1 or 5, found {code}: {err[-500:]}")
    if code == 1:
        lines = [line for line in err.splitlines() if words in line or UNANSWERED in line]
        expect(lines, f"a line with `{words}`, found: {err[-500:]}")
        unnamed = [line for line in lines if not re.search(r"^[^ :]+: | [^ :]*/[^ :]*: ", line)]
        expect(not names_file or not unnamed, f"each line names the file, found: {unnamed}")


def at_each_step(case: Case) -> tuple[int, list[str]]:
    count, wrong = 0, collections.defaultdict(list)
    plans = {descriptors: steps_of(case, descriptors) for descriptors in (False, True)}
    for fault in FAULTS:
        steps = [step for step in plans[fault.descriptors] if fault.concerns(step)]
        for step in few(steps) if QUICK else steps[:: fault.every]:
            why, code = harm(case, fault, step)
            count += 1
            if why:
                wrong[fault.what, why[:40]].append(f"{why} [{step}, exit code {code}]")
    return count, [f"{case.scenario.name}: {what}: {len(said)} times, {said[0]}" for (what, _), said in wrong.items()]


def control(case: Case) -> int:
    """How often the new site is caught torn that is copied over the old one in place while the disk fills."""
    copy, found = ["/bin/cp", "-rT", case.base / "after/dist", case.trial / "dist"], 0
    case.again()
    steps = [step for step in traced(copy, case.trial).steps if no_space(step)]
    for step in steps[:: len(steps) // 5]:
        case.again()
        traced(copy, case.trial, FAULTS[0].at(step.number))
        with contextlib.suppress(Wrong):
            case.is_whole()
            continue
        found += 1
    expect(found, "a site that is copied in place, the negative control, is caught torn")
    return found


def steps_of(case: Case, descriptors: bool) -> list[Step]:
    case.again()
    return traced(case.command, case.trial, descriptors=descriptors).steps


def few(steps: list[Step]) -> list[Step]:
    return [steps[number * (len(steps) - 1) // QUICK_RUNS] for number in range(QUICK_RUNS)] if steps else []


# Shortages that are real.


def really(base: pathlib.Path, scenarios: list) -> tuple[str, list[str]]:
    """Few descriptors, little room, and a folder that is mounted read-only; in words, and what was wrong."""
    counts, wrong = collections.Counter(), []
    for scenario in scenarios:
        # An edge that gets no descriptors is waited for a while: not in the short form.
        ways = [] if QUICK and scenario.name == "publish" else [few_descriptors]
        ways += ([little_room, read_only] if may_mount() else [])
        for way in ways:
            place = base / f"{scenario.name}-{way.__name__}".replace(" ", "-")
            place.mkdir()
            try:
                counts[way.__name__.replace("_", " ")] += way(place, scenario)
            except Wrong as why:
                wrong.append(f"{scenario.name}, {way.__name__}: {why}")
    said = ", ".join(f"{count} with {way}" for way, count in counts.items())
    return said if may_mount() else f"{said} (a full disk and a read-only one take a user who may mount)", wrong


def ends_clearly(case: Case, number: int, names_file: bool = True, **how) -> int:
    """Runs with the shortage; the exit code."""
    try:
        done = subprocess.run(case.command, cwd=case.trial, capture_output=True, text=True, timeout=60, **how)
    except subprocess.TimeoutExpired:
        raise Wrong("it ends at all, found it waiting after 60 s") from None
    is_clear(done.returncode, done.stderr, number, names_file)
    case.is_whole()
    return done.returncode


def few_descriptors(place: pathlib.Path, scenario) -> int:
    """From those that it needs to begin, one more each time, until it has enough."""
    case, count, descriptors = Case(place, scenario), 0, 4
    while True:
        case.again()
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))  # noqa: E731
        if ends_clearly(case, errno.EMFILE, names_file=False, preexec_fn=limit) == 0:
            return count
        expect(descriptors < 100, "100 descriptors are enough")
        case.run()
        case.is_finished()
        descriptors, count = descriptors + 1, count + 1


def little_room(place: pathlib.Path, scenario) -> int:
    """From no room at all, 8 KiB more each time, until it is enough."""
    count, room = 0, 0
    with mounted(place, "-t", "tmpfs", "-o", "size=64m", "tmpfs"):
        case = Case(place, scenario)
        while True:
            case.again()
            remount(place, f"size={used_kib(place) + room}k")
            code = ends_clearly(case, errno.ENOSPC)
            remount(place, "size=64m")
            if code == 0:
                return count
            expect(room < 16384, "16 MiB are enough")
            case.run()
            case.is_finished()
            room, count = room + (64 if QUICK else 8), count + 1


def read_only(place: pathlib.Path, scenario) -> int:
    with mounted(place, "-t", "tmpfs", "tmpfs"):
        case = Case(place, scenario)
        case.again()
        remount(place, "ro")
        code = ends_clearly(case, errno.EROFS)
        remount(place, "rw")
        expect(code == 1, f"exit code 1 on a read-only disk, found {code}")
        case.run()
        case.is_finished()
    return 1


def run() -> str:
    done, wrong, caught = [], [], 0
    scenarios = [scenario for scenario in SCENARIOS if not QUICK or scenario.name in QUICK_SCENARIOS]
    with in_memory() as base:
        for scenario in scenarios:
            case = Case(base, scenario)
            caught += control(case) if scenario.name == "build" else 0
            count, found = at_each_step(case)
            done.append(f"{scenario.name} {count}")
            wrong += found
        real, found = really(base, scenarios)
        wrong += found
    expect(not wrong, "\n  ".join([f"{len(wrong)} kinds of harm:", *wrong]))
    return (
        f"a fault at {'some' if QUICK else 'each'} of the steps ({', '.join(done)}; disk full, read-only, I/O errors, no descriptors, "
        f"lasting or once), and really {real}: a line with the file and what the system said, exit code 1, whole-old or whole-new, "
        f"the next run ended well; copied in place on a full disk (the negative control): {caught} torn sites caught"
    )


PROMISE = "disk full, read-only, failing, or no descriptors at any step: a clear error, the old site intact, the next run works"
prove("no_disk", PROMISE, run)
