// Every page of the site: accessible in both themes and on a phone, nothing blocked, nobody else asked, and of use without scripts.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test from "node:test";
import { accessible, barriers, downloaded, inState, launch, open, serve, serveAll, sha256, token, WORK } from "./setup.mjs";

const PAGES = [
  "/", "/#channel-beta", "/#channel-canary", "/releases/", "/releases/page/1/", "/releases/page/3/", "/releases/1.8.3/", "/releases/1.7.9/",
  "/releases/1.8.0/", "/releases/1.9.0-beta.1/", "/docs/", "/404.html",
];
const LOOKS = [
  { colorScheme: "light", viewport: { width: 1440, height: 900 } },
  { colorScheme: "dark", viewport: { width: 1440, height: 900 } },
  { colorScheme: "light", viewport: { width: 360, height: 740 } },
  { colorScheme: "dark", viewport: { width: 360, height: 740 } },
];
const POLICY = [
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "font-src 'self'", "connect-src 'self'",
  "base-uri 'none'", "form-action 'self'", "frame-ancestors 'self'",
].join("; ");

/** What a browser fetches until nothing is going on any more, in bytes as sent. */
async function transferred(page, address) {
  const session = await page.context().newCDPSession(page);
  let bytes = 0;
  session.on("Network.loadingFinished", ({ encodedDataLength }) => (bytes += encodedDataLength));
  await session.send("Network.enable");
  await page.goto(address, { waitUntil: "networkidle" });
  return bytes;
}

test("pages", async (all) => {
  const base = await serveAll(all);
  const browser = await launch(all);

  for (const look of LOOKS) {
    await all.test(`${look.colorScheme}, ${look.viewport.width} px: every page`, async (context) => {
      const page = await open(context, browser, base, look);
      const found = [];
      for (const address of PAGES) {
        const answer = await page.goto(address);
        if (answer) assert.equal(answer.headers()["content-security-policy"], POLICY, address);
        if (address === "/") await inState(page, "ready");
        for (const barrier of await barriers(page)) found.push(`${address}: ${barrier}`);
        const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (wider > 0) found.push(`${address}: ${wider} px wider than the screen`);
        await page.goto("about:blank"); // else a fragment alone would load nothing
      }
      assert.deepEqual(found, []);
      page.clean();
    });
  }

  await all.test("an empty site says so on every page", async (context) => {
    const page = await open(context, browser, await serve(context, "empty"));
    for (const address of ["/", "/releases/", "/docs/", "/404.html"]) {
      await page.goto(address);
      await accessible(page, address);
    }
    await page.goto("/");
    assert.ok(await page.getByText(/no release yet|nothing has been published/i).first().isVisible());
    for (const address of ["/sitemap.xml", "/robots.txt"]) assert.equal((await page.request.get(address)).status(), 404, address);
    page.clean();
  });

  await all.test("a first visit transfers under 40,000 bytes", async (context) => {
    const page = await open(context, browser, base);
    const bytes = await transferred(page, "/");
    await inState(page, "ready");
    context.diagnostic(`${bytes} bytes`);
    assert.ok(bytes > 5_000 && bytes < 40_000, `${bytes} bytes`);
  });

  await all.test("the main action is there before any script has come", async (context) => {
    const page = await open(context, browser, base);
    await page.route("**/*.js", () => {});
    await page.goto("/", { waitUntil: "commit" });
    const action = page.locator('agent-downloads a[href*="/download/windows/"]').first();
    await action.waitFor();
    assert.ok(await page.evaluate(() => !customElements.get("agent-downloads")));
    assert.ok((await action.boundingBox()).y < 800, "without scrolling");
    const { bytes } = await downloaded(page, () => action.click());
    const { artifacts } = await (await page.request.get("/v2/agent-releases/latest.json")).json();
    assert.equal(sha256(bytes), artifacts.windows.sha256);
  });

  await all.test("nothing jumps when the component takes over", async (context) => {
    const page = await open(context, browser, base);
    await page.addInitScript(() => {
      window.shift = 0;
      new PerformanceObserver((list) => list.getEntries().forEach(({ value }) => (window.shift += value))).observe({ type: "layout-shift", buffered: true });
    });
    await page.goto("/");
    await inState(page, "ready");
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    const shift = await page.evaluate(() => window.shift);
    assert.ok(shift < 0.1, `cumulative layout shift ${shift}`);
  });

  await all.test("without JavaScript: download, other channels, older and newer pages, one release", async (context) => {
    const page = await open(context, browser, base, { javaScriptEnabled: false });
    await page.goto("/");
    const { name } = await downloaded(page, () => page.locator('a[href*="/download/windows/"]').first().click());
    assert.equal(name, "ExampleAgent-1.8.3.msi");
    await page.getByRole("navigation", { name: "Channel" }).getByRole("link", { name: "beta" }).first().click();
    assert.ok(await page.locator("#channel-beta").getByText("1.9.0-beta.1").first().isVisible());
    assert.ok(await page.locator("#channel-beta").getByText("a newer one is being looked at").isVisible());
    await page.goto("/releases/");
    assert.ok(!(await page.locator("form#history").isVisible()));
    const versions = async () => page.locator("#releases [data-slot=version]").allInnerTexts();
    const newest = await versions();
    assert.equal(newest.length, 50);
    assert.deepEqual(newest.slice(0, 2), ["1.9.0-beta.2", "1.9.0-beta.1"]);
    const seen = new Set(newest);
    while (await page.getByRole("link", { name: /Older/ }).last().isVisible().catch(() => false)) {
      await page.getByRole("link", { name: /Older/ }).last().click();
      for (const version of await versions()) seen.add(version);
    }
    assert.match(page.url(), /\/releases\/page\/1\/$/);
    assert.equal(seen.size, 120, "every release is on a page");
    await page.getByRole("link", { name: /Newer/ }).click();
    assert.match(page.url(), /\/releases\/page\/2\/$/);
    await page.goto("/releases/");
    await page.getByRole("link", { name: "1.8.3", exact: true }).click();
    assert.match(page.url(), /\/releases\/1\.8\.3\/$/);
    page.clean();
  });

  await all.test("a release: hashes, notes that cannot run, attachments, the hash of its JSON", async (context) => {
    const page = await open(context, browser, base);
    await page.goto("/releases/1.8.3/");
    const text = await page.locator("main").innerText();
    const json = await (await page.request.get("/v2/agent-releases/1.8.3.json")).body();
    for (const part of [sha256(json), "example-agent_1.8.3_amd64.deb", "Starts faster", "24 February 2026"]) {
      assert.ok(text.includes(part), `${part} in ${text}`);
    }
    assert.notEqual(await page.title(), "notes that run");
    assert.equal(await page.locator(".notes script, .notes img[src^=http], .notes [onerror]").count(), 0);
    assert.equal(await page.locator(".notes table").count(), 1);
    page.clean();
  });

  await all.test("yanked is quiet and still there; recalled is loud and offers nothing", async (context) => {
    const page = await open(context, browser, base);
    await page.goto("/releases/1.7.9/");
    assert.ok(await page.getByText("crashes on start").isVisible());
    assert.equal(await page.locator('main a[href*="/download/"]').count(), 5);
    await page.goto("/releases/1.8.0/");
    assert.ok(await page.getByText("the signing key was withdrawn").isVisible());
    assert.equal(await page.locator('a[href*="/download/"]').count(), 0);
    assert.equal(await page.locator("main code", { hasText: /^[0-9a-f]{64}$/ }).count(), 6, "five hashes and that of the JSON");
    assert.equal(await page.locator('meta[name=robots][content=noindex]').count(), 1);
    page.clean();
  });

  await all.test("SHA256SUMS finds the files that the page offers unharmed", async (context) => {
    const page = await open(context, browser, base);
    const folder = mkdtempSync(join(tmpdir(), "pages-"));
    context.after(() => rmSync(folder, { recursive: true }));
    await page.goto("/releases/1.8.3/");
    const files = await page.locator("main li:has(a[href*='/download/'])").evaluateAll((rows) =>
      rows.map((row) => ({ href: row.querySelector("a").href, hash: row.querySelector("code").textContent })));
    const sums = await (await page.request.get("/releases/1.8.3/SHA256SUMS")).text();
    writeFileSync(join(folder, "SHA256SUMS"), sums);
    for (const line of sums.trim().split("\n")) {
      const [hash, place] = line.split("  ");
      const answer = await page.request.get(files.find((file) => file.hash === hash).href);
      mkdirSync(dirname(join(folder, place)), { recursive: true });
      writeFileSync(join(folder, place), await answer.body());
    }
    const told = execFileSync("sha256sum", ["-c", "--strict", "SHA256SUMS"], { cwd: folder, encoding: "utf8" });
    assert.equal(told.match(/: OK$/gm).length, 7);
    assert.equal(files.length, 7);
  });

  await all.test("an unknown address: a page for a browser, JSON for a program", async (context) => {
    const page = await open(context, browser, base);
    const answer = await page.goto("/releases/9.9.9/");
    assert.equal(answer.status(), 404);
    assert.match(answer.headers()["content-type"], /^text\/html/);
    assert.ok(await page.getByRole("link", { name: "All releases" }).first().isVisible());
    assert.equal((await (await fetch(`${base}/releases/9.9.9/`)).json()).error.code, "not_found");
    page.forgive(); // Chromium tells the console of every 404
  });

  await all.test("feeds are Atom by its rules", async (context) => {
    const page = await open(context, browser, base);
    await page.goto("/");
    const addresses = await page.locator("link[type='application/atom+xml']").evaluateAll((links) => links.map((link) => link.getAttribute("href")));
    assert.deepEqual(addresses, ["stable", "beta", "canary", "latest"].map((name) => `/feeds/${name}.atom`));
    for (const address of addresses) {
      const answer = await page.request.get(address);
      assert.match(answer.headers()["content-type"], /^application\/atom\+xml/);
      const feed = await page.evaluate(readFeed, await answer.text());
      assert.equal(feed.error, null, address);
      for (const one of [feed, ...feed.entries]) {
        assert.match(one.id, /^urn:uuid:|^https:/);
        assert.ok(one.title);
        assert.match(one.updated, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
        for (const href of one.links) assert.match(href, /^https:\/\/downloads\.example\.com\//);
      }
      assert.ok(feed.author && feed.links.some((href) => href.endsWith(address)), "an author, and its own address");
      assert.equal(new Set(feed.entries.map(({ id }) => id)).size, feed.entries.length);
      assert.ok(feed.entries.length <= 30);
      const dates = feed.entries.map(({ updated }) => updated);
      assert.deepEqual(dates, [...dates].sort().reverse());
    }
    const stable = await page.evaluate(readFeed, await (await page.request.get("/feeds/stable.atom")).text());
    assert.match(stable.entries[0].title, /1\.8\.3/);
    assert.match(stable.entries[0].content, /<h\d>Changed<\/h\d>/);
    assert.doesNotMatch(stable.entries[0].content, /<script|onerror/);
    assert.ok(!stable.entries.some(({ title }) => /1\.7\.9|1\.8\.0/.test(title)), "neither yanked nor recalled");
  });

  await all.test("what crawlers read: robots.txt, sitemaps, addresses that are canonical", async (context) => {
    const page = await open(context, browser, base);
    const read = async (address) => (await page.request.get(address)).text();
    assert.match(await read("/robots.txt"), /^Sitemap: https:\/\/downloads\.example\.com\/sitemap\.xml$/m);
    const addresses = (text) => [...text.matchAll(/<loc>([^<]*)<\/loc>/g)].map(([, address]) => new URL(address));
    const listed = [];
    for (const { pathname } of addresses(await read("/sitemap.xml"))) listed.push(...addresses(await read(pathname)));
    const paths = listed.map(({ pathname }) => pathname);
    for (const path of ["/", "/releases/", "/releases/1.8.3/"]) assert.ok(paths.includes(path), path);
    assert.ok(!paths.includes("/releases/1.8.0/"), "no recalled release");
    for (const address of ["/", "/releases/", "/releases/1.8.3/"]) {
      await page.goto(address);
      assert.equal(await page.locator("link[rel=canonical]").getAttribute("href"), `https://downloads.example.com${address}`);
      assert.equal(await page.locator('meta[property="og:url"]').getAttribute("content"), `https://downloads.example.com${address}`);
    }
  });

  await all.test("access required: pages ask for it, the component and the style do not", async (context) => {
    const closed = await serve(context, "private", "--tokens", join(WORK, "tokens"));
    for (const address of ["/", "/releases/", "/docs/", "/feeds/stable.atom", "/v2/agent-releases/latest.json"]) {
      assert.equal((await fetch(closed + address)).status, 401, address);
    }
    const page = await open(context, browser, closed, { extraHTTPHeaders: { authorization: `Bearer ${token()}` } });
    assert.equal((await page.goto("/")).status(), 200);
    await inState(page, "ready");
    const assets = await page.locator("script[src], link[rel=stylesheet]").evaluateAll((tags) => tags.map((tag) => tag.src ?? tag.href));
    for (const address of [...assets, `${closed}/agent-downloads.js`]) assert.equal((await fetch(address)).status, 200, address);
    page.clean();
  });
});

/** Runs in the page: what a feed says. */
function readFeed(text) {
  const document = new DOMParser().parseFromString(text, "application/xml");
  const told = (parent) => {
    const child = (name) => [...parent.children].filter(({ localName }) => localName === name);
    const one = (name) => child(name)[0]?.textContent;
    const links = child("link").map((link) => link.getAttribute("href"));
    return { id: one("id"), title: one("title"), updated: one("updated"), content: one("content") ?? "", author: one("author"), links };
  };
  const root = document.documentElement;
  const entries = [...root.children].filter(({ localName }) => localName === "entry").map(told);
  return { ...told(root), entries, error: document.querySelector("parsererror")?.textContent ?? null };
}
