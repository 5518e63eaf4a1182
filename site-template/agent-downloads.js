// The element <agent-downloads>: it reads one document, V2's or the Active one, and offers what is in it for download.
// It has no dependencies, stores nothing, and writes data as text only, never as markup.

/** Our names of the platforms, in the order in which they are shown. */
const PLATFORM_NAMES = {
  "windows-x86_64": "Windows",
  "macos-arm64": "macOS, Apple silicon",
  "macos-x86_64": "macOS, Intel",
  "linux-x86_64": "Linux, x86-64",
  "linux-arm64": "Linux, ARM64",
};
const PLATFORMS = Object.keys(PLATFORM_NAMES);

const TIMEOUT = 15_000;
/** How often is looked at how long signed links still live, and how long a button says "Copied". */
const LOOK_AGAIN = 1_000;
const SHOWN_COPIED = 2_000;

// Browsers without light-dark() find these colours invalid, and take the page's own, which can be read on that page.
const STYLE = /* css */ `
:host {
  color-scheme: light dark;
  container-type: inline-size;
}
:host(:not([hidden])) { display: block }
* { box-sizing: border-box; margin: 0 }
.body {
  --line: 1px solid var(--agent-downloads-border, light-dark(#d5dae1, #343b43));
  --accent-text: var(--agent-downloads-accent-text, light-dark(#1a57b0, #8fb8f6));
  --radius: var(--agent-downloads-radius, 8px);
  color: var(--agent-downloads-text, light-dark(#1b1f24, #e9ecef));
  font: 1rem/1.5 var(--agent-downloads-font, system-ui, sans-serif);
}
.card {
  background: var(--agent-downloads-surface, light-dark(#fff, #16191d));
  border: var(--line);
  border-radius: calc(var(--radius) * 1.5);
  overflow-wrap: anywhere;
  padding: 1.25rem;
  text-align: start;
}
.card + slot { display: block; margin-top: 1.25rem }
.header, .banner { display: flex; flex-wrap: wrap; gap: .25rem 1rem }
.banner p, code { flex: 1 }
.header { align-items: baseline }
.version, .name, .action, button { font-weight: 600 }
.meta, .title, summary, .note, .valid { color: var(--agent-downloads-muted, light-dark(#59626e, #a3acb7)); font-size: .875rem }
.note, code { white-space: pre-wrap }
.note, .banner { margin-top: .75rem }
.banner, .step { align-items: center; border: 1px solid transparent; border-radius: var(--radius); padding: .5rem .75rem }
.banner { background: light-dark(#fff3d1, #3a2f10) }
.error { background: light-dark(#fdeae8, #421f1c) }
.valid { background: none; border: 0; padding: 0 }
.banner:first-child { margin: 0 }
ul { padding: 0 }
.artifact { border-top: var(--line); display: grid; gap: .625rem 1.5rem; margin-top: 1rem; padding-top: 1rem }
a, button { color: var(--accent-text) }
.action, button {
  background: none;
  border: var(--line);
  border-radius: var(--radius);
  cursor: pointer;
  font-size: .875rem;
  padding: .625rem 1.125rem;
  text-align: center;
  text-decoration: none;
}
button { font-family: inherit; padding: .375rem .75rem }
.action:hover, button:hover { border-color: currentcolor }
.version, .primary .name { font-size: 1.25rem }
.primary .action {
  background: var(--agent-downloads-accent, #1d5fbf);
  border-color: transparent;
  color: var(--agent-downloads-accent-ink, #fff);
  font-size: 1rem;
  padding: .875rem 1.75rem;
}
:focus-visible { outline: 2px solid var(--accent-text); outline-offset: 2px }
summary { cursor: pointer; padding: .25rem 0; width: fit-content }
.title { margin: .75rem 0 .25rem }
.step { background: light-dark(#f4f6f8, #1f242a); display: grid; gap: .5rem; justify-items: start }
code { font: .8125rem/1.6 ui-monospace, monospace }
.copy { min-width: 4.75rem }
.skeleton { min-height: 20rem }
.status { clip-path: inset(50%); height: 1px; margin-top: -1px; overflow: hidden }
@container (min-width: 30rem) {
  .artifact { align-items: center; grid-template-columns: 1fr auto }
  details { grid-column: 1 / 3 }
  .step { display: flex }
}
`;

let sheet;

/** Stops the reading of a document that is not what it should be. */
function must(condition) {
  if (!condition) throw new Error("not a release document");
}

/** An absolute address that is safe to link to, and safe between single quotes in any shell. Only texts can be trimmed. */
function webAddress(address, base) {
  const { href } = new URL(address.trim(), base);
  must(/^https?:/.test(href));
  return href.replaceAll("'", "%27");
}

/** A file as it is shown; without an address, this server does not offer it. */
function readFile(platform, filename, size, hash, address, base) {
  must(filename.match(/^[A-Za-z0-9][\w.-]{0,127}$/));
  must(size === null || /^\d{1,15}$/.test(size));
  must(hash === null || hash.match(/^[0-9a-f]{64}$/));
  return { platform, filename, size, hash, url: address && webAddress(address, base) };
}

function readV2({ version, published_at: date, notes_url: notesUrl, artifacts: { windows, macos } }, base) {
  must(date === null || Date.parse(date));
  const files = [windows, macos.arm64, macos.x86_64].map((found, index) => {
    const platform = PLATFORMS[index];
    if (found === null) return { platform };
    return readFile(platform, found.filename, found.size_bytes, found.sha256, found.download_url, base);
  });
  return { version, date, notesUrl: notesUrl && webAddress(notesUrl, base), files };
}

function readActive({ version, notes, artifacts, dev_mode: every }, base) {
  must(notes === null || typeof notes === "string");
  let ends = Infinity;
  const files = PLATFORMS.map((platform) => {
    const id = platform.replace("macos", "darwin").replace("x86_64", "amd64");
    const found = artifacts.find((artifact) => artifact.platform === id);
    if (!found) return every && { platform };
    const { filename, file_size: size, checksum, signed_url: signed, download_url: plain } = found;
    const file = readFile(platform, filename, size, checksum.replace("sha256:", ""), signed ?? plain, base);
    if (signed) ends = Math.min(ends, new URL(file.url).searchParams.get("expires") * 1000 || ends);
    return file;
  });
  return { version, notes, files: files.filter(Boolean), ends, active: true };
}

/** What the server says: a state, and with "ready" the document and the release in it. */
async function ask(address, token, signal) {
  // The life of signed links is counted from before the answer, so that it is never taken for longer than it is.
  const running = performance.now();
  const clock = Date.now();
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  // Credentials go to the page's own origin only, as is the default.
  const response = await fetch(address, { cache: "no-cache", headers, signal });
  const { status, ok } = response;
  const document = await response.json().catch(() => must(!ok && !signal.aborted));
  if (status === 404) return { state: "empty", status, text: document?.detail ? "nothing" : "empty" };
  if (!ok) return { state: status === 401 ? "unauthorized" : "error", status };
  const { guid, artifacts, version } = document;
  must(version.match(/^\d[\w.-]{0,63}$/));
  const release = (guid && Array.isArray(artifacts) ? readActive : readV2)(document, address);
  release.yanked = response.headers.get("X-Release-Yanked");
  release.life = release.ends - (Date.parse(response.headers.get("Date")) || clock);
  // The clock may be wrong, but how far it has gone on counts the sleep that performance.now() may leave out.
  release.left = () => release.life - Math.max(performance.now() - running, Date.now() - clock);
  return { state: "ready", status, text: "version", document, release };
}

/** The platforms that this browser may be running on: one, two where the architecture cannot be told, or none. */
async function detect() {
  const { userAgentData: hints, userAgent: agent, maxTouchPoints } = navigator;
  const system = /windows|mac|linux/i.exec(hints?.platform || agent)?.[0].toLowerCase();
  // An iPad says that it is a Mac, but no Mac has a touch screen.
  if (!system || /Android|iP|Mobile/.test(agent) || (system === "mac" && maxTouchPoints > 1)) return [];
  const told = await hints?.getHighEntropyValues(["architecture", "bitness"]).catch(() => null);
  let architecture = { arm64: "arm64", x8664: "x86_64" }[told?.architecture + told?.bitness] ?? "";
  // Browsers on every Mac say "Intel", so the user agent tells it for Linux only.
  if (system === "linux" && !told) architecture = /aarch64/.test(agent) ? "arm64" : "x86_64";
  return PLATFORMS.filter((id) => id.startsWith(system) && (system === "windows" || id.endsWith(architecture)));
}

let detected;

/** What to type, each as [what it does, the command, the shell, what it must say]. */
function commands({ platform, filename, hash, url }, active) {
  const windows = platform.startsWith("w");
  const shell = windows ? "powershell" : "terminal";
  const sum = platform.startsWith("m") ? "shasum -a 256" : "sha256sum";
  const verify = windows
    ? `(Get-FileHash .\\${filename} -Algorithm SHA256).Hash -eq '${hash}'`
    : `echo '${hash}  ${filename}' | ${sum} -c`;
  // For archives and disk images there is nothing: what to do with them depends on what is inside.
  const install = {
    msi: `msiexec /i ${filename}`,
    exe: `.\\${filename}`,
    pkg: `sudo installer -pkg ${filename} -target /`,
    undefined: `chmod +x ${filename}`,
  }[/\.([a-z]+)$/.exec(filename)?.[1]];
  return [
    ["fetch", windows && url && `curl.exe -fLo ${filename} '${url}'`, "powershell"],
    // From any machine a file can be fetched for another, which is what signed links are for.
    ["fetch", (active || !windows) && url && `curl -fLo ${filename} '${url}'`, "terminal"],
    ["verify", hash && verify, shell, windows ? "True" : "OK"],
    ["install", install, shell],
  ].filter(([, command]) => command);
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

/**
 * An element. `shape` is its name and, after dots, its parts, which are its classes too. Of the rest, plain objects are
 * attributes, with a listener under `click`, and what is false, null or empty is left out.
 */
function el(shape, ...rest) {
  const [name, ...parts] = shape.split(".");
  const node = document.createElement(name);
  if (parts[0]) node.setAttribute("part", (node.className = parts.join(" ")));
  for (const item of rest.flat(2)) {
    if (item?.constructor !== Object) node.append(item || "");
    else for (const key in item) key === "click" ? (node.onclick = item[key]) : node.setAttribute(key, item[key]);
  }
  return node;
}

function tell(host, name, detail) {
  host.dispatchEvent(new CustomEvent(`agent-downloads-${name}`, { bubbles: true, composed: true, detail }));
}

/** The language of the page; the browser's where that is none. */
function languageOf(host) {
  try {
    return Intl.getCanonicalLocales(host.closest("[lang]").lang);
  } catch {
    return [];
  }
}

function timeOfDay(milliseconds, language) {
  return new Date(milliseconds).toLocaleTimeString(language, { hour: "numeric", minute: "2-digit" });
}

function sizeInWords(bytes, language) {
  const power = bytes && Math.floor(Math.log10(bytes) / 3);
  return (bytes / 1000 ** power).toLocaleString(language, {
    style: "unit",
    unit: ["", "kilo", "mega", "giga", "tera"][power] + "byte",
    unitDisplay: power ? "short" : "long",
    maximumFractionDigits: 1,
  });
}

/** The nodes that show a view, with the texts that `text` gives. Nothing outside them changes but through the listeners. */
function draw(host, view, text, say) {
  const { state, release, own } = view ?? {};
  const { links } = host.dataset;
  const language = languageOf(host);
  const time = release && timeOfDay(release.ends, language);

  // What has the focus is found again by its name.
  const named = (name) => ({ "id": name, "aria-label": name });
  const button = (id) => el(`button.${id}`, { id, click: () => host.refresh() }, text(id));
  const banner = (name, values, ...more) => el(`div.banner.${name}`, el("p", text(name, values)), more);

  const copyable = (label, platform, what, title, command) => {
    const shown = el(`code.command.${what}`, { dir: "ltr" }, command);
    const click = async () => {
      const done = (await copy(command, shown)) ? "copied" : "copyFailed";
      control.textContent = text(done);
      say(done);
      setTimeout(() => (control.textContent = text("copy")), SHOWN_COPIED);
      if (done === "copied") tell(host, "copy", { platform, what, text: command });
    };
    const name = text("copyWhat", { what: title, platform: label });
    const control = el("button.copy", { click }, named(name), text("copy"));
    return [el("p.title", title), el("div.step", shown, control)];
  };

  const details = (file, label) => {
    const { platform, hash } = file;
    const title = text("details");
    return el(
      "details",
      { id: platform },
      el("summary", named(`${title}, ${label}`), title),
      hash ? copyable(label, platform, "hash", text("hash"), hash) : el("p.title", text("noHash")),
      commands(file, release.active).map(([what, command, shell, answer]) =>
        copyable(label, platform, what, text(what, { shell: text(shell), answer }), command),
      ),
    );
  };

  const artifact = (file, primary) => {
    const { platform, filename, size, url } = file;
    const link = links === "ended" ? null : url;
    const label = text(platform);
    const name = text("downloadFor", { platform: label });
    const about = [
      size != null && ` · ${sizeInWords(size, language)}`,
      links && link && ` · ${text("until", { time })}`,
    ];
    const click = () => tell(host, "download", { platform, version: release.version, url });
    return el(
      `li.artifact${primary}`,
      { "data-platform": platform },
      el(
        "div",
        el("p.name", label),
        filename && el("p.meta", el("bdi", filename), about),
      ),
      link
        ? el("a.action", { href: link, click }, named(name), primary ? name : text("download"))
        : el("p.meta", text(url ? "ended" : release.active ? "unavailable" : "missing")),
      filename && details({ ...file, url: link }, label),
    );
  };

  const ready = ({ version, date, notes, notesUrl, yanked, files }) => {
    const wanted = host.getAttribute("platform");
    const isFirst = ({ platform }) => (wanted ? platform.startsWith(wanted) : own.includes(platform));
    const first = files.filter(isFirst);
    // In UTC, as everywhere else on the site.
    const day = date && new Date(date).toLocaleDateString(language, { dateStyle: "long", timeZone: "UTC" });
    return [
      el(
        "div.header",
        el("p.version", text("version", { version })),
        date && el("time.meta", { datetime: date }, text("released", { date: day })),
        notesUrl && el("a.meta", { id: "notes", href: notesUrl }, text("notes")),
      ),
      yanked && banner("yanked", { reason: yanked }),
      notes && el("p.note", notes),
      links && banner(links, { time }, button("refresh")),
      /^mac/.test(first[1]?.platform) && el("p.note", text("whichMac")),
      el(
        "ul",
        first.map((file) => artifact(file, ".primary")),
        files.filter((file) => !isFirst(file)).map((file) => artifact(file, "")),
      ),
    ];
  };

  const failed = state === "error";
  if (state) {
    const content = release ? ready(release) : banner(view.text ?? state, {}, failed && button("retry"));
    return [el("div.card", content), failed ? el("slot") : ""];
  }
  // Nothing moves while it loads, so there is nothing to reduce for those who want less of it.
  // What the page itself offers stays until there is something better.
  return [host.childElementCount || !host.dataset.state ? el("slot") : el("div.card.skeleton.meta", text("loading"))];
}

// A server that renders pages may import this too; there it defines nothing.
export class AgentDownloads extends (globalThis.HTMLElement ?? class {}) {
  static observedAttributes = ["src", "platform"];

  /** Every text. Change them before the first element is made, or give one element its own by `element.strings`. */
  static strings = {
    ...PLATFORM_NAMES,
    label: "Downloads",
    version: "Version {version}",
    released: "Released {date}",
    notes: "Release notes",
    download: "Download",
    downloadFor: "Download for {platform}",
    whichMac: "Which Mac? See “About This Mac”.",
    missing: "Not available in this release",
    unavailable: "Not available on this server",
    details: "Verify and install",
    hash: "SHA-256",
    noHash: "No SHA-256 is recorded.",
    terminal: "a terminal",
    powershell: "PowerShell",
    fetch: "Download in {shell}",
    verify: "Verify in {shell}: must say {answer}",
    install: "Install in {shell}",
    copy: "Copy",
    copyWhat: "Copy: {what}, {platform}",
    copied: "Copied",
    copyFailed: "Could not copy",
    loading: "Loading release information",
    error: "Release information could not be loaded.",
    retry: "Try again",
    empty: "There is no release yet.",
    nothing: "Nothing is published at the moment.",
    unauthorized: "Please sign in to see the downloads.",
    yanked: "No longer offered: {reason}",
    until: "valid until {time}",
    valid: "Links valid until {time}",
    ending: "Links end at {time}",
    ended: "Links expired",
    refresh: "Refresh",
  };

  #body = el("div.body", { role: "group", tabindex: -1 }, el("slot"));
  #status = el("p.status", { role: "status" });
  #view;
  #request;
  #change;
  #timer;
  #token;
  #strings;

  constructor() {
    super();
    if (!sheet) (sheet = new CSSStyleSheet()).replaceSync(STYLE);
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    root.append(this.#body, this.#status);
    // What was set before the element was defined hides the accessors of the class.
    const early = { ...this };
    for (const name in early) delete this[name];
    Object.assign(this, early);
  }

  get src() {
    return this.getAttribute("src");
  }
  set src(address) {
    this.setAttribute("src", address);
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
    this.#strings = strings;
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

  attributeChangedCallback(name) {
    if (name === "src") this.#view = null;
    this.#reload();
  }

  /** Several changes in a row, such as `src` and `token`, ask once. */
  async #reload() {
    const change = (this.#change = {});
    await null;
    if (change === this.#change && this.isConnected) this.refresh();
  }

  /** Asks again; what is shown stays until the answer is there. */
  async refresh() {
    if (!this.src) return;
    this.#request?.abort();
    const request = (this.#request = new AbortController());
    const timer = setTimeout(() => request.abort(), TIMEOUT);
    this.dataset.state = "loading";
    if (!this.#view) this.#follow();
    this.#body.ariaBusy = true;
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
    if (request !== this.#request) return;
    const { state, text = state, status, message, document: loaded, release } = view;
    this.#view = view;
    this.#body.ariaBusy = null;
    this.dataset.state = state;
    this.dataset.links = "";
    this.#follow();
    this.#say(text, release);
    if (release) tell(this, "load", loaded);
    else tell(this, "error", { status, message: message ?? this.#text(text) });
  }

  /** Draws, and again when the signed links come nearer to their end. */
  #follow() {
    clearTimeout(this.#timer);
    const { dataset } = this;
    const { life, left, ends } = this.#view?.release ?? {};
    if (!(life < Infinity)) {
      delete dataset.links;
      return this.#render();
    }
    const rest = left();
    const before = dataset.links;
    dataset.links = rest <= 0 ? "ended" : rest <= life / 6 ? "ending" : "valid";
    this.#timer = setTimeout(() => this.#follow(), LOOK_AGAIN);
    if (before === dataset.links) return;
    this.#render();
    if (before) this.#say(dataset.links, { time: timeOfDay(ends, languageOf(this)) });
  }

  /** A text with its places filled. */
  #text(name, values) {
    return this.strings[name].replace(/{(\w+)}/g, (place, key) => values?.[key] ?? place);
  }

  /** For screen readers, when they have finished what they are saying. */
  #say(name, values) {
    this.#status.textContent = this.#text(name, values);
  }

  /** Draws anew; the focus and what is unfolded stay where they were. */
  #render() {
    const root = this.shadowRoot;
    const focused = root.activeElement;
    const unfolded = [...root.querySelectorAll("[open]")];
    const text = (name, values) => this.#text(name, values);
    const say = (name) => this.#say(name);
    this.#body.ariaLabel = text("label");
    this.#body.replaceChildren(...draw(this, this.#view, text, say));
    const named = (id) => root.getElementById(id);
    for (const { id } of unfolded) (named(id) ?? {}).open = true;
    if (focused) (named(focused.id) ?? named("refresh") ?? this.#body).focus();
  }
}

const registry = globalThis.customElements;
if (!registry?.get("agent-downloads")) registry?.define("agent-downloads", AgentDownloads);
