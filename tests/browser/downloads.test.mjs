// Downloads that are really saved, compared with the hash in the documents; and whose download comes first.
import assert from "node:assert/strict";
import test from "node:test";
import { downloaded, embed, inState, launch, open, serveAll, sha256, token } from "./setup.mjs";

const LATEST = "/v2/agent-releases/latest.json";
const WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36";
const MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36";
const LINUX = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36";
const PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Safari/604.1";

/** [who, user agent, client hints or none for a browser without them, the platforms that are prominent] */
const VISITORS = [
  ["Windows by hints", WINDOWS, { platform: "Windows", architecture: "x86" }, ["windows-x86_64"]],
  ["Windows by user agent", WINDOWS, null, ["windows-x86_64"]],
  ["a Mac with Apple silicon", MAC, { platform: "macOS", architecture: "arm" }, ["macos-arm64"]],
  ["a Mac with Intel", MAC, { platform: "macOS", architecture: "x86" }, ["macos-x86_64"]],
  ["a Mac that does not tell", MAC, null, ["macos-arm64", "macos-x86_64"]],
  ["Linux, for which V2 has nothing", LINUX, { platform: "Linux", architecture: "x86" }, []],
  ["a phone", PHONE, null, []],
];

test("downloads", async (all) => {
  const base = await serveAll(all);
  const browser = await launch(all);

  await all.test("V2: each is saved under its name, with the bytes that the document says", async (context) => {
    const page = await open(context, browser, base);
    await embed(page, `src=${LATEST}`);
    await inState(page, "ready");
    const { artifacts } = await (await page.request.get(LATEST)).json();
    const { windows, macos } = artifacts;
    for (const [platform, file] of [["Windows", windows], ["macOS, Apple silicon", macos.arm64], ["macOS, Intel", macos.x86_64]]) {
      const { name, bytes } = await downloaded(page, () => page.getByRole("link", { name: `Download for ${platform}` }).click());
      assert.deepEqual([name, sha256(bytes)], [file.filename, file.sha256]);
    }
    page.clean();
  });

  await all.test("Active: a signed link needs no token any more", async (context) => {
    const page = await open(context, browser, base);
    await embed(page, "src=/api/agent/v1/releases/active");
    await inState(page, "unauthorized");
    page.forgive();
    await page.evaluate((value) => (document.querySelector("agent-downloads").token = value), token());
    await inState(page, "ready");
    const authorization = { authorization: `Bearer ${token()}` };
    const { artifacts } = await (await page.request.get("/api/agent/v1/releases/active", { headers: authorization })).json();
    const file = artifacts.find(({ platform }) => platform === "linux-amd64");
    const { name, bytes } = await downloaded(page, () => page.getByRole("link", { name: "Download for Linux, x86-64" }).click());
    assert.deepEqual([name, `sha256:${sha256(bytes)}`], [file.filename, file.checksum]);
    page.clean();
  });

  for (const [who, userAgent, hints, wanted] of VISITORS) {
    await all.test(`${who}: ${wanted.join(" and ") || "none"} comes first`, async (context) => {
      const page = await open(context, browser, base);
      const session = await page.context().newCDPSession(page);
      const told = { platformVersion: "", model: "", mobile: false, bitness: "64", brands: [], ...hints };
      await session.send("Emulation.setUserAgentOverride", { userAgent, ...(hints && { userAgentMetadata: told }) });
      // Browsers without hints have no such member at all.
      if (!hints) await page.addInitScript(() => Object.defineProperty(Navigator.prototype, "userAgentData", { value: undefined }));
      await embed(page, `src=${LATEST}`);
      await inState(page, "ready");
      const platforms = (selector) => page.locator(selector).evaluateAll((rows) => rows.map((row) => row.dataset.platform));
      assert.deepEqual(await platforms("[data-platform].primary"), wanted);
      const others = ["windows-x86_64", "macos-arm64", "macos-x86_64"].filter((id) => !wanted.includes(id));
      assert.deepEqual(await platforms("[data-platform]"), [...wanted, ...others]);
      page.clean();
    });
  }
});
