// The search over the whole history: small at first sight, fast over all of it, and honest when something fails.
import assert from "node:assert/strict";
import test from "node:test";
import { accessible, LARGE, launch, open, serve, serveAll } from "./setup.mjs";

const TILES = /\/history\/[0-9a-f]{64}\.json$/;
const status = (page, text) => page.locator("#history-status", { hasText: text }).waitFor();
const versions = (page) => page.locator("#releases [data-slot=version]").allInnerTexts();

test("the history", async (all) => {
  const browser = await launch(all);
  const base = await serveAll(all);
  const large = await serve(all, "large");
  const total = LARGE.toLocaleString("en");

  await all.test(`${total} releases: the first view is under 200,000 bytes and fetches no history`, async (context) => {
    const page = await open(context, browser, large);
    const session = await page.context().newCDPSession(page);
    let bytes = 0;
    let tiles = 0;
    session.on("Network.loadingFinished", ({ encodedDataLength }) => (bytes += encodedDataLength));
    page.on("request", (request) => (tiles += request.url().includes("/history/")));
    await session.send("Network.enable");
    await page.goto("/releases/", { waitUntil: "networkidle" });
    await page.locator("form#history").waitFor();
    context.diagnostic(`${bytes} bytes`);
    assert.ok(bytes > 2_000 && bytes < 200_000, `${bytes} bytes`);
    assert.equal(tiles, 0);
    page.clean();
  });

  await all.test(`${total} releases: a search over all of them takes 100 ms at most`, async (context) => {
    const page = await open(context, browser, large);
    await page.goto("/releases/");
    await page.getByRole("searchbox").focus();
    await page.getByRole("searchbox").fill("x");
    await status(page, ` of ${total} releases`);
    // From the key press until the rows are there and laid out.
    const measured = await page.evaluate(() => {
      const field = document.querySelector("#history [name=q]");
      const list = document.getElementById("releases");
      const search = (text) => {
        const start = performance.now();
        field.value = text;
        field.dispatchEvent(new InputEvent("input", { bubbles: true }));
        list.getBoundingClientRect();
        return { text, rows: list.children.length, ms: performance.now() - start };
      };
      return ["1", "1.", "1.0", "agent", "msi", "1.0.0", "stable x86_64", "no such thing"].map(search);
    });
    context.diagnostic(measured.map(({ text, ms }) => `${text}: ${ms.toFixed(1)} ms`).join(", "));
    assert.equal(measured[0].rows, 50);
    assert.equal(measured.at(-1).rows, 0);
    for (const { text, ms } of measured) assert.ok(ms <= 100, `“${text}” took ${ms} ms`);
    page.clean();
  });

  await all.test("by version, file name and hash; the very version first; filters combine; the address follows", async (context) => {
    const page = await open(context, browser, base);
    await page.goto("/releases/");
    const rows = async () => (await page.locator("#releases").innerHTML()).trim();
    const before = await rows();
    const field = page.getByRole("searchbox");
    await field.fill("1.8");
    await status(page, / of 120 releases$/);
    assert.deepEqual(await versions(page).then((found) => found.slice(0, 3)), ["1.8.3", "1.8.2", "1.8.0"]);
    await field.fill("example-agent_1.8.3_AMD64");
    await status(page, /^1 of 120/);
    const { artifacts } = await (await page.request.get("/v2/agent-releases/1.8.2.json")).json();
    await field.fill(artifacts.windows.sha256.slice(0, 12));
    await status(page, /^1 of 120/);
    assert.deepEqual(await versions(page), ["1.8.2"]);
    await field.fill("");
    await page.locator("[name=channel]").selectOption("beta");
    await page.locator("[name=platform]").selectOption("linux-arm64");
    await status(page, / of 120 releases$/);
    const found = await versions(page);
    assert.equal(found[0], "1.9.0-beta.2");
    assert.ok(!found.includes("1.9.0-beta.1") && !found.includes("1.8.3"));
    assert.equal(new URL(page.url()).search, "?channel=beta&platform=linux-arm64");
    assert.ok(!(await page.locator("#pages").isVisible()));
    await accessible(page, "results");
    await page.reload();
    await status(page, `${found.length} of 120 releases`);
    assert.equal(await page.locator("[name=channel]").inputValue(), "beta");
    await page.locator("[name=channel]").selectOption("");
    await page.locator("[name=platform]").selectOption("");
    assert.equal(await rows(), before, "what the server had said is there again");
    assert.equal(new URL(page.url()).search, "");
    assert.ok(await page.locator("#pages").isVisible());
    page.clean();
  });

  await all.test("rows say as much as those of the server", async (context) => {
    const page = await open(context, browser, base);
    await page.goto("/releases/");
    const row = (version) => page.locator("#releases li", { has: page.locator(`a[href="/releases/${version}/"]`) });
    const shape = (version) => row(version).evaluate((item) => ({
      text: item.innerText.replace(/\s+/g, " "),
      links: [...item.querySelectorAll("a")].map((link) => link.getAttribute("href")),
      time: item.querySelector("time").getAttribute("datetime"),
    }));
    const named = ["1.7.9", "1.8.0", "1.8.2", "1.8.3", "1.9.0-beta.1"];
    const served = await Promise.all(named.map(shape));
    await page.getByRole("searchbox").fill("exampleagent");
    await status(page, "120 of 120 releases");
    assert.deepEqual(await Promise.all(named.map(shape)), served);
    assert.equal(await row("1.8.0").locator('a[href*="/download/"]').count(), 0, "nothing of a recalled release");
    page.clean();
  });

  await all.test("“Show more” shows more, and keys go on from there", async (context) => {
    const page = await open(context, browser, base);
    await page.goto("/releases/?q=exampleagent");
    await status(page, "120 of 120 releases");
    assert.equal((await versions(page)).length, 50);
    await page.getByRole("button", { name: "Show more" }).click();
    const found = await versions(page);
    assert.equal(found.length, 100);
    assert.equal(await page.evaluate(() => document.activeElement.textContent), found[50]);
    await page.getByRole("button", { name: "Show more" }).click();
    assert.equal((await versions(page)).length, 120);
    assert.ok(!(await page.getByRole("button", { name: "Show more" }).isVisible()));
    page.clean();
  });

  await all.test("results come as they arrive, and their number is told", async (context) => {
    const page = await open(context, browser, large);
    const held = [];
    let holding = true;
    await page.route(TILES, (route) => (holding ? void held.push(route) : route.continue()));
    await page.goto("/releases/");
    await page.getByRole("searchbox").fill("agent");
    await status(page, `Searching 0 of ${total} …`);
    while (!held.length) await page.evaluate(() => new Promise(requestAnimationFrame));
    await held.shift().continue();
    await status(page, /^Searching [1-9][\d,]* of /);
    assert.ok((await versions(page)).length > 0);
    assert.ok(held.length <= 6, `${held.length} at once`);
    holding = false;
    await Promise.all(held.map((route) => route.continue()));
    await status(page, `${total} of ${total} releases`);
    page.clean();
  });

  await all.test("a tile that fails once is fetched again; one that goes on failing is told, and tried again by a button", async (context) => {
    const page = await open(context, browser, base);
    let failures = 1;
    await page.route(TILES, (route) => (failures-- > 0 ? route.abort() : route.continue()));
    await page.goto("/releases/");
    await page.getByRole("searchbox").fill("agent");
    await status(page, "120 of 120 releases");
    failures = Infinity;
    await page.goto("/releases/?q=1.8");
    await status(page, "could not be loaded");
    await accessible(page, "a history that could not be loaded");
    failures = 0;
    await page.getByRole("button", { name: "Try again" }).click();
    await status(page, / of 120 releases$/);
    page.forgive(); // Chromium tells the console of each failure
  });
});
