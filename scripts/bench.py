"""The measuring part of scripts/bench: medians of interleaved rounds, wall and processor seconds of whole processes."""
import datetime
import os
import pathlib
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

COMPILER, ROUNDS = str(pathlib.Path(sys.argv[1]).resolve()), int(sys.argv[2])
MAKE = str(pathlib.Path("scripts/make-collection").resolve())


def timed(command: list[str], folder: str) -> tuple[float, float, float]:
    """Wall seconds, processor seconds, and peak memory in MiB of one process."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = usage.ru_utime + usage.ru_stime if usage else after.ru_utime - before.ru_utime
    return wall, cpu, usage.ru_maxrss / 1024


def measure(releases: int) -> dict[str, list[tuple[float, float, float]]]:
    figures: dict[str, list[tuple[float, float, float]]] = {}
    with tempfile.TemporaryDirectory(dir="target") as folder:
        subprocess.run([MAKE, str(releases), f"{folder}/releases"], check=True)
        for _ in range(ROUNDS):
            shutil.rmtree(f"{folder}/dist", ignore_errors=True)
            shutil.rmtree(f"{folder}/copy", ignore_errors=True)
            os.mkdir(f"{folder}/copy")
            for name, command in [
                ("build, nothing there yet", [COMPILER, "build"]),
                ("cp -r of sources and site", ["cp", "-r", "releases", "dist", "copy"]),
                ("build again, unchanged", [COMPILER, "build"]),
                ("check", [COMPILER, "check"]),
                ("plan, unchanged", [COMPILER, "plan"]),
            ]:
                figures.setdefault(name, []).append(timed(command, folder))
            extra = pathlib.Path(folder, "releases/9000.0.0.yaml")
            extra.write_text("version: 9000.0.0\nchannels: [stable, beta]\npublished_at: 2026-11-01T00:00:00Z\n")
            figures.setdefault("plan, one more release", []).append(timed([COMPILER, "plan"], folder))
            figures.setdefault("build, one more release", []).append(timed([COMPILER, "build"], folder))
            extra.unlink()
    return figures


def main() -> None:
    lines = [
        "# Measurements",
        "",
        f"`scripts/bench {ROUNDS}`, {datetime.date.today()}, {os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}.",
        f"Medians of {ROUNDS} interleaved rounds of whole processes. The machine is shared and its disk is not quiet, so the ratios",
        "say more than the seconds. Five artifacts a release; no artifact lies on the disk.",
        "",
        "| releases | what | wall s | × cp -r | processor s | memory MiB |",
        "|---|---|---|---|---|---|",
    ]
    for releases in [100, 1000, 10000]:
        figures = measure(releases)
        copies = figures["cp -r of sources and site"]
        for name, rounds in figures.items():
            wall, cpu, memory = (statistics.median(column) for column in zip(*rounds))
            ratio = statistics.median(ours[0] / theirs[0] for ours, theirs in zip(rounds, copies))
            lines.append(f"| {releases:,} | {name} | {wall:.3f} | {ratio:.2f} | {cpu:.3f} | {memory:.0f} |")
    pathlib.Path("docs").mkdir(exist_ok=True)
    pathlib.Path("docs/bench.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines[6:]))


main()
