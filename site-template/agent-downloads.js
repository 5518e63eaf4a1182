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
:host(:not([hidden])) { display: block }
* { box-sizing: border-box; margin: 0; padding: 0 }
.body {
  --line: 1px solid var(--agent-downloads-border, #8885);
  --accent-text: var(--agent-downloads-accent-text, light-dark(#1a57b0, #8fb8f6));
  --radius: var(--agent-downloads-radius, 8px);
  color: var(--agent-downloads-text, CanvasText);
  font: 1rem/1.5 var(--agent-downloads-font, system-ui);
}
.card {
  background: var(--agent-downloads-surface, Canvas);
  border: var(--line);
  border-radius: calc(var(--radius) * 1.5);
  overflow-wrap: anywhere;
  padding: 1.25rem;
  text-align: start;
}
.card + slot { display: block; margin-top: 1.25rem }
.header, .banner, .artifact, .step { align-items: center; display: flex; flex-wrap: wrap; gap: .5rem 1rem }
.banner p, code { flex: 1 12rem }
.header { align-items: baseline }
.version, .name, .action, button { font-weight: 600 }
.meta, .title, summary, .note, .valid { color: var(--agent-downloads-muted, light-dark(#59626e, #a3acb7)); font-size: .875rem }
.note, code { white-space: pre-wrap }
.card > * + * { margin-top: .75rem }
.banner, .step { border: 1px solid transparent; border-radius: var(--radius); padding: .5rem .75rem }
.banner { background: #fb03 }
.error { background: #e432 }
.valid { background: none; border: 0; padding: 0 }
.artifact { border-top: var(--line); margin-top: 1rem; padding-top: 1rem }
.artifact > div { flex: 99 15rem }
a, button { color: var(--accent-text) }
.action, button {
  background: none;
  border: var(--line);
  border-radius: var(--radius);
  cursor: pointer;
  font-size: .875rem;
  padding: .6rem 1.1rem;
  text-align: center;
  text-decoration: none;
}
button { font-family: inherit; padding: .375rem .75rem }
.action { flex: auto }
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
details { contain: inline-size; flex-basis: 100% }
summary { cursor: pointer; padding: .25rem 0; width: fit-content }
.title { margin: .75rem 0 .25rem }
.step { background: #8881 }
code { font: .8125rem/1.6 monospace }
.copy { min-width: 5rem }
.skeleton { min-height: 20rem }
.status { clip-path: inset(50%); height: 1px; margin-top: -1px; overflow: hidden }
`;

let sheet;

/** Stops the reading of a document that is not what it should be. */
function must(condition) {
  if (!condition) throw Error("not a release document");
}

/** An absolute address that is safe to link to, and safe between single quotes in any shell. Only texts can be trimmed. */
function webAddress(address, base) {
  const { href } = new URL(address.trim(), base);
  must(/^https?:/.test(href));
  return href.replaceAll("'", "%27");
}

/** A file as it is shown; without an address, this server does not offer it. */
function readFile(platform, { filename }, size, hash, address, base) {
  must(
    filename.match(/^[A-Za-z0-9][\w.-]{0,127}$/) &&
      (size === null || /^\d{1,14}$/.test(size)) &&
      (hash === null || hash.match(/^[0-9a-f]{64}$/)),
  );
  return { platform, filename, size, hash, url: address && webAddress(address, base) };
}

function readV2({ version, published_at: date, notes_url: notesUrl, artifacts: { windows, macos } }, base) {
  must(date === null || !isNaN(Date.parse(date)));
  const files = [windows, macos.arm64, macos.x86_64].map((found, index) => {
    const platform = PLATFORMS[index];
    if (found === null) return { platform };
    return readFile(platform, found, found.size_bytes, found.sha256, found.download_url, base);
  });
  return { version, date, notesUrl: notesUrl && webAddress(notesUrl, base), files };
}

function readActive({ version, notes, artifacts, dev_mode: every }, base, token) {
  must(notes === null || notes.trim);
  let ends = Infinity;
  const files = PLATFORMS.map((platform) => {
    const id = platform.replace("macos", "darwin").replace("x86_64", "amd64");
    const found = artifacts.find((artifact) => artifact.platform === id);
    if (!found) return every && { platform };
    const { signed_url: signed } = found;
    // A link goes without the token, so with one only signed links lead anywhere.
    const address = signed ?? (token ? null : found.download_url);
    // The checksum is `sha256:` and the digits.
    const file = readFile(platform, found, found.file_size, found.checksum.slice(7), address, base);
    file.signed = signed;
    if (signed) ends = Math.min(ends, /expires=(\d+)/.exec(file.url)?.[1] * 1000 || ends);
    return file;
  });
  return { version, notes, files: files.filter(Boolean), ends };
}

/** What the server says: a state, and with "ready" the document and the release in it. */
async function ask(address, token, signal) {
  // The life of signed links is counted from before the answer, so that it is never taken for longer than it is.
  const running = performance.now();
  const clock = Date.now();
  // Credentials go to the page's own origin only, as is the default.
  const response = await fetch(address, {
    cache: "no-cache",
    headers: token ? { Authorization: `Bearer ${token}` } : {},
    signal,
  });
  const { status, ok } = response;
  const document = await response.json().catch(() => must(!ok && !signal.aborted));
  // Another 404 is somebody else's, such as a proxy's, or Active's "Not Found" for a wrong address. V2 says the same of that as
  // of a channel without a release.
  const text = status === 404 && (document?.detail?.[2] === " " ? "nothing" : document?.error?.code === "not_found" && "empty");
  if (!ok) return { state: text ? "empty" : status === 401 ? "unauthorized" : "error", status, text };
  must(document.version.match(/^\d[\w.-]{0,63}$/));
  const release = (document.guid ? readActive : readV2)(document, address, token);
  release.yanked = response.headers.get("X-Release-Yanked");
  release.life = release.ends - (Date.parse(response.headers.get("Date")) || clock);
  // The clock may be wrong, but how far it has gone on counts the sleep that performance.now() may leave out.
  release.left = () => release.life - Math.max(performance.now() - running, Date.now() - clock);
  return { state: "ready", text: "version", document, release };
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
  if (system[0] === "l" && !told) architecture = /aarch64/.test(agent) ? "arm64" : "x86_64";
  return PLATFORMS.filter((id) => id.startsWith(system) && (system[0] === "w" || id.endsWith(architecture)));
}

/** The promise of those platforms, and what came of it. */
let detected;
let own;

/** What to type, each as [what it does, the command, the shell, what it must say]. */
function commands({ platform, filename, hash, signed }, url) {
  const windows = platform[0] === "w";
  const shell = windows ? "powershell" : "terminal";
  const verify = windows
    ? `(Get-FileHash .\\${filename} -Algorithm SHA256).Hash -eq '${hash}'`
    : `echo '${hash}  ${filename}' | ${platform[0] === "m" ? "shasum -a 256" : "sha256sum"} -c`;
  // What follows a version's dot begins with a digit, and is no ending.
  const ending = /\.(7z|[a-z_]\w*)$/i.exec(filename)?.[1].toLowerCase() ?? "";
  // For archives and disk images there is nothing: what to do with them depends on what is inside.
  const install = {
    __proto__: null,
    msi: "msiexec /i @",
    exe: ".\\@",
    pkg: "sudo installer -pkg @ -target /",
    deb: "sudo apt install ./@",
    rpm: "sudo dnf install ./@",
    "": windows ? "" : "chmod +x @",
  }[ending]?.replace("@", filename);
  // No session goes with a command, so an address of Active's that is not signed leads nowhere.
  const fetching = url && signed !== null && ` -fLo ${filename} '${url}'`;
  return [
    ["fetch", windows && fetching && "curl.exe" + fetching, shell],
    // From any machine a file can be fetched for another, which is what signed links are for.
    ["fetch", (signed || !windows) && fetching && "curl" + fetching, "terminal"],
    ["verify", hash && verify, shell, windows ? "True" : "OK"],
    ["install", install, shell],
  ].filter((row) => row[1]);
}

/**
 * An element. `shape` is its name and, after dots, its parts, which are its classes too. Of the rest, plain objects are
 * attributes, with a listener under `click`, and what is false, null or empty is left out. In texts, what stands between
 * two "\0" was filled in, and has a direction of its own.
 */
function el(shape, ...rest) {
  const [name, ...parts] = shape.split(".");
  const node = document.createElement(name);
  if (parts[0]) node.setAttribute("part", (node.className = parts.join(" ")));
  for (const item of rest.flat(2)) {
    if (item?.split) node.append(...item.split("\0").map((part, at) => (at % 2 ? el("bdi", part) : part)));
    else if (item?.constructor !== Object) node.append(item || "");
    else for (const key in item) key === "click" ? (node.onclick = item[key]) : node.setAttribute(key, item[key]);
  }
  return node;
}

/** Makes `nodes` the children. What is there already stays, and with it the focus, a selection, and the place. */
function settle(parent, nodes) {
  nodes.forEach((node, at) => {
    const old = parent.childNodes[at];
    const { className } = node;
    if (!old) parent.append(node);
    // The card and its list; what is smaller is kept or replaced as a whole, with its listeners.
    else if (/^(card)?$/.test(className) && className === old.className) settle(old, [...node.childNodes]);
    else if (!old.isEqualNode(node)) old.replaceWith(node);
  });
  while (parent.childNodes[nodes.length]) parent.lastChild.remove();
}

/** A text without its marks. */
const plain = (text) => text.replaceAll("\0", "");

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

function timeOfDay(milliseconds, host) {
  return new Date(milliseconds).toLocaleTimeString(languageOf(host), { timeStyle: "short" });
}

function sizeInWords(bytes, language) {
  // What would be rounded to 1,000 has the next unit.
  const power = bytes && Math.floor(Math.log10(bytes / 0.99995) / 3);
  return (bytes / 1000 ** power).toLocaleString(language, {
    style: "unit",
    unit: ["", "kilo", "mega", "giga", "tera"][power] + "byte",
    unitDisplay: power ? "short" : "long",
    maximumFractionDigits: 1,
  });
}

/** What has the focus is found again by its name. */
const named = (name) => ({ "id": (name = plain(name)), "aria-label": name });

/** Makes the nodes of a text that can be copied: its title, the text itself, and the button. */
const copying = (host, text, say) => (platform, what, title, command) => {
  const shown = el(`code.command.${what}`, { dir: "ltr" }, command);
  const click = async () => {
    let failed;
    try {
      await navigator.clipboard.writeText(command);
    } catch {
      // Pages without TLS have only the older way, which needs a selection.
      getSelection().selectAllChildren(shown);
      failed = !document.execCommand("copy");
    }
    const done = failed ? "copyFailed" : "copied";
    control.textContent = text(done);
    say(done);
    setTimeout(() => (control.textContent = text("copy")), SHOWN_COPIED);
    failed || tell(host, "copy", { platform, what, text: command });
  };
  const name = text("copyWhat", { what: title, platform: text(platform) });
  const control = el("button.copy", { click }, named(name), text("copy"));
  return [el("p.title", title), el("div.step", shown, control)];
};

/** The nodes that show a view, with the texts that `text` gives. Nothing outside them changes but through the listeners. */
function draw(host, view, text, say) {
  const { state, release } = view ?? {};
  const { links } = host.dataset;
  const language = languageOf(host);
  const time = release && timeOfDay(release.ends, host);

  const copyable = copying(host, text, say);
  const button = (id) => el(`button.${id}`, { id, click: () => host.refresh() }, text(id));
  const banner = (name, values, ...more) => el(`div.banner.${name}`, el("p", text(name, values)), more);

  const artifact = (file, primary) => {
    const { platform, filename, size, hash, url } = file;
    const link = links !== "ended" && url;
    const label = text(platform);
    const name = text("downloadFor", { platform: label });
    const details = text("details");

    return el(
      `li.artifact${primary}`,
      { "data-platform": platform },
      el(
        "div",
        el("p.name", label),
        filename &&
          el(
            "p.meta",
            `\0${filename}\0`,
            size != null && ` · ${sizeInWords(size, language)}`,
            links && link && ` · ${text("until", { time })}`,
          ),
      ),
      link
        ? el(
            "a.action",
            { href: link, click: () => tell(host, "download", { platform, version: release.version, url }) },
            named(name),
            primary ? name : text("download"),
          )
        : // Only Active's links have an end, even if it never comes.
          el("p.meta", text(url ? "ended" : release.ends ? "unavailable" : "missing")),
      filename &&
        el(
          "details",
          { id: platform, ...(host.shadowRoot.querySelector(`#${platform}[open]`) && { open: "" }) },
          el("summary", named(`${details}, ${label}`), details),
          hash ? copyable(platform, "hash", text("hash"), hash) : el("p.title", text("noHash")),
          commands(file, link).map(([what, command, shell, answer]) =>
            copyable(platform, what, text(what, { shell: text(shell), answer }), command),
          ),
        ),
    );
  };

  const ready = ({ date, notes, notesUrl, yanked, files }) => {
    const wanted = host.getAttribute("platform");
    const first = files.filter(({ platform }) => (wanted ? platform.startsWith(wanted) : own.includes(platform)));
    return [
      el(
        "div.header",
        el("h2.version", text("version", release)),
        date &&
          el(
            "time.meta",
            { datetime: date },
            // In UTC, as everywhere else on the site.
            text("released", { date: new Date(date).toLocaleDateString(language, { dateStyle: "long", timeZone: "UTC" }) }),
          ),
        notesUrl && el("a.meta", { id: "notes", href: notesUrl }, text("notes")),
      ),
      yanked && banner("yanked", { reason: yanked }),
      notes && el("p.note", notes),
      links && banner(links, { time }, button("refresh")),
      /^mac/.test(first[1]?.platform) && el("p.note", text("whichMac")),
      el(
        "ul",
        first.map((file) => artifact(file, ".primary")),
        files.filter((file) => !first.includes(file)).map((file) => artifact(file, "")),
      ),
    ];
  };

  const failed = state === "error";
  if (state) {
    const message = (failed || !release) && banner(view.text || state, {}, failed && button("retry"));
    const card = el("div.card", message, release && ready(release));
    return release ? [card] : [card, el("slot")];
  }
  // Nothing moves while it loads, so there is nothing to reduce for those who want less of it.
  // What the page itself offers stays until there is something better.
  return [host.childElementCount || !host.dataset.state ? el("slot") : el("div.card.skeleton.meta", text("loading"))];
}

// A server that renders pages may import this too; there it defines nothing.
export class AgentDownloads extends (globalThis.HTMLElement ?? Object) {
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
    for (const [name, value] of Object.entries(this)) {
      delete this[name];
      this[name] = value;
    }
  }

  get src() {
    return this.getAttribute("src");
  }
  set src(address) {
    if (address == null) this.removeAttribute("src");
    else this.setAttribute("src", address);
  }

  get token() {
    return this.#token;
  }
  set token(token) {
    this.#token = token;
    this.refresh();
  }

  get strings() {
    return { ...AgentDownloads.strings, ...this.#strings };
  }
  set strings(strings) {
    this.#strings = strings;
    this.#render();
  }

  connectedCallback() {
    this.refresh();
  }

  disconnectedCallback() {
    this.refresh();
  }

  attributeChangedCallback(name) {
    if (name === "platform") return this.#render();
    this.#view = null;
    this.refresh();
  }

  /** Asks again, if it is in a document; what is shown stays until the answer is there. */
  async refresh() {
    this.#request = this.#request?.abort();
    clearTimeout(this.#timer);
    if (!this.isConnected) return;
    if (!this.src) {
      delete this.dataset.state;
      this.#view = this.#body.ariaBusy = this.#status.textContent = null;
      return this.#follow();
    }
    const request = (this.#request = new AbortController());
    const timer = setTimeout(() => request.abort(), TIMEOUT);
    this.dataset.state = "loading";
    this.#follow();
    this.#body.ariaBusy = true;
    this.#say("loading");
    let view;
    try {
      // Of several changes in a row, such as `src` and `token`, all but the last are stopped here, before they ask.
      own = await (detected ??= detect());
      view = await ask(webAddress(this.src, document.baseURI), this.#token, request.signal);
    } catch ({ message }) {
      view = { state: "error", status: 0, message };
    }
    clearTimeout(timer);
    // Otherwise something newer was asked, or the element is gone.
    if (request !== this.#request) return;
    const shown = this.#view?.release;
    // What was shown, and can still be downloaded, is better than nothing.
    if (view.state === "error" && !(shown?.left() <= 0)) view.release = shown;
    const { state, status, message, release } = view;
    const text = view.text || state;
    this.#view = view;
    this.#body.ariaBusy = null;
    this.dataset.state = state;
    this.dataset.links = "";
    this.#follow();
    this.#say(text, release);
    if (view.document) tell(this, "load", view.document);
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
    if (before) this.#say(dataset.links, { time: timeOfDay(ends, this) });
  }

  /** A text with its places filled, for `el` and `plain`. */
  #text = (name, values) => {
    const text = this.#strings?.[name] ?? AgentDownloads.strings[name];
    return text.replace(/{(\w+)}/g, (place, key) => `\0${values?.[key] ?? place}\0`);
  };

  /** For screen readers, when they have finished what they are saying. */
  #say = (name, values) => {
    this.#status.textContent = plain(this.#text(name, values));
  };

  /** Draws what has changed; the focus and what is unfolded stay where they were. */
  #render() {
    const root = this.shadowRoot;
    const focused = root.activeElement;
    this.#body.ariaLabel = this.#text("label");
    settle(this.#body, draw(this, this.#view, this.#text, this.#say));
    const named = (id) => root.getElementById(id);
    if (focused?.isConnected === false)
      (named(focused.id) ?? named("refresh") ?? this.#body).focus({ preventScroll: true });
  }
}

try {
  customElements.define("agent-downloads", AgentDownloads);
} catch {
  // There is no browser, or another copy of this module was first.
}
