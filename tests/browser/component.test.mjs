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
  /** What the edge answers at an address, changed on its way. */
  const changed = (page, address, change) =>
    page.route(`**${address}`, async (route) => {
      const response = await route.fetch();
      const document = await response.json();
      await route.fulfill({ response, json: change(document) ?? document });
    });
  const set = (page, values) => page.evaluate((all) => Object.assign(document.querySelector("agent-downloads"), all), values);
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

  await all.test("it is light or dark as the page around it, which is light if it says nothing", async (context) => {
    const page = await fresh(context, { colorScheme: "dark" });
    const surface = () => page.locator("agent-downloads .card").evaluate((card) => getComputedStyle(card).backgroundColor);
    await embed(page, `src=${LATEST}`);
    await inState(page, "ready");
    assert.equal(await surface(), "rgb(255, 255, 255)");
    await embed(page, `src=${LATEST}`, { head: '<meta name=color-scheme content="light dark">' });
    await inState(page, "ready");
    assert.notEqual(await surface(), "rgb(255, 255, 255)");
  });

  for (const colorScheme of ["light", "dark"]) {
    await all.test(`ready, ${colorScheme}: version, date, and each artifact with its size, hash and commands`, async (context) => {
      const page = await fresh(context, { colorScheme });
      await embed(page, `src=${LATEST}`, { head: '<meta name=color-scheme content="light dark">' });
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
    await embed(page, "src=/v2/agent-releases/latest/canary.json", { light: LIGHT });
    await inState(page, "empty");
    assert.ok(await page.getByText("There is no release yet.").first().isVisible());
    assert.ok(await page.getByRole("link", { name: "Version 1.8.3" }).isVisible(), "what the page itself offers stays");
    await accessible(page, "empty");
  });

  const FAILURES = {
    "no connection": (route) => route.abort(),
    "status 500": (route) => route.fulfill({ status: 500, json: { error: {} } }),
    "a 404 of somebody else's": (route) => route.fulfill({ status: 404, body: "<h1>Not found", contentType: "text/html" }),
    "a 404 in JSON of somebody else's": (route) => route.fulfill({ status: 404, json: { error: "no such file" } }),
    "Active's 404 for a wrong address": (route) => route.fulfill({ status: 404, json: { detail: "Not Found" } }),
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
    await embed(page, `src=${ACTIVE}`, { light: LIGHT });
    await inState(page, "unauthorized");
    assert.ok(await page.getByText("Please sign in").first().isVisible());
    assert.ok(await page.getByRole("link", { name: "Version 1.8.3" }).isVisible(), "what the page itself offers stays");
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

  await all.test("Active without a signing key: with a token there is no link, without one there is, and never a command to fetch it", async (context) => {
    const page = await fresh(context);
    const answer = await page.request.get(ACTIVE, { headers: { authorization: `Bearer ${token()}` } }).then((response) => response.json());
    for (const artifact of answer.artifacts) artifact.signed_url = null;
    await page.route(`**${ACTIVE}`, (route) => route.fulfill({ json: answer }));
    await embed(page, `src=${ACTIVE}`);
    await inState(page, "ready");
    assert.equal(await page.getByRole("link", { name: /^Download for/ }).count(), 5);
    assert.equal(await page.locator("code.fetch").count(), 0);
    assert.equal(await page.locator("code.verify").count(), 5);
    await set(page, { token: token() });
    await inState(page, "ready");
    for (const platform of PLATFORMS) {
      assert.match(await page.locator(`[data-platform=${platform}]`).innerText(), /Not available on this server/);
    }
    assert.equal(await page.getByRole("link").count(), 0);
    assert.equal(await page.locator("code.fetch").count(), 0);
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

  await all.test("how to install goes by the ending, and by nothing else that a name holds", async (context) => {
    const page = await fresh(context);
    const answer = await page.request.get(ACTIVE, { headers: { authorization: `Bearer ${token()}` } }).then((response) => response.json());
    await page.route("**/named/*", (route) => {
      const filename = decodeURIComponent(route.request().url().split("/").pop());
      return route.fulfill({ json: { ...answer, artifacts: answer.artifacts.map((artifact) => ({ ...artifact, filename })) } });
    });
    await embed(page, "");
    const executable = (name) => [undefined, `chmod +x ${name}`];
    const same = (command) => [command, command];
    // Each with the command on Windows and the one on Linux.
    const table = {
      "Agent.msi": same("msiexec /i Agent.msi"),
      "Agent.MSI": same("msiexec /i Agent.MSI"),
      "Agent-1.8.3.Exe": same(".\\Agent-1.8.3.Exe"),
      "Agent-1.8.3.pkg": same("sudo installer -pkg Agent-1.8.3.pkg -target /"),
      "agent_1.8.3_amd64.deb": same("sudo apt install ./agent_1.8.3_amd64.deb"),
      "agent-1.8.3.x86_64.rpm": same("sudo dnf install ./agent-1.8.3.x86_64.rpm"),
      "agent": executable("agent"),
      "ExampleAgent-1.8.3-linux-x86_64": executable("ExampleAgent-1.8.3-linux-x86_64"),
      "agent-1.9.0-beta.1": executable("agent-1.9.0-beta.1"),
    };
    const nothing = ["constructor", "toString", "__proto__", "valueOf", "tar.gz", "tar.bz2", "7z", "zip", "ZIP", "dmg", "AppImage"];
    for (const ending of nothing) table[`Agent.${ending}`] = same(undefined);
    for (const [name, expected] of Object.entries(table)) {
      const found = await page.evaluate(async (src) => {
        const element = document.querySelector("agent-downloads");
        element.src = src;
        await element.refresh();
        return ["windows-x86_64", "linux-x86_64"].map((platform) => {
          const { shadowRoot } = element;
          return shadowRoot.querySelector(`[data-platform=${platform}] code.install`)?.textContent;
        });
      }, `/named/${name}`);
      assert.deepEqual(found, expected, name);
      assert.equal(await page.locator("agent-downloads .meta bdi").first().innerText(), name);
    }
    page.clean();
  });

  await all.test("in any parent it is as wide as its downloads need, and never wider than the screen", async (context) => {
    const page = await fresh(context);
    await page.route("**/parents.css", (route) => route.fulfill({
      contentType: "text/css",
      body: `body { margin: 8px } .flex main { display: flex } .column main { align-items: center; display: flex; flex-direction: column }
        .inline agent-downloads { display: inline-block } .absolute agent-downloads { position: absolute }
        .grid main { display: grid; place-items: center } .float agent-downloads { float: left }
        .padded main { padding: 36px }`,
    }));
    for (const parent of ["block", "flex", "column", "inline", "absolute", "grid", "float", "padded"]) {
      await page.setViewportSize({ width: 1200, height: 800 });
      await embed(page, `src=${LATEST}`, { html: `lang=en class=${parent}`, head: "<link rel=stylesheet href=/parents.css>" });
      await inState(page, "ready");
      const width = async () => (await page.locator("agent-downloads").boundingBox()).width;
      const before = await width();
      assert.ok(before >= 288, `${parent}: ${before}`);
      await unfold(page, "windows-x86_64");
      assert.equal(await width(), before, `${parent}: unfolding does not widen it`);
      await page.setViewportSize({ width: 320, height: 800 });
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${parent}: nothing is wider than the screen`);
      const [action, card] = await Promise.all([".primary .action, .action", ".card"].map((part) => page.locator(part).first().boundingBox()));
      assert.ok(action.x >= card.x && action.x + action.width <= card.x + card.width, `${parent}: the action is inside`);
    }
  });

  await all.test("asking again: what is the same stays, with the focus, what is selected and the place", async (context) => {
    const page = await fresh(context, { viewport: { width: 600, height: 300 } });
    await embed(page, `src=${LATEST}`);
    await inState(page, "ready");
    await unfold(page, "macos-arm64");
    const code = page.locator("[data-platform=macos-arm64] code.fetch");
    await code.click();
    const before = await code.evaluate((node) => {
      const root = node.getRootNode();
      getSelection().selectAllChildren(node);
      Object.assign(window, { node, place: scrollY });
      return root.activeElement.className;
    });
    assert.equal(before, "body", "a click into a command gives the whole the focus");
    const refresh = () => page.evaluate(() => document.querySelector("agent-downloads").refresh());
    await refresh();
    await changed(page, LATEST, (document) => void (document.notes_url = "https://example.com/other"));
    await refresh();
    const after = await code.evaluate((node) => ({
      same: node === window.node,
      place: scrollY === window.place,
      selected: String(getSelection()) === node.textContent,
      focused: node.getRootNode().activeElement.className,
    }));
    assert.deepEqual(after, { same: true, place: true, selected: true, focused: "body" });
    await page.unroute(`**${LATEST}`);
    await changed(page, LATEST, (document) => void (document.artifacts.macos.arm64.size_bytes = 999_950));
    await page.locator("[data-platform=macos-arm64] .copy").nth(1).focus();
    const name = () => page.locator("agent-downloads").evaluate(({ shadowRoot }) => shadowRoot.activeElement?.getAttribute("aria-label"));
    const focused = await name();
    await refresh();
    assert.equal(await name(), focused, "the focus is found again in what is new");
    assert.ok(await page.locator("[data-platform=macos-arm64] details").evaluate((details) => details.open));
    assert.match(await page.locator("[data-platform=macos-arm64] .meta").first().innerText(), /· 1 MB$/);
    page.clean();
  });

  await all.test("asking again in vain keeps the release that is shown, unless its links have ended", async (context) => {
    const page = await fresh(context);
    await page.clock.install();
    await embed(page, `src=${LATEST}`, { light: LIGHT });
    await inState(page, "ready");
    const refresh = () => page.evaluate(() => new Promise((tell) => {
      const element = document.querySelector("agent-downloads");
      element.addEventListener("agent-downloads-error", ({ detail }) => tell(detail.status), { once: true });
      element.refresh();
    }));
    const fail = (route) => route.fulfill({ status: 503, json: {} });
    await page.route(`**${LATEST}`, fail);
    assert.equal(await refresh(), 503);
    await inState(page, "error");
    assert.equal(await page.locator(".card > :first-child.error").count(), 1);
    assert.ok(await link(page, "Windows").isVisible());
    assert.ok(!(await page.getByRole("link", { name: "Version 1.8.3" }).isVisible()));
    await accessible(page, "an error above a release");
    await page.unroute(`**${LATEST}`);
    await page.getByRole("button", { name: "Try again" }).click();
    await inState(page, "ready");
    assert.equal(await page.locator(".error").count(), 0);

    await signIn(page);
    await page.route(`**${ACTIVE}`, fail);
    assert.equal(await refresh(), 503);
    assert.equal(await page.getByRole("link", { name: /^Download for/ }).count(), 5);
    await page.clock.runFor("01:00:10");
    assert.equal(await page.getByRole("link", { name: /^Download for/ }).count(), 0, "links end below an error, too");
    assert.equal(await refresh(), 503);
    assert.equal(await page.locator(".artifact").count(), 0);
    // Of another address nothing is kept.
    await page.route("**/latest/beta.json", fail);
    await set(page, { src: LATEST });
    await inState(page, "ready");
    await set(page, { src: "/v2/agent-releases/latest/beta.json" });
    await inState(page, "error");
    assert.equal(await page.locator(".artifact").count(), 0);
  });

  await all.test("without src there is nothing but what the page itself offers", async (context) => {
    const page = await fresh(context);
    for (const address of [null, undefined]) {
      await signIn(page);
      assert.equal(await page.locator("agent-downloads[data-links=valid]").count(), 1);
      const left = await page.evaluate(async (src) => {
        const element = document.querySelector("agent-downloads");
        element.innerHTML = "<p>Our own downloads</p>";
        element.src = src;
        await new Promise(requestAnimationFrame);
        return element.getAttributeNames();
      }, address);
      assert.deepEqual(left, []);
      assert.ok(await page.getByText("Our own downloads").isVisible());
      assert.equal(await page.locator(".card").count(), 0);
    }
    page.clean();
  });

  await all.test("taken out, it asks nothing and has no timer; put back, it asks again", async (context) => {
    const page = await fresh(context);
    await page.clock.install();
    let asked = 0;
    page.on("request", (request) => (asked += request.url().endsWith(ACTIVE)));
    await signIn(page);
    assert.equal(asked, 1, "several changes in a row ask once");
    await page.evaluate(async () => {
      window.element = document.querySelector("agent-downloads");
      element.setAttribute("platform", "linux");
      element.remove();
      await element.refresh();
      element.token = element.token;
    });
    await page.clock.runFor("02:00:00");
    assert.equal(asked, 1, "neither another platform nor being out of the document asks");
    assert.equal(await page.evaluate(() => element.dataset.links), "valid", "nobody has looked");
    await page.route(`**${ACTIVE}`, () => {});
    await page.evaluate(() => void document.querySelector("main").append(element));
    await inState(page, "loading");
    assert.equal(await page.evaluate(() => element.dataset.links), "ended", "links that ended meanwhile are not offered");
    assert.equal(await page.locator(".primary").count(), 2);
    await page.unroute(`**${ACTIVE}`);
    await page.evaluate(() => element.refresh());
    await inState(page, "ready");
    assert.equal(await page.locator("agent-downloads[data-links=valid]").count(), 1);
    page.clean();
  });

  await all.test("yanked: a banner says why", async (context) => {
    const page = await fresh(context);
    await embed(page, "src=/v2/agent-releases/1.7.9.json");
    await inState(page, "ready");
    assert.equal(await page.locator(".banner.yanked").innerText(), "No longer offered: crashes on start");
    assert.ok(await page.getByRole("heading", { name: "Version 1.7.9", level: 2 }).isVisible());
    await accessible(page, "yanked");
    page.clean();
  });

  await all.test("sizes and dates at their edges", async (context) => {
    const page = await fresh(context);
    const sizes = { 0: "0 byte", 999: "999 byte", 999_949: "999.9 kB", 999_950: "1 MB", 999_999_999: "1 GB", 99_999_999_999_999: "100 TB" };
    for (const [size, words] of Object.entries(sizes)) {
      await page.unroute(`**${LATEST}`);
      await changed(page, LATEST, (document) => {
        document.published_at = "1970-01-01T00:00:00.000Z";
        document.artifacts.windows.size_bytes = Number(size);
      });
      await embed(page, `src=${LATEST}`);
      await inState(page, "ready");
      const about = await page.locator("[data-platform=windows-x86_64] .meta").first().innerText();
      assert.ok(about.includes(` · ${words}`), `${about} for ${size}`);
      assert.match(await page.locator(".header").innerText(), /January 1, 1970/);
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
    /** The distances of a text itself, not of its box, from the left and the right of the card. */
    const gaps = (part) => page.locator(part).first().evaluate((node) => {
      const range = document.createRange();
      range.selectNodeContents(node);
      const [text, card] = [range, node.closest(".card")].map((from) => from.getBoundingClientRect());
      return [text.left - card.left, card.right - text.right];
    });
    for (const part of [".version", ".name", "summary"]) {
      const [left, right] = await gaps(part);
      assert.ok(right < 40 && left > 100, `${part} begins at the right: ${left} on its left, ${right} on its right`);
    }
    assert.ok((await gaps("code"))[0] < 60, "a command begins at the left");
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing is wider than the screen");
    await accessible(page, "right to left");
    page.clean();
  });

  await all.test("right to left: a version is not torn apart, and what is filled in is marked in texts only", async (context) => {
    const page = await fresh(context);
    await embed(page, "", { html: "lang=ar dir=rtl" });
    await set(page, { strings: { version: "الإصدار {version} متاح", downloadFor: "تنزيل {platform}" }, src: "/v2/agent-releases/latest/beta.json" });
    await inState(page, "ready");
    const version = page.locator(".version");
    assert.equal(await version.innerText(), "الإصدار 1.9.0-beta.1 متاح");
    // From left to right as it is written: each part is right of the one before.
    const places = await version.locator("bdi").evaluate(({ firstChild: text }) => ["1.9.0", "-", "beta", ".1"].map((part) => {
      const range = document.createRange();
      const at = text.data.indexOf(part, part === ".1" ? 8 : 0);
      range.setStart(text, at);
      range.setEnd(text, at + part.length);
      return range.getBoundingClientRect().left;
    }));
    assert.deepEqual(places, places.toSorted((one, other) => one - other));
    const odd = await page.locator("agent-downloads").evaluate(({ shadowRoot }) =>
      [...shadowRoot.querySelectorAll("*")].flatMap((node) => [...node.attributes].map(({ value }) => value))
        .concat(shadowRoot.textContent).filter((text) => /[\0\u2066-\u2069]/.test(text)));
    assert.deepEqual(odd, []);
    assert.ok(await page.getByRole("link", { name: "تنزيل Windows", exact: true }).isVisible());
    assert.equal(await page.locator("code bdi").count(), 0);
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

  await all.test("every text can be replaced: no English is left in any state", async (context) => {
    const page = await fresh(context);
    await page.clock.install();
    await embed(page, "");
    const names = await page.evaluate(async () => {
      const { AgentDownloads } = await import("/agent-downloads.js");
      const { strings } = AgentDownloads;
      // What is filled in may be a text itself; versions, dates, times, reasons and answers are data.
      for (const name in strings) strings[name] = [`§${name}§`, ...(strings[name].match(/{(shell|platform|what)}/g) ?? [])].join(" ");
      window.shown = () => {
        const { shadowRoot } = document.querySelector("agent-downloads");
        // Of files, what they are called and what is typed is data.
        const nodes = [...shadowRoot.querySelectorAll("*")].filter((node) => !node.matches("code, .meta bdi"));
        const own = (node) => [...node.childNodes].filter((child) => child.nodeType === 3).map((child) => child.data);
        return nodes.flatMap((node) => [...own(node), node.ariaLabel ?? "", node.title ?? ""]);
      };
      return Object.keys(strings);
    });
    const seen = new Set();
    const look = async (where) => {
      for (const text of await page.evaluate(() => window.shown())) {
        for (const [, name] of text.matchAll(/§([\w-]+)§/g)) seen.add(name);
        const rest = text.replace(/§[\w-]+§/g, "").replace(/\b(\d+|kB|AM|PM)\b/g, "");
        assert.doesNotMatch(rest, /[A-Za-z]/, where);
      }
    };
    const go = async (values, state, where = state) => {
      await set(page, values);
      await inState(page, state);
      await look(where);
    };
    await page.route("**/never.json", () => {});
    await go({ src: "/never.json" }, "loading");
    await page.route("**/broken.json", (route) => route.fulfill({ status: 500 }));
    await go({ src: "/broken.json" }, "error");
    await go({ src: "/v2/agent-releases/latest/canary.json" }, "empty");
    await page.route("**/none.json", (route) => route.fulfill({ status: 404, json: { detail: "No active release manifest found" } }));
    await go({ src: "/none.json" }, "empty", "nothing");
    await go({ src: ACTIVE }, "unauthorized");
    await go({ src: LATEST }, "ready");
    await page.locator("agent-downloads").evaluate((element) => element.setAttribute("platform", "macos"));
    await look("both Macs");
    await go({ src: "/v2/agent-releases/latest/beta.json" }, "ready", "missing");
    await page.route("**/yanked.json", async (route) => {
      const response = await page.request.get(LATEST);
      const document = await response.json();
      document.artifacts.windows.sha256 = null;
      await route.fulfill({ json: document, headers: { "x-release-yanked": "0" } });
    });
    await go({ src: "/yanked.json" }, "ready", "yanked, without a hash");
    await changed(page, ACTIVE, (document) => void (document.notes = null));
    await go({ token: token(), src: ACTIVE }, "ready", "valid");
    await page.locator("[data-platform=linux-arm64] summary").click();
    for (const result of ["copied", "copyFailed"]) {
      await page.evaluate((done) => {
        navigator.clipboard.writeText = async () => { if (done === "copyFailed") throw new Error(done); };
        document.execCommand = () => false;
      }, result);
      await page.locator("[data-platform=linux-arm64] .copy").first().click();
      await page.getByText(`§${result}§`).first().waitFor();
      await look(result);
    }
    await page.clock.runFor("50:30");
    await look("ending");
    await page.clock.runFor("10:00");
    await look("ended");
    await changed(page, ACTIVE, (document) => {
      document.notes = null;
      for (const artifact of document.artifacts) artifact.signed_url = null;
    });
    await go({ token: token() }, "ready", "unavailable");
    assert.deepEqual(names.filter((name) => !seen.has(name)), []);
  });

  await all.test("events tell what happened, and one element can have texts of its own", async (context) => {
    const page = await fresh(context);
    await embed(page, "");
    const told = await page.evaluate(async (src) => {
      const { AgentDownloads } = await import("/agent-downloads.js");
      const element = document.querySelector("agent-downloads");
      const event = (name) => new Promise((tell) => document.addEventListener(`agent-downloads-${name}`, (e) => tell(e.detail), { once: true }));
      element.strings = { version: "Ausgabe {version}", released: undefined };
      const loaded = event("load");
      element.src = src;
      const { version } = await loaded;
      const failed = event("error");
      element.src = "/nothing.json";
      const { status } = await failed;
      return { version, status, same: element instanceof AgentDownloads };
    }, LATEST);
    assert.deepEqual(told, { version: "1.8.3", status: 404, same: true });
    await set(page, { src: LATEST });
    await inState(page, "ready");
    assert.equal(await page.locator(".version").innerText(), "Ausgabe 1.8.3");
    assert.match(await page.locator(".header").innerText(), /Released/);
  });
});
