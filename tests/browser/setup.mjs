// What the tests share: the places of things, edges that end with their test, browsers, and pages that are watched.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

export const ROOT = resolve(import.meta.dirname, "../..");
export const PROGRAMS = resolve(process.env.PAGES_PROGRAMS ?? join(ROOT, "target/release"));
export const WORK = join(ROOT, "target/pages");
/** Releases of the large collection. */
export const LARGE = Number(process.env.PAGES_RELEASES ?? 10_000);
export const CHROMIUM = "/usr/bin/chromium";
export const FLAGS = ["--no-sandbox", "--disable-gpu"];

const installed = createRequire(join(ROOT, "target/node-pages/"));
/** A package that scripts/check-pages has installed. */
export const load = (name) => import(pathToFileURL(installed.resolve(name)));
export const axeSource = () => readFileSync(installed.resolve("axe-core/axe.min.js"), "utf8");

export const token = () => readFileSync(join(WORK, "token"), "utf8").trim();
export const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** Starts the edge before the tests of a file; its `base` is known once they run. */
export async function serve(context, name, ...flags) {
  const site = join(WORK, name, "dist");
  const edge = spawn(join(PROGRAMS, "agent-releases-edge"), ["--site", site, "--listen", "127.0.0.1:0", ...flags], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  context.after(() => edge.kill());
  for await (const line of createInterface(edge.stdout)) {
    const base = /^listening on (.*)/.exec(line)?.[1];
    if (base) return base;
  }
  throw new Error(`the edge did not start on ${site}`);
}

/** With artifacts, tokens and a key: everything that the edge can do. */
export function serveAll(context, ...flags) {
  const secrets = ["--tokens", join(WORK, "tokens"), "--signing-keys", join(WORK, "keys")];
  return serve(context, "main", "--artifacts", join(WORK, "main/artifacts"), ...secrets, ...flags);
}

export async function launch(context) {
  const { chromium } = await load("playwright-core").then((module) => module.default);
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  context.after(() => browser.close());
  return browser;
}

/**
 * A page whose misdeeds are collected: errors on the console, what the policy blocked, requests to others than `base`.
 * `page.clean()` fails when there were any; `page.forgive()` forgets those so far, where a test has provoked them.
 */
export async function open(context, browser, base, options) {
  const session = await browser.newContext({ baseURL: base, ...options });
  context.after(() => session.close());
  const page = await session.newPage();
  let misdeeds = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && misdeeds.push(message.text()));
  page.on("pageerror", (error) => misdeeds.push(String(error)));
  page.on("request", (request) => request.url().startsWith(`${base}/`) || misdeeds.push(`a request to ${request.url()}`));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`blocked: ${event.effectiveDirective} ${event.blockedURI}`));
  });
  page.clean = () => assert.deepEqual(misdeeds, []);
  page.forgive = () => (misdeeds = []);
  page.setDefaultTimeout(10_000);
  return page;
}

/** Waits for a download that `action` begins; gives its name and its bytes. */
export async function downloaded(page, action) {
  const [download] = await Promise.all([page.waitForEvent("download"), action()]);
  return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
}

/** What in the page is not accessible, in axe's words. */
export async function barriers(page) {
  await page.evaluate(axeSource());
  const { violations } = await page.evaluate(() => window.axe.run());
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`);
}

export async function accessible(page, where) {
  assert.deepEqual(await barriers(page), [], where);
}

const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'";

/** Opens a page of somebody else's that holds only the component, under a policy as strict as ours. */
export async function embed(page, attributes, { light = "", head = "", html = "lang=en" } = {}) {
  const body = `<!doctype html><html ${html}><meta charset=utf-8><title>Embedded</title>${head}
    <meta name=viewport content="width=device-width"><script type=module src=/agent-downloads.js></script>
    <main><h1>Downloads</h1><agent-downloads ${attributes}>${light}</agent-downloads></main>`;
  await page.route("**/embedded", (route) =>
    route.fulfill({ body, contentType: "text/html", headers: { "content-security-policy": POLICY } }));
  await page.goto("/embedded");
}

/** Waits until the component of a page is in a state. */
export const inState = (page, state) => page.locator(`agent-downloads[data-state=${state}]`).first().waitFor();
