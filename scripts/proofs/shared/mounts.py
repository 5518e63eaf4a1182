"""File systems of a proof's own, for whoever may mount."""

import contextlib
import os
import pathlib
import subprocess

from shared.common import PATH, expect


def may_mount() -> bool:
    return os.geteuid() == 0


@contextlib.contextmanager
def mounted(where: pathlib.Path, *options):
    """A file system at a folder, until the end of the block."""
    command(["mount", *options, where])
    try:
        yield where
    finally:
        command(["umount", where])


def remount(where: pathlib.Path, options: str) -> None:
    command(["mount", "-o", f"remount,{options}", where])


def command(words: list) -> None:
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PATH": PATH})
    expect(done.returncode == 0, f"{' '.join(map(str, words))} is possible: {done.stderr}")


def used_kib(where: pathlib.Path) -> int:
    found = os.statvfs(where)
    return (found.f_blocks - found.f_bfree) * found.f_frsize // 1024
