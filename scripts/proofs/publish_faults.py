"""Proves that a publish to a bucket that fails anywhere leaves nothing dangling, and that one more run converges."""

import collections
import json
import pathlib
import random
import re
import signal
from typing import NamedTuple

from shared.common import QUICK, expect, folder, prove
from shared.publishing import NOW, PREFIX, TARGET, Ended, Scenario, Sources, claim_of, differences, expect_none, expect_sensible
from shared.publishing import in_parallel, is_tile, play, pointer, problems, publish_command, run_fresh
from shared.s3 import Asked, Fault, Stub

HEALED = ["reset", "reset after", "500", "500 after", "503", "cut request", "cut answer"]
KINDS = [*HEALED, "403", "409", "412", "kill", "kill after"]
# Whoever takes over has more to do than to claim: it is killed at one of so many requests from there on, so many times.
MOST_LATER, TURNS = 24, 2 if QUICK else 8
# So many cases of each kind in the short form.
SAMPLE = 2
LARGE = 20 << 20


class Case(NamedTuple):
    """A fault at a request of a scenario."""

    scenario: Scenario
    fault: Fault

    def __str__(self) -> str:
        asked = self.scenario.requests[self.fault.number - 1]
        return f"{self.scenario.name}, {self.fault.kind} at request {self.fault.number} ({asked.word()} {asked.key})"


def scenarios(where: pathlib.Path, stub: Stub) -> dict[str, Scenario]:
    first = Sources(where / "first")
    first.add("1.0.0")
    first.add("1.1.0")
    second = first.copy(where / "second")
    second.add("1.2.0")
    yanked = second.copy(where / "yanked")
    yanked.change("1.2.0", yanked="loses its settings")
    recalled = second.copy(where / "recalled")
    recalled.change("1.2.0", recalled="signed with a withdrawn certificate")
    back = ["rollback", TARGET, "1", "--reason", "crashes on start", *NOW, "--artifacts", str(second.where / "artifacts")]
    made = {"first publish": play(stub, where, "first publish", {}, publish_command(first))}
    one = dict(stub.objects)
    made["second publish"] = play(stub, where, "second publish", one, publish_command(second))
    two = dict(stub.objects)
    for name, command in [("yank", publish_command(yanked)), ("recall", publish_command(recalled)), ("rollback", back)]:
        made[name] = play(stub, where, name, two, command)
    if not QUICK:
        large = first.copy(where / "large")
        large.add("1.2.0", size=LARGE)
        made["large artifact"] = play(stub, where, "large artifact", one, publish_command(large))
    return made


# A fault at every request.


def cases(made: dict[str, Scenario]) -> list[Case]:
    """All of them; in the short form some of each kind."""
    every = []
    for scenario in made.values():
        numbers = range(1, len(scenario.requests) + 1)
        if scenario.name == "large artifact":
            numbers = [number for number in numbers if "artifacts" in scenario.requests[number - 1].key]
        every += [Case(scenario, Fault(kind, number)) for kind in KINDS for number in numbers]
    if not QUICK:
        return every
    rng = random.Random(1)
    return [case for kind in KINDS for case in rng.sample([case for case in every if case.fault.kind == kind], SAMPLE)]


def check(case: Case, stub: Stub, where: pathlib.Path) -> Ended:
    """The run with the fault, and one more without."""
    scenario, fault = case
    stub.forget(scenario.before, fault)
    ended = run_fresh(where, stub, scenario.command)
    after = stub.below(PREFIX)
    expect_none(problems(after), f"{case}, which ended with {ended.code}")
    is_live = pointer(after)["id"] == pointer(scenario.clean)["id"]
    if fault.kind.startswith("kill"):
        expect(ended.code in (-signal.SIGKILL, 0), f"{case}: killed, found {ended}")
    else:
        expect_sensible(ended, str(case))
        expect(is_live == (ended.code in (0, 5)), f"{case}: live {is_live}, exit code {ended.code}: {ended.err}")
    if ended.code == 0 and fault.kind not in ("409", "412"):
        expect_none(differences(scenario.clean, after), f"{case}, which ended well")
    expect(fault.kind not in HEALED or ended.code == 0, f"{case}: trying again mends it, found {ended}")
    # Whoever may not list goes on without.
    is_list = scenario.requests[fault.number - 1].word() == "GET?"
    says = "permission denied" in ended.err or ended.code == 5 or is_list and ended.code == 0
    expect(fault.kind != "403" or says, f"{case}: it says why, found {ended}")
    stub.forget()
    again = run_fresh(where, stub, scenario.command)
    expect(again.code == 0, f"{case}: one more run ends well, found {again}")
    now = stub.below(PREFIX)
    expect_none(problems(now) + differences(scenario.clean, now), f"{case}, and one more run")
    return ended


def check_kill_between(case: Case, stub: Stub, where: pathlib.Path, then: list[Scenario], turn: int) -> None:
    """The run is killed, and others follow: each but the last is killed somewhere after its claim, the last ends well.

    What comes last is not what the killed ones were about to publish.
    """
    stub.forget(case.scenario.before, case.fault)
    run_fresh(where, stub, case.scenario.command)
    for scenario in then[:-1]:
        number = claim_of(scenario) + random.Random(f"{case.fault.number} {turn}").randrange(MOST_LATER)
        stub.forget(fault=Fault("kill", number))
        killed = run_fresh(where, stub, scenario.command)
        what = f"{case}, then {scenario.name}, killed at request {number}"
        expect(killed.code in (-signal.SIGKILL, 0), f"{what}: is killed, found {killed}")
        expect_none(problems(stub.below(PREFIX)), what)
    stub.forget()
    last = run_fresh(where, stub, then[-1].command)
    expect(last.code == 0, f"{case}, then {then[-1].name} ends well, found {last}")
    now = stub.below(PREFIX)
    found = problems(now) + differences(then[-1].clean, now, leftovers=True)
    expect_none(found, f"{case}, then {', then '.join(scenario.name for scenario in then)}")


def abandoned(made: dict[str, Scenario], where: pathlib.Path, stub: Stub) -> tuple[list[Case], dict[str, list[Scenario]]]:
    """A second publish that is killed anywhere, and what comes after it in two ways."""
    second = made["second publish"]
    first_again = Sources(where / "first-again")
    first_again.add("1.0.0")
    first_again.add("1.1.0", notes_url="https://example.com/notes")
    other = first_again.copy(where / "other")
    other.change("1.0.0", notes_url="https://example.com/other")
    last = play(stub, where, "what was live", second.before, publish_command(Sources.at(where / "first")))
    changed = {"a note": first_again, "another": other}
    plays = [play(stub, where, name, second.before, publish_command(it)) for name, it in changed.items()]
    numbers = range(claim_of(second) + 1, len(second.requests) + 1)
    numbers = random.Random(2).sample(numbers, 2) if QUICK else numbers
    ways = {"one": [plays[0]], "the one before": [last], "two": [plays[1], last]}
    return [Case(second, Fault("kill", number)) for number in numbers], ways


# Faults that take time.


def check_timeout(case: Case, stub: Stub, where: pathlib.Path) -> None:
    """No answer at all: the program gives up after its own 60 s, and tries again. The short form closes before."""
    stub.forget(case.scenario.before, case.fault)
    if QUICK:
        stub.released.set()
    ended = run_fresh(where, stub, case.scenario.command)
    stub.released.set()
    expect(ended.code == 0, f"{case}: trying again mends it, found {ended}")
    now = stub.below(PREFIX)
    expect_none(problems(now) + differences(case.scenario.clean, now), str(case))


def check_outage(case: Case, stub: Stub, where: pathlib.Path) -> None:
    """From a request on everything fails."""
    stub.forget(case.scenario.before, case.fault)
    ended = run_fresh(where, stub, case.scenario.command)
    what = f"{case}, and ever after"
    expect_sensible(ended, what)
    after = stub.below(PREFIX)
    expect_none(problems(after), f"{what}, which ended with {ended.code}")
    is_live = pointer(after)["id"] == pointer(case.scenario.clean)["id"]
    expect(ended.code == (5 if is_live else 1), f"{what}: live {is_live}, exit code {ended.code}: {ended.err}")
    word = "permission denied" if case.fault.kind == "403" else "tried 6 times"
    expect(is_live or word in ended.err, f"{what}: says `{word}`, found {ended.err}")
    stub.forget()
    again = run_fresh(where, stub, case.scenario.command)
    now = stub.below(PREFIX)
    expect(again.code == 0, f"{what}, then one more run ends well, found {again}")
    expect_none(problems(now) + differences(case.scenario.clean, now), f"{what}, and one more run")


def spread(scenario: Scenario, kinds: list[str], some: int, lasts: bool = False) -> list[Case]:
    """Faults of these kinds at each request; in the short form at some."""
    every = [Case(scenario, Fault(kind, number + 1, lasts)) for kind in kinds for number in range(len(scenario.requests))]
    return random.Random(3).sample(every, some) if QUICK else every


# The control: a store that loses a write.


def check_lost(case: Case, stub: Stub, where: pathlib.Path) -> bool:
    """A write that is answered and not done is noticed: by the program, if it reads it back, else by this proof."""
    stub.forget(case.scenario.before, case.fault)
    ended = run_fresh(where, stub, case.scenario.command)
    now = stub.below(PREFIX)
    found = problems(now) + differences(case.scenario.clean, now)
    # The record lies among the objects for the time of the claim; afterwards nothing names it there.
    if not found and f"objects/{pointer(now)['record']}" not in now:
        return False
    expect(found, f"{case}: the checks of this proof see it (the control), and {ended} was the end")
    if "/artifacts/" in case.scenario.requests[case.fault.number - 1].key:
        expect(ended.code == 1 and pointer(now)["generation"] == 1, f"{case}: what is not there is not published, found {ended}")
    return ended.code != 0


def check_denied(scenario: Scenario, stub: Stub, where: pathlib.Path) -> None:
    """What may not be removed is named, the exit code says that something is pending, and one more run removes it."""
    number = next(number for number, asked in enumerate(scenario.requests, 1) if "artifacts/" in asked.key and asked.query == "delete")
    stub.forget(scenario.before, Fault("denied", number, lasts=True))
    ended = run_fresh(where, stub, scenario.command)
    words = "publish again, or remove it"
    expect(ended.code == 5 and words in ended.err, f"{scenario.name}: says `{words}` with 5, found {ended}")
    expect_none(problems(stub.below(PREFIX)), f"{scenario.name}, removal denied")
    stub.forget()
    expect(run_fresh(where, stub, scenario.command).code == 0, f"{scenario.name}: one more run removes it")
    expect_none(differences(scenario.clean, stub.below(PREFIX)), f"{scenario.name}, removal denied, and one more run")


def check_recalled(second: Scenario, recall: Scenario, stub: Stub, where: pathlib.Path) -> None:
    """A release is recalled whose publish was killed when its bytes were there: they are not there afterwards."""
    for number in [claim_of(second), claim_of(second) + 1]:
        stub.forget(second.before, Fault("kill", number))
        run_fresh(where, stub, second.command)
        sent = [key for key in stub.below(PREFIX) if key.startswith("artifacts/") and "1.2.0" in key]
        expect(sent, "the artifacts are there when the pointer is claimed (the control)")
        stub.forget()
        ended = run_fresh(where, stub, recall.command)
        expect(ended.code == 0, f"killed at request {number}, then recalled: ends well, found {ended}")
        left = [key for key in stub.below(PREFIX) if key in sent]
        expect(not left, f"killed at request {number}, then recalled: no bytes are left, found {left}")


# What a run without faults does.

# As promised, and written down here once more. What is offered anew, the redirects know first; what is withdrawn, last.
AHEAD = ["artifacts", "objects", "tiles", "claim", "versions", "lists"]
GROWS = [*AHEAD, "redirect map", "heads", "record", "current", "removal"]
SHRINKS = [*AHEAD, "heads", "removal of documents", "redirect map", "record", "current", "removal"]


def stage_of(asked: Asked, before: list[str]) -> str:
    """Of a write, by its key and what came before it."""
    key, is_done = asked.key.removeprefix(PREFIX), "current" in before
    if asked.method != "PUT":
        return "removal" if is_done else "removal of documents"
    if key == "current":
        return "current" if "claim" in before else "claim"
    for start_of_key, stage in [("artifacts/", "artifacts"), ("objects/", "objects"), ("snapshots/", "record")]:
        if key.startswith(start_of_key):
            return stage
    name = key.rsplit("/", 1)[1]
    if is_tile(key):
        return "tiles"
    if re.match(r"public/releases/(?!page/)[^/]+/", key):
        return "versions"
    if key.endswith((".html", ".atom")) or key.startswith("public/agent-"):
        return "heads"
    if key.startswith("private/"):
        return "redirect map"
    if "/latest/" in key or name in ("latest.json", "links.json"):
        return "heads"
    return "lists" if name in ("index.json", "openapi.json") else "versions"


def check_order(scenario: Scenario) -> int:
    """Writes come in the promised order; how many there are."""
    stages: list[str] = []
    for asked in scenario.requests:
        makes_pointer = asked.key.endswith("/current") and "if-none-match" in asked.condition
        is_write = asked.method in ("PUT", "DELETE") or asked.query == "delete"
        if is_write and asked.status < 300 and not makes_pointer:
            stages.append(stage_of(asked, stages))
    order = SHRINKS if scenario.name in ("recall", "rollback") else GROWS
    expect(stages == sorted(stages, key=order.index), f"{scenario.name}: in the order {order}, found {stages}")
    written = [stage for stage in stages if stage != "removal"]
    expect(written[-2:] == ["record", "current"], f"{scenario.name}: the record and the pointer come last, found {written[-2:]}")
    return len(stages)


def check_metadata(scenario: Scenario) -> int:
    """What is kept beside each object is what its record says; how many were compared."""
    objects = scenario.clean
    record = json.loads(objects[f"snapshots/{pointer(objects)['generation']}.json"].body)
    names = {"Content-Type": "content-type", "Cache-Control": "cache-control", "Content-Disposition": "content-disposition"}
    names["X-Release-Yanked"] = "x-amz-meta-yanked"
    for path, sha256, _, headers in record["files"]:
        wanted = {names[name]: value for name, value in record["headers"][headers].items() if name in names}
        key = "private/redirects.json" if path == "redirects.json" else path
        wanted["x-amz-meta-sha256"] = sha256
        expect(objects[key].headers == wanted, f"{key} has {wanted} beside it, found {objects[key].headers}")
        expect(path.startswith("private/") or path == "redirects.json" or "cache-control" in wanted, f"{key}: for caches")
    for key, sha256, _ in record["artifacts"]:
        wanted = {
            "content-type": "application/octet-stream",
            "cache-control": "public, max-age=31536000, immutable",
            "content-disposition": f'attachment; filename="{key.rsplit("/", 1)[1]}"',
            "x-amz-meta-sha256": sha256,
        }
        found = objects[f"artifacts/{key}"].headers
        expect(found == wanted, f"artifacts/{key} has {wanted} beside it, found {found}")
    return len(record["files"]) + len(record["artifacts"])


def bound(check, *more):
    """A check of a case as a task."""
    return lambda case: lambda stub, where: check(case, stub, where, *more)


def run() -> str:
    with folder() as where, Stub() as stub:
        made = scenarios(where, stub)
        writes = sum(check_order(scenario) for scenario in made.values())
        compared = sum(check_metadata(scenario) for scenario in made.values())
        second, recall = made["second publish"], made["recall"]
        check_denied(recall, stub, where)
        check_recalled(second, recall, stub, where)
        every = cases(made)
        ended = in_parallel(where, list(map(bound(check), every)))
        killed, ways = abandoned(made, where, stub)
        turns = [(then, turn) for then in ways.values() for turn in range(TURNS if len(then) > 1 else 1)]
        for then, turn in turns:
            in_parallel(where, list(map(bound(check_kill_between, then, turn), killed)))
        late = spread(second, ["hold", "hold after"], 2) + ([] if QUICK else spread(recall, ["hold", "hold after"], 0))
        in_parallel(where, list(map(bound(check_timeout), late)), at_once=2 if QUICK else 32)
        outages = spread(second, ["503", "403", "reset"], 3, lasts=True)
        in_parallel(where, list(map(bound(check_outage), outages)), at_once=4 if QUICK else 8)
        lost = [case for case in spread(second, ["lost"], 12) if second.requests[case.fault.number - 1].method == "PUT"]
        lost = [case for case in lost if second.requests[case.fault.number - 1].status == 200]
        noticed = in_parallel(where, list(map(bound(check_lost), lost)))
    requests = sum(len(scenario.requests) for scenario in made.values())
    codes = collections.Counter(one.code for one in ended if one.code >= 0)
    exits = ", ".join(f"{code} ({count:,})" for code, count in sorted(codes.items()))
    return (
        f"{len(made)} ways to publish, {requests} requests, {writes} writes in their order, {compared} objects with what is kept "
        f"beside them; {len(every):,} faults ({', '.join(KINDS)}): nothing dangled, exit codes {exits}, one more run ended like a "
        f"clean one; {len(turns) * len(killed)} times something else was published over killed ones; {len(late)} answers that never "
        f"came; {len(outages)} outages; {len(lost)} writes that a store lost (the control) were found, {sum(noticed)} by the "
        "program itself"
    )


prove("publish_faults", "a fault at any request of a publish to S3 leaves nothing dangling, and one more run converges", run)
