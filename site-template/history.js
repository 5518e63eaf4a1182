// Searches all releases; reads the history's tiles once somebody searches.

const ROWS = 50;
const HASH = /^[0-9a-f]{6,}$/;

const [form, list, pages, status, template] = ["history", "releases", "pages", "history-status", "release-row"]
  .map((id) => document.getElementById(id));
const fields = [form.q, form.channel, form.platform];
const newest = [...list.children];
const day = new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeZone: "UTC" });

const tiles = new Map(); // from a tile's name to its rows
let order = []; // of the tiles' names
let all = []; // rows, newest first
let total = 0;
let state = "unread"; // then "loading"; "complete" or "failed"
let limit = ROWS;
let drawn = newest;
let frame = 0;

const [retry, more] = ["Try again", "Show more"].map((textContent) =>
  Object.assign(document.createElement("button"), { type: "button", hidden: true, textContent }));

// After a failure, only what is missing is read.
async function load() {
  if (state === "loading" || state === "complete") return;
  state = "loading";
  draw();
  try {
    const address = new URL(form.dataset.index, location);
    const index = await read(address, "no-cache");
    total = index.total_count;
    order = index.tiles.map((tile) => tile.file);
    drawSoon();
    const missing = order.filter((file) => !tiles.has(file));
    const newestInTurn = async () => {
      for (let file; (file = missing.pop()); drawSoon()) {
        tiles.set(file, (await read(new URL(file, address))).data.map(searchable));
      }
    };
    await Promise.all(Array.from({ length: 6 }, newestInTurn));
    state = "complete";
  } catch {
    state = "failed";
  }
  drawSoon();
}

async function read(address, cache, tries = 3) {
  const answer = await fetch(address, { cache, credentials: "same-origin" }).catch(() => null);
  if (answer?.ok) return answer.json();
  if (tries === 1) throw address;
  await new Promise((resolve) => setTimeout(resolve, 1000 / tries));
  return read(address, cache, tries - 1);
}

// Worked out once, so that a key press only compares strings.
function searchable(row) {
  const files = Object.values({ ...row.artifacts, ...row.attachments });
  const text = [row.version, ...row.channels, ...files.map((file) => file.filename), ""].join(" ").toLowerCase();
  const hashes = files.map((file) => ` ${file.sha256}`).join("");
  return { ...row, date: row.published_at ?? "", text, hashes };
}

function drawSoon() {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    // Tiles and rows ascend by version.
    all = order.flatMap((file) => tiles.get(file) ?? []).reverse();
    all.sort((a, b) => (a.date < b.date) - (a.date > b.date));
    draw();
  });
}

function search(words, channel, platform) {
  const has = (row, word) => row.text.includes(word) || (HASH.test(word) && row.hashes.includes(` ${word}`));
  const found = all.filter((row) => (!channel || row.channels.includes(channel))
    && (!platform || platform in row.artifacts) && words.every((word) => has(row, word)));
  // The very version comes first, then those that begin like it.
  const near = (row) => row.text.startsWith(words[0]) + row.text.startsWith(`${words[0]} `);
  return found.sort((a, b) => near(b) - near(a));
}

function draw() {
  const [q, channel, platform] = fields.map((field) => field.value);
  const words = q.toLowerCase().match(/\S+/g) ?? [];
  const idle = !(words.length || channel || platform);
  const found = idle ? newest : search(words, channel, platform);
  const rows = found.slice(0, limit);
  // Rows that stay keep the focus.
  if (rows.length !== drawn.length || rows.some((row, at) => row !== drawn[at])) {
    list.replaceChildren(...(idle ? rows : rows.map(rowOf)));
    drawn = rows;
  }
  pages.hidden = !idle;
  more.hidden = found.length <= limit;
  retry.hidden = idle || state !== "failed";
  status.ariaBusy = state === "loading";
  status.textContent = idle ? "" : report(found.length);
}

function report(matching) {
  const [found, searched, of] = [matching, all.length, total].map((count) => count.toLocaleString("en"));
  if (state === "failed") return "The history could not be loaded.";
  if (state === "complete") return `${found} of ${of} releases`;
  return total ? `Searching ${searched} of ${of} …` : "Searching …";
}

function rowOf(row) {
  const made = template.content.cloneNode(true);
  const slot = (name) => made.querySelector(`[data-slot=${name}]`);
  const [version, date, badge] = ["version", "date", "state"].map(slot);
  version.textContent = row.version;
  version.href = `/releases/${row.version}/`;
  date.dateTime = row.date;
  date.textContent = row.date && day.format(new Date(row.date));
  badge.hidden = row.state === "published";
  badge.dataset.state = badge.textContent = row.state;
  repeat(slot("channels"), row.channels, (copy, channel) => (copy.textContent = channel));
  const offered = Object.keys(row.state === "recalled" ? {} : row.artifacts);
  repeat(slot("downloads"), offered, (copy, platform) => {
    copy.textContent = form.platform.querySelector(`[value=${platform}]`).text;
    copy.href = row.artifacts[platform].download_url;
  });
  return made;
}

function repeat(container, values, fill) {
  const copies = values.map(() => container.firstElementChild.cloneNode(true));
  copies.forEach((copy, at) => fill(copy, values[at]));
  container.replaceChildren(...copies);
}

status.after(retry);
list.after(more);
retry.onclick = load;
more.onclick = () => {
  limit += ROWS;
  draw();
  list.children[limit - ROWS].querySelector("a").focus();
};
form.onsubmit = (event) => event.preventDefault();
form.addEventListener("focusin", load);
form.oninput = () => {
  limit = ROWS;
  const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
  draw();
  load();
};
const query = new URLSearchParams(location.search);
for (const field of fields) {
  field.value = query.get(field.name) ?? "";
  // Nothing is selected where there is no such value.
  if (field.selectedIndex < 0) field.selectedIndex = 0;
}
form.hidden = false;
if (fields.some((field) => field.value)) load();
