// Makes the examples of the API page run: each is sent to the host that the page came from, and its answer is shown.

const HEADERS = ["Content-Type", "ETag", "Cache-Control", "Link", "X-Checksum-SHA256", "X-Release-Yanked", "Retry-After"];

for (const place of document.querySelectorAll("[data-origin]")) place.textContent = location.origin;

for (const button of document.querySelectorAll("[data-run]")) {
  button.hidden = false;
  button.addEventListener("click", () => run(button, answerAfter(button)));
}

function answerAfter(button) {
  const answers = [...document.querySelectorAll("[data-answer]")];
  return answers.find((answer) => button.compareDocumentPosition(answer) & Node.DOCUMENT_POSITION_FOLLOWING);
}

async function run(button, place) {
  button.setAttribute("aria-busy", true);
  place.setAttribute("aria-live", "polite");
  place.hidden = false;
  place.tabIndex = 0; // long lines scroll, by keys too
  try {
    place.replaceChildren(...(await ask(button.dataset.run)));
  } catch {
    place.textContent = "No answer: the request could not be sent.";
  }
  button.setAttribute("aria-busy", false);
}

async function ask(address) {
  const answer = await fetch(address, { redirect: "manual", credentials: "same-origin", cache: "no-cache" });
  if (answer.type === "opaqueredirect") return ["A redirect; ", link(address, "open it"), "."];
  const headers = HEADERS.filter((name) => answer.headers.has(name)).map((name) => `${name}: ${answer.headers.get(name)}`);
  return [`${answer.status} ${answer.statusText}`.trim(), "\n", headers.join("\n"), "\n\n", pretty(await answer.text())];
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function link(href, textContent) {
  return Object.assign(document.createElement("a"), { href, textContent });
}
