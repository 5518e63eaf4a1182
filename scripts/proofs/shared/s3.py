"""A strict S3 server of our own, in memory: it verifies what it is sent, remembers it, and fails when it is told to."""

import base64
import contextlib
import hashlib
import hmac
import http.server
import re
import signal
import socket
import struct
import threading
import time
import urllib.parse
import xml.etree.ElementTree
from typing import NamedTuple
from xml.sax.saxutils import escape

BUCKET, REGION, ACCESS_KEY, SECRET_KEY = "bucket", "us-east-1", "proof-key", "proof-secret"
# So few that listing has to go on.
LISTED_AT_ONCE = 7
KEPT = ["content-type", "cache-control", "content-disposition", "content-encoding", "content-language"]
WRITES = ["PUT", "POST", "DELETE"]


class Stored(NamedTuple):
    """An object, and what is kept beside it."""

    body: bytes
    headers: dict[str, str]
    tag: str
    at: float


class Asked(NamedTuple):
    """A request as it came in; `status` is 0 when it got no answer. What removes several objects has their keys in `key`."""

    method: str
    key: str
    query: str
    condition: str
    size: int
    status: int

    def word(self) -> str:
        """What it does, in a word: the method, and `?` where it is more than one object's."""
        return self.method + ("?" if self.query else "")


class Fault(NamedTuple):
    """What happens to the request of this number (from 1), and to all that follow if it lasts.

    `reset`, `500`, `503`, `403`, `409`, `412`: the request is not carried out. `reset after`, `500 after`: it is, and only
    its answer is lost. `cut request`: half of its body is read. `cut answer`: half of its answer is sent. `hold`, `hold
    after`: there is no answer until `Stub.released`. `kill`, `kill after`: `Stub.victim` is killed. `stop`: it is stopped
    before the request is carried out. `lost`: the answer says that it is done, and nothing is. `denied`: what removes several
    objects is answered 200, and inside it says that it may not.
    """

    kind: str
    number: int
    lasts: bool = False


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str, message: str = ""):
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


class Answer(NamedTuple):
    """What is sent back."""

    status: int
    headers: dict[str, str] = {}
    body: bytes = b""


class Cut(Exception):
    """The connection ends here."""


class Stub:
    """A running server. `objects` holds the bucket by key; `requests` all that was asked since `forget`."""

    def __init__(self, ignores_conditions: bool = False):
        self.ignores_conditions = ignores_conditions
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, tuple[str, dict, dict]] = {}
        self.requests: list[Asked] = []
        self.arrived = 0
        self.fault: Fault | None = None
        self.released = threading.Event()
        self.reached = threading.Event()
        self.victim = None
        self.lock = threading.RLock()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.stub = self
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"

    def environment(self, **more: str) -> dict[str, str]:
        """For a program that speaks to it."""
        return credentials(self.endpoint, ACCESS_KEY, SECRET_KEY) | more

    def below(self, prefix: str) -> dict[str, Stored]:
        """The objects whose key begins so, without that."""
        with self.lock:
            return {key.removeprefix(prefix): held for key, held in self.objects.items() if key.startswith(prefix)}

    def forget(self, objects: dict[str, Stored] | None = None, fault: Fault | None = None) -> None:
        """Begins anew: the bucket as it was once, no request so far, another fault."""
        with self.lock:
            if objects is not None:
                self.objects = dict(objects)
            self.requests, self.arrived, self.fault, self.victim, self.uploads = [], 0, fault, None, {}
            self.released, self.reached = threading.Event(), threading.Event()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    def arrive(self) -> str | None:
        """Counts a request; how it is to fail."""
        with self.lock:
            self.arrived += 1
            fault, number = self.fault, self.arrived
            if fault is None or number < fault.number or number > fault.number and not fault.lasts:
                return None
            self.reached.set()
            return fault.kind

    def note(self, asked: Asked) -> None:
        with self.lock:
            self.requests.append(asked)

    def strike(self, number: signal.Signals) -> None:
        """Sends the program that asks a signal, and waits until it is dead if that kills it."""
        end = time.monotonic() + 5
        while self.victim is None and time.monotonic() < end:
            time.sleep(0.001)
        if self.victim is not None:
            with contextlib.suppress(ProcessLookupError):
                self.victim.send_signal(number)
            if number == signal.SIGKILL:
                self.victim.wait()

    def answer(self, method: str, key: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> Answer:
        """What a request does, at once for everybody else."""
        with self.lock:
            if not key:
                return self._of_bucket(method, query, body)
            if "uploads" in query or "uploadId" in query:
                return self._of_upload(method, key, query, headers, body)
            match method:
                case "PUT":
                    self._condition(key, headers)
                    return self._write(key, headers, body)
                case "GET" | "HEAD":
                    return self._read(key, headers)
                case "DELETE":
                    self.objects.pop(key, None)
                    return Answer(204)
        raise Refused(405, "MethodNotAllowed")

    def _condition(self, key: str, headers: dict[str, str]) -> None:
        match, none_match, held = headers.get("if-match"), headers.get("if-none-match"), self.objects.get(key)
        if none_match not in (None, "*"):
            raise Refused(501, "NotImplemented", "If-None-Match takes * alone")
        if self.ignores_conditions:
            return
        if none_match and held:
            raise Refused(412, "PreconditionFailed")
        if match and not held:
            raise Refused(404, "NoSuchKey")
        if match and match != held.tag:
            raise Refused(412, "PreconditionFailed")

    def _write(self, key: str, headers: dict[str, str], body: bytes) -> Answer:
        kept = {name: value for name, value in headers.items() if name in KEPT or name.startswith("x-amz-meta-")}
        tag = f'"{hashlib.md5(body).hexdigest()}"'
        self.objects[key] = Stored(body, kept, tag, time.time())
        return Answer(200, {"ETag": tag})

    def _read(self, key: str, headers: dict[str, str]) -> Answer:
        held = self.objects.get(key)
        if held is None:
            raise Refused(404, "NoSuchKey")
        modified = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(held.at))
        sent = {**held.headers, "ETag": held.tag, "Last-Modified": modified, "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
        if not wanted:
            return Answer(200, sent, held.body)
        first, last = int(wanted[1]), min(int(wanted[2] or len(held.body)), len(held.body) - 1)
        if first > last:
            raise Refused(416, "InvalidRange")
        return Answer(206, sent | {"Content-Range": f"bytes {first}-{last}/{len(held.body)}"}, held.body[first : last + 1])

    def _of_bucket(self, method: str, query: dict[str, str], body: bytes) -> Answer:
        if method == "POST" and "delete" in query:
            keys = keys_in(body)
            for key in keys:
                self.objects.pop(key, None)
            deleted = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
            return in_xml("DeleteResult", deleted)
        if method != "GET" or query.get("list-type") != "2":
            raise Refused(501, "NotImplemented")
        after = query.get("continuation-token") or query.get("start-after", "")
        prefix = query.get("prefix", "")
        keys = sorted(key for key in self.objects if key.startswith(prefix) and key > after)
        most = min(int(query.get("max-keys", "1000")), LISTED_AT_ONCE)
        shown, is_more = keys[:most], len(keys) > most
        parts = [self._listed(key) for key in shown]
        parts.append(f"<IsTruncated>{str(is_more).lower()}</IsTruncated><KeyCount>{len(shown)}</KeyCount>")
        parts += [f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>"] if is_more else []
        return in_xml("ListBucketResult", "".join(parts))

    def _listed(self, key: str) -> str:
        held = self.objects[key]
        at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(held.at))
        inside = f"<Key>{escape(key)}</Key><LastModified>{at}</LastModified><ETag>{escape(held.tag)}</ETag>"
        return f"<Contents>{inside}<Size>{len(held.body)}</Size></Contents>"

    def _of_upload(self, method: str, key: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> Answer:
        if method == "POST" and "uploads" in query:
            name = f"upload-{len(self.uploads)}-{self.arrived}"
            self.uploads[name] = (key, headers, {})
            return in_xml("InitiateMultipartUploadResult", f"<UploadId>{name}</UploadId>")
        name = query.get("uploadId", "")
        if self.uploads.get(name, ("",))[0] != key:
            raise Refused(404, "NoSuchUpload")
        _, first_headers, parts = self.uploads[name]
        match method:
            case "PUT":
                parts[int(query["partNumber"])] = body
                return Answer(200, {"ETag": f'"{hashlib.md5(body).hexdigest()}"'})
            case "DELETE":
                del self.uploads[name]
                return Answer(204)
            case "POST":
                self._condition(key, headers)
                del self.uploads[name]
                written = self._write(key, first_headers, b"".join(part for _, part in sorted(parts.items())))
                return in_xml("CompleteMultipartUploadResult", f"<ETag>{escape(written.headers['ETag'])}</ETag>")
        raise Refused(405, "MethodNotAllowed")


def credentials(endpoint: str, access_key: str, secret_key: str) -> dict[str, str]:
    """The variables of a program that speaks to a server."""
    names = ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"]
    return dict(zip(names, [endpoint, access_key, secret_key, REGION]))


def keys_in(body: bytes) -> list[str]:
    """Of a request that removes several objects."""
    elements = xml.etree.ElementTree.fromstring(body).iter()
    return [element.text or "" for element in elements if element.tag.rsplit("}", 1)[-1] == "Key"]


def in_xml(name: str, inside: str, status: int = 200) -> Answer:
    text = f'<?xml version="1.0" encoding="UTF-8"?><{name}>{inside}</{name}>'
    return Answer(status, {"Content-Type": "application/xml"}, text.encode())


def check_signature(method: str, target: str, headers: dict[str, str], body: bytes) -> None:
    """AWS Signature Version 4 in the Authorization header, over everything that AWS wants in it, and the body's hash."""
    form = r"AWS4-HMAC-SHA256 Credential=([^,/]+)/(\d{8})/([^/]+)/s3/aws4_request, ?"
    form += r"SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
    found = re.fullmatch(form, headers.get("authorization", ""))
    if not found:
        raise Refused(403, "AccessDenied", "no signature")
    access_key, day, region, names, signature = found.groups()
    if access_key != ACCESS_KEY:
        raise Refused(403, "InvalidAccessKeyId")
    signed, at = names.split(";"), headers.get("x-amz-date", "")
    must = {"host"} | {name for name in headers if name.startswith("x-amz-")}
    moment = time.strptime(at, "%Y%m%dT%H%M%SZ") if re.fullmatch(r"\d{8}T\d{6}Z", at) else None
    if not must <= set(signed) or region != REGION or moment is None or not at.startswith(day):
        raise Refused(403, "AccessDenied", f"not all of {must} are signed for {REGION} at {at}")
    if abs(time.time() - (time.mktime(moment) - time.timezone)) > 900:
        raise Refused(403, "RequestTimeTooSkewed")
    payload = headers.get("x-amz-content-sha256", "")
    if payload != hashlib.sha256(body).hexdigest():
        raise Refused(400, "XAmzContentSHA256Mismatch", payload)
    path, _, query = target.partition("?")
    pairs = sorted(part if "=" in part else f"{part}=" for part in query.split("&") if part)
    lines = [f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in signed]
    canonical = "\n".join([method, path, "&".join(pairs), "".join(lines), names, payload])
    scope = f"{day}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", at, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{SECRET_KEY}".encode()
    for part in [*scope.split("/"), text]:
        key = hmac.digest(key, part.encode(), "sha256")
    if not hmac.compare_digest(key.hex(), signature):
        raise Refused(403, "SignatureDoesNotMatch")


def check_sums(headers: dict[str, str], body: bytes) -> None:
    """The checksums that a client sends beside a body."""
    sums = {
        "x-amz-checksum-sha256": hashlib.sha256(body).digest(),
        "content-md5": hashlib.md5(body).digest(),
    }
    for name, digest in sums.items():
        if name in headers and headers[name] != base64.b64encode(digest).decode():
            raise Refused(400, "BadDigest", name)


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    stub: Stub

    def __init__(self, *arguments):
        self.resets: set[socket.socket] = set()
        super().__init__(*arguments)

    def shutdown_request(self, request) -> None:
        """A connection that was cut is reset, others end as usual."""
        if request in self.resets:
            self.resets.discard(request)
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.close()
        else:
            super().shutdown_request(request)

    def handle_error(self, request, client_address) -> None:
        """Clients that are killed leave in the middle."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        stub = self.server.stub
        fault = stub.arrive()
        headers = {name.lower(): value for name, value in self.headers.items()}
        path, _, query = self.path.partition("?")
        _, bucket, *rest = urllib.parse.unquote(path).split("/", 2)
        key = rest[0] if rest else ""
        condition = " ".join(f"{name}: {headers[name]}" for name in ["if-match", "if-none-match"] if name in headers)
        length = int(headers.get("content-length", "0"))
        asked = Asked(self.command, key, query, condition, length, 0)
        try:
            self._before(fault, length)
            body = self.rfile.read(length)
            if len(body) < length:
                raise Cut
            if query == "delete":
                asked = asked._replace(key=" ".join(keys_in(body)))
            answer = self._carry_out(fault, bucket, key, query, headers, body)
            stub.note(asked._replace(status=answer.status))
            asked = None
            self._after(fault)
            self._send(answer, half=fault == "cut answer")
        except (Cut, ConnectionError):
            if asked:
                stub.note(asked)
            self._reset()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    def _before(self, fault: str | None, length: int) -> None:
        match fault:
            case "kill":
                self.server.stub.strike(signal.SIGKILL)
            case "stop":
                self.server.stub.strike(signal.SIGSTOP)
            case "hold":
                self.server.stub.released.wait(90)
            case "cut request":
                self.rfile.read(length // 2)
        if fault in ("kill", "hold", "reset", "cut request"):
            raise Cut

    def _carry_out(self, fault: str | None, bucket: str, key: str, query: str, headers: dict[str, str], body: bytes) -> Answer:
        try:
            check_signature(self.command, self.path, headers, body)
            check_sums(headers, body)
            if bucket != BUCKET:
                raise Refused(404, "NoSuchBucket")
            codes = {"500": "InternalError", "503": "SlowDown", "403": "AccessDenied"}
            codes |= {"409": "ConditionalRequestConflict", "412": "PreconditionFailed"}
            if fault in codes:
                raise Refused(int(fault), codes[fault], "as told")
            if fault == "lost":
                return Answer(204 if self.command == "DELETE" else 200, {"ETag": '"lost"'})
            if fault == "denied":
                words = "<Code>AccessDenied</Code><Message>as told</Message>"
                return in_xml("DeleteResult", "".join(f"<Error><Key>{escape(key)}</Key>{words}</Error>" for key in keys_in(body)))
            named = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
            answer = self.server.stub.answer(self.command, key, named, headers, body)
            if fault == "500 after":
                raise Refused(500, "InternalError", "as told")
            return answer
        except Refused as refused:
            inside = f"<Code>{refused.code}</Code><Message>{escape(refused.message)}</Message>"
            return in_xml("Error", inside, refused.status)

    def _after(self, fault: str | None) -> None:
        match fault:
            case "kill after":
                self.server.stub.strike(signal.SIGKILL)
            case "hold after":
                self.server.stub.released.wait(90)
        if fault in ("kill after", "hold after", "reset after"):
            raise Cut

    def _send(self, answer: Answer, half: bool) -> None:
        body = answer.body
        lines = [f"HTTP/1.1 {answer.status} {http.HTTPStatus(answer.status).phrase}"]
        # An answer to HEAD names the length that GET would have.
        length = {} if answer.status == 204 else {"Content-Length": str(len(body))}
        lines += [f"{name}: {value}" for name, value in (answer.headers | length).items()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        sent = head if self.command == "HEAD" else head + body
        if half:
            self.wfile.write(sent[: len(head) + len(body) // 2 if body and self.command != "HEAD" else len(head) // 2])
            raise Cut
        self.wfile.write(sent)

    def _reset(self) -> None:
        self.close_connection = True
        self.server.resets.add(self.connection)
