"""Measures what is asked for and writes it into docs/bench.md: write.py [ROUNDS] [--only THEME,…] [--out FILE]."""

import argparse
import datetime
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

from access import access
from common import ROOT, Section, run
from compiler import compiler
from edge import cores, edge, latency, memory
from hashing import hashing
from publish import publishing
from streaming import streaming

# The compiler and hashing come first: a process counts as large as the one that started it was, and this one grows.
THEMES = {
    "compiler": compiler,
    "hashing": hashing,
    "edge": edge,
    "access": access,
    "latency": latency,
    "cores": cores,
    "memory": memory,
    "streaming": streaming,
    "publish": publishing,
}
NOTES = """## What profiling showed

Most of a request's processor time is the kernel's, for the two system calls that no server can do without: the floor, which
parses nothing, spends little less than the servers that answer.
"""


def part(text: str, name: str) -> str:
    """What stands between the marks of a part."""
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.S)
    return found[1] if found else ""


def page(parts: dict[str, str]) -> str:
    """The whole page, each part between its marks."""
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    tools = [run(ROOT, "openssl", "version").split("(")[0].strip(), f"nginx {nginx_version()}", f"Linux {platform.release()}"]
    lines = [
        "# Measurements",
        "",
        "Written by `scripts/bench`; the last part, and only that, by hand. Every figure is the median of interleaved rounds, and",
        "every ratio the median of the ratios of each round. The machine is shared: seconds differ from day to day, ratios little.",
        "",
        f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, {', '.join(tools)}.",
        "",
    ]
    marked = [f"<!-- {name} -->\n{text.strip()}\n<!-- /{name} -->\n" for name, text in parts.items() if text]
    return "\n".join(lines) + "\n" + "\n".join(marked)


def nginx_version() -> str:
    """It says it on stderr."""
    return subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr.strip().rpartition("/")[2]


def dated(section: Section, rounds: int) -> str:
    title, _, rest = section.text().partition("\n")
    return f"{title}\n\n{rounds} rounds, {datetime.date.today()}.\n{rest.lstrip()}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures, and writes docs/bench.md.")
    parser.add_argument("rounds", nargs="?", type=int, default=9)
    parser.add_argument("--only", default=",".join(THEMES), metavar="THEME,…", help=f"only these of: {', '.join(THEMES)}")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "docs/bench.md", metavar="FILE", help="instead of docs/bench.md")
    options = parser.parse_args()
    wanted = options.only.split(",")
    if unknown := set(wanted) - set(THEMES):
        parser.error(f"no theme {', '.join(sorted(unknown))}; there are: {', '.join(THEMES)}")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("the server and its client need a core each")
    start = time.monotonic()
    before = options.out.read_text() if options.out.exists() else ""
    parts = {name: part(before, name) for name in THEMES} | {"notes": part(before, "notes") or NOTES}
    misses = []
    for name in (theme for theme in THEMES if theme in wanted):
        section = THEMES[name](options.rounds)
        print(section.text())
        misses += section.misses
        parts[name] = dated(section, options.rounds)
        options.out.write_text(page(parts))
    print(f"{options.out}: written after {time.monotonic() - start:.0f} s")
    if misses:
        sys.exit("does not hold:\n  " + "\n  ".join(misses))


main()
