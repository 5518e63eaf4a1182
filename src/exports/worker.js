// Answers V2 and V1 as the edge does, from what was compiled. The same module for every site: all that differs is in
// answers.json:  headers    sets of headers, which `kinds` and `documents` name by their index
//                documents  address: [set, entity tag]; the bytes are in env.ASSETS
//                channels   their heads, and the orders of their lists, as indexes into `releases`
//                releases   ascending by version. tags: of V2 and of V1, an entity tag for each channel; pieces: what a list
//                           page's tag is made of; files: [name, sha256, bytes, type, key if it is an unusual one]
// env.ASSETS     the folder dist/public; env.EDGE, optional, a service or an address: where /api/… is passed on to
import site from "./answers.json";

const [V2, V1] = ["/v2/agent-releases", "/internal/v1/agent"];
const [SYSTEMS, ARCHS] = [["windows", "macos"], ["arm64", "x86_64"]];
const CHANNELS = site.channels.map((channel) => channel.name);
const PLACES = new Map(site.releases.map((release, place) => [release.version, place]));
const TILE = /^\/v2\/agent-releases\/history\/([0-9a-f]{32})[0-9a-f]{32}\.json$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const PART = "(0|[1-9]\\d*|\\d*[A-Za-z-][0-9A-Za-z-]*)";
const VERSION = new RegExp(`^(?=.{5,64}$)(0|[1-9]\\d*)(\\.(0|[1-9]\\d*)){2}(-${PART}(\\.${PART})*)?(?<!\\.json|\\.gz|\\.br)$`);
const FACTOR = 0x9e3779b97f4a7c15f39cc0605cedc835n; // Of the tags of list pages: odd, and without a pattern.

// What answers at an address; of V1 also its twin in V2, with `?` where that takes the query as it was sent.
const ANY = "([^/%]+)";
const NAME = `${ANY}(?<!\\.json|\\.gz|\\.br)`; // Those end like files, and no version does.
const file = (ask, name, place, filename) => redirect(ask, releaseOf(name), place, filename);
const links = () => headOf() && site.v1.links;
const retired = (ask) => refuse(410, "gone", "This API has been retired", { successor: twin(ask.path, ask.query) });
const ROUTES = [
  [V2, "", list],
  [V2, "/latest", view],
  [V2, `/${NAME}`, view],
  [V2, "/latest/download", download],
  [V2, `/${ANY}/download`, download],
  [V2, `/${ANY}/download/(windows|(?:macos|linux)/[^/%]+)/${ANY}`, file],
  [V2, `/${ANY}/download/(files/${ANY})`, file],
  [V1, "/releases", list, "?"],
  [V1, "/releases/latest", view, "/latest?"],
  [V1, `/releases/${NAME}`, view, "/$1?"],
  [V1, "/downloads/links", links, "/latest?channel=stable"],
  [V1, "/downloads/latest", download, "/latest/download?"],
  [V1, `/downloads/${NAME}`, download, "/$1/download?"],
  [V1, "/downloads/links\\.json", retired, "/latest.json"],
  [V1, "/releases/((?:latest/)?[^/%]+\\.json)", retired, "/$1"],
  [V1, "/releases/(.*\\.json)", null, "/$1"],
].map(([base, rest, answer, twin]) => ({ base, pattern: new RegExp(`^${base}${rest}$`), answer, twin }));

export default {
  async fetch(request, env) {
    const target = request.url.slice(request.url.indexOf("/", request.url.indexOf("//") + 2));
    const [path, query] = cut(target, "?");
    const edge = below(path, "/api") && env.EDGE;
    if (edge) return edge.fetch?.(request) ?? fetch(new Request(new URL(target, edge), request));
    const ask = { request, env, target, path, query, v1: below(path, V1) ? site.v1 : null };
    const refused = (thrown) => (thrown.status ? thrown : console.error(thrown) ?? refuse(500, "internal_error", "Server error"));
    return respond(ask, await decide(ask).catch(refused).catch((refusal) => refusal));
  },
};

/** Order of checks: the target's form, method, route, parameters, release, recall, artifact. */
async function decide(ask) {
  const { method, headers } = ask.request;
  const isKnown = ["GET", "HEAD", "OPTIONS"].includes(method);
  const refuseMethod = () => refuse(405, "method_not_allowed", "Method not allowed", {}, site.kinds.method);
  if (Number(headers.get("content-length")) || headers.has("transfer-encoding")) (isKnown ? malformed : refuseMethod)();
  if (bytesOf(ask.target) > 2048) refuse(414, "uri_too_long", "URI Too Long");
  if (headers.has("expect")) refuse(417, "expectation_failed", "Expectation Failed");
  if (/%(?![0-9A-Fa-f]{2})/.test(ask.path)) malformed();
  ask.given = parameters(ask.query);
  if (!isKnown) refuseMethod();
  const document = await documentAt(ask);
  const { base, pattern, answer } = ROUTES.find(({ pattern }) => pattern.test(ask.path)) ?? {};
  const isThere = answer && (base === V2 || (ask.v1 && (ask.v1.gone || answer !== retired)));
  if (!document && !isThere) noSuchAddress(ask);
  if (method === "OPTIONS") return { status: 204, set: site.kinds.preflight };
  return document ?? (ask.v1?.gone ? retired(ask) : answer(ask, ...pattern.exec(ask.path).slice(1)));
}

function respond({ request, path, query, v1 }, { status = 200, set, headers, tag, body = null }) {
  const all = new Headers({ ...site.headers[set], ...headers, ...v1?.headers, "X-Release-Snapshot": site.snapshot });
  if (v1) all.set("Link", [`<${twin(path, query)}>; rel="successor-version"${v1.docs}`, headers?.Link ?? []].flat().join(", "));
  if (tag) all.set("ETag", `"${tag}"`);
  const known = request.headers.get("if-none-match")?.trim() ?? "";
  if (tag && (known === "*" || known.match(/"[^"]*"/g)?.includes(`"${tag}"`))) {
    all.delete("Content-Type");
    return new Response(null, { status: 304, headers: all });
  }
  if (request.method !== "HEAD") return new Response(body, { status, headers: all });
  all.set("Content-Length", body?.byteLength ?? bytesOf(body ?? ""));
  return new Response(null, { status, headers: all });
}

/** Thrown wherever it is found out, and answered in one place. JSON leaves out the details that are undefined. */
function refuse(status, code, message, details = {}, set = site.kinds.error) {
  throw { status, set, body: text({ error: { code, message, details } }) };
}
const malformed = () => refuse(400, "bad_request", "Malformed request");
const invalid = (message, field, value, allowed) => refuse(400, "invalid_request", message, { field, value, allowed });
const noSuchAddress = ({ path }) => refuse(404, "not_found", "Resource not found", { path });
const noRelease = (details) => refuse(404, "not_found", "Agent release not found", details);
const text = (document) => `${JSON.stringify(document)}\n`;
const bytesOf = (text) => new TextEncoder().encode(text).length;
const below = (path, base) => path === base || path.startsWith(`${base}/`);
const cut = (text, at) => (text.includes(at) ? [text.slice(0, text.indexOf(at)), text.slice(text.indexOf(at) + 1)] : [text, ""]);

/** The values of each name in a query, decoded once. */
function parameters(query) {
  const given = new Map();
  try {
    for (const pair of query.split("&")) {
      const [name, value] = cut(pair, "=").map((text) => decodeURIComponent(text));
      if (/[\u0000-\u001f\u007f-\u009f]/.test(name + value)) malformed();
      if (!given.get(name)?.push(value)) given.set(name, [value]);
    }
  } catch { malformed(); /* An escape that is not whole, or not UTF-8; or a control character. */ }
  return given;
}

/** The value of a field, undefined when it is absent; `allowed` are the words that it is one of, unless `any` will do. */
function one({ given }, field, allowed, any = !allowed) {
  const [value, ...more] = given.get(field) ?? [];
  const isFine = value === undefined || any || allowed.includes(value);
  const must = more.length ? "be given once" : value === "" ? "not be empty" : isFine ? "" : `be one of: ${allowed.join(", ")}`;
  return must ? invalid(`${field} must ${must}`, field, value, allowed) : value;
}
const releaseOf = (version) => site.releases[PLACES.get(version)] ?? noRelease({ version });
const headOf = (channel = "stable") => site.releases[rowOf(channel).head] ?? noRelease({ channel });
const rowOf = (channel) => site.channels[CHANNELS.indexOf(channel)];

/** A static document. A tile of the snapshot before this one is in no table, but its name tells its tag. */
async function documentAt({ path, env }) {
  const page = path.replace(/\/index\.html$/, "/"); // A page is that of its folder.
  const [set, tag] = site.documents[page] ?? [site.kinds.tile, TILE.exec(path)?.[1]];
  const asset = tag && (await env.ASSETS.fetch(`https://assets.invalid${page.replace(/\/$/, "/index.html")}`));
  if (asset?.ok) return { set, tag, body: await asset.arrayBuffer() };
  return site.documents[page] ? Promise.reject(new Error(`${path} is not among the assets`)) : null;
}

/** The address of V2 that answers what one of V1 asks. What cannot stand in an address is left out. */
function twin(path, query) {
  const { pattern, twin } = ROUTES.find(({ base, pattern }) => base === V1 && pattern.test(path)) ?? {};
  const [address, asked] = pattern ? path.replace(pattern, V2 + twin).split(/\?$/) : [V2];
  const isPlain = (text) => /^[A-Za-z0-9\-._~:/?[\]@!$&'()*+,;=%]*$/.test(text);
  if (!isPlain(address)) return V2;
  return asked === "" && query && isPlain(query) ? `${address}?${query}` : address;
}

/** A release, or a channel's head; in V1 perhaps with the installers of one system alone. */
function view(ask, name) {
  const asked = one(ask, "channel", CHANNELS);
  const system = ask.v1 && !name && one(ask, "platform", SYSTEMS);
  const release = name ? releaseOf(name) : headOf(asked);
  const channel = asked ?? (name ? release.default : "stable");
  if (system) return ask.v1.latest[channel][system];
  const tag = new Map(Object.entries(release.tags[ask.v1 ? 1 : 0])).get(channel) ?? noRelease({ version: name, channel });
  return { set: site.kinds.view, headers: release.headers, tag, body: text(shown(ask, release, channel)) };
}
function shown({ v1 }, { version, published_at = null, notes_url = null, files }, channel) {
  const base = v1 ? `${V1}/downloads/${version}` : `${V2}/${version}/download`;
  const artifact = (place, query) => {
    if (!files[place]) return null;
    const [filename, sha256, size_bytes, type] = files[place];
    return { filename, content_type: site.types[type], size_bytes, sha256, download_url: `${base}?${query}` };
  };
  const [arm64, x86_64] = ARCHS.map((arch) => artifact(`macos/${arch}`, `platform=macos&arch=${arch}`));
  const artifacts = { windows: artifact("windows", "platform=windows"), macos: { arm64, x86_64 } };
  return { channel, version, published_at, notes_url, [v1 ? "platforms" : "artifacts"]: artifacts };
}

/** To an installer of a release, or of a channel's head. */
function download(ask, name) {
  const channel = name ? undefined : one(ask, "channel", CHANNELS);
  const platform = one(ask, "platform", SYSTEMS) ?? invalid("platform is required", "platform", undefined, SYSTEMS);
  const isMacos = platform === "macos";
  const arch = one(ask, "arch", ARCHS, !isMacos);
  if (isMacos && !arch) invalid("arch is required when platform=macos", "arch", arch, ARCHS);
  if (!isMacos && arch) invalid("arch is not allowed when platform=windows", "arch", arch, ARCHS);
  return redirect(ask, name ? releaseOf(name) : headOf(channel), isMacos ? `macos/${arch}` : platform);
}
function redirect(ask, release, place, name) {
  const { version, recalled, files } = release;
  if (recalled) refuse(410, "gone", "Agent release recalled", { version, reason: recalled });
  const [platform, arch = null] = place.split("/");
  const [filename, sha256, , , key] = files[place] ?? [];
  if (!filename && platform === "files") noSuchAddress(ask);
  const isThere = filename && (name ?? filename) === filename;
  if (!isThere) refuse(404, "not_found", "Agent artifact not found", { version, platform, arch });
  const location = { Location: site.base_url + (key ?? `${sha256}/${filename}`) };
  const file = { "Content-Disposition": `attachment; filename="${filename}"`, ...(sha256 && { "X-Checksum-SHA256": sha256 }) };
  return { status: 302, set: site.kinds.redirect, headers: { ...location, ...file, ...release.headers } };
}

/** A page of a channel's offered releases, those without a time last whichever way the list runs. */
function list(ask) {
  const channel = one(ask, "channel", CHANNELS) ?? "stable";
  const by = one(ask, "sort_by", ["published_at", "version"]) ?? "published_at";
  const order = one(ask, "sort_order", ["asc", "desc"]) ?? "desc";
  const size = one(ask, "page_size") ?? "50";
  if (!/^[1-9]\d{0,2}$/.test(size) || size > 200) invalid("page_size must be an integer between 1 and 200", "page_size", size);
  const encode = (value, version) => base64url({ v: 1, c: channel, s: by, o: order, k: [value, version] });
  const directed = (places) => (order === "asc" ? places : places.toReversed());
  const { by_version, timed, untimed } = rowOf(channel);
  const places = by === "version" ? directed(by_version) : [...directed(timed), ...directed(untimed)];
  const rest = behind(cursor(ask, by, encode), places, by, order);
  const page = rest.slice(0, Number(size)).map((place) => site.releases[place]);
  const last = rest.length > page.length ? page.at(-1) : null;
  const next = last && encode(by === "version" ? last.version : last.published_at ?? null, last.version);
  const pieces = [...page.map((release) => `0x${release.pieces[ask.v1 ? 1 : 0]}`), next ? 1 : 0, places.length];
  const tag = pieces.reduce((sum, piece) => BigInt.asUintN(128, sum * FACTOR + BigInt(piece)), 1n);
  const query = `channel=${channel}&sort_by=${by}&sort_order=${order}&page_size=${size}&cursor=${next}`;
  const headers = next ? { Link: `<${ask.path}?${query}>; rel="next"` } : {};
  const body = text({ data: page.map((one) => shown(ask, one, channel)), total_count: places.length, next_cursor: next });
  return { set: site.kinds.view, headers, tag: tag.toString(16).padStart(32, "0"), body };
}
const base64url = (value) => btoa(JSON.stringify(value)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

/** The key behind which a page begins; anything but the text that `encode` makes of it is none. */
function cursor(ask, by, encode) {
  const value = one(ask, "cursor");
  if (value === undefined) return null;
  const isText = (text, form) => typeof text === "string" && form.test(text);
  try {
    const { k } = JSON.parse(atob(value.replaceAll("-", "+").replaceAll("_", "/")));
    const isValue = by === "version" ? k[0] === k[1] : k[0] === null || isText(k[0], TIME);
    if (isValue && isText(k[1], VERSION) && value.length <= 1024 && value === encode(...k)) return k;
  } catch { /* Not base64, or not JSON. */ }
  return invalid("cursor is not valid for this list", "cursor", value);
}

/** Those of a list's places that come after a key, whether or not a release has that key. */
function behind(key, places, by, order) {
  if (!key) return places;
  const [time, rank] = [by === "version" ? null : key[0], rankOf(key[1])];
  const isBefore = (one, other) => (order === "asc" ? one < other : one > other);
  return places.filter((place) => {
    const other = (by === "version" ? null : site.releases[place].published_at) ?? null;
    return other === time ? isBefore(rank, place) : time !== null && (other === null || isBefore(time, other));
  });
}
/** The place of a version among the releases; one that no release has lies between two places. */
function rankOf(version, low = 0, high = site.releases.length) {
  if (low === high || PLACES.has(version)) return PLACES.get(version) ?? low - 0.5;
  const middle = (low + high) >> 1;
  const half = sortable(site.releases[middle].version) < sortable(version) ? [middle + 1, high] : [low, middle];
  return rankOf(version, ...half);
}

/** Text whose order is that of SemVer 2.0.0, rule 11: numbers by length, then digits; words behind them; no prerelease last. */
function sortable(version) {
  const part = (text) => (/^\d+$/.test(text) ? `0${String.fromCharCode(64 + text.length)}${text}` : `1${text}`);
  const [core, before] = cut(version, "-").map((text) => text.split(".").map(part).join("\0"));
  return `${core}\0${version.includes("-") ? before : "~"}`;
}
