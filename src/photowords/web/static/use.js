// The fifth moment: prompts with the learned words in them, pictures in a grid, and the way to other tools.

import { get } from "./api.js";
import { byId, h, put } from "./dom.js";
import { exports } from "./exports.js";
import { form } from "./forms.js";
import { draw, past } from "./pictures.js";
import { conceptOf, Prompt, seedsOf } from "./prompt.js";

/** Show what can be done with a run. */
export function show(run, about) {
  const key = `photowords-use-${run.run}`;
  const kept = remembered(key);
  const seeds = h("input", { id: "seeds", value: kept.seeds ?? "0-3", autocomplete: "off", "aria-describedby": "seeds-help seeds-problem" });
  const negative = h("input", { id: "negative", value: kept.negative ?? "", autocomplete: "off", "aria-describedby": "negative-help" });
  const fields = about.fields.generate.filter((field) => field.name !== "negative");
  const settings = form(fields, "use", kept.settings ?? {}, [], () => keep());
  const saidOfSeeds = h("p", { class: "problem", id: "seeds-problem", role: "alert" });
  const problem = h("p", { class: "problem", role: "alert" });
  const place = h("div", { class: "prompt-line", role: "group", "aria-label": "The prompt" });
  const batches = h("div", { class: "batches" });
  const keep = () =>
    sessionStorage.setItem(key, JSON.stringify({ parts: prompt.parts, seeds: seeds.value, negative: negative.value, settings: settings.values() }));
  const fresh = ["a photo of a ", conceptOf(run), ""];
  const prompt = new Prompt(place, kept.parts?.every((part) => isOf(part, run)) ? kept.parts : fresh, keep);
  for (const input of [seeds, negative]) input.addEventListener("input", keep);
  const dice = () => {
    const first = Math.floor(Math.random() * 10000);
    seeds.value = `${first}-${first + 3}`;
    keep();
  };
  const go = h("button", { type: "submit", class: "main" }, "Draw");
  const plain = h("button", { type: "button", onclick: () => ask(prompt.plainPieces) }, "Draw with the plain words, to compare");
  const begin = (event) => {
    event.preventDefault();
    ask(prompt.pieces);
  };
  const ask = async (pieces) => {
    problem.textContent = saidOfSeeds.textContent = "";
    settings.problem("", "");
    let numbers;
    try {
      numbers = seedsOf(seeds.value, about.limits.seeds ?? 16);
    } catch (wrong) {
      saidOfSeeds.textContent = wrong.message;
      seeds.focus();
      return;
    }
    const asked = { prompt: pieces, negative: negative.value.trim(), seeds: numbers, settings: settings.values() };
    const batch = h("article", { class: "batch" });
    batches.prepend(batch);
    go.disabled = plain.disabled = true;
    try {
      await draw(asked, batch, again);
    } catch (refused) {
      batch.remove();
      if (refused.field === "seeds") saidOfSeeds.textContent = refused.message;
      else if (!settings.problem(refused.field, refused.message)) problem.textContent = refused.message;
    }
    go.disabled = plain.disabled = false;
  };
  const again = async (told) => {
    try {
      await restore(prompt, told.pieces, run);
    } catch (refused) {
      problem.textContent = refused.message;
      return;
    }
    seeds.value = told.seeds.join(", ");
    negative.value = told.negative;
    settings.give(told.settings ?? {});
    keep();
    place.scrollIntoView({ block: "center" });
  };
  put(
    byId("use"),
    h("h2", { id: "use-title" }, "Use it"),
    h("p", { class: "hint" }, "Write around the learned words. Each of them can stay as learned, go back to plain, or become another word."),
    h(
      "form",
      { onsubmit: begin, novalidate: true },
      place,
      suggestions(about, prompt),
      h(
        "div",
        { class: "fields" },
        h(
          "div",
          { class: "field" },
          h("label", { for: "seeds" }, "Seeds"),
          h("span", { class: "joined" }, seeds, h("button", { type: "button", onclick: dice }, "New")),
          h("p", { class: "hint", id: "seeds-help" }, "one picture each; the same seed draws the same picture"),
          saidOfSeeds,
        ),
        h(
          "div",
          { class: "field" },
          h("label", { for: "negative" }, "Not in the picture"),
          negative,
          h("p", { class: "hint", id: "negative-help" }, "what should not be there (a negative prompt)"),
        ),
        another(run, prompt),
      ),
      settings.details,
      h("div", { class: "tools" }, go, plain),
      problem,
    ),
    batches,
    exports(run, about),
  );
  past(run.pictures, batches, again);
}

function remembered(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key)) ?? {};
  } catch {
    return {};
  }
}

function suggestions(about, prompt) {
  const scenes = about.scenes.slice(0, 6).map((scene) => [`… ${scene}`, `a photo of a {} ${scene}`]);
  const texts = [["a photo of …", "a photo of a {}"], ...scenes, ["a sketch of …", "a sketch of a {}"], ["a painting of …", "a painting of a {}"]];
  return h(
    "ul",
    { class: "suggestions", "aria-label": "Prompts to begin with" },
    texts.map(([name, text]) => h("li", {}, h("button", { type: "button", onclick: () => prompt.suggest(text) }, name))),
  );
}

/** A choice of the other runs, to put a second concept into the prompt. */
function another(run, prompt) {
  const choose = h("select", { id: "another", "aria-describedby": "another-help" }, h("option", { value: "" }, "choose a run…"));
  const box = h("div", { class: "field", hidden: true }, h("label", { for: "another" }, "Add another learned thing"), choose, h("p", { class: "hint", id: "another-help" }, "both in one picture"));
  const problem = h("p", { class: "problem", role: "alert" });
  box.append(problem);
  choose.addEventListener("change", async () => {
    problem.textContent = "";
    try {
      if (choose.value) prompt.add(conceptOf(await runOf(choose.value)));
    } catch (refused) {
      problem.textContent = refused.message;
    }
    choose.value = "";
  });
  const fill = ({ runs }) => {
    const others = runs.filter((one) => one.run !== run.run && one.loss !== null && one.step > 0);
    choose.append(...others.map((one) => h("option", { value: one.run }, `${one.name}: ${one.sentence}`)));
    box.hidden = others.length === 0;
  };
  get("/api/runs").then(fill, () => {});
  return box;
}

const runOf = (name) => get(`/api/runs/${encodeURIComponent(name)}`);

/** Whether a part of a prompt is text, another run's concept, or this run's with the words that it has: a deleted run
 * may have had the same name. */
const isOf = (part, run) => part.run !== run.run || JSON.stringify(part.words) === JSON.stringify(run.words);

/** Take up the prompt of a batch. Concepts that are not of this run keep what is known of them. */
async function restore(prompt, pieces, run) {
  const parts = [""];
  for (const piece of pieces) {
    if (typeof piece === "string") {
      parts[parts.length - 1] += piece;
      continue;
    }
    const concept = conceptOf(piece.run === run.run ? run : await runOf(piece.run));
    parts.push({ ...concept, uses: piece.words ?? concept.uses }, "");
  }
  prompt.parts = parts;
  prompt.show();
  prompt.changed();
}
