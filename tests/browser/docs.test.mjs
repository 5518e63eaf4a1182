// The page of the API: its examples name this host, run against it, and show what it answers.
import assert from "node:assert/strict";
import test from "node:test";
import { accessible, launch, open, serveAll } from "./setup.mjs";

test("the API page", async (all) => {
  const base = await serveAll(all);
  const browser = await launch(all);
  const page = await open(all, browser, base);
  await page.goto("/docs/");

  await all.test("examples name the host that the page came from", async () => {
    const named = await page.locator("[data-origin]").allInnerTexts();
    assert.ok(named.length > 5);
    assert.deepEqual([...new Set(named)], [base]);
  });

  await all.test("each example runs, and its answer is shown behind it", async () => {
    const buttons = await page.locator("[data-run]").all();
    assert.ok(buttons.length > 5);
    for (const button of buttons) {
      const address = await button.getAttribute("data-run");
      const answer = button.locator("xpath=following::*[@data-answer][1]");
      await button.click();
      await answer.filter({ hasText: /./ }).waitFor();
      const { status } = await fetch(base + address, { redirect: "manual" });
      const expected = status === 302 ? /^A redirect; open it/ : new RegExp(`^${status}`);
      assert.match(await answer.innerText(), expected, address);
    }
    await accessible(page, "answers");
    page.clean();
  });

  await all.test("the list of examples is of documents that are there", async () => {
    const addresses = await page.locator("[data-run]").evaluateAll((buttons) => buttons.map((button) => button.dataset.run));
    for (const address of addresses) assert.ok((await fetch(base + address, { redirect: "manual" })).status < 400, address);
  });

  await all.test("without JavaScript there are no buttons, and all the rest", async (context) => {
    const plain = await open(context, browser, base, { javaScriptEnabled: false });
    await plain.goto("/docs/");
    assert.equal(await plain.locator("[data-run]:visible").count(), 0);
    assert.ok((await plain.locator("article").count()) > 5);
  });
});
