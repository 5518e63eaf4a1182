// Writes docs/screenshots, of the same site that the tests look at: node tests/browser/screenshots.mjs
import assert from "node:assert/strict";
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { inState, launch, open, ROOT, serveAll } from "./setup.mjs";

const FOLDER = join(ROOT, "docs/screenshots");
const LARGEST = 150_000;
const WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36";

/** [name, address, width, height, theme] */
const PICTURES = [
  ["home", "/", 1440, 900, "light"],
  ["releases", "/releases/", 1440, 900, "light"],
  ["release", "/releases/1.8.3/", 1440, 900, "light"],
  ["docs", "/docs/", 1440, 760, "light"],
  ["home-dark-phone", "/", 360, 740, "dark"],
  ["release-dark-phone", "/releases/1.8.3/", 360, 740, "dark"],
  ["home-tablet", "/", 768, 1024, "light"],
];

const endings = [];
const context = { after: (end) => endings.unshift(end) };
mkdirSync(FOLDER, { recursive: true });
try {
  const base = await serveAll(context);
  const browser = await launch(context);
  for (const [name, address, width, height, colorScheme] of PICTURES) {
    const page = await open(context, browser, base, { viewport: { width, height }, colorScheme, userAgent: WINDOWS });
    // The user agent is to decide, not this machine's own hints.
    await page.addInitScript(() => Object.defineProperty(Navigator.prototype, "userAgentData", { value: undefined }));
    await page.goto(address, { waitUntil: "networkidle" });
    if (address === "/") await inState(page, "ready");
    const path = join(FOLDER, `${name}.png`);
    await page.screenshot({ path });
    page.clean();
    const { size } = statSync(path);
    console.log(`${name}.png: ${size} bytes`);
    assert.ok(size <= LARGEST, `${name}.png is larger than ${LARGEST} bytes`);
  }
} finally {
  for (const end of endings) await end();
}
