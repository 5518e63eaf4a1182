// The component in each of its states, embedded in a page of somebody else's, fed by a real edge with failures injected.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { accessible, embed, inState, launch, open, serve, serveAll, token, WORK } from "./setup.mjs";

const LATEST = "/v2/agent-releases/latest.json";
const ACTIVE = "/api/agent/v1/releases/active";
const LIGHT = '<p><a href="/releases/1.8.3/">Version 1.8.3</a></p>';
const PLATFORMS = ["windows-x86_64", "macos-arm64", "macos-x86_64", "linux-x86_64", "linux-arm64"];

test("the component", async (all) => {
  const base = await serveAll(all);
  const browser = await launch(all);
  const fresh = (context, options) => open(context, browser, base, options);
  const signIn = async (page, state = "ready") => {
    await embed(page, "");
    await page.evaluate((values) => Object.assign(document.querySelector("agent-downloads"), values), { token: token(), src: ACTIVE });
    await inState(page, state);
  };
  const link = (page, platform) => page.getByRole("link", { name: `Download for ${platform}` });
  const unfold = (page, platform) => page.locator(`[data-platform=${platform}] summary`).click();

  await all.test("loading: what the page itself offers stays; without that, a skeleton says that it is busy", async (context) => {
    const page = await fresh(context);
    let answer;
    await page.route(`**${LATEST}`, async (route) => ((await new Promise((go) => (answer = go))), route.continue()));
    await embed(page, `src=${LATEST}`, { light: LIGHT });
    await inState(page, "loading");
    assert.ok(await page.getByRole("link", { name: "Version 1.8.3" }).isVisible());
    answer();
    await inState(page, "ready");
    assert.ok(!(await page.getByRole("link", { name: "Version 1.8.3" }).isVisible()));
    await embed(page, `src=${LATEST}`);
    await inState(page, "loading");
    assert.equal(await page.locator("agent-downloads [aria-busy=true]").count(), 1);
    await accessible(page, "loading");
    answer();
    await inState(page, "ready");
    assert.equal(await page.locator("agent-downloads [aria-busy=true]").count(), 0);
    page.clean();
  });

  for (const colorScheme of ["light", "dark"]) {
    await all.test(`ready, ${colorScheme}: version, date, and each artifact with its size, hash and commands`, async (context) => {
      const page = await fresh(context, { colorScheme });
      await embed(page, `src=${LATEST}`);
      await inState(page, "ready");
      const text = await page.locator("agent-downloads .card").innerText();
      for (const part of ["Version 1.8.3", "February 24, 2026", "20 kB"]) assert.ok(text.includes(part), `${part} in ${text}`);
      const { artifacts } = await (await page.request.get(LATEST)).json();
      const files = [artifacts.windows, artifacts.macos.arm64, artifacts.macos.x86_64];
      for (const [at, platform] of ["Windows", "macOS, Apple silicon", "macOS, Intel"].entries()) {
        assert.equal(await link(page, platform).getAttribute("href"), base + files[at].download_url);
        await unfold(page, PLATFORMS[at]);
        const shown = await page.locator(`[data-platform=${PLATFORMS[at]}]`).innerText();
        assert.ok(shown.includes(files[at].sha256), shown);
        assert.ok(shown.includes(at ? "sudo installer -pkg" : "msiexec /i"), shown);
      }
      await accessible(page, "ready");
      page.clean();
    });
  }

  await all.test("empty: a channel without a release", async (context) => {
    const page = await fresh(context);
    await embed(page, "src=/v2/agent-releases/latest/canary.json");
    await inState(page, "empty");
    assert.ok(await page.getByText("There is no release yet.").first().isVisible());
    await accessible(page, "empty");
  });

  const FAILURES = {
    "no connection": (route) => route.abort(),
    "status 500": (route) => route.fulfill({ status: 500, json: { error: {} } }),
    "no JSON": (route) => route.fulfill({ body: "<p>A proxy says hello", contentType: "text/html" }),
    "another document": (route) => route.fulfill({ json: { data: [] } }),
    "an address that runs": async (route) => {
      const document = await (await route.fetch()).json();
      document.artifacts.windows.download_url = "javascript:alert(1)";
      await route.fulfill({ json: document });
    },
  };
  for (const [name, fail] of Object.entries(FAILURES)) {
    await all.test(`error by ${name}: it says so, keeps what the page offers, and tries again`, async (context) => {
      const page = await fresh(context);
      await page.route(`**${LATEST}`, fail);
      await embed(page, `src=${LATEST}`, { light: LIGHT });
      await inState(page, "error");
      assert.ok(await page.getByText(/release information could not be loaded/i).first().isVisible());
      assert.ok(await page.getByRole("link", { name: "Version 1.8.3" }).isVisible());
      await accessible(page, "error");
      await page.unroute(`**${LATEST}`);
      await page.getByRole("button", { name: "Try again" }).click();
      await inState(page, "ready");
    });
  }

  await all.test("error after 15 seconds without an answer", async (context) => {
    const page = await fresh(context);
    await page.clock.install();
    await page.route(`**${LATEST}`, () => {});
    await embed(page, `src=${LATEST}`);
    await inState(page, "loading");
    await page.clock.runFor(14_000);
    await inState(page, "loading");
    await page.clock.runFor(2_000);
    await inState(page, "error");
  });

  await all.test("an artifact that is missing is named, and has no action", async (context) => {
    const page = await fresh(context);
    await embed(page, "src=/v2/agent-releases/latest/beta.json");
    await inState(page, "ready");
    const missing = page.locator("[data-platform=macos-x86_64]");
    assert.match(await missing.innerText(), /Not available in this release/);
    assert.equal(await missing.getByRole("link").count(), 0);
    assert.equal(await page.getByRole("link", { name: /^Download for/ }).count(), 2);
    await accessible(page, "an artifact is missing");
    page.clean();
  });

  await all.test("of two questions, the answer to the later one is shown, even when it comes first", async (context) => {
    const page = await fresh(context);
    let late;
    await page.route(`**${LATEST}`, async (route) => ((await new Promise((go) => (late = go))), route.continue().catch(() => {})));
    await embed(page, `src=${LATEST}`);
    await inState(page, "loading");
    await page.evaluate(() => (document.querySelector("agent-downloads").src = "/v2/agent-releases/latest/beta.json"));
    await inState(page, "ready");
    late();
    await page.evaluate(() => new Promise(requestAnimationFrame));
    assert.match(await page.locator("agent-downloads .card").innerText(), /1\.9\.0-beta\.1/);
  });

  await all.test("Active: without a token it asks to sign in", async (context) => {
    const page = await fresh(context);
    await embed(page, `src=${ACTIVE}`);
    await inState(page, "unauthorized");
    assert.ok(await page.getByText("Please sign in").first().isVisible());
    await accessible(page, "unauthorized");
  });

  await all.test("Active: links that are valid until a time, a warning at a sixth of their life, their end, new ones", async (context) => {
    const page = await fresh(context);
    await page.clock.install({ time: new Date("2020-01-01T00:00:00Z") }); // a clock that is wrong does no harm
    await signIn(page);
    const ways = page.getByRole("link", { name: /^Download for/ });
    const component = page.locator("agent-downloads");
    const card = component.locator(".card");
    assert.equal(await ways.count(), 5);
    const first = await ways.first().getAttribute("href");
    assert.match(first, /expires=\d+&signature=[0-9a-f]{64}$/);
    const ends = new Date(new URL(first).searchParams.get("expires") * 1000);
    const time = await page.evaluate((at) => new Date(at).toLocaleTimeString("en", { hour: "numeric", minute: "2-digit" }), +ends);
    assert.ok((await card.innerText()).includes(`valid until ${time}`));
    await page.clock.runFor("49:50");
    assert.equal(await component.getAttribute("data-links"), "valid");
    await page.clock.runFor("00:30");
    assert.equal(await component.getAttribute("data-links"), "ending");
    assert.match(await card.locator(".banner").innerText(), new RegExp(time));
    await accessible(page, "links that end soon");
    await page.clock.runFor("10:00");
    assert.equal(await component.getAttribute("data-links"), "ended");
    assert.equal(await ways.count(), 0);
    await accessible(page, "links that have ended");
    await page.getByRole("button", { name: "Refresh" }).focus();
    await page.keyboard.press("Enter");
    await page.locator("agent-downloads[data-links=valid]").waitFor();
    assert.equal(await ways.count(), 5);
    assert.equal(await page.evaluate(() => document.activeElement.localName), "agent-downloads", "the focus stays inside");
    page.clean();
  });

  await all.test("Active: a server without artifacts shows all five platforms and offers none", async (context) => {
    const development = await serve(context, "main", "--tokens", join(WORK, "tokens"), "--signing-keys", join(WORK, "keys"));
    const page = await open(context, browser, development);
    await signIn(page);
    for (const platform of PLATFORMS) {
      assert.match(await page.locator(`[data-platform=${platform}]`).innerText(), /Not available on this server/);
    }
    assert.equal(await page.getByRole("link").count(), 0);
    await accessible(page, "dev_mode");
    page.clean();
  });

  await all.test("Active: nothing is published", async (context) => {
    const page = await open(context, browser, await serve(context, "empty", "--tokens", join(WORK, "tokens")));
    await signIn(page, "empty");
    assert.ok(await page.getByText("Nothing is published").first().isVisible());
    await accessible(page, "nothing published");
  });

  await all.test("copy buttons copy what stands beside them, and say so", async (context) => {
    const page = await fresh(context, { permissions: ["clipboard-read", "clipboard-write"] });
    await embed(page, `src=${LATEST}`);
    await inState(page, "ready");
    await unfold(page, "macos-arm64");
    const steps = page.locator("[data-platform=macos-arm64] .step");
    for (const step of await steps.all()) {
      await step.getByRole("button").click();
      await step.getByText("Copied").waitFor();
      assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await step.locator("code").innerText());
    }
    assert.equal(await steps.count(), 4, "hash, fetch, verify, install");
    page.clean();
  });

  await all.test("the commands for a terminal fetch the file and find it unharmed", async (context) => {
    const page = await fresh(context);
    const folder = mkdtempSync(join(tmpdir(), "pages-"));
    context.after(() => rmSync(folder, { recursive: true }));
    await signIn(page);
    for (const platform of PLATFORMS.slice(1)) {
      await unfold(page, platform);
      const commands = await page.locator(`[data-platform=${platform}] code`).allInnerTexts();
      for (const start of [/^curl -fLo /, /^echo .*sum -a 256 -c|^echo .*sha256sum -c/]) {
        const command = commands.find((text) => start.test(text));
        assert.ok(command, `${start} among ${commands.join("\n")}`);
        execFileSync("sh", ["-c", `set -e; ${command}`], { cwd: folder, stdio: "pipe", env: { ...process.env, no_proxy: "*" } });
      }
    }
  });

  await all.test("keys alone: Tab reaches the visitor's own action, and Enter downloads", async (context) => {
    const page = await fresh(context);
    await embed(page, `src=${LATEST} platform=windows`);
    await inState(page, "ready");
    const wanted = link(page, "Windows");
    const focused = () => wanted.evaluate((action) => action.getRootNode().activeElement === action);
    for (let presses = 0; presses < 10 && !(await focused()); presses++) await page.keyboard.press("Tab");
    assert.ok(await focused());
    const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Enter")]);
    assert.equal(download.suggestedFilename(), "ExampleAgent-1.8.3.msi");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    assert.ok(await page.locator("[data-platform=windows-x86_64] details").evaluate((details) => details.open));
    page.clean();
  });

  await all.test("right to left: the order turns, commands and hashes do not, nothing is cut off", async (context) => {
    const page = await fresh(context, { viewport: { width: 360, height: 740 } });
    await embed(page, `src=${LATEST}`, { html: "lang=ar dir=rtl" });
    await inState(page, "ready");
    await unfold(page, "windows-x86_64");
    const code = page.locator("[data-platform=windows-x86_64] code").first();
    assert.equal(await code.evaluate((element) => getComputedStyle(element).direction), "ltr");
    const [name, card] = await Promise.all([".name", ".card"].map((part) => page.locator(part).first().boundingBox()));
    const version = await page.locator(".version").boundingBox();
    assert.ok(card.x + card.width - (version.x + version.width) < 40, "the version begins at the right");
    assert.ok(name.x >= card.x);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing is wider than the screen");
    await accessible(page, "right to left");
    page.clean();
  });

  await all.test("reduced motion: nothing moves, in no state", async (context) => {
    const page = await fresh(context, { reducedMotion: "reduce" });
    const moving = () => page.evaluate(() => {
      const { shadowRoot } = document.querySelector("agent-downloads");
      return [...shadowRoot.querySelectorAll("*")].flatMap((element) => element.getAnimations()).length;
    });
    let answer;
    await page.route(`**${LATEST}`, async (route) => ((await new Promise((go) => (answer = go))), route.continue()));
    await embed(page, `src=${LATEST}`);
    await inState(page, "loading");
    assert.equal(await moving(), 0);
    answer();
    await inState(page, "ready");
    await unfold(page, "windows-x86_64");
    assert.equal(await moving(), 0);
  });

  await all.test("events tell what happened, and every text can be replaced", async (context) => {
    const page = await fresh(context);
    await embed(page, "");
    const told = await page.evaluate(async (src) => {
      const { AgentDownloads } = await import("/agent-downloads.js");
      const element = document.querySelector("agent-downloads");
      const event = (name) => new Promise((tell) => document.addEventListener(`agent-downloads-${name}`, (e) => tell(e.detail), { once: true }));
      element.strings = { version: "Ausgabe {version}" };
      const loaded = event("load");
      element.src = src;
      const { version } = await loaded;
      const failed = event("error");
      element.src = "/nothing.json";
      const { status } = await failed;
      return { version, status, same: element instanceof AgentDownloads };
    }, LATEST);
    assert.deepEqual(told, { version: "1.8.3", status: 404, same: true });
    await page.evaluate((src) => (document.querySelector("agent-downloads").src = src), LATEST);
    await inState(page, "ready");
    assert.equal(await page.locator(".version").innerText(), "Ausgabe 1.8.3");
  });
});
