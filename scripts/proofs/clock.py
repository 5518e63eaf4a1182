"""Proves that steps of the wall clock, of days or years, disturb no connection, and that answers tell the new time."""

# needs: faketime
import email.utils
import pathlib
import time

from shared.common import QUICK, Connection, Edge, Load, Wrong, example, expect, folder, prove

DAY = 86_400
STEPS = [DAY, 0, -DAY, 3652 * DAY, 0] if QUICK else [DAY, 0, -DAY, 0, 3652 * DAY, 0, -3652 * DAY, 3652 * DAY, 1, -1, 0, 3600, 0]
SECONDS_TO_FOLLOW = 2.0
SECONDS_BETWEEN = 1.0 if QUICK else 3.0
# Below the 1,000 requests after which a connection ends by itself.
RATE, CLIENTS = 60, 4
LATEST = "/v2/agent-releases/latest.json"


def library() -> str:
    """The library that makes a process believe in another time."""
    found = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    expect(found, "libfaketimeMT.so.1 of the package faketime")
    return str(found[0])


class Clock:
    """The wall clock of an edge, stepped by writing a file; its monotonic clock and the times of files stay true."""

    def __init__(self, where: pathlib.Path):
        self.file, self.offset = where / "clock", 0
        self.step(0)
        self.env = {
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def step(self, offset: int) -> None:
        """So many seconds from the true time; the file is replaced whole."""
        self.offset = offset
        coming = self.file.with_suffix(".coming")
        coming.write_text(f"{offset:+d}")
        coming.rename(self.file)

    def is_told_by(self, date: str) -> bool:
        told = email.utils.parsedate_to_datetime(date).timestamp()
        return abs(told - (time.time() + self.offset)) <= 2


def follows(clock: Clock, edge: Edge) -> float:
    """Seconds until answers tell the clock's time."""
    start = time.monotonic()
    with Connection(edge.address) as connection:
        while not clock.is_told_by(date := connection.ask(LATEST).headers["date"]):
            expect(time.monotonic() - start < SECONDS_TO_FOLLOW, f"`Date` follows within {SECONDS_TO_FOLLOW:g} s, found {date}")
            time.sleep(0.02)
    return time.monotonic() - start


def run() -> str:
    with folder() as where:
        example(where)
        clock = Clock(where)
        seconds, wrong = [], []
        with Edge(where, "--idle-timeout", "60", env=clock.env) as edge, Connection(edge.address) as idle:
            idle.ask(LATEST)
            with Load(edge.address, [LATEST, "/v2/agent-releases"], CLIENTS, RATE) as load:
                for offset in STEPS:
                    clock.step(offset)
                    try:
                        seconds.append(follows(clock, edge))
                    except Wrong as error:
                        wrong.append(f"a step to {offset:+,} s: {error}")
                    time.sleep(SECONDS_BETWEEN)
                    age = edge.metrics()["agent_releases_snapshot_age_seconds"]
                    if not 0 <= age < 300:
                        wrong.append(f"a step to {offset:+,} s: the snapshot's age is {age:g} s")
            expect(idle.ask(LATEST).status == 200, "a connection that was idle all the time is kept")
        expect(not load.errors, f"no answer is lost: {len(load.errors)} of {load.answers}, {load.errors[:3]}")
        expect(load.connections == CLIENTS, f"no connection is dropped: {CLIENTS} clients needed {load.connections}")
        expect(not wrong, "; ".join(wrong))
        return (
            f"{len(STEPS)} steps of up to ten years, {load.answers:,} answers on {CLIENTS} connections: none lost, none dropped; "
            f"`Date` followed after at most {max(seconds):.2f} s"
        )


prove("clock", "steps of the wall clock disturb no connection; `Date` follows within 2 s", run)
