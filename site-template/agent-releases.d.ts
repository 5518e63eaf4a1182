// The types of every JSON document that agent-releases serves, and of the element <agent-downloads>.
// In all documents every key is always there; what is absent is null. Addresses are relative to the origin of the API.

/** SemVer 2.0.0 without build metadata and without a leading `v`, at most 64 characters. */
export type Version = string;

/** `stable` and `latest` always exist; a catalog may declare more. */
export type Channel = "stable" | "latest" | (string & {});

/** RFC 3339 in UTC with exactly three fraction digits and `Z`: `2026-02-24T21:23:53.082Z`. */
export type Timestamp = string;

/** 64 lower-case hex digits. */
export type Sha256 = string;

/** `rel_` and 26 digits of Crockford's base 32, in lower case. */
export type Guid = string;

export type Platform = "windows-x86_64" | "macos-arm64" | "macos-x86_64" | "linux-x86_64" | "linux-arm64";

// V2

/** A file of a release, for one platform. */
export interface AgentArtifact {
  filename: string;
  /** The media type that the bytes are sent with. */
  content_type: string;
  /** Bytes; null where it was never recorded. */
  size_bytes: number | null;
  /** Of the bytes; null for releases from before hashes were recorded. */
  sha256: Sha256 | null;
  /** Redirects to the bytes of exactly this version, whatever the channel does meanwhile. Resolve it against the API. */
  download_url: string;
}

/** The installers of a release; null where it has none. V2 and V1 do not show Linux. */
export interface Installers<Artifact> {
  windows: Artifact | null;
  macos: {
    arm64: Artifact | null;
    x86_64: Artifact | null;
  };
}

/**
 * `GET /v2/agent-releases/latest`, `GET /v2/agent-releases/{version}`, and the static documents `latest.json`,
 * `latest/<channel>.json` and `<version>.json` below `/v2/agent-releases/`.
 */
export interface AgentRelease {
  /** The channel that answered. */
  channel: Channel;
  version: Version;
  published_at: Timestamp | null;
  /** Always https. */
  notes_url: string | null;
  artifacts: Installers<AgentArtifact>;
}

/** A page of a list: `GET /v2/agent-releases`, and its first page as the static document `index.json`. */
export interface ReleasePage<Release> {
  /** At most `page_size` releases: 50, unless 1–200 was asked for. */
  data: Release[];
  /** How many releases the whole list has. */
  total_count: number;
  /** For `cursor` in the next question; null on the last page. */
  next_cursor: string | null;
}

export type AgentReleaseList = ReleasePage<AgentRelease>;

export interface AgentReleaseListQuery {
  /** `stable` if absent. */
  channel?: Channel;
  /** `published_at` if absent. */
  sort_by?: "published_at" | "version";
  /** `desc` if absent. */
  sort_order?: "asc" | "desc";
  /** 1–200; 50 if absent. */
  page_size?: number;
  cursor?: string;
}

// The history: the index, and tiles named by their hash, which never change.

/** `GET /v2/agent-releases/history/index.json`. */
export interface HistoryIndex {
  /** How many releases all tiles hold. */
  total_count: number;
  /** Ascending by version. */
  tiles: HistoryTileEntry[];
}

export interface HistoryTileEntry {
  /** The tile's name beside the index: `<sha256>.json`. */
  file: string;
  count: number;
  first: Version;
  last: Version;
}

/** `GET /v2/agent-releases/history/<sha256>.json`. */
export interface HistoryTile {
  /** Ascending by version. */
  data: HistoryRelease[];
}

/** A release in every detail that is published of it. */
export type HistoryRelease = HistoryFields & (
  | { state: "published"; reason: null }
  | { state: "yanked" | "recalled"; reason: string }
);

export interface HistoryFields {
  version: Version;
  /** Without `latest`, which holds every release. */
  channels: Channel[];
  published_at: Timestamp | null;
  notes_url: string | null;
  /** Here `download_url` is the path form, which ends in the file's name. */
  artifacts: Partial<Record<Platform, AgentArtifact>>;
  /** By filename: packages, SBOMs, signatures. */
  attachments: Record<string, AgentArtifact>;
}

// V1, which is deprecated

/** `GET /internal/v1/agent/releases/latest` and `…/releases/{version}`. */
export interface V1Release {
  channel: Channel;
  version: Version;
  published_at: Timestamp | null;
  notes_url: string | null;
  /** With `?platform=`, those of the other system are null. */
  platforms: Installers<AgentArtifact>;
}

/** `GET /internal/v1/agent/releases`. */
export type V1ReleaseList = ReleasePage<V1Release>;

/** `GET /internal/v1/agent/downloads/links`: addresses that follow stable. */
export interface V1Links {
  stable: { version: Version };
  latest: Installers<string>;
}

// Errors of V2, of V1, and of every address outside the families

export type ErrorCode =
  | "invalid_request"
  | "bad_request"
  | "unauthorized"
  | "not_found"
  | "method_not_allowed"
  | "gone"
  | "uri_too_long"
  | "expectation_failed"
  | "misdirected_request"
  | "headers_too_large"
  | "internal_error"
  | "unavailable";

export interface ErrorDocument {
  error: {
    code: ErrorCode;
    /** In English, for people. */
    message: string;
    /** Never null; empty where there is nothing to add. */
    details: ErrorDetails;
  };
}

/** Which keys are there depends on the code. */
export interface ErrorDetails {
  /** invalid_request: the parameter, what was sent for it, and what may be sent. */
  field?: string;
  value?: string;
  allowed?: string[];
  /** not_found and gone. */
  version?: Version;
  channel?: Channel;
  platform?: string;
  /** Null for Windows. */
  arch?: string | null;
  path?: string;
  /** gone: why the release was recalled, or what has replaced the API. */
  reason?: string;
  successor?: string;
}

// Active

export type ActivePlatform = "darwin-arm64" | "darwin-amd64" | "linux-amd64" | "linux-arm64" | "windows-amd64";

export interface ActiveArtifact {
  platform: ActivePlatform;
  filename: string;
  checksum: `sha256:${string}`;
  /** Bytes; null where it was never recorded. */
  file_size: number | null;
  /** Needs a token or a session. Null in `dev_mode`. */
  download_url: string | null;
  /** Needs neither until `expires`, seconds since 1970 in its query. Null in `dev_mode`, and without a signing key. */
  signed_url: string | null;
}

/** `GET /api/agent/v1/releases/active`: links are signed afresh for each answer. */
export interface ActiveRelease {
  guid: Guid;
  version: Version;
  /** In the order darwin-arm64, darwin-amd64, linux-amd64, linux-arm64, windows-amd64; empty where there are none. */
  artifacts: ActiveArtifact[];
  notes: string | null;
  /** The server has nowhere to get artifacts from. */
  dev_mode: boolean;
}

/** Every refusal of Active: 401, 404, 405, 416, 500. */
export interface ActiveError {
  detail: string;
}

// The element

export type AgentDownloadsState = "loading" | "ready" | "empty" | "error" | "unauthorized";

/** Every text; what stands in braces is filled in. */
export interface AgentDownloadsStrings {
  /** The name of the whole, for screen readers. */
  label: string;
  /** `{version}` */
  version: string;
  /** `{date}` */
  released: string;
  notes: string;
  "windows-x86_64": string;
  "macos-arm64": string;
  "macos-x86_64": string;
  "linux-x86_64": string;
  "linux-arm64": string;
  download: string;
  /** `{platform}`; begin it as `download`, whose accessible name it is. */
  downloadFor: string;
  /** Where both Macs come first because the browser does not tell which it runs on. */
  whichMac: string;
  missing: string;
  /** Active's only: a file that is not here, or whose link is not signed while a token is set. */
  unavailable: string;
  details: string;
  hash: string;
  noHash: string;
  /** For `{shell}`. */
  terminal: string;
  /** For `{shell}`. */
  powershell: string;
  /** `{shell}` */
  fetch: string;
  /** `{shell}`, `{answer}` */
  verify: string;
  /** `{shell}` */
  install: string;
  copy: string;
  /** `{what}`, `{platform}`; begin it as `copy`, whose accessible name it is. */
  copyWhat: string;
  copied: string;
  copyFailed: string;
  loading: string;
  error: string;
  retry: string;
  /** 404 of V2's: it has no release. */
  empty: string;
  /** 404 of Active's: it has no release. */
  nothing: string;
  unauthorized: string;
  /** `{reason}` */
  yanked: string;
  /** `{time}`, beside each file. */
  until: string;
  /** `{time}` */
  valid: string;
  /** `{time}`: a sixth of the links' life is left. */
  ending: string;
  ended: string;
  refresh: string;
}

export interface AgentDownloadsErrorDetail {
  /** The status of the answer: 404 where there is no release, 401 for no access; 0 if none came, or not a release in it. */
  status: number;
  /** For logs; what people see is in `strings`. */
  message: string;
}

export interface AgentDownloadsDownloadDetail {
  platform: Platform;
  version: Version;
  /** Absolute; with Active it is signed, so do not log it. */
  url: string;
}

export interface AgentDownloadsCopyDetail {
  platform: Platform;
  what: "hash" | "fetch" | "verify" | "install";
  /** What is in the clipboard now; with Active a signed link may be in it. */
  text: string;
}

/** The element's events; all of them bubble and leave shadow trees. */
export interface AgentDownloadsEventMap {
  "agent-downloads-load": CustomEvent<AgentRelease | ActiveRelease>;
  "agent-downloads-error": CustomEvent<AgentDownloadsErrorDetail>;
  "agent-downloads-download": CustomEvent<AgentDownloadsDownloadDetail>;
  "agent-downloads-copy": CustomEvent<AgentDownloadsCopyDetail>;
}

/** `<agent-downloads src="…">`. Its state is in `data-state`, and that of signed links in `data-links`. */
export class AgentDownloads extends HTMLElement {
  /** The texts of all elements. */
  static strings: AgentDownloadsStrings;

  /** The address of an `AgentRelease` or of the Active document; setting it loads it, and null takes it away. */
  get src(): string | null;
  set src(address: string | null | undefined);

  /** Sent as `Authorization: Bearer`; setting it loads again. Never an attribute, and kept nowhere else. */
  get token(): string | null | undefined;
  set token(token: string | null | undefined);

  /** The texts of this element. Setting replaces those that were set before, over the texts of all elements. */
  get strings(): AgentDownloadsStrings;
  set strings(strings: Partial<AgentDownloadsStrings> | null | undefined);

  /** Asks again, and is done when the answer is shown. What is shown stays until then. */
  refresh(): Promise<void>;
}

declare global {
  interface HTMLElementTagNameMap {
    "agent-downloads": AgentDownloads;
  }
  interface HTMLElementEventMap extends AgentDownloadsEventMap {}
  interface DocumentEventMap extends AgentDownloadsEventMap {}
  interface WindowEventMap extends AgentDownloadsEventMap {}
}
