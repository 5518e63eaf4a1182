"""Proves that a killed run leaves the whole old state or the whole new one, and that the next run needs no help."""

import collections
import contextlib
import errno
import json
import shutil
import subprocess

from shared.common import COMPILER, QUICK, Edge, Wrong, expect, prove
from shared.scenarios import SCENARIOS, Case, address, in_memory
from shared.steps import GO_ON, KILL, Step, traced

# Of each scenario, in the short form.
QUICK_KILLS = 5
CONTROL_KILLS = 12 if QUICK else 40
TREES = ("dist", "mirror", "target/public")
# Copying in place removes nothing, so it says nothing of `prune`.
WITH_CONTROL = [scenario.name for scenario in SCENARIOS if scenario.name != "prune"]


def spread(count: int, wanted: int | None) -> list[int]:
    """So many of the numbers from 1 on, evenly; all of them when nothing is said."""
    if not wanted or wanted >= count:
        return list(range(1, count + 1))
    return sorted({1 + number * (count - 1) // (wanted - 1) for number in range(wanted)})


def kill_at(number: int):
    return lambda step: KILL if step.number == number else GO_ON


def count_steps(case: Case, at=lambda _: GO_ON) -> list[Step]:
    case.again()
    ended = traced(case.command, case.trial, at)
    expect(ended.code == 0, f"`{case.scenario.name}` is fine when nothing is done to it, found {ended.code}: {ended.err}")
    case.is_whole()
    return ended.steps


def killed(case: Case, number: int) -> None:
    """Kills at a step, looks at what is left, and runs again."""
    case.again()
    ended = traced(case.command, case.trial, kill_at(number))
    expect(ended.code is None and len(ended.steps) == number, f"killed at step {number}, found {ended.code}")
    case.is_whole()
    can_be_served(case)
    case.run()
    case.is_finished()


def can_be_served(case: Case) -> None:
    """A real edge takes up what is there, straight or by a mirror that has nothing yet."""
    for site in ("dist", "mirror"):
        if (case.trial / site / "snapshot.json").exists():
            starts(case, site)
    for mirror in ("seen", "sent"):
        shutil.rmtree(case.base / mirror, ignore_errors=True)
    current = case.trial / "target/current"
    if current.exists() and (current := json.loads(current.read_text())) and (current["generation"] or "next" in current):
        command = [COMPILER, "follow", address(case.trial), "--once", "--out", case.base / "seen", "--artifacts", case.base / "sent"]
        done = subprocess.run(command, cwd=case.trial, capture_output=True, text=True)
        expect(done.returncode == 0, f"a new mirror finds all that it needs: {done.stderr}")
        starts(case, str(case.base / "seen"))


def starts(case: Case, site: str) -> None:
    with Edge(case.trial, artifacts=False, site=site) as edge:
        expect(edge.address, f"the edge starts on {site}")


def killed_between_renames(case: Case, number: int) -> None:
    """Where trees cannot be exchanged, a kill may leave parts of both; but the next run finishes what was begun."""
    case.again()
    traced(case.command, case.trial, lambda step: KILL if step.number == number else without_exchange(step))
    case.run()
    case.is_finished()


def without_exchange(step: Step):
    """A file system that cannot exchange two trees: the product then renames one part after the other, and says so."""
    return -errno.EINVAL if step.name == "renameat2" and step.path in TREES else GO_ON


def kill_everywhere(case: Case, kill, at=lambda _: GO_ON) -> tuple[int, list[str]]:
    """How often it was killed, and what was wrong afterwards."""
    steps = count_steps(case, at)
    numbers = spread(len(steps), QUICK_KILLS if QUICK else None)
    wrong = collections.defaultdict(list)
    for number in numbers:
        try:
            kill(case, number)
        except Wrong as why:
            wrong[str(why)].append(f"{steps[number - 1]} of {len(steps)}")
    name = case.scenario.name if kill is killed else f"{case.scenario.name} without an exchange"
    return len(numbers), [f"{name}: {why} [{len(at)} times, {at[0]}]" for why, at in wrong.items()]


def torn(case: Case, command: list, at=lambda _: GO_ON) -> int:
    """How often a program is caught that has no protection."""
    case.again()
    count, found = len(traced(command, case.trial, at).steps), 0
    for number in spread(count, CONTROL_KILLS):
        case.again()
        traced(command, case.trial, lambda step: KILL if step.number == number else at(step))
        with contextlib.suppress(Wrong):
            case.is_whole()
            continue
        found += 1
    return found


def controls(case: Case) -> int:
    """The new state copied over the old one in place, and trees that are not exchanged: both have to be caught."""
    part = case.scenario.parts[-1] if case.scenario.name != "add" else "releases"
    found = torn(case, ["/bin/cp", "-rT", case.base / "after" / part, case.trial / part])
    expect(found, f"`{case.scenario.name}` by copying in place, the negative control, is caught")
    if case.scenario.name == "publish":
        exchanged = torn(case, case.command, without_exchange)
        expect(exchanged, f"`{case.scenario.name}` without an exchange, the negative control, is caught")
        found += exchanged
    return found


def run() -> str:
    done, wrong, caught, between = [], [], 0, 0
    with in_memory() as base:
        for scenario in SCENARIOS:
            case = Case(base, scenario)
            kills, found = kill_everywhere(case, killed)
            done.append(f"{scenario.name} {kills}")
            wrong += found
            if scenario.name in ("build", "follow"):
                kills, found = kill_everywhere(case, killed_between_renames, without_exchange)
                between += kills
                wrong += found
            if scenario.name in (("publish", "yank") if QUICK else WITH_CONTROL):
                caught += controls(case)
    expect(not wrong, "\n  ".join([f"{len(wrong)} kinds of harm:", *wrong]))
    return (
        f"killed at {'some' if QUICK else 'each'} of the steps that change a file ({', '.join(done)}): whole-old or whole-new, an edge "
        f"started on it, and the next run waited for nobody, ended like one in peace, and left nothing behind; "
        f"killed {between} times where trees cannot be exchanged: the next run finished it; copied in place or not "
        f"exchanged (the negative controls): {caught} torn states were caught"
    )


prove("killed", "a killed build, publish, rollback, follow, add or yank leaves whole-old or whole-new; the next run needs no help", run)
