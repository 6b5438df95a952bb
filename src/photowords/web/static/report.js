// The word report: what became of each word of a run, and what it is worth.

import { get } from "./api.js";
import { h, put } from "./dom.js";

/** Offer a run's word report in ``place``; it takes the model a few seconds. */
export function report(place, run) {
  const waiting = h("p", { class: "hint", role: "status" });
  const ask = h("button", { type: "button" }, "See what each word learned");
  ask.addEventListener("click", async () => {
    ask.disabled = true;
    waiting.textContent = "Each word is put back in turn and measured…";
    try {
      put(place, table(await get(`/api/runs/${encodeURIComponent(run.run)}/words`)));
    } catch (refused) {
      waiting.textContent = refused.message;
      ask.disabled = false;
    }
  });
  put(place, ask, waiting);
}

function table(told) {
  const most = Math.max(...told.words.map((word) => Math.abs(word.worth)), 1e-12);
  const columns = ["Word", "Worth", "Turned by", "Length", "Now near"].map((name) => h("th", { scope: "col" }, name));
  const rows = told.words.map((word) => row(word, most, told.held_out.learned));
  return [
    h("p", { class: "hint" }, `After step ${told.step}. Worth: by how much the loss would rise if this one word were plain again.`),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "What each word learned" },
      h("table", { class: "word-report" }, h("thead", {}, h("tr", {}, columns)), h("tbody", {}, rows)),
    ),
  ];
}

function row(word, most, learned) {
  const turned = (Math.acos(Math.min(1, Math.max(-1, word.cosine))) * 180) / Math.PI;
  const percent = (loss) => ((100 * loss) / learned).toFixed(2);
  const error = word.standard_error ? ` ± ${percent(word.standard_error)}` : "";
  const near = word.nearest.map((token) => token.map(([name]) => name).join(", ")).join(" / ");
  return h(
    "tr",
    { class: word.trainable ? "" : "kept" },
    h("th", { scope: "row" }, word.text),
    h("td", {}, h("meter", { min: 0, max: 100, value: Math.max(0, (100 * word.worth) / most), "aria-label": `Worth of ${word.text}` }), ` ${percent(word.worth)}${error} %`),
    h("td", {}, word.trainable ? `${Math.round(turned)}°` : "kept"),
    h("td", {}, `× ${word.norm.toFixed(2)}`),
    h("td", {}, near),
  );
}
