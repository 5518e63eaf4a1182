"""The engines that `exports` are made for, each started on what a site's folder holds for it."""

import fcntl
import pathlib
import shutil
import subprocess
import sys
import tempfile
import tomllib

from shared.common import ROOT, apt_install, expect, free_port, is_open, until

NODE = ROOT / "target/node-proofs"
WORKERD = "workerd@1.20261117.1"


def npm_install(package: str) -> None:
    """Installs a package of npm, pinned as `name@version`, into target/node-proofs, unless it is there."""
    name, version = package.split("@")
    NODE.mkdir(parents=True, exist_ok=True)
    with open(NODE.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        manifest = NODE / "node_modules" / name / "package.json"
        if manifest.exists() and f'"version": "{version}"' in manifest.read_text():
            return
        if not shutil.which("npm"):
            apt_install("nodejs", "npm")
        print(f"installing {package} by npm into {NODE.relative_to(ROOT)}", file=sys.stderr, flush=True)
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--save-exact", "--prefix", NODE, package]
        subprocess.run(command, check=True)


class Workerd:
    """The Worker of a site's folder, in the runtime that Cloudflare runs it in; `address` is (host, port), `base` its URL.

    `edge` is the (host, port) of an edge that /api/… is passed on to. The modules and the date of compatibility are those
    of exports/worker/; the assets are read from public/ when they are asked for.
    """

    def __init__(self, dist: pathlib.Path, edge: tuple[str, int] | None = None):
        npm_install(WORKERD)
        self.address = ("127.0.0.1", free_port())
        self.base = f"http://{self.address[0]}:{self.address[1]}"
        self.folder = tempfile.TemporaryDirectory(prefix="workerd-", dir=ROOT / "target")
        folder = pathlib.Path(self.folder.name)
        for name in ["worker.js", "answers.json"]:
            shutil.copy(dist / "exports/worker" / name, folder)
        wrangler = tomllib.loads((dist / "exports/worker/wrangler.toml").read_text())
        (folder / "config.capnp").write_text(config(dist / "public", wrangler["compatibility_date"], self.address, edge))
        self.output = folder / "output"
        with open(self.output, "wb") as output:
            # The program itself: the command of the same name may be a script that starts it.
            program = next(NODE.glob("node_modules/@cloudflare/workerd-*/bin/workerd"))
            command = [program, "serve", folder / "config.capnp"]
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            until("workerd answers", lambda: self.process.poll() is not None or is_open(self.address))
            expect(self.process.poll() is None, f"workerd to run, found {self.log()}")
        except BaseException:
            self.__exit__()
            raise

    def log(self) -> str:
        """What it has printed."""
        return self.output.read_text(errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def config(public: pathlib.Path, date: str, address: tuple[str, int], edge: tuple[str, int] | None) -> str:
    """What workerd is told: the Worker, the folder of its assets, where to listen, and the edge if there is one."""
    services = [f'(name = "assets", disk = (path = {quoted(public.resolve())}))', '(name = "worker", worker = .worker)']
    bindings = ['(name = "ASSETS", service = "assets")']
    if edge:
        services.append(f'(name = "edge", external = (address = "{edge[0]}:{edge[1]}", http = ()))')
        bindings.append('(name = "EDGE", service = "edge")')
    return f"""using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [{", ".join(services)}],
  sockets = [(name = "http", address = "{address[0]}:{address[1]}", http = (), service = "worker")],
);
const worker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js"), (name = "answers.json", json = embed "answers.json")],
  bindings = [{", ".join(bindings)}],
  compatibilityDate = "{date}",
);
"""


def quoted(path: pathlib.Path) -> str:
    """A path as a text of Cap'n Proto."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
