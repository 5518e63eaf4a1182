"""The compiler beside `cp -r` of the same files: time, processor time and memory of whole processes."""

import sys

from common import COMPILER, ROOT, Section, Spent, folder, middle, ratio, run, spend, told

EXTRA = "version: 9000.0.0\nchannels: [stable, beta]\npublished_at: 2026-11-01T00:00:00Z\n"
FROM = ["--releases", "../releases"]
COPY = "cp -r of sources and site"


def measure(releases: int, rounds: int) -> dict[str, list[Spent]]:
    figures: dict[str, list[Spent]] = {}
    with folder() as where:
        run(where, sys.executable, ROOT / "scripts/make-collection", releases, where / "releases")
        for number in range(rounds):
            told(f"compiler, {releases:,} releases, round {number + 1} of {rounds}")
            # Each round has a place of its own: ext4 avoids what was deleted in the last minutes, one inode after the other,
            # and whoever makes files next would pay for it.
            place = where / f"round-{number}"
            (place / "copy").mkdir(parents=True)
            for name, command in [
                ("build, nothing there yet", [COMPILER, "build", *FROM]),
                (COPY, ["cp", "-r", "../releases", "dist", "copy"]),
                ("build again, unchanged", [COMPILER, "build", *FROM]),
                ("check", [COMPILER, "check", *FROM]),
                ("plan, unchanged", [COMPILER, "plan", *FROM]),
            ]:
                figures.setdefault(name, []).append(spend(place, *command))
            extra = where / "releases/9000.0.0.yaml"
            extra.write_text(EXTRA)
            # It ends with exit code 6: there are changes.
            figures.setdefault("plan, one more release", []).append(spend(place, COMPILER, "plan", *FROM, fine=6))
            figures.setdefault("build, one more release", []).append(spend(place, COMPILER, "build", *FROM))
            extra.unlink()
    return figures


def compiler(rounds: int) -> Section:
    section = Section(
        "The compiler",
        "Whole processes on both cores. The disk is not quiet, so the ratios say more than the seconds. Five artifacts a release;",
        "no artifact lies on the disk. Memory is the most that was resident, and no less than what the measuring program has.",
    )
    table = []
    for releases in [100, 1000, 10000]:
        figures = measure(releases, rounds)
        for name, spent in figures.items():
            beside = ratio([ours.wall for ours in spent], [theirs.wall for theirs in figures[COPY]])
            wall, cpu, mib = (middle(list(column)) for column in zip(*spent))
            table.append([f"{releases:,}", name, f"{wall:.3f}", f"{beside:.2f}", f"{cpu:.3f}", f"{mib:.0f}"])
    section.table(["releases", "what", "wall s", "× cp -r", "processor s", "memory MiB"], table)
    return section
