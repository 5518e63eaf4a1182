"""What access costs: the Active document beside a public one, tokens and cookies, and signing a link."""

import base64
import contextlib
import hashlib
import hmac
import pathlib
import re
import subprocess
import sys
import time

from common import ROOT, Limit, Section, ask, collection, folder, middle, ratio, told
from edge import DOCUMENT, cost
from servers import Edge

TOKEN = "agr_a-token-of-the-measurements"
BEARER = f"Authorization: Bearer {TOKEN}"
KEY, SECRET = "a-signing-key-of-32-bytes-or-more", "a-session-secret-of-32-bytes-or-more"
ACTIVE = "/api/agent/v1/releases/active"
BESIDE_DOCUMENT = Limit("≤", 3)
A_SIGNATURE = Limit("≤", 1, " µs")
AS_LONG = Limit("≤", 1.1, " × the first")


class Guarded(Edge):
    """An edge that knows a token, sessions, and a key to sign with."""

    def __init__(self, where: pathlib.Path, *arguments: object, **options):
        texts = {"tokens": f"bench {hashlib.sha256(TOKEN.encode()).hexdigest()}\n", "signing-keys": KEY, "session-secret": SECRET}
        files: list[object] = []
        for name, text in texts.items():
            file = where / name
            file.touch(mode=0o600)
            file.write_text(text)
            files += [f"--{name}", file]
        super().__init__(where, *files, *arguments, **options)


def cookie() -> str:
    """A session as Starlette signs it."""
    url64 = lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=")
    signed = base64.b64encode(b'{"user_guid": "usr_1"}') + b"." + url64(int(time.time()).to_bytes(4, "big"))
    key = hashlib.sha1(b"itsdangerous.Signersigner" + SECRET.encode()).digest()
    return f"Cookie: session={(signed + b'.' + url64(hmac.digest(key, signed, 'sha1'))).decode()}"


def signatures() -> dict[str, float]:
    """Microseconds for each of what criterion measures of signatures."""
    command = ["cargo", "bench", "--quiet", "--locked", "--bench", "signing", "--", "--noplot"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^(\S[^\n]*?)\s+time:\s+\[\S+ \S+ (\S+) (\S+) ", text, re.M)
    units = {"ps": 1e-6, "ns": 1e-3, "µs": 1.0, "us": 1.0, "ms": 1e3}
    return {name: float(value) * units[unit] for name, value, unit in found}


def access(rounds: int) -> Section:
    section = Section(
        "Access",
        "1,000 releases; processor time of the edge's process a request, as above. The Active document has five artifacts, so it",
        "carries five signatures. A public document is asked for with a token too, which is not looked at.",
    )
    asked = {"public document": (DOCUMENT, (BEARER,)), "Active, token": (ACTIVE, (BEARER,)), "Active, session": (ACTIVE, ())}
    seen: dict[str, list[float]] = {name: [] for name in asked}
    with folder() as where, contextlib.ExitStack() as stack:
        collection(where, 1000)
        edge = stack.enter_context(Guarded(where))
        asked["Active, session"] = (ACTIVE, (cookie(),))
        if ask(edge.address, ACTIVE, BEARER).count(b"&signature=") != 5:
            sys.exit("the Active document has not five signed links")
        for number in range(rounds):
            told(f"access, round {number + 1} of {rounds}")
            for name, (target, headers) in asked.items():
                seen[name].append(cost(edge, target, headers=headers)[0])
    table = []
    for name, micros in seen.items():
        gain = ratio(micros, seen["public document"])
        promise = [] if name == "public document" else [("", gain, BESIDE_DOCUMENT)]
        table.append([name, f"{middle(micros):.2f}", f"{gain:.2f}", *section.judge(name, *promise)])
    section.table(["answer", "µs a request", "× public document", "limit", "holds"], table)
    section.say("Signatures, as criterion measures them. How long it takes to refuse one does not tell how much of it is right.")
    table, first = [], 0.0
    for name, micros in signatures().items():
        first = micros if "first" in name else first
        limits = {"sign a link": ("", micros, A_SIGNATURE), "refuse a link, its last digit wrong": ("", micros / (first or 1), AS_LONG)}
        table.append([name, f"{micros:.3f}", *section.judge(name, *([limits[name]] if name in limits else []))])
    if len(table) != 3:
        sys.exit("criterion does not say what was expected")
    section.table(["what", "µs", "limit", "holds"], table)
    return section
