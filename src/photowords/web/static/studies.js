// Studies: how far each is, its trials as a table, and the report when there is one.

import { follow, get } from "./api.js";
import { byId, h, put } from "./dom.js";

/** Show the list, or one study. Returns the function that stops. */
export function show(name) {
  const body = h("div", {});
  put(byId("studies"), h("h1", { id: "studies-title" }, name ? `Study: ${name}` : "Studies"), body);
  if (name) {
    const gone = (problem) => put(body, h("p", { class: "problem", role: "alert" }, problem.message));
    return follow(`/api/studies/${encodeURIComponent(name)}/events`, "study", (told) => put(body, one(told)), gone);
  }
  list(body);
  return () => {};
}

async function list(body) {
  try {
    const studies = await get("/api/studies");
    put(
      body,
      h("p", { class: "hint" }, "A study learns many sentences and compares them. Start one in a terminal (photowords study); it shows here while it runs."),
      h("ul", { class: "run-list" }, studies.map((told) => h("li", { class: "run" }, summary(told)))),
    );
  } catch (refused) {
    put(body, h("p", { class: "problem", role: "alert" }, refused.message));
  }
}

function summary(told) {
  return [
    h("a", { class: "look", href: `/?view=studies&study=${encodeURIComponent(told.study)}`, "data-route": true }, h("span", { class: "sentence" }, told.study)),
    told.question && h("p", {}, told.question),
    progress(told),
  ];
}

const progress = (told) => [
  h("progress", { max: told.trials || 1, value: told.done, "aria-label": `Progress of ${told.study}` }),
  h("p", { class: "hint" }, `${told.state}: ${told.done} of ${told.trials} trials${told.failed ? `, ${told.failed} failed` : ""}`),
];

function one(told) {
  const row = (concept) => h("tr", {}, h("th", { scope: "row" }, concept), told.arms.map((arm) => h("td", {}, marks(told, concept, arm))));
  const columns = ["Photo", ...told.arms].map((name) => h("th", { scope: "col" }, name));
  return [
    told.question && h("p", {}, told.question),
    progress(told),
    told.report_url && h("p", {}, h("a", { class: "button main", href: told.report_url }, "Read the report")),
    h("p", { class: "hint" }, "Each mark is a trial of one seed: ● done, ○ to come, ✕ failed; the study's command tries these again."),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "Trials of the study" },
      h("table", {}, h("thead", {}, h("tr", {}, columns)), h("tbody", {}, told.concepts.map(row))),
    ),
  ];
}

/** A mark for each seed of a photo and an arm. */
function marks(told, concept, arm) {
  const trials = told.cells.filter((cell) => cell.concept === concept && cell.arm === arm);
  return trials.map(({ seed, state }) =>
    h("span", { class: `trial ${state}`, title: `seed ${seed}: ${state}` }, MARKS[state], h("span", { class: "unseen" }, ` seed ${seed} ${state}`)),
  );
}

const MARKS = { done: "●", waiting: "○", failed: "✕" };
