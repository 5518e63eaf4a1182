// Writes the releases that the tests look at, and compiles them: node tests/browser/sites.mjs
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { LARGE, PROGRAMS, ROOT, WORK } from "./setup.mjs";

const CATALOG = `
product: ExampleAgent
public_url: https://downloads.example.com
channels:
  stable: {}
  beta: { pin: 1.9.0-beta.1, reason: "a newer one is being looked at" }
  canary: {}
page: { title: Example Agent, accent: "#0b6e4f", logo: logo.svg }
`;
const LOGO = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#0b6e4f"/></svg>\n`;
const NOTES = `## Changed

- Starts faster, see [the guide](https://example.com/guide).
- \`agent --wait\` waits for the network.

| System | Oldest version |
|---|---|
| Windows | 10 |

<script>document.title = "notes that run"</script>
<img src="https://example.com/pixel.png" alt="" onerror="document.title = 'notes that run'">
`;

const MACOS = ["macos-arm64", "macos-x86_64"];
const LINUX = ["linux-x86_64", "linux-arm64"];
const EVERY = ["windows-x86_64", ...MACOS, ...LINUX];
const FIRST_BYTES = { "windows-x86_64": Buffer.from("d0cf11e0a1b11ae1", "hex"), macos: Buffer.from("xar!"), linux: Buffer.from("\x7fELF") };

const filename = (version, platform) =>
  platform.startsWith("windows") ? `ExampleAgent-${version}.msi`
  : platform.startsWith("macos") ? `ExampleAgent-${version}.pkg` // the same for both
  : `ExampleAgent-${version}-${platform}`;

/** Something that is as large as an installer may be small, and different for each file. */
function bytes(version, name) {
  const first = FIRST_BYTES[name] ?? FIRST_BYTES[name.split("-")[0]] ?? Buffer.alloc(0);
  return Buffer.concat([first, Buffer.alloc(20_000 + name.length, `${version} ${name}\n`)]);
}

/** The lines of a file in a manifest; the file itself is put into the artifacts. */
function stored(artifacts, name, content) {
  const sha256 = createHash("sha256").update(content).digest("hex");
  write(join(artifacts, sha256, name), content);
  return `size_bytes: ${content.length}, sha256: ${sha256}`;
}

function manifest(artifacts, { version, published, platforms = EVERY, attachments = [], more = [] }, number) {
  const lines = [`version: ${version}`, `published_at: ${published}`, `guid: rel_0${String(number).padStart(25, "0")}`, ...more, "artifacts:"];
  for (const platform of platforms) {
    const name = filename(version, platform);
    lines.push(`  ${platform}: { filename: ${name}, ${stored(artifacts, name, bytes(version, platform))} }`);
  }
  if (attachments.length) lines.push("attachments:");
  for (const name of attachments) lines.push(`  ${name}: { ${stored(artifacts, name, bytes(version, name))} }`);
  return lines.join("\n") + "\n";
}

const NAMED = [
  { version: "1.7.9", published: "2026-01-20T10:00:00.000Z", more: ["channels: [stable]", "yanked: crashes on start"] },
  { version: "1.8.0", published: "2026-02-01T10:00:00.000Z", more: ["channels: [stable]", "recalled: the signing key was withdrawn"] },
  { version: "1.8.2", published: "2026-02-10T09:30:12.450Z", platforms: ["windows-x86_64"], more: ["channels: [stable, beta]"] },
  {
    version: "1.8.3",
    published: "2026-02-24T21:23:53.082Z",
    attachments: ["example-agent_1.8.3_amd64.deb", "ExampleAgent-1.8.3.spdx.json"],
    more: ["channels: [stable]", "notes: Starts faster", "notes_url: https://example.com/notes/1.8.3"],
  },
  { version: "1.9.0-beta.1", published: "2026-03-10T10:00:00.000Z", platforms: ["windows-x86_64", "macos-arm64"], more: ["channels: [beta]"] },
  { version: "1.9.0-beta.2", published: "2026-03-12T10:00:00.000Z", platforms: ["linux-arm64"], more: ["channels: [beta]"] },
];
/** So many that there are three pages: these are the first, of which only the manifests are there. */
const OLD = Array.from({ length: 114 }, (_, number) => ({
  version: `0.${Math.floor(number / 10)}.${number % 10}`,
  published: `20${20 + Math.floor(number / 24)}-${String(1 + (number % 12)).padStart(2, "0")}-15T12:00:00.000Z`,
  platforms: number % 2 ? EVERY : ["windows-x86_64", ...MACOS],
  more: [`channels: [${number % 3 ? "stable" : "beta"}]`],
}));

function write(file, content) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
}

function run(program, ...words) {
  return execFileSync(program, words, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** Compiles what lies in `WORK/<name>/releases`, with the templates as they lie here. */
function build(name) {
  const folder = (part) => join(WORK, name, part);
  const folders = ["--releases", folder("releases"), "--artifacts", folder("artifacts"), "--out", folder("dist")];
  run(join(PROGRAMS, "agent-releases"), "build", ...folders, "--template", join(ROOT, "site-template"));
}

rmSync(WORK, { recursive: true, force: true });

const [releases, artifacts] = ["releases", "artifacts"].map((part) => join(WORK, "main", part));
write(join(releases, "catalog.yaml"), CATALOG);
write(join(releases, "logo.svg"), LOGO);
write(join(releases, "1.8.3.md"), NOTES);
[...OLD, ...NAMED].forEach((release, number) => write(join(releases, `${release.version}.yaml`), manifest(artifacts, release, number)));
build("main");
const token = run(join(PROGRAMS, "agent-releases"), "token", "new", "tests", "--tokens", join(WORK, "tokens")).trim();
write(join(WORK, "token"), token);
write(join(WORK, "keys"), "a-signing-key-that-is-only-for-tests\n");
chmodSync(join(WORK, "keys"), 0o600);

write(join(WORK, "empty/releases/catalog.yaml"), "product: EmptyAgent\nchannels: { stable: {}, beta: {} }\n");
build("empty");

// What needs access: the pages and documents do, the component and the style do not.
write(join(WORK, "private/releases/catalog.yaml"), "product: ExampleAgent\naccess: { v2: required }\nchannels: { stable: {} }\n");
write(join(WORK, "private/releases/1.8.3.yaml"), manifest(join(WORK, "private/artifacts"), NAMED[3], 1));
build("private");

run("python3", join(ROOT, "scripts/make-collection"), String(LARGE), join(WORK, "large/releases"));
build("large");
