"""nginx with the compiled configuration, and a static host with the compiled rules, each started on a site's folder."""

import contextlib
import fcntl
import http.client
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from shared.common import PATH, ROOT, Wrong, expect, free_port, until

NODE = ROOT / "target/node-static"
# The newest that runs on Node 20.
WRANGLER = "wrangler@4.86.0"


class Process:
    """A server of a site's folder: `address` is (host, port), `base` its URL; ended with the block."""

    def __init__(self, name: str, seconds: float = 20.0):
        (ROOT / "target").mkdir(exist_ok=True)
        self.name, self.seconds = name, seconds
        self.address = ("127.0.0.1", free_port())
        self.base = f"http://{self.address[0]}:{self.address[1]}"
        self.temporary = tempfile.TemporaryDirectory(prefix=f"{name}-", dir=ROOT / "target")
        self.folder = pathlib.Path(self.temporary.name)
        self.process = None

    def start(self, command: list, env: dict | None = None) -> None:
        with open(self.folder / "output", "wb") as output:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env, start_new_session=True
            )
        try:
            until(f"{self.name} answers", lambda: self.process.poll() is not None or self.answers(), self.seconds)
            expect(self.process.poll() is None, f"{self.name} to run, found {self.log()}")
        except Wrong:
            self.__exit__()
            raise

    def answers(self) -> bool:
        """Whether it has begun to; to listen is not enough, wrangler begins anew after that."""
        connection = http.client.HTTPConnection(*self.address, timeout=5.0)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/openapi.json")
            return connection.getresponse().status == 200
        return False

    def log(self) -> str:
        """What it has printed."""
        return (self.folder / "output").read_text(errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # It may have started others, which end with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, 15)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, 9)
            self.process.wait()
        self.temporary.cleanup()


class Nginx(Process):
    """nginx, including the two files of exports/nginx/ as their first lines say; `edge`: (host, port) of one to hand over to."""

    def __init__(self, dist: pathlib.Path, edge: tuple[str, int] | None = None):
        super().__init__("nginx")
        dist = dist.resolve()
        handed = f"set $agent_releases_edge http://{edge[0]}:{edge[1]};" if edge else ""
        temporary = "".join(f"{kind}_temp_path {self.folder / kind};\n" for kind in TEMPORARY)
        # The folders of proofs are nobody else's to read.
        user = "user root;" if os.geteuid() == 0 else ""
        (self.folder / "nginx.conf").write_text(f"""
            {user} daemon off; pid {self.folder / "pid"}; error_log stderr;
            events {{ worker_connections 512; }}
            http {{
                access_log off; {temporary}
                {INHERITED}
                include {dist}/exports/nginx/agent-releases-http.conf;
                server {{
                    listen {self.address[0]}:{self.address[1]};
                    set $agent_releases_dist {dist};
                    {handed}
                    include {dist}/exports/nginx/agent-releases.conf;
                }}
            }}
        """)
        nginx = shutil.which("nginx", path=PATH)
        expect(nginx, "nginx to be installed")
        tried = subprocess.run([nginx, "-t", "-p", self.folder, "-c", "nginx.conf"], capture_output=True, text=True)
        expect(tried.returncode == 0 and "[warn]" not in tried.stderr, f"nginx takes the configuration: {tried.stderr}")
        self.start([nginx, "-p", self.folder, "-c", "nginx.conf"])


# What a server may have of its own, and what must not show in our answers.
INHERITED = """
    default_type text/plain; charset utf-8; charset_types application/json; expires 1h; etag on; autoindex on;
    gzip on; gzip_types application/json; gzip_min_length 1; add_header X-Other yes always;
    error_page 401 403 404 410 /other.html; proxy_intercept_errors on;
"""
TEMPORARY = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]


class Pages(Process):
    """Cloudflare Pages as `wrangler pages dev` runs it: dist/public with the files of exports/pages/ in one folder."""

    def __init__(self, dist: pathlib.Path):
        super().__init__("pages", 60)
        site = self.folder / "site"
        shutil.copytree(dist / "public", site, ignore=shutil.ignore_patterns("*.br", "*.gz"))
        for file in (dist / "exports/pages").iterdir():
            shutil.copy(file, site)
        node = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
        expect(int(node[1:].split(".")[0] or 0) >= 20, f"Node 20 or later, which wrangler needs, found {node!r}")
        wrangler = npm_install(WRANGLER)
        command = [wrangler, "pages", "dev", "site", "--ip", self.address[0], "--port", str(self.address[1])]
        # Its default date is today's, which its runtime does not know yet.
        command += ["--compatibility-date", "2025-12-01", "--log-level", "info"]
        quiet = {"WRANGLER_SEND_METRICS": "false", "CLOUDFLARE_CF_FETCH_ENABLED": "false", "CI": "1", "NO_COLOR": "1"}
        quiet["HOME"] = str(self.folder)
        self.start(command, {**os.environ, **quiet})


def npm_install(package: str) -> pathlib.Path:
    """Installs a program of npm, pinned as `name@version`, into target/node-static, unless it is there; gives its path."""
    name, version = package.split("@")
    NODE.mkdir(parents=True, exist_ok=True)
    with open(NODE.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        manifest = NODE / "node_modules" / name / "package.json"
        if not manifest.exists() or f'"version": "{version}"' not in manifest.read_text():
            expect(shutil.which("npm"), "npm to be installed")
            print(f"installing {package} by npm into {NODE.relative_to(ROOT)}", file=sys.stderr, flush=True)
            command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--save-exact", "--prefix", NODE, package]
            subprocess.run(command, check=True)
    return NODE / "node_modules/.bin" / name
