"""Publishing to a bucket: `publish` beside `rclone sync` and `aws s3 sync` of the same tree, by requests, bytes and time."""

import os
import pathlib
import re
import shutil
import sys
import unittest.mock
from collections import Counter
from typing import NamedTuple

from common import COMPILER, ROOT, Limit, Section, Spent, folder, middle, run, spend, told
from counting import BUCKET, KINDS, VENV, Proxy, counted_store

RELEASES = 1000
# Of the release that is added: so many files of so many bytes.
FILES = {"windows-x86_64": b"\xd0\xcf\x11\xe0", "macos-arm64": b"xar!", "macos-x86_64": b"xar!"}
SIZE = 1 << 20
ADDED, YANKED = "1000.0.0", "3.9.18"
MOST_ROUNDS = 3
STEPS = ["first", "unchanged", "one more release", "a yank", "a rollback"]
OURS, RCLONE, AWS = "publish", "rclone sync --checksum --fast-list", "aws s3 sync --delete"
LIMITS = {"documents": 30, "bookkeeping": 4, "reads of metadata": 2, "artifacts": len(FILES)}


class Cost(NamedTuple):
    """What a step took."""

    kinds: Counter[str]
    sent: int
    spent: Spent


def collection(where: pathlib.Path) -> None:
    """A collection whose artifacts hold their own names, which is what their hashes are of."""
    run(where, sys.executable, ROOT / "scripts/make-collection", RELEASES, where / "releases")
    for manifest in (where / "releases").glob("[0-9]*.yaml"):
        text = manifest.read_text()
        artifact = re.compile(r"(filename: (\S+)\n +size_bytes: )\d+(\n +sha256: (\S+))")
        for _, name, _, sha256 in artifact.findall(text):
            (where / "artifacts" / sha256).mkdir(parents=True)
            (where / "artifacts" / sha256 / name).write_text(name)
        manifest.write_text(artifact.sub(lambda found: f"{found[1]}{len(found[2])}{found[3]}", text))


def tree(where: pathlib.Path) -> None:
    """What the others copy: the documents and artifacts of the sources as they are, untouched files with their old times."""
    run(where, COMPILER, "build")
    shutil.rmtree(where / "tree", ignore_errors=True)
    shutil.copytree(where / "dist/public", where / "tree/public", ignore=shutil.ignore_patterns("*.gz", "*.br"))
    shutil.copytree(where / "artifacts", where / "tree/artifacts", ignore=shutil.ignore_patterns(".hashes.json"))


def change(where: pathlib.Path, step: str) -> None:
    """The sources of a step; a rollback's are those before the yank."""
    if step == "one more release":
        for platform, beginning in FILES.items():
            (where / f"{platform}.bin").write_bytes(beginning + os.urandom(SIZE - 4))
        files = [f"{platform}={platform}.bin" for platform in FILES]
        run(where, COMPILER, "add", ADDED, *files, "--channel", "stable")
    if step == "a yank":
        run(where, COMPILER, "yank", YANKED, "--reason", "loses its settings")
    if step == "a rollback":
        run(where, COMPILER, "yank", YANKED, "--undo")


def commands(name: str, prefix: str, step: str) -> list[object]:
    if name == RCLONE:
        return [VENV / "bin/rclone", "sync", "--checksum", "--fast-list", "tree", f"store:{BUCKET}/{prefix}"]
    if name == AWS:
        return [VENV / "bin/aws", "s3", "sync", "--delete", "--only-show-errors", "tree", f"s3://{BUCKET}/{prefix}"]
    target = f"s3://{BUCKET}/{prefix}"
    if step == "a rollback":
        return [COMPILER, "rollback", target, "--reason", "it was fine", "--restore", YANKED, "--settle", "0"]
    return [COMPILER, "publish", target, "--settle", "0", "--out", "published"]


def measure(where: pathlib.Path, proxy: Proxy, number: int) -> dict[tuple[str, str], Cost]:
    """One round: every step with each of the three, which have a prefix of the bucket each."""
    costs = {}
    collection(where)
    for step in STEPS:
        change(where, step)
        tree(where)
        for at, name in enumerate([OURS, RCLONE, AWS]):
            told(f"publishing, round {number + 1}: {step}, {name}")
            proxy.reset()
            spent = spend(where, *commands(name, f"{number}-{at}", step))
            costs[step, name] = Cost(*proxy.taken(), spent)
    return costs


def publishing(rounds: int) -> Section:
    rounds = min(rounds, MOST_ROUNDS)
    section = Section(
        "Publishing",
        f"At most {MOST_ROUNDS} of the rounds, because requests do not vary. {RELEASES:,} releases with five small artifacts each are published to",
        f"SeaweedFS on this machine; then nothing changed; a release with {len(FILES)} installers of {SIZE >> 20} MiB is added; an old one is yanked;",
        "that is taken back. Beside it, `dist/public` and the artifacts are copied by programs that make a bucket like a folder. A",
        "proxy between them and the store counts what is asked.",
        "",
        "The others list the whole bucket every time, a request for every thousand objects; `publish` knows from the record of what",
        "is live, and asks the same however much is there. It sends more bytes: each changed document a second time, by its hash,",
        "for rollbacks; the record; and what edges read, the redirect map and the ledger, which grow with the history and are not",
        "in the tree of the others. New artifacts it reads back. Its seconds contain the build, and a real edge that is asked for",
        "every address before anything moves. The others write documents in any order, without a condition, and keep no way back.",
        "",
        "`aws s3 sync` removes `latest.json` here now and then, and uploads it again: it relies on listings in the order of bytes,",
        "and SeaweedFS lists `latest/` before it. On S3 itself it has no reason to.",
    )
    figures: dict[tuple[str, str], list[Cost]] = {}
    for number in range(rounds):
        with folder() as where, counted_store(where) as (proxy, variables), unittest.mock.patch.dict(os.environ, variables):
            for which, cost in measure(where, proxy, number).items():
                figures.setdefault(which, []).append(cost)
    rows = []
    for step in STEPS:
        for name in [OURS, RCLONE, AWS]:
            rows.append(row(section, step, name, figures[step, name]))
    section.table(["step", "with", "requests", *KINDS, "KiB sent", "wall s", "processor s", "limit", "holds"], rows)
    return section


def row(section: Section, step: str, name: str, costs: list[Cost]) -> list[object]:
    counts = {kind: middle([cost.kinds[kind] for cost in costs]) for kind in KINDS}
    promised = LIMITS if (step, name) == ("one more release", OURS) else {}
    promises = [(kind, counts[kind], Limit("≤", most)) for kind, most in promised.items()]
    cells = [step, "`rollback`" if (step, name) == ("a rollback", OURS) else f"`{name}`"]
    cells += [f"{count:,.0f}" for count in [sum(counts.values()), *counts.values()]]
    cells += [f"{middle([cost.sent for cost in costs]) / 1024:,.0f}"]
    cells += [f"{middle([cost.spent[at] for cost in costs]):.2f}" for at in (0, 1)]
    return cells + section.judge(f"{step}, {name}", *promises)
