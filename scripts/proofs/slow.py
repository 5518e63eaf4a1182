"""Proves that a thousand clients that are slow on purpose slow down nobody else, and that those who never finish are cut off."""

# needs: slowhttptest
import subprocess
import time

from shared.common import QUICK, Edge, Load, add_artifact, example, expect, folder, need_descriptors, prove, until

CLIENTS, SECONDS = (200, 1) if QUICK else (1000, 40)
PROBE_MS = 250.0
TARGETS = ["/v2/agent-releases/latest.json", "/v2/agent-releases/latest/download?platform=windows"]
# Each attack, what it asks for, and its options of slowhttptest.
ATTACKS = {
    "headers": ("/v2/agent-releases/latest.json", ["-H", "-i", "3", "-x", "24", "-t", "GET"]),
    "bodies": ("/v2/agent-releases/latest.json", ["-B", "-i", "3", "-s", "8192", "-t", "POST"]),
    "reads of a document": ("/openapi.json", ["-X", "-k", "5", "-w", "10", "-y", "20", "-n", "3", "-z", "10"]),
    "reads of a download": ("", ["-X", "-w", "10", "-y", "20", "-n", "3", "-z", "10"]),
}


def attack(edge: Edge, options: list[str], target: str) -> subprocess.Popen:
    url = f"http://{edge.address[0]}:{edge.address[1]}{target}"
    # It probes on its own, with -p; what counts here is what our clients see.
    command = ["slowhttptest", *options, "-c", str(CLIENTS), "-r", "500", "-l", str(SECONDS), "-p", "5", "-v", "0", "-u", url]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def under(edge: Edge, options: list[str], target: str) -> tuple[float, float, dict[str, float]]:
    """A probe's p99 during an attack, the most connections that there were, and what the timeouts' counters grew by."""
    before, most = edge.metrics(), 0.0
    with Load(edge.address, TARGETS, clients=2, rate=100) as probe:
        process = attack(edge, options, target)
        end = time.monotonic() + SECONDS + 20
        while process.poll() is None and time.monotonic() < end:
            most = max(most, edge.metrics()["agent_releases_connections"])
            time.sleep(0.2)
        process.kill()
        process.wait()
    after = edge.metrics()
    expect(not probe.errors, f"nobody else is refused or cut: {len(probe.errors)} of {probe.answers}, {probe.errors[:3]}")
    kinds = ["head", "idle", "write"]
    grown = {kind: after[key] - before[key] for kind in kinds if (key := f'agent_releases_timeouts_total{{kind="{kind}"}}')}
    return probe.p99_ms(), most, grown


def run() -> str:
    need_descriptors(4096)
    with folder() as where:
        example(where)
        artifact = add_artifact(where, 32)
        told = []
        with Edge(where) as edge:
            for name, (target, options) in ATTACKS.items():
                p99, most, timeouts = under(edge, options, target or artifact.target)
                expect(p99 < PROBE_MS, f"under slow {name}, p99 stays below {PROBE_MS:g} ms, found {p99:.0f}")
                if name == "headers":
                    expect(most >= CLIENTS * 0.9, f"the attack holds {CLIENTS} connections, found {most:g}")
                    expect(QUICK or timeouts["head"] >= CLIENTS * 0.9, f"unfinished heads are cut off, counted: {timeouts}")
                told.append(f"{name}: p99 {p99:.1f} ms, {most:g} connections, cut off {sum(timeouts.values()):g}")
                until("they are all gone", lambda: edge.metrics()["agent_releases_connections"] == 0, 60)
            memory = edge.memory_mib()
        return f"{CLIENTS:,} slow clients for {SECONDS} s each; {'; '.join(told)}; memory at the end {memory:.0f} MiB"


prove("slow", "1,000 slow clients (slowhttptest): a probe's p99 < 250 ms; heads that never end are cut off", run)
