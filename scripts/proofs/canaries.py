"""Proves that what a client tells in confidence comes out nowhere: in no log, metric or answer, and not in /proc."""

import pathlib

from shared.common import Edge, compile_in, example, expect, folder, get, prove, raw

CANARY = "CaNaRy4f1c"
LATEST = "/v2/agent-releases/latest.json"
HOST = "Host: proof.example"


def head(line: str, *fields: str) -> bytes:
    return "\r\n".join([line, *fields, "Connection: close", "", ""]).encode("latin-1")


def told_in_confidence() -> list[bytes]:
    """Requests with a secret where secrets are: credentials, cookies, signed parameters, bodies; well-formed and not."""
    c = CANARY
    fields = [
        f"Authorization: Bearer {c}",
        f"Authorization: Basic {c}",
        f"Authorization: {c}",
        f"Cookie: session={c}",
        f"Cookie: a=b; {c}={c}",
        f"Proxy-Authorization: Basic {c}",
        f"X-Api-Key: {c}",
        f"X-Original-URL: /?token={c}",
        f"X-Forwarded-Host: {c}.example",
        f"Referer: https://example.com/?token={c}",
        f"User-Agent: {c}",
        f'If-None-Match: "{c}"',
        f"Range: bytes={c}",
        f"Accept-Encoding: {c}",
        f"traceparent: 00-{c}-01",
        f"Origin: https://{c}.example",
        f"Content-Type: {c}",
        f"Upgrade: {c}",
        f"Expect: {c}",
        f"Transfer-Encoding: {c}",
        f"Content-Length: {c}",
        f"X-Big: {c * 2000}",
        f"Authorization: {c}\r\nAuthorization: {c}",
        f"{c}: x",
        f"X {c}: x",
        c,
        f"X: \x00{c}",
        f" folded {c}",
    ]
    targets = [
        f"{LATEST}?signature={c}",
        f"/v2/agent-releases?token={c}&page_size=2",
        f"/v2/agent-releases/latest/download?platform=windows&signature={c}&expires=1",
        f"/nothing?token={c}",
        f"/nothing?{c}",
        f"/nothing?{c}=x",
        f"/?s%69gnature={c}",
        f"/v2/agent-releases?page_size=0&token={c}",
        f"http://user:{c}@proof.example{LATEST}",
        f"http://{c}.example{LATEST}",
        f"/?access_token={c}#fragment",
        f"/api/agent/v1/releases/active?token={c}",
        f"/{'a' * 3000}?token={c}",
        f"/v2/agent-releases/%zz?token={c}",
    ]
    requests = [head(f"GET {LATEST} HTTP/1.1", HOST, field) for field in fields]
    requests += [head(f"GET {target} HTTP/1.1", HOST) for target in targets]
    requests += [
        head(f"{method} /nothing?token={c} HTTP/1.1", HOST) for method in ["HEAD", "OPTIONS", "POST", "TRACE", "CONNECT", "get"]
    ]
    requests += [
        head(f"GET {LATEST} HTTP/1.1", f"Host: user:{c}@proof.example"),
        head(f"GET {LATEST} HTTP/9.9", f"Cookie: {c}"),
        head(f"GET {LATEST}", f"Cookie: {c}"),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + c.encode() + b"\r\n\r\n",
        f"POST {LATEST} HTTP/1.1\r\n{HOST}\r\nContent-Length: 10\r\n\r\n{c}".encode(),
        f"POST {LATEST} HTTP/1.1\r\n{HOST}\r\nTransfer-Encoding: chunked\r\n\r\na;{c}\r\n{c}\r\n0\r\n{c}: x\r\n\r\n".encode(),
    ]
    return requests


def found_in(text: str | bytes) -> bool:
    plain = text if isinstance(text, str) else text.decode("latin-1")
    return CANARY.lower() in plain.lower()


def search(where: pathlib.Path, *arguments: str) -> int:
    """Asks an edge all of it, and looks everywhere; how many requests there were."""
    requests = told_in_confidence()
    with Edge(where, *arguments) as edge:
        for request in requests:
            answer = raw(edge.address, request)
            expect(not found_in(answer), f"{request[:200]!r} is answered without its secret, found {answer!r}")
        _, _, metrics = get(edge.admin, "/metrics")
        expect(not found_in(metrics), "no secret in the metrics")
        for request in requests[:5]:
            expect(not found_in(raw(edge.admin, request)), "no secret in the admin address's answers")
        process = pathlib.Path(f"/proc/{edge.pid}")
        for name in ["cmdline", "environ", "comm", "status"]:
            expect(not found_in((process / name).read_bytes()), f"no secret in /proc/PID/{name}")
        for task in process.glob("task/*/comm"):
            expect(not found_in(task.read_bytes()), "no secret in a thread's name")
        edge.stop()
        lines = [line for line in edge.log if found_in(line)]
        expect(not lines, f"no secret in the log, found {lines[:2]}")
    return len(requests)


def control(where: pathlib.Path) -> None:
    """The negative control: what stands in a path is no secret, and the same search finds it in the answer and the log."""
    with Edge(where, "--access-log") as edge:
        answer = raw(edge.address, head(f"GET /{CANARY} HTTP/1.1", HOST))
        edge.stop()
        expect(found_in(answer), "a path is told in the answer")
        expect(found_in("\n".join(edge.log)), "a path is told in the log")


def run() -> str:
    with folder() as where:
        example(where)
        count = search(where) + search(where, "--access-log") + search(where, "--host", "proof.example", "--access-log")
        (where / "releases/catalog.yaml").write_text((where / "releases/catalog.yaml").read_text() + "access: { v2: required }\n")
        compile_in(where, "build")
        count += search(where, "--access-log")
        control(where)
        return f"{count} requests with a canary: in no line, metric, answer or /proc file; in a path (the control) it is found"


prove("canaries", "canary tokens are in no log, metric, error or command line", run)
