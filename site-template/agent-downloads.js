// The element <agent-downloads>: it reads one document, V2's or the Active one, and offers what is in it for download.
// It has no dependencies, stores nothing, and writes data as text only, never as markup.

/** Our names of the platforms in the order in which they are shown, and Active's names of the same. */
const PLATFORMS = ["windows-x86_64", "macos-arm64", "macos-x86_64", "linux-x86_64", "linux-arm64"];
const ACTIVE_PLATFORMS = ["windows-amd64", "darwin-arm64", "darwin-amd64", "linux-amd64", "linux-arm64"];

const VERSION = /^\d[\w.-]{0,63}$/;
const FILE_NAME = /^[A-Za-z0-9][\w.-]{0,127}$/;
const SHA256 = /^[0-9a-f]{64}$/;

const TIMEOUT = 15_000;
/** How long a button says "Copied". */
const SHOWN_COPIED = 2_000;
/** A sleeping computer stops the timers, so the time is looked at again this often. */
const LONGEST_WAIT = 30_000;

const STYLE = /* css */ `
:host {
  --surface0: #fff; --border0: #d5dae1; --text0: #1b1f24; --muted0: #59626e;
  --accent0: #1d5fbf; --accent-text0: #1a57b0; --warn: #fff3d1; --bad: #fdeae8; --code: #f4f6f8;
  color-scheme: light dark;
  container-type: inline-size;
  display: block;
}
@supports (color: light-dark(#000, #fff)) {
  :host {
    --surface0: light-dark(#fff, #16191d); --border0: light-dark(#d5dae1, #343b43);
    --text0: light-dark(#1b1f24, #e9ecef); --muted0: light-dark(#59626e, #a3acb7);
    --accent-text0: light-dark(#1a57b0, #8fb8f6); --warn: light-dark(#fff3d1, #3a2f10);
    --bad: light-dark(#fdeae8, #421f1c); --code: light-dark(#f4f6f8, #1f242a);
  }
}
:host([hidden]) { display: none }
* { box-sizing: border-box; margin: 0 }
.body {
  --surface: var(--agent-downloads-surface, var(--surface0));
  --border: var(--agent-downloads-border, var(--border0));
  --text: var(--agent-downloads-text, var(--text0));
  --muted: var(--agent-downloads-muted, var(--muted0));
  --accent: var(--agent-downloads-accent, var(--accent0));
  --accent-ink: var(--agent-downloads-accent-ink, #fff);
  --accent-text: var(--agent-downloads-accent-text, var(--accent-text0));
  --radius: var(--agent-downloads-radius, .75rem);
  font: 1rem/1.5 var(--agent-downloads-font, system-ui, sans-serif);
  text-align: start;
}
.card {
  background: var(--surface);
  border: 1px solid var(--border);
  border-radius: var(--radius);
  color: var(--text);
  padding: 1.25rem;
}
.body:focus { outline: none }
.card + slot { display: block; margin-block-start: 1.25rem }
.header, .banner, .validity { align-items: center; display: flex; flex-wrap: wrap; gap: .25rem 1rem; justify-content: space-between }
.header { align-items: baseline }
.version { font-size: 1.125rem; font-weight: 650; overflow-wrap: anywhere }
.meta, .validity, .title, summary, .none, .hint { color: var(--muted); font-size: .875rem }
.meta { overflow-wrap: anywhere }
.text { margin-block-start: .5rem; overflow-wrap: anywhere; white-space: pre-line }
.banner, .validity { margin-block-start: 1rem }
.banner, .ending, .ended { background: var(--warn); border: 1px solid transparent; border-radius: calc(var(--radius) * .67); color: var(--text); padding: .625rem .875rem }
.error { background: var(--bad) }
.banner:first-child { margin: 0 }
.list { list-style: none; padding: 0 }
.artifact { border-block-start: 1px solid var(--border); display: grid; gap: .625rem 1.5rem; margin-block-start: 1rem; padding-block-start: 1rem }
.primary .name { font-size: 1.25rem }
.name { font-weight: 600 }
a { color: var(--accent-text) }
.action, button {
  align-items: center;
  background: none;
  border: 1px solid var(--border);
  border-radius: calc(var(--radius) * .67);
  color: var(--accent-text);
  cursor: pointer;
  display: inline-flex;
  font: inherit;
  font-weight: 600;
  justify-content: center;
  min-block-size: 2.75rem;
  padding: .375rem 1.125rem;
  text-decoration: none;
}
.action:hover, button:hover { border-color: currentcolor }
.primary .action { background: var(--accent); border-color: transparent; color: var(--accent-ink); min-block-size: 3.25rem; padding-inline: 1.75rem }
.primary .action:hover { filter: brightness(1.1) }
:focus-visible { outline: 2px solid var(--accent-text); outline-offset: 2px }
button { background: var(--surface); font-size: .875rem; min-block-size: 2.25rem; padding: .25rem .75rem }
summary { cursor: pointer; inline-size: fit-content; padding-block: .25rem }
.title { margin-block: .75rem .25rem }
.step { align-items: start; background: var(--code); border-radius: calc(var(--radius) * .67); display: flex; gap: .75rem; justify-content: space-between; padding: .5rem .5rem .5rem .75rem }
code { font: .8125rem/1.6 ui-monospace, Consolas, monospace; min-inline-size: 0; overflow-wrap: anywhere; padding-block: .3125rem; text-align: left }
.copy { flex: none; min-inline-size: 4.75rem }
.bar { background: var(--border); block-size: 2.75rem; border-radius: calc(var(--radius) * .67); margin-block-start: 1rem }
.bar:first-child { block-size: 1.5rem; inline-size: 40%; margin: 0 }
.status { block-size: 1px; clip-path: inset(50%); inline-size: 1px; overflow: hidden; position: absolute; white-space: nowrap }
[aria-busy=true] .list { opacity: .6 }
@container (min-width: 30rem) {
  .card { padding: 1.5rem }
  .artifact { align-items: center; grid-template-columns: 1fr auto }
  details, .hint { grid-column: 1 / -1 }
}
@media (prefers-reduced-motion: no-preference) {
  .bar { animation: wait 1.4s ease-in-out infinite alternate }
  @keyframes wait { to { opacity: .45 } }
}
@media (forced-colors: active) {
  .bar, .step { border: 1px solid }
}
`;

let sheet;

/** Stops the reading of a document that is not what it should be. */
function must(condition) {
  if (!condition) throw new Error("not a release document");
}

/** An absolute address that is safe to link to. */
function webAddress(address, base) {
  const url = new URL(address, base);
  must(/^https?:$/.test(url.protocol));
  return url.href;
}

/** A file as it is shown; `url` is null where this server does not offer it. */
function file(platform, { filename, size, hash, address }, base) {
  must(FILE_NAME.test(filename));
  must(size === null || (Number.isSafeInteger(size) && size >= 0));
  must(hash === null || SHA256.test(hash));
  return { platform, filename, size, hash, url: address === null ? null : webAddress(address, base) };
}

function readV2(document, base) {
  const { windows, macos } = document.artifacts;
  const { published_at: date, notes_url: notesUrl } = document;
  must(date === null || !Number.isNaN(Date.parse(date)));
  return {
    version: document.version,
    date,
    notesUrl: notesUrl === null ? null : webAddress(notesUrl, base),
    files: [windows, macos.arm64, macos.x86_64].map((found, index) => {
      const platform = PLATFORMS[index];
      if (found === null) return { platform };
      const { filename, size_bytes: size, sha256: hash, download_url: address } = found;
      must(typeof address === "string");
      return file(platform, { filename, size, hash, address }, base);
    }),
  };
}

function readActive(document, base) {
  const found = ACTIVE_PLATFORMS.map((id) => document.artifacts.find(({ platform }) => platform === id));
  const files = found.map((artifact, index) => {
    const platform = PLATFORMS[index];
    if (!artifact) return { platform, absent: true };
    const { filename, file_size: size, checksum, signed_url: signed, download_url: plain } = artifact;
    must(/^sha256:/.test(checksum));
    const address = signed ?? plain;
    must(address === null || typeof address === "string");
    const read = file(platform, { filename, size, hash: checksum.slice(7), address }, base);
    return signed === null ? read : { ...read, ends: new URL(read.url).searchParams.get("expires") * 1000 || null };
  });
  const ends = files.map((artifact) => artifact.ends).filter(Boolean);
  return {
    version: document.version,
    active: true,
    notes: document.notes,
    files: files.filter((artifact) => document.dev_mode || !artifact.absent),
    ends: ends.length ? Math.min(...ends) : null,
  };
}

function read(document, base) {
  must(VERSION.test(document?.version));
  return typeof document.guid === "string" && Array.isArray(document.artifacts)
    ? readActive(document, base)
    : readV2(document, base);
}

/** What the server said about `address`: a state, and with "ready" the release. */
async function ask(address, token, signal) {
  // The life of signed links is counted from before the answer, so that it is never taken for longer than it is.
  const started = { running: performance.now(), clock: Date.now() };
  const headers = { Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await fetch(address, { credentials: "same-origin", cache: "no-cache", headers, signal });
  const { status } = response;
  if (status === 401) return { state: "unauthorized", status };
  if (status === 404) {
    const body = await response.json().catch(() => null);
    return { state: "empty", status, active: typeof body?.detail === "string" };
  }
  if (!response.ok) return { state: "error", status };
  const document = await response.json();
  const release = read(document, address);
  const now = Date.parse(response.headers.get("Date")) || started.clock;
  const yanked = response.headers.get("X-Release-Yanked");
  return { state: "ready", status, document, release: { ...release, ...started, yanked, life: release.ends - now } };
}

/** The platforms that this browser may be running on: one, two where the architecture cannot be told, or none. */
async function detect() {
  const { userAgentData: hints, userAgent: agent, maxTouchPoints } = navigator;
  const system = /windows|mac|linux/.exec((hints?.platform || agent).toLowerCase())?.[0];
  // An iPad says that it is a Mac, but no Mac has a touch screen.
  const mobile = hints?.mobile || /Android|iPhone|iPad|Mobile/.test(agent) || (system === "mac" && maxTouchPoints > 1);
  if (!system || mobile) return [];
  const told = await hints?.getHighEntropyValues?.(["architecture", "bitness", "platform"]).catch(() => null);
  if (told?.bitness === "32") return [];
  let architecture = { arm: "arm64", x86: "x86_64" }[told?.architecture];
  // Browsers on every Mac say "Intel", so the user agent tells it for Linux only.
  if (!architecture && system === "linux") architecture = /aarch64|arm64/.test(agent) ? "arm64" : /x86_64/.exec(agent)?.[0];
  if (system === "windows") architecture = null;
  return PLATFORMS.filter((id) => id.startsWith(system) && id.endsWith(architecture ?? ""));
}

let detected;

/** What to type to fetch, verify and install a file: [what it is for, the shell, the command, what it must say]. */
function commands({ platform, filename, hash, url }, active) {
  const windows = platform.startsWith("windows");
  const shell = windows ? "powershell" : "terminal";
  const steps = [];
  const add = (what, where, command, answer) => steps.push({ what, shell: where, command, answer });
  // A URL holds no typographic quotes, which PowerShell also takes for quotes: they are percent-encoded in it.
  if (url && windows) add("fetch", shell, `curl.exe -fLo ${filename} '${url.replaceAll("'", "''")}'`);
  if (url && (active || !windows)) add("fetch", "terminal", `curl -fLo ${filename} '${url.replaceAll("'", "'\\''")}'`);
  if (hash && windows) add("verify", shell, `(Get-FileHash .\\${filename} -Algorithm SHA256).Hash -eq '${hash}'`, "True");
  if (hash && !windows) {
    const sum = platform.startsWith("macos") ? "shasum -a 256" : "sha256sum";
    add("verify", shell, `echo '${hash}  ${filename}' | ${sum} -c`, "OK");
  }
  const install = installCommand(windows, filename);
  if (install) add("install", shell, install);
  return steps;
}

/** Archives and images of disks have none: what to do with them depends on what is inside. */
function installCommand(windows, filename) {
  const [, ending] = /\.([a-z]+)$/i.exec(filename) ?? [];
  const known = {
    msi: `msiexec /i ${filename}`,
    exe: `.\\${filename}`,
    pkg: `sudo installer -pkg ${filename} -target /`,
    deb: `sudo apt install ./${filename}`,
    rpm: `sudo dnf install ./${filename}`,
  };
  return ending || windows ? known[ending] : `chmod +x ${filename}`;
}

/** An element; `shape` is its name and, after dots, its parts, which are its classes too. A function is a listener. */
function el(shape, attributes, ...children) {
  const [name, ...parts] = shape.split(".");
  const node = document.createElement(name);
  if (parts[0]) attributes = { part: parts.join(" "), class: parts.join(" "), ...attributes };
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") node.addEventListener(key, value);
    else if (value != null) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

// A server that renders pages may import this too; there it defines nothing.
export class AgentDownloads extends (globalThis.HTMLElement ?? class {}) {
  static observedAttributes = ["src", "platform"];

  /** Every text. Change it before the first element is made, or give one element other texts by its `strings`. */
  static strings = {
    "label": "Downloads",
    "version": "Version {version}",
    "released": "Released {date}",
    "notes": "Release notes",
    "windows-x86_64": "Windows",
    "macos-arm64": "macOS, Apple silicon",
    "macos-x86_64": "macOS, Intel",
    "linux-x86_64": "Linux, x86-64",
    "linux-arm64": "Linux, ARM64",
    "download": "Download",
    "downloadFor": "Download for {platform}",
    "whichMac": "Which Mac? The Apple menu, “About This Mac”, tells: a chip that begins with “Apple” is Apple silicon.",
    "missing": "Not available in this release",
    "unavailable": "Not available on this server",
    "noFiles": "This release has no downloads.",
    "details": "Verify and install",
    "hash": "SHA-256",
    "noHash": "No SHA-256 is recorded for this file.",
    "terminal": "a terminal",
    "powershell": "PowerShell",
    "fetch": "Download in {shell}",
    "verify": "Verify in {shell}; it must say {answer}",
    "install": "Install in {shell}",
    "copy": "Copy",
    "copyWhat": "Copy: {what}, {platform}",
    "copied": "Copied",
    "copyFailed": "Select and copy it by hand",
    "loading": "Loading release information",
    "error": "Release information could not be loaded.",
    "retry": "Try again",
    "empty": "There is no release yet.",
    "nothing": "Nothing is published at the moment, so there is nothing to download.",
    "unauthorized": "Please sign in to see the downloads.",
    "yanked": "This version is not offered any more: {reason}",
    "validUntil": "valid until {time}",
    "valid": "The links are valid until {time}.",
    "ending": "The links are only valid until {time}.",
    "ended": "The links have expired. Refresh to get new ones.",
    "linkEnded": "Link expired",
    "refresh": "Refresh",
  };

  #body;
  #status;
  #request = null;
  #scheduled = false;
  #view = null;
  #timer = 0;
  #token = null;
  #strings = {};

  constructor() {
    super();
    if (!sheet) {
      sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLE);
    }
    this.#body = el("div", { class: "body", role: "group", tabindex: "-1" }, el("slot"));
    this.#status = el("p", { class: "status", role: "status" });
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    root.append(this.#body, this.#status);
    // What was set before the element was defined hides the accessors of the class.
    for (const name of ["src", "platform", "token", "strings"]) {
      if (!Object.hasOwn(this, name)) continue;
      const value = this[name];
      delete this[name];
      queueMicrotask(() => (this[name] = value));
    }
  }

  get src() {
    return this.getAttribute("src");
  }
  set src(address) {
    this.setAttribute("src", address);
  }

  get platform() {
    return this.getAttribute("platform");
  }
  set platform(platform) {
    this.setAttribute("platform", platform);
  }

  get token() {
    return this.#token;
  }
  set token(token) {
    this.#token = token;
    this.#reload();
  }

  get strings() {
    return { ...AgentDownloads.strings, ...this.#strings };
  }
  set strings(strings) {
    this.#strings = { ...strings };
    this.#render();
  }

  connectedCallback() {
    this.#reload();
  }

  disconnectedCallback() {
    this.#request?.abort();
    this.#request = null;
    clearTimeout(this.#timer);
  }

  attributeChangedCallback(name, before, after) {
    if (before === after) return;
    if (name === "platform") return void this.#render();
    this.#view = null;
    this.#reload();
  }

  /** Asks again; what is shown stays until the answer is there. */
  async refresh() {
    this.#request?.abort();
    const request = (this.#request = new AbortController());
    const timer = setTimeout(() => request.abort(), TIMEOUT);
    this.dataset.state = "loading";
    if (!this.#view) this.#follow();
    this.#body.setAttribute("aria-busy", "true");
    this.#say("loading");
    detected ??= detect().catch(() => []);
    let view;
    try {
      view = await ask(webAddress(this.src, document.baseURI), this.#token, request.signal);
      view.own = await detected;
    } catch ({ message }) {
      view = { state: "error", status: 0, message };
    }
    clearTimeout(timer);
    // Otherwise something newer was asked, or the element is gone.
    if (request === this.#request) this.#answer(view);
  }

  /** Several changes in a row, such as `src` and `token`, ask once. */
  async #reload() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    await null;
    this.#scheduled = false;
    if (this.isConnected && this.src !== null) this.refresh();
  }

  #answer(view) {
    const { state, status, message, release, document, active } = view;
    this.#request = null;
    delete this.dataset.links;
    this.#view = view;
    this.dataset.state = state;
    this.#body.removeAttribute("aria-busy");
    this.#follow();
    const text = active ? "nothing" : state;
    if (release) this.#say("version", release);
    else this.#say(text);
    if (release) this.#tell("load", document);
    else this.#tell("error", { status, message: message ?? this.strings[text] });
  }

  /** Draws, and again when the signed links come nearer to their end. */
  #follow() {
    clearTimeout(this.#timer);
    const { ends, life, running, clock } = this.#view?.release ?? {};
    const before = this.dataset.links;
    if (!ends) {
      delete this.dataset.links;
      return this.#render();
    }
    // The clock may be wrong, but how far it has gone on counts the sleep that performance.now() may leave out.
    const left = life - Math.max(performance.now() - running, Date.now() - clock);
    const links = left <= 0 ? "ended" : left <= life / 6 ? "ending" : "valid";
    const next = links === "valid" ? left - life / 6 : left;
    if (left > 0) this.#timer = setTimeout(() => this.#follow(), Math.min(next + 1, LONGEST_WAIT));
    if (before === links) return;
    this.dataset.links = links;
    this.#render();
    if (before) this.#say(links, { time: this.#time(ends) });
  }

  /** A text with its places filled. */
  #text(name, values = {}) {
    return this.strings[name].replace(/\{(\w+)\}/g, (place, key) => values[key] ?? place);
  }

  /** For screen readers, when they have finished what they are saying. */
  #say(name, values) {
    this.#status.textContent = this.#text(name, values);
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(`agent-downloads-${name}`, { bubbles: true, composed: true, detail }));
  }

  /** Formatted in the language of the page, or the browser's if the page's is none. */
  #format(make) {
    try {
      return make(this.closest("[lang]")?.lang || undefined);
    } catch {
      return make();
    }
  }

  #time(milliseconds) {
    const options = { hour: "numeric", minute: "2-digit" };
    return this.#format((lang) => new Date(milliseconds).toLocaleTimeString(lang, options));
  }

  #date(date) {
    // In UTC, as everywhere else on the site.
    return this.#format((lang) => new Date(date).toLocaleDateString(lang, { dateStyle: "long", timeZone: "UTC" }));
  }

  #size(bytes) {
    const power = Math.min(3, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
    const unit = ["byte", "kilobyte", "megabyte", "gigabyte"][power];
    const options = { style: "unit", unit, unitDisplay: power ? "short" : "long", maximumFractionDigits: power > 1 ? 1 : 0 };
    return this.#format((lang) => (bytes / 1000 ** power).toLocaleString(lang, options));
  }

  /** Draws anew what the view says; the focus and what is unfolded stay where they were. */
  #render() {
    const root = this.shadowRoot;
    const focused = root.activeElement;
    const unfolded = new Set(Array.from(root.querySelectorAll("details[open]"), ({ dataset }) => dataset.key));
    this.#body.setAttribute("aria-label", this.strings.label);
    this.#body.replaceChildren(...this.#content());
    for (const details of root.querySelectorAll("details")) details.open = unfolded.has(details.dataset.key);
    if (focused) (root.querySelector(`[data-key="${focused.dataset.key}"]`) ?? this.#body).focus();
  }

  #content() {
    const view = this.#view;
    if (view?.state === "ready") return [this.#card(...this.#release(view))];
    if (view?.state === "error") return [this.#card(this.#banner("error", this.#button("retry"))), el("slot")];
    if (view) return [this.#card(this.#banner(view.active ? "nothing" : view.state))];
    // What the page itself offers stays until there is something better.
    if (this.childElementCount || !this.dataset.state) return [el("slot")];
    return [el("div.card.skeleton", { "aria-hidden": "true" }, ...Array.from({ length: 4 }, () => el("div.bar")))];
  }

  #card(...children) {
    return el("div.card", {}, ...children);
  }

  #banner(name, button, values) {
    return el(`div.banner.${name}`, {}, el("p", {}, this.#text(name, values)), button);
  }

  #button(name) {
    return el(`button.${name}`, { "type": "button", "data-key": name, "click": () => this.refresh() }, this.strings[name]);
  }

  #release({ release, own }) {
    const { version, date, notes, notesUrl, yanked, ends, files } = release;
    const wanted = this.platform;
    const first = wanted ? PLATFORMS.filter((id) => id === wanted || id.startsWith(`${wanted}-`)) : own;
    const isFirst = ({ platform }) => first.includes(platform);
    const ordered = [...files.filter(isFirst), ...files.filter((one) => !isFirst(one))];
    const links = this.dataset.links;
    return [
      el(
        "div.header",
        {},
        el("p.version", {}, this.#text("version", { version })),
        date && el("p.date.meta", {}, el("time", { datetime: date }, this.#text("released", { date: this.#date(date) }))),
        notesUrl && el("a.notes.meta", { "href": notesUrl, "data-key": "notes" }, this.strings.notes),
      ),
      yanked && this.#banner("yanked", null, { reason: yanked }),
      notes && el("p.notes.text", {}, notes),
      ends &&
        el(`div.validity.${links}`, {}, el("p", {}, this.#text(links, { time: this.#time(ends) })), this.#button("refresh")),
      files[0]
        ? el("ul.list", { role: "list" }, ...ordered.map((one) => this.#artifact(one, release, isFirst(one))))
        : el("p.none.text", {}, this.strings.noFiles),
      files.filter((one) => isFirst(one) && one.url && one.platform.startsWith("macos"))[1] &&
        el("p.hint.text", {}, this.strings.whichMac),
    ];
  }

  #artifact(artifact, release, isFirst) {
    const { platform, filename, size, url, ends } = artifact;
    const label = this.strings[platform];
    const ended = ends && this.dataset.links === "ended";
    const about = [
      filename && el("bdi", {}, filename),
      size != null && this.#size(size),
      ends && !ended && this.#text("validUntil", { time: this.#time(ends) }),
    ].filter(Boolean);
    const why = ended ? "linkEnded" : release.active ? "unavailable" : "missing";
    return el(
      isFirst ? "li.artifact.primary" : "li.artifact",
      { "data-platform": platform },
      el(
        "div",
        {},
        el("p.name", {}, label),
        filename && el("p.meta", {}, ...about.flatMap((one, index) => (index ? [" · ", one] : [one]))),
      ),
      url && !ended ? this.#action(artifact, release, isFirst) : el("p.none", {}, this.strings[why]),
      filename && this.#details(ended ? { ...artifact, url: null } : artifact, label, release.active),
    );
  }

  #action({ platform, url }, { version }, isFirst) {
    const name = this.#text("downloadFor", { platform: this.strings[platform] });
    const click = (event) => {
      // The link may have ended in a sleep that no timer has seen.
      this.#follow();
      if (this.dataset.links === "ended") event.preventDefault();
      else this.#tell("download", { platform, version, url });
    };
    const attributes = { "href": url, "download": "", "data-key": platform, "aria-label": name, click };
    return el(isFirst ? "a.action.main" : "a.action", attributes, isFirst ? name : this.strings.download);
  }

  #details(artifact, label, active) {
    const { platform, hash } = artifact;
    const copied = (what, title, text) => this.#copyable({ what, title, text, label, platform });
    return el(
      "details",
      { "data-key": `details ${platform}` },
      el("summary", { "data-key": `summary ${platform}`, "aria-label": `${this.strings.details}, ${label}` }, this.strings.details),
      ...(hash ? copied("hash", this.strings.hash, hash) : [el("p.title", {}, this.strings.noHash)]),
      ...commands(artifact, active).flatMap(({ what, shell, command, answer }) =>
        copied(what, this.#text(what, { shell: this.strings[shell], answer }), command),
      ),
    );
  }

  #copyable({ what, title, text, label, platform }) {
    const code = el(what === "hash" ? "code.hash" : `code.command.${what}`, { dir: "ltr" }, text);
    const click = async ({ currentTarget: button }) => {
      const done = (await copy(text, code)) ? "copied" : "copyFailed";
      button.textContent = this.strings[done];
      this.#say(done);
      setTimeout(() => (button.textContent = this.strings.copy), SHOWN_COPIED);
      if (done === "copied") this.#tell("copy", { platform, what, text });
    };
    const name = this.#text("copyWhat", { what: title, platform: label });
    const button = el(
      "button.copy",
      { "type": "button", "data-key": `${title} ${platform}`.replaceAll('"', ""), "aria-label": name, click },
      this.strings.copy,
    );
    return [el("p.title", {}, title), el("div.step", {}, code, button)];
  }
}

/** Whether the text is in the clipboard now. Pages without TLS have only the older way, which needs a selection. */
async function copy(text, shown) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(shown);
    return document.execCommand("copy");
  }
}

const registry = globalThis.customElements;
if (registry && !registry.get("agent-downloads")) registry.define("agent-downloads", AgentDownloads);
