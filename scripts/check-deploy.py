"""Carries out action.yml, step by step as GitHub's runner would, beside a stand-in for the part of GitHub that it asks.

Usage: check-deploy.py PROGRAM    the compiler; prints what was seen
"""

import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRAM = pathlib.Path(sys.argv[1]).resolve()
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
TOKEN = "a-token-that-is-only-for-tests"
BOT = "github-actions[bot]"
WORD = re.compile(r"'(?:[^']|'')*'|[A-Za-z_][\w.-]*|&&|\|\||!=|==|[!(),]|\S")


def expect(holds: object, what: str) -> None:
    if not holds:
        sys.exit(f"the action: {what}")


def value(expression: str, known: dict[str, str]) -> object:
    """What an expression of a workflow is worth; the few words that action.yml uses."""
    words = {"&&": " and ", "||": " or ", "!": " not ", "cancelled": "(lambda: False)"}
    python = []
    for word in WORD.findall(expression):
        if word in words or word in {"==", "!=", "(", ")", ","}:
            python.append(words.get(word, word))
        elif word.startswith("'"):
            python.append(repr(word[1:-1].replace("''", "'")))
        elif word == "startsWith":
            python.append("(lambda text, start: text.startswith(start))")
        else:
            root = word.split(".")[0]
            expect(root in {"inputs", "github", "steps"}, f"the expression `{expression}` is not understood at `{word}`")
            python.append(repr(known.get(word, "")))
    return eval("".join(python), {"__builtins__": {}})


def filled(text: str, known: dict[str, str]) -> str:
    return re.sub(r"\$\{\{(.*?)\}\}", lambda found: str(value(found[1], known)), text)


class GitHub(http.server.BaseHTTPRequestHandler):
    """Comments of a pull request: to be listed, written and changed."""

    comments: list[dict] = []
    asked: list[str] = []
    is_read_only = False

    def answer(self, status: int, what: object) -> None:
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_one(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        GitHub.asked.append(f"{self.command} {self.path}")
        found = re.fullmatch(r"/repos/o/r/issues/(?:7/comments(?:\?per_page=100&page=(\d+))?|comments/(\d+))", self.path)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}" or not found:
            return self.answer(404, {"message": "Not Found"})
        if self.command == "GET":
            first = 100 * (int(found[1]) - 1)
            return self.answer(200, GitHub.comments[first : first + 100])
        if GitHub.is_read_only:
            return self.answer(403, {"message": "Resource not accessible by integration"})
        body = json.loads(text)["body"]
        expect(len(body) < 65536, f"a comment of {len(body)} characters")
        if self.command == "POST":
            GitHub.comments.append({"id": len(GitHub.comments), "user": {"login": BOT}, "body": body})
        else:
            GitHub.comments[int(found[2])]["body"] = body
        self.answer(200, {})

    do_GET = do_POST = do_PATCH = handle_one

    def log_message(self, *_: object) -> None:
        pass


class Job:
    """A folder that a job works in, with the example's sources and what was built of them."""

    def __init__(self, where: pathlib.Path, api: str) -> None:
        self.where, self.api = where, api
        shutil.copytree(ROOT / "releases", where / "releases")
        shutil.copytree(ROOT / "artifacts", where / "artifacts", ignore=shutil.ignore_patterns(".*"))
        subprocess.run([PROGRAM, "build"], cwd=where, check=True, capture_output=True)
        (where / "new").mkdir()
        (where / "new/ExampleAgent-9.0.0.msi").write_bytes(b"\xd0\xcf\x11\xe0 nine")
        (where / "new/ExampleAgent-9.0.0-arm64.pkg").write_bytes(b"xar! nine")

    def run(self, event: str, **inputs: str) -> tuple[int, str, dict[str, str]]:
        """Runs the action with these inputs; its exit code, what it said, and its outputs."""
        inputs = {name.replace("_", "-"): text for name, text in inputs.items()} | {"binary": str(PROGRAM)}
        expect(inputs.keys() <= ACTION["inputs"].keys(), f"no such input among {sorted(inputs)}")
        known = {f"inputs.{name}": inputs.get(name, row.get("default", "")) for name, row in ACTION["inputs"].items()}
        known |= {"github.event_name": event, "github.actor": "somebody", "github.token": TOKEN}
        known |= {"github.event.pull_request.number": "7"} if event == "pull_request" else {}
        code, said = 0, ""
        temp = self.where / "temp"
        temp.mkdir(exist_ok=True)
        for step in ACTION["runs"]["steps"]:
            condition = step.get("if", "'always'").removeprefix("${{").removesuffix("}}")
            # Whatever does not ask how it stands runs only while all is well.
            if not value(condition, known) or (code and "cancelled" not in condition):
                continue
            expect("${{" not in step["run"], "an expression stands in a script")
            out = temp / "output"
            out.write_text("")
            variables = {name: filled(str(text), known) for name, text in step.get("env", {}).items()}
            usual = {"PATH": os.environ["PATH"], "HOME": str(temp), "GITHUB_ACTION_PATH": str(ROOT), "GITHUB_OUTPUT": str(out),
                     "GITHUB_STEP_SUMMARY": str(temp / "summary"), "RUNNER_TEMP": str(temp), "GITHUB_REPOSITORY": "o/r",
                     "GITHUB_API_URL": self.api}
            done = subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]], cwd=self.where,
                                  env=usual | variables, capture_output=True, text=True)
            said += done.stdout + done.stderr
            code = code or done.returncode
            rows = [line.split("=", 1) for line in out.read_text().splitlines()]
            known |= {f"steps.{step.get('id')}.outputs.{name}": text for name, text in rows}
        outputs = {name: filled(row["value"], known) for name, row in ACTION["outputs"].items()}
        return code, said, outputs


def pull_requests(job: Job) -> None:
    """A plan becomes a comment, and the next plan the same comment."""
    GitHub.comments = [{"id": n, "user": {"login": "o"}, "body": "said"} for n in range(130)]
    stranger = {"id": 130, "user": {"login": "stranger"}, "body": "<!-- agent-releases: plan against dist -->"}
    GitHub.comments.append(stranger)
    ask = dict(version="9.0.0", files="*.msi\nmacos-arm64=ExampleAgent-9.0.0-arm64.pkg\n", folder="new", against="dist",
               comment="true", publish="true", target="file:///nowhere")
    code, said, outputs = job.run("pull_request", **ask)
    expect(code == 0, said)
    expect((job.where / "releases/9.0.0.yaml").exists(), "the manifest was not written")
    expect(outputs["changed"] == "true" and "answers change" in pathlib.Path(outputs["plan"]).read_text(), outputs)
    expect(len(GitHub.comments) == 132 and "9.0.0" in GitHub.comments[131]["body"], "there is no comment")
    # `publish` to nowhere would have failed: what a pull request proposes is not published.
    code, said, _ = job.run("pull_request", channel="stable", **(ask | {"version": ""}))
    expect((code, len(GitHub.comments)) == (0, 132), said)
    expect(GitHub.comments[130] == stranger and GitHub.asked[-1] == "PATCH /repos/o/r/issues/comments/131", GitHub.asked[-1])
    GitHub.is_read_only = True
    code, said, _ = job.run("pull_request", **(ask | {"version": ""}))
    GitHub.is_read_only = False
    expect(code == 0 and "::warning::the plan could not be shown as a comment" in said, said)
    code, said, _ = job.run("pull_request", against="nothing-there", comment="true")
    expect(code != 0 and "::error::no plan" in said, said)
    print("a plan is shown in a comment, the next in the same one, and a stranger's comment stays as it is")


def long_plans(job: Job) -> None:
    plan = job.where / "long.md"
    plan.write_text("**many answers change**\n\n| address | before → after |\n|---|---|\n" + "| `x` | 1 → 2 |\n" * 9000)
    usual = {"PATH": os.environ["PATH"], "GITHUB_REPOSITORY": "o/r", "GITHUB_API_URL": job.api, "TOKEN": TOKEN, "AUTHOR": BOT,
             "AGAINST": "long", "PLAN": str(plan), "PULL_REQUEST": "7"}
    done = subprocess.run([ROOT / "deploy/action.sh", "comment"], env=usual, capture_output=True, text=True)
    expect(done.returncode == 0, done.stderr)
    lines = GitHub.comments[-1]["body"].splitlines()
    expect(lines[-1].startswith("The rest is") and set(lines[5:-2]) == {"| `x` | 1 → 2 |"}, "a long plan is cut in a line")
    print("a plan of 170,000 characters is cut between two lines")


def hostile(job: Job) -> None:
    """Inputs are carried, and never carried out."""
    evil = "$(touch evil) `touch evil`; touch evil #' && touch evil \" || touch evil"
    new = dict(version="9.1.0", files="*.msi", folder="new", against="dist")
    for name in ("version", "files", "channel", "notes_url", "folder", "into", "join", "fail_on", "against", "target", "reason"):
        code, said, _ = job.run("push", **(new | {name: evil}))
        expect(code != 0 or name in ("into", "target", "reason"), f"{name}: {said}")
        (job.where / "releases/9.1.0.yaml").unlink(missing_ok=True)
        shutil.rmtree(job.where / evil, ignore_errors=True)
    # Folders that are really called so, so that every step is reached.
    shutil.copytree(job.where / "dist", job.where / evil)
    shutil.copytree(job.where / "releases", job.where / evil, dirs_exist_ok=True)
    ask = dict(releases=evil, artifacts=evil, out=evil, against=evil, comment="true")
    code, said, outputs = job.run("pull_request", **ask)
    expect(code == 0 and outputs["changed"] == "false" and GitHub.comments[-1]["body"].startswith("<!-- agent-releases: "), said)
    expect(not list(job.where.rglob("evil*")), "an input was carried out")
    print("no input is carried out as a command")


def fragments(job: Job) -> None:
    """Legs that know nothing of each other, and one that joins what they made."""
    for leg, files in (("one", "*.msi"), ("two", "*.pkg")):
        code, said, _ = job.run("push", version="9.0.0", files=files, folder="new", channel="stable", into=f"fragments/{leg}")
        expect(code == 0, said)
    expect(not (job.where / "releases/9.0.0.yaml").exists(), "a leg wrote into the sources")
    code, said, outputs = job.run("push", join="fragments/*", against="dist")
    expect(code == 0 and outputs["changed"] == "true", said)
    text = (job.where / "releases/9.0.0.yaml").read_text()
    expect("windows-x86_64" in text and "macos-arm64" in text, text)
    print("two legs are joined into one release")


def published(job: Job) -> None:
    target = f"file://{job.where}/live"
    code, said, outputs = job.run("push", target=target, publish="true", against="dist", reason="the first")
    expect(code == 0 and outputs["purge-pending"] == "false", said)
    expect((job.where / "live/current").exists(), "nothing is live")
    code, said, outputs = job.run("push", version="9.0.0", files="*", folder="new", channel="stable", target=target, fail_on="stable")
    expect(code != 0 and "stable" in said, f"a plan that moves stable passes: {said}")
    code, said, outputs = job.run("push", target=target, publish="true", purge="false")
    expect(code == 0 and outputs["purge-pending"] == "true", said)
    (job.where / "releases/9.0.0.yaml").unlink()
    code, said, _ = job.run("push", target=target, publish="true")
    expect(code == 3, f"a published release may vanish: {said}")
    print("a site is published, a purge that fails is told, a release that vanishes is refused")


def recorded(job: Job) -> None:
    """The workflow's step that pushes a manifest, with a folder in the place of GitHub's repository."""
    steps = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]["join"]["steps"]
    step = next(step for step in steps if step.get("id") == "record")
    usual = {"PATH": os.environ["PATH"], "HOME": str(job.where), "TOKEN": TOKEN, "BRANCH": "main", "VERSION": "9.0.0",
             "GITHUB_OUTPUT": str(job.where / "output"), "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=job.where, env=usual, check=True, capture_output=True, text=True).stdout

    git("init", "--quiet", "--bare", "--initial-branch=main", "origin")
    git("init", "--quiet", "--initial-branch=main")
    git("remote", "add", "origin", str(job.where / "origin"))
    git("add", "releases")
    git("-c", "user.name=o", "-c", "user.email=o@example.com", "commit", "--quiet", "--message", "the sources")
    (job.where / "releases/9.0.0.yaml").write_text("version: 9.0.0\n")
    for _ in range(2):
        subprocess.run(["bash", "-e", "-c", step["run"]], cwd=job.where, env=usual, check=True, capture_output=True)
    commits = git("log", "--format=%H %s", "main").splitlines()
    expect([line.split(" ", 1)[1] for line in commits] == ["Release 9.0.0", "the sources"], commits)
    expect(git("--git-dir=origin", "show", "main:releases/9.0.0.yaml") == "version: 9.0.0\n", "it was not pushed")
    expect((job.where / "output").read_text() == f"commit={commits[0].split()[0]}\n" * 2, "the commit is no output")
    helper = re.search(r"credential\.helper='([^']*)'", step["run"])[1]
    filled_in = subprocess.run(["git", "-c", f"credential.helper={helper}", "credential", "fill"], env=usual, text=True,
                               input="protocol=https\nhost=example.com\n\n", check=True, capture_output=True).stdout
    expect(f"password={TOKEN}" in filled_in, "git does not get the token")
    print("the workflow records a manifest once, and git gets its token by a helper")


def main() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), GitHub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for part in (pull_requests, long_plans, hostile, recorded, fragments, published):
        with tempfile.TemporaryDirectory() as folder:
            part(Job(pathlib.Path(folder), f"http://127.0.0.1:{server.server_address[1]}"))


main()
