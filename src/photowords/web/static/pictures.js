// Pictures that are asked for, followed while they are drawn, and shown in a grid with what they were made of.

import { get, poll, post } from "./api.js";
import { byId, h, put, speak } from "./dom.js";

/** Ask for pictures and show them in ``place`` as they come. Returns their id; throws the Problem of a refusal. */
export async function draw(asked, place, again = null) {
  put(place, h("p", { class: "hint" }, "Asking for the pictures…"));
  try {
    const { pictures } = await post("/api/pictures", asked);
    watch(pictures, place, again);
    return pictures;
  } catch (refused) {
    put(place, h("p", { class: "problem", role: "alert" }, refused.message));
    throw refused;
  }
}

/**
 * Follow pictures that were asked for, into ``place``, as long as it is shown; ``again`` is offered for those that are
 * there. They are asked about again and again: a stream for each would use up the few connections of a browser.
 */
export function watch(id, place, again = null) {
  let before = "";
  place.watched = id; // by the newest asking only
  const stop = poll(
    `/api/pictures/${id}`,
    EVERY,
    (told) => {
      if (!place.isConnected || place.watched !== id) return stop();
      if (ended(told)) stop();
      const now = JSON.stringify(told);
      if (now === before) return;
      before = now;
      put(place, batch(told, again));
      if (told.state === "done") speak(`${told.pictures.length} pictures are drawn`);
    },
    () => place.watched === id && place.replaceChildren(),
  );
}

/** Show pictures that were asked for before, newest first, into ``place``: a few, and the rest on demand. */
export async function past(ids, place, again) {
  const found = await Promise.allSettled(ids.map((id) => get(`/api/pictures/${id}`)));
  const all = found.filter((one) => one.status === "fulfilled").map((one) => one.value).sort((one, other) => other.when - one.when);
  const one = (told) => {
    const article = h("article", { class: "batch" }, ended(told) && batch(told, again));
    if (!ended(told)) watch(told.id, article, again);
    return article;
  };
  const rest = all.slice(FEW);
  const more = h("button", { type: "button", onclick: () => more.replaceWith(...rest.map(one)) }, `Show ${rest.length} older`);
  place.append(...all.slice(0, FEW).map(one), ...(rest.length ? [more] : []));
}

const EVERY = 700; // milliseconds
const FEW = 6;
const ended = (told) => told.state === "done" || told.state === "failed";
const WAITS = { queued: "Waiting for its turn…", drawing: "Drawing…" };

function batch(told, again) {
  const drawn = new Map(told.pictures.map((one) => [one.seed, one])); // also of a batch that failed half-way
  const settings = Object.entries(told.settings ?? {}).filter(([, value]) => value !== null && value !== "");
  return [
    h(
      "div",
      { class: "batch-head" },
      h("p", { class: "prompt" }, told.prompt),
      WAITS[told.state] && h("p", { class: "hint waiting" }, WAITS[told.state]),
      told.error && h("p", { class: "problem", role: "alert" }, told.error),
      (told.warnings ?? []).map((text) => h("p", { class: "hint" }, text)),
    ),
    h(
      "ul",
      { class: "grid" },
      told.seeds.map((seed) => {
        if (drawn.has(seed)) return h("li", {}, picture(drawn.get(seed), told));
        return !ended(told) && h("li", { class: "blank" });
      }),
    ),
    again && h(
      "details",
      {},
      h("summary", {}, "How these were made"),
      h(
        "dl",
        {},
        [["On the command line", told.command], ["Not in the picture", told.negative], ...settings]
          .filter(([, value]) => value)
          .map(([name, value]) => [h("dt", {}, String(name).replaceAll("_", " ")), h("dd", {}, String(value))]),
      ),
      h("button", { type: "button", onclick: () => again(told) }, "Start from this prompt"),
    ),
  ];
}

function picture(one, told) {
  const alt = `${told.prompt}, seed ${one.seed}`;
  return h(
    "button",
    { type: "button", class: "picture", onclick: () => enlarge(one, alt, told.prompt) },
    h("img", { src: one.url, alt, loading: "lazy" }),
    h("span", { class: "seed" }, `seed ${one.seed}`),
  );
}

function enlarge(one, alt, prompt) {
  const dialog = byId("big");
  const stem = prompt.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 60) || "picture";
  put(
    dialog,
    h("h2", { id: "big-title" }, alt),
    h("img", { src: one.url, alt }),
    h(
      "div",
      { class: "tools" },
      h("a", { class: "button", href: one.url, download: `${stem}_seed-${one.seed}.png` }, "Save the picture"),
      h("button", { type: "button", onclick: () => dialog.close() }, "Close"),
    ),
  );
  dialog.showModal();
}
