"""Processor time a request, latency, and one core beside two: the edge, nginx, and a floor that parses nothing."""

import concurrent.futures
import contextlib
import json
import pathlib
import sys

from common import EDGE, EDGE_PGO, Limit, Load, Section, ask, collection, folder, load, load_all_counted, middle, ratio, told
from servers import Edge, Floor, Server, nginx_beside

DOCUMENT = "/v2/agent-releases/latest.json"
REDIRECT = "/v2/agent-releases/latest/download?channel=stable&platform=windows"
LIST = "/v2/agent-releases?page_size=50"
CONNECTIONS, SECONDS = 64, 1
BESIDE_NGINX = {
    "document": Limit("≤", 0.80, aim=0.75),
    "redirect": Limit("≤", 1.0, aim=0.95),
    "version's redirect": Limit("≤", 1.0, aim=0.95),
}
BESIDE_FLOOR = Limit("≤", 1.3, aim=1.2)
PAGE_BESIDE_DOCUMENT = Limit("≤", 2.5)
P99_BESIDE_NGINX = Limit("≤", 1.0)
TWO_CORES_BESIDE_ONE = Limit("≥", 1.8)
# At the other sizes, only what could grow with the collection.
FEW = ["document", "redirect", "version's redirect", "list page of 50", "list page in the middle"]
ONE, TWO = "one core", "both cores"
TWINS, UNCROSSED = "two edges, a core each", "one core, all clients on it"
# Each client's connections: so many that the server's work never ends.
EACH = 128
Figures = dict[tuple[str, str], list[float]]


def editions() -> dict[str, pathlib.Path]:
    """The edge as cargo builds it, and as it is released where that has been built."""
    return {"cargo build": EDGE, **({"as released": EDGE_PGO} if EDGE_PGO.exists() else {})}


def answers(address: str, releases: int) -> dict[str, str]:
    """What is asked, by its name; the middle page is where its cursor says."""
    found, target = 0, LIST
    while found < releases // 3:
        page = json.loads(ask(address, target).partition(b"\r\n\r\n")[2])
        found += len(page["data"])
        target = f"{LIST}&cursor={page['next_cursor']}"
    return {
        "document": DOCUMENT,
        "query": "/v2/agent-releases/latest?channel=stable",
        "redirect": REDIRECT,
        "version's redirect": "/v2/agent-releases/1.2.3/download?platform=windows",
        "list page of 50": LIST,
        "list page in the middle": target,
        "404": "/v2/agent-releases/999.0.0",
    }


def cost(server: Server, target: str, fine: bool = True, **options) -> tuple[float, Load]:
    """Processor microseconds of the server for each request."""
    before = server.cpu_seconds()
    seen = load(server.address, target, fine=fine, **{"connections": CONNECTIONS, "seconds": SECONDS, **options})
    if seen.failures:
        sys.exit(f"{target}: {seen.failures} of {seen.requests} requests failed")
    return (server.cpu_seconds() - before) / seen.requests * 1e6, seen


def measure_costs(releases: int, rounds: int) -> Figures:
    """Microseconds by answer and server."""
    figures: Figures = {}
    with folder() as where, contextlib.ExitStack() as stack:
        collection(where, releases)
        edges = {name: stack.enter_context(Edge(where, program=program)) for name, program in editions().items()}
        first = edges["cargo build"]
        every = answers(first.address, releases)
        asked = {name: target for name, target in every.items() if releases == 1000 or name in FEW}
        nginx = stack.enter_context(nginx_beside(first, where, DOCUMENT, REDIRECT))
        floors = {name: stack.enter_context(Floor(where, ask(first.address, target))) for name, target in asked.items()}
        for number in range(rounds):
            told(f"edge, {releases:,} releases, round {number + 1} of {rounds}")
            for name, target in asked.items():
                servers = edges | ({"nginx": nginx} if name in BESIDE_NGINX else {}) | {"floor": floors[name]}
                for server, running in servers.items():
                    # The floor answers 404 too: it has the bytes of the edge's answer.
                    figures.setdefault((name, server), []).append(cost(running, target, fine=name != "404")[0])
    return figures


def rows(section: Section, releases: int, figures: Figures) -> list[list[object]]:
    """A row for each answer and edition, its figures judged."""
    rows = []
    for (name, edition), ours in figures.items():
        if edition not in editions():
            continue
        nginx, floor = figures.get((name, "nginx")), figures[(name, "floor")]
        to_nginx = ratio(ours, nginx) if nginx else 0.0
        to_floor, to_document = ratio(ours, floor), ratio(ours, figures[("document", edition)])
        promises = [("nginx", to_nginx, BESIDE_NGINX[name]), ("floor", to_floor, BESIDE_FLOOR)] if nginx else []
        promises += [("document", to_document, PAGE_BESIDE_DOCUMENT)] if name.startswith("list page") else []
        micros = [f"{middle(ours):.2f}", f"{middle(nginx):.2f}" if nginx else "", f"{middle(floor):.2f}"]
        ratios = [f"{to_nginx:.2f}" if nginx else "", f"{to_floor:.2f}", f"{to_document:.2f}"]
        cells = [f"{releases:,}", name, edition, *micros, *ratios]
        rows.append(cells + section.judge(f"{name} at {releases:,} releases, {edition}", *promises))
    return rows


def edge(rounds: int) -> Section:
    section = Section(
        "The edge: processor time a request",
        f"Of the server's process, all threads, user and system. The server has one core, the client (wrk, {CONNECTIONS} connections kept)",
        "the other. The edge has its admin listener on and sends every header of its contract; nginx sends the same headers and",
        "document. nginx's redirects, one map of all that the collection has, carry the short HTML page that nginx always",
        "sends; the edge's are empty. The floor sends the edge's answer, byte for byte, to whatever arrives. A version's redirect",
        "is `/v2/agent-releases/1.2.3/download?platform=windows`; the middle page is asked for with its cursor.",
        *(["As released: the build of `scripts/release-edge`, guided by a profile."] if EDGE_PGO.exists() else []),
    )
    columns = ["releases", "answer", "edge", "edge µs", "nginx µs", "floor µs"]
    columns += ["× nginx", "× floor", "× document", "limit", "holds"]
    table = [row for releases in [100, 1000, 10000] for row in rows(section, releases, measure_costs(releases, rounds))]
    section.table(columns, table)
    return section


def latency(rounds: int) -> Section:
    """Half of all answers, and 99 of 100, with few and with many connections."""
    section = Section(
        "The edge: latency",
        "1,000 releases. The server has one core, the client the other. Under full load each connection asks again as soon as it",
        "is answered: how long requests wait in line when there are more than the server can take. The line is mean × rate: so many",
        "of the connections wait where the client counts it. Under full load that client is h2load, which counts from one answer to",
        "the next, so its line is all of them. wrk would read all answers that have come before it asks again, and leave that time",
        "out: a server that answers in large batches, as nginx does, hides up to half of each round there. With pauses, where that",
        "does not matter, it is wrk, and each connection waits at random before it asks again.",
    )
    kinds = {
        "64, full load": lambda address, target: load_all_counted(address, target, 64, 2),
        "1,000, full load": lambda address, target: load_all_counted(address, target, 1000, 2),
        "64, pauses of up to 4 ms": lambda address, target: load(address, target, 64, 2, pause_ms=4),
        "1,000, pauses of up to 100 ms": lambda address, target: load(address, target, 1000, 2, pause_ms=100),
    }
    seen: dict[tuple[str, str, str], list[Load]] = {}
    with folder() as where, contextlib.ExitStack() as stack:
        collection(where, 1000)
        servers: dict[str, Server] = {}
        for name, program in editions().items():
            servers[name] = stack.enter_context(Edge(where, program=program))
        servers["nginx"] = stack.enter_context(nginx_beside(servers["cargo build"], where, DOCUMENT, REDIRECT))
        for number in range(rounds):
            told(f"latency, round {number + 1} of {rounds}")
            for kind, loading in kinds.items():
                for name, target in [("document", DOCUMENT), ("redirect", REDIRECT)]:
                    for server, running in servers.items():
                        seen.setdefault((kind, name, server), []).append(loading(running.address, target))
    table = []
    for (kind, name, server), loads in seen.items():
        p99 = ratio([load.p99_ms for load in loads], [load.p99_ms for load in seen[(kind, name, "nginx")]])
        cells = [kind, name, server if server == "nginx" else f"edge, {server}"]
        cells += [f"{middle([load.p50_ms for load in loads]):.2f}", f"{middle([load.p99_ms for load in loads]):.2f}", f"{p99:.2f}"]
        cells += [f"{middle([load.rate for load in loads]):,.0f}"]
        cells += [f"{middle([load.mean_ms * load.rate / 1000 for load in loads]):,.0f}", sum(load.failures for load in loads)]
        promise = [] if server == "nginx" else [("", p99, P99_BESIDE_NGINX)]
        table.append(cells + section.judge(f"p99 of the {name} on {kind}, {server}", *promise))
    columns = ["connections", "answer", "server", "p50 ms", "p99 ms", "p99 × nginx", "requests/s", "line", "failures in all"]
    section.table([*columns, "limit", "holds"], table)
    return section


def cores(rounds: int) -> Section:
    """What a second core adds, for the same clients."""
    section = Section(
        "The edge: one core and two",
        "1,000 releases, the document. Capacity is cores ÷ processor seconds a request: what the edge could answer if its cores did",
        f"nothing else. The clients are the same in each row that is compared: two wrk on each core, {EACH} connections each. So as many",
        "exchanges cross from core to core with one core as with two; crossing costs more than the answer does, as the last row",
        "shows. Two edges of one core each, which share nothing, say what sharing costs.",
    )
    seen: dict[str, list[tuple[float, float]]] = {}
    with folder() as where, contextlib.ExitStack() as stack:
        collection(where, 1000)
        both = stack.enter_context(Edge(where, cpus="0,1"))
        first, second = (stack.enter_context(Edge(where, cpus=core)) for core in "01")
        layouts = {
            ONE: [(first, core) for core in "0011"],
            TWO: [(both, core) for core in "0011"],
            TWINS: [(edge, core) for edge in (first, second) for core in "01"],
            UNCROSSED: [(first, core) for core in "0000"],
        }
        for number in range(rounds):
            told(f"cores, round {number + 1} of {rounds}")
            for name, clients in layouts.items():
                seen.setdefault(name, []).append(together(clients))
    counts = {ONE: 1, UNCROSSED: 1, TWO: 2, TWINS: 2}
    capacity = {name: [counts[name] * 1e6 / micros for micros, _ in runs] for name, runs in seen.items()}
    table = []
    for name, runs in seen.items():
        gain = ratio(capacity[name], capacity[ONE])
        cells = [name, f"{middle([micros for micros, _ in runs]):.2f}", f"{middle(capacity[name]):,.0f}", f"{gain:.2f}"]
        cells += [f"{middle([rate for _, rate in runs]):,.0f}"]
        table.append(cells + section.judge("two cores beside one", *([("", gain, TWO_CORES_BESIDE_ONE)] if name == TWO else [])))
    section.table(["edge", "µs a request", "capacity, requests/s", "× one core", "rate seen, requests/s", "limit", "holds"], table)
    return section


def together(clients: list[tuple[Server, str]]) -> tuple[float, float]:
    """Processor microseconds of the servers for each request, and requests a second, with clients at the same time."""
    servers = {server.address: server for server, _ in clients}.values()
    before = sum(server.cpu_seconds() for server in servers)
    with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
        asked = [pool.submit(load, server.address, DOCUMENT, EACH, 2, cpus=core) for server, core in clients]
        loads = [one.result() for one in asked]
    spent = sum(server.cpu_seconds() for server in servers) - before
    if failures := sum(load.failures for load in loads):
        sys.exit(f"{DOCUMENT}: {failures} requests failed")
    return spent / sum(load.requests for load in loads) * 1e6, sum(load.rate for load in loads)


def memory(rounds: int) -> Section:
    """How soon it answers, and what it holds."""
    section = Section(
        "The edge: start-up and memory",
        "From the start of the process to the line `listening on …`, on both cores, every hash of the site checked. Memory is",
        "resident: after the start, and the most until then. The last row is after two seconds of 1,000 connections.",
    )
    table = []
    for releases, mib, ms in [(100, None, None), (1000, 64, 100), (10000, 256, 700)]:
        started, resident, most, under_load = [], [], [], []
        with folder() as where:
            collection(where, releases)
            for number in range(rounds):
                told(f"memory, {releases:,} releases, round {number + 1} of {rounds}")
                with Edge(where, cpus="0,1") as edge:
                    started.append(edge.seconds * 1000)
                    resident.append(edge.memory_mib("VmRSS"))
                    most.append(edge.memory_mib("VmHWM"))
                    if releases == 1000:
                        load(edge.address, DOCUMENT, 1000, 2)
                        under_load.append(edge.memory_mib("VmHWM"))
        promises = []
        if mib:
            promises = [("memory", middle(most), Limit("≤", mib, " MiB")), ("start", middle(started), Limit("≤", ms, " ms"))]
        cells = [f"{releases:,}", f"{middle(started):.0f}", f"{middle(resident):.1f}", f"{middle(most):.1f}"]
        table.append(cells + section.judge(f"{releases:,} releases", *promises))
        if under_load:
            promise = ("memory", middle(under_load), Limit("≤", 128, " MiB"))
            cells = [f"{releases:,}, 1,000 connections", "", "", f"{middle(under_load):.1f}"]
            table.append(cells + section.judge(f"{releases:,} releases under 1,000 connections", promise))
    section.table(["releases", "start ms", "memory MiB", "most MiB", "limit", "holds"], table)
    return section
