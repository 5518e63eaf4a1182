"""Proves that a new snapshot is taken up whole, within a second, under load, and that it costs no memory."""

import os
import pathlib
import shutil
import time

from shared.common import QUICK, Answer, Connection, Edge, Load, Wrong, collection, compile_in, expect, folder, percentile, prove, stored

RELEASES = 300
SECONDS_TO_SEE = 1.0
# A snapshot of 300 releases takes more than 1 MiB: one that is kept every time would be far above this.
GROWTH_MIB = 10.0
NEWEST = "1000.0.0"
TARGETS = [
    "/v2/agent-releases/latest.json",
    "/v2/agent-releases/latest",
    "/v2/agent-releases?page_size=3",
    f"/v2/agent-releases/{NEWEST}",
    "/v2/agent-releases/history/index.json",
    "/v2/agent-releases?channel=latest&sort_by=version",
    f"/v2/agent-releases/{NEWEST}.json",
    "/v2/agent-releases/latest/beta.json",
    f"/v2/agent-releases/{NEWEST}?channel=stable",
]


def write_newest(where: pathlib.Path, name: str) -> None:
    """The newest release as the site `a` or `b` has it; each of the targets then differs."""
    channels, day = ("[stable, beta]", 1) if name == "a" else ("[stable]", 2)
    lines = [
        f"version: {NEWEST}",
        f"channels: {channels}",
        f"notes_url: https://example.com/{name}",
        f"published_at: 2026-11-0{day}T00:00:00Z",
    ]
    (where / f"releases/{NEWEST}.yaml").write_text("\n".join([*lines, ""]))


def by_build(where: pathlib.Path, name: str) -> None:
    write_newest(where, name)
    # The time of a release is frozen; this proof is not about that.
    compile_in(where, "build", "--previous", "none")


def by_folder(where: pathlib.Path, name: str) -> None:
    """Between the two renames there is nothing."""
    shutil.copytree(where / name, where / "coming")
    os.rename(where / "dist", where / "going")
    os.rename(where / "coming", where / "dist")
    shutil.rmtree(where / "going")


def by_link(where: pathlib.Path, name: str) -> None:
    if not (where / "dist").is_symlink():
        shutil.rmtree(where / "dist")
    os.symlink(name, where / "coming")
    os.rename(where / "coming", where / "dist")


# The link comes last: the others want a folder.
WAYS = [(by_build, 4, 100), (by_folder, 8, 400), (by_link, 8, 500)]


def prebuild(where: pathlib.Path) -> dict[str, dict[str, Answer]]:
    """Two sites, `a` and `b`, and a copy of `a`; what each answers, by its short id."""
    known = {}
    for name in ["a", "b"]:
        by_build(where, name)
        shutil.copytree(where / "dist", where / name)
        with Edge(where, site=name) as edge:
            answers = stored(edge.address, TARGETS)
        for answer in answers.values():
            answer.headers.pop("connection", None)
        ids = {answer.headers["x-release-snapshot"] for answer in answers.values()}
        expect(len(ids) == 1, f"all answers of {name} have one id")
        known[ids.pop()] = answers
    first, second = known.values()
    for target in TARGETS:
        expect(first[target].body != second[target].body, f"{target} tells the snapshots apart")
    return known


def seen_after(connection: Connection, address: tuple[str, int], before: str) -> tuple[float, Connection]:
    """Seconds until another snapshot than before answers."""
    start = time.monotonic()
    while True:
        answer = connection.ask(TARGETS[0])
        if answer.headers.get("connection") == "close":
            connection = Connection(address)
        if answer.headers["x-release-snapshot"] != before:
            return time.monotonic() - start, connection
        expect(time.monotonic() - start < 20, "a new snapshot is taken up at all")
        time.sleep(0.005)


def run() -> str:
    with folder() as where:
        collection(where, RELEASES)
        known = prebuild(where)
        short_ids = dict(zip("ab", known))

        def judge(target: str, answer: Answer) -> None:
            headers = {name: value for name, value in answer.headers.items() if name not in ("date", "connection")}
            expected = known.get(answer.headers.get("x-release-snapshot", ""))
            if expected is None or expected[target] != answer._replace(headers=headers):
                raise Wrong("the answer is not that of the snapshot that it names")

        name, seconds, count = "b", [], 0
        total = sum(quick if QUICK else long for _, quick, long in WAYS)
        with Edge(where) as edge, Load(edge.address, TARGETS, clients=8, rate=600 if QUICK else 1000, judge=judge) as load:
            connection, memory = Connection(edge.address), 0.0
            for change, quick, long in WAYS:
                for _ in range(quick if QUICK else long):
                    name = "a" if name == "b" else "b"
                    other = short_ids["b" if name == "a" else "a"]
                    change(where, name)
                    took, connection = seen_after(connection, edge.address, other)
                    seconds.append(took)
                    count += 1
                    if count == total // 5:
                        memory = edge.memory_mib()
            end = edge.memory_mib()
            metrics = edge.metrics()
            connection.close()
        expect(not load.errors, f"no answer is lost, refused or mixed: {len(load.errors)} of {load.answers}, {load.errors[:3]}")
        late = [took for took in seconds if took > SECONDS_TO_SEE]
        expect(not late, f"each of {total} seen within {SECONDS_TO_SEE:g} s, later: {[round(took, 2) for took in late]}")
        expect(end - memory <= GROWTH_MIB, f"memory stays, found {memory:.1f} MiB, then {end:.1f}")
        accepted, refused = (metrics[f'agent_releases_reloads_total{{result="{word}"}}'] for word in ["accepted", "refused"])
        expect(accepted >= total, f"{total} reloads are counted, found {accepted:g}")
        ways = ", ".join(f"{quick if QUICK else long} {way.__name__.replace('_', ' ')}" for way, quick, long in WAYS)
        return (
            f"{total:,} reloads ({ways}), {load.answers:,} answers: 0 lost, 0 refused, 0 mixed; "
            f"seen after {percentile(seconds, 50):.2f} s, at most {max(seconds):.2f} s; "
            f"{refused:g} reads met the middle of a change and were done again; "
            f"memory {memory:.1f} MiB, at the end {end:.1f} MiB"
        )


prove("reload", "a new snapshot is taken up whole, within 1 s, under load; no reset, no 5xx, no mixture, no memory lost", run)
