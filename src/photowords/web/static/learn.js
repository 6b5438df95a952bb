// The fourth moment, before it begins: a name, how many steps, and the button.

import { post } from "./api.js";
import { draft } from "./draft.js";
import { byId, h, put } from "./dom.js";
import { form } from "./forms.js";

const MAIN = ["steps"]; // what shows at once; the rest stands under "More settings"
const PLACES = { words: "sentence", photos: "stage", clicks: "stage", box: "stage" }; // where errors of no field of ours stand

/** Show the form that begins a run; ``open`` goes to the run. */
export function show(about, open) {
  const problem = h("p", { class: "problem", role: "alert" });
  const saidOfName = h("p", { class: "problem", id: "name-problem", role: "alert" });
  const name = h("input", {
    id: "name",
    value: draft.name,
    autocomplete: "off",
    spellcheck: "false",
    "aria-describedby": "name-help name-problem",
    oninput: () => draft.set({ name: name.value.trim() }),
  });
  const keep = () => draft.set({ settings: settings.values() });
  const settings = form(about.fields.invert, "learn", draft.settings, MAIN, keep);
  const samples = h("select", { id: "samples", "aria-describedby": "samples-help", onchange: () => draft.set({ samples: samples.value }) });
  samples.append(
    h("option", { value: "checkpoints" }, "at every checkpoint"),
    h("option", { value: "ends" }, "before and after"),
    h("option", { value: "none" }, "none (fastest)"),
  );
  samples.value = draft.samples ?? "checkpoints";
  const go = h("button", { type: "submit", class: "main" }, "Learn these words");
  let busy = false;
  const begin = async (event) => {
    event.preventDefault();
    problem.textContent = saidOfName.textContent = "";
    settings.problem("", "");
    busy = true;
    go.disabled = true;
    const asked = draft.made;
    try {
      const { run } = await post("/api/runs", {
        photos: [draft.selection],
        words: draft.words.filter((word) => word.text),
        name: draft.name || suggested(),
        settings: settings.values(),
        samples: samples.value === "none" ? 0 : 4,
        samples_at: samples.value === "ends" ? "ends" : "checkpoints",
      });
      if (draft.made === asked) draft.set({ ran: run }); // else it was changed meanwhile
      if (go.isConnected && !byId("make").hidden) open(run);
    } catch (refused) {
      if (refused.field === "name") {
        saidOfName.textContent = refused.message;
        name.focus();
      } else if (PLACES[refused.field]) byId(PLACES[refused.field]).querySelector(".problem").textContent = refused.message;
      else if (!settings.problem(refused.field, refused.message)) problem.textContent = refused.message;
    }
    busy = false;
    go.disabled = !ready();
  };
  put(
    byId("learn"),
    h("h2", { id: "learn-title" }, "Learn"),
    h("p", { class: "hint" }, "The coloured words are tuned, step by step, until the model draws your photo from them. The model itself stays as it is."),
    h(
      "form",
      { onsubmit: begin, novalidate: true },
      h(
        "div",
        { class: "fields" },
        h(
          "div",
          { class: "field" },
          h("label", { for: "name" }, "Name"),
          name,
          h("p", { class: "hint", id: "name-help" }, "what you call it in prompts"),
          saidOfName,
        ),
        settings.shown,
        h(
          "div",
          { class: "field" },
          h("label", { for: "samples" }, "Pictures on the way"),
          samples,
          h("p", { class: "hint", id: "samples-help" }, "to see it grow; they take time"),
        ),
      ),
      settings.details,
      h("div", { class: "tools" }, go),
      problem,
    ),
  );
  draft.when(["words", "label"], () => {
    name.placeholder = suggested();
    go.disabled = busy || !ready();
  });
}

const ready = () => draft.words.some((word) => word.text && word.trainable);

/** A name for the thing: its class where the sentence says it, or the sentence's last word. */
function suggested() {
  const words = draft.words.map((word) => word.text).filter(Boolean);
  const found = words.find((word) => word === draft.label?.name) ?? words.at(-1) ?? "";
  return found.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^[^a-z]+|-+$/g, "") || "concept";
}
