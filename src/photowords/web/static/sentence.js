// The third moment: the sentence that the photo becomes, and what the model draws for its words before it learned them.

import { post } from "./api.js";
import { chips } from "./chips.js";
import { draft } from "./draft.js";
import { byId, h, later, put, speak } from "./dom.js";
import { form } from "./forms.js";
import { draw, watch } from "./pictures.js";

let asked = null; // the AbortController of the sentence that is on its way
let failed = false; // whether the last reading came to nothing
let saying = () => {}; // shows what the readers said, and the way to ask them again
let options = null; // the form of the options of where the words come from

/** Show the draft's sentence. ``about`` is what the server says of itself. */
export function show(about) {
  const list = h("ol", { class: "chips edited", "aria-label": "The words of the sentence" });
  const beside = h("div", { class: "beside" });
  const problem = h("p", { class: "problem", role: "alert" });
  const waiting = h("p", { class: "hint" });
  const drawn = h("div", { class: "drawn" });
  const plain = h("button", { type: "button", onclick: () => drawPlain(drawn) }, "See what the model draws for these words already");
  put(
    byId("sentence"),
    h("h2", { id: "sentence-title" }, "Its sentence"),
    h("p", { class: "hint" }, "Each coloured word will learn from your photo. Correct what is wrong."),
    list,
    waiting,
    problem,
    beside,
    otherStarts(about),
    h("div", { class: "step-zero" }, plain, drawn),
  );
  let shown = ""; // the words that the chips have
  const changed = (words) => {
    asked?.abort(); // what was typed wins over a sentence that is still on its way
    shown = JSON.stringify(words);
    draft.set({ words, touched: true });
  };
  const redraw = () => {
    const now = JSON.stringify(draft.words);
    if (now !== shown && !list.contains(document.activeElement)) {
      shown = now;
      chips(list, draft.words.slice(), changed);
    }
    plain.disabled = !draft.words.some((word) => word.text);
  };
  draft.when(["words"], redraw);
  // A sentence that came while the cursor stood in a word shows when it has left.
  list.addEventListener("focusout", () => setTimeout(redraw));
  failed = false;
  saying = () => put(beside, said());
  draft.when(["said", "label", "touched"], saying);
  const stale = () => draft.photo !== null && !draft.touched && draft.read !== key();
  const soon = later(300, () => (stale() ? read() : busy(false)));
  draft.when(["photo", "mask", "start"], () => {
    asked?.abort(); // it reads another photo or another part of it
    busy(stale());
    soon();
  });
  if (draft.drawn) watch(draft.drawn, drawn);
}

const busy = (now) => byId("sentence").setAttribute("aria-busy", now);

const key = () => JSON.stringify([draft.selection, draft.start]);

async function read() {
  asked?.abort();
  asked = new AbortController();
  const mine = asked;
  const card = byId("sentence");
  const [waiting, problem] = [card.querySelector(".chips + .hint"), card.querySelector(".problem")];
  problem.textContent = "";
  options.problem("", "");
  failed = false;
  saying();
  waiting.textContent = "Reading the photo…";
  busy(true);
  try {
    const asking = key();
    const question = { ...draft.selection, start: draft.start };
    const { words, label, said, warnings } = await post("/api/sentence", question, mine.signal);
    draft.set({ words, label, said, touched: false, read: asking, drawn: null });
    put(card.querySelector(".drawn")).watched = null; // what is drawn of other words
    problem.textContent = warnings.join(" ");
    speak(`The sentence: ${words.map((word) => word.text).join(" ")}`);
  } catch (refused) {
    if (refused.name !== "AbortError" && !options.problem(refused.field, refused.message)) problem.textContent = refused.message;
    failed = refused.name !== "AbortError";
    saying();
  }
  if (mine !== asked) return;
  waiting.textContent = "";
  busy(false);
}

function said() {
  const again = () => {
    draft.set({ touched: false });
    read();
  };
  const { label } = draft;
  return [
    label && h("p", {}, label.confidence < 0.5 ? "Might be: " : "Looks like: ", h("strong", {}, label.name), h("span", { class: "hint" }, ` ${Math.round(100 * label.confidence)} % sure`)),
    draft.said && h("p", { class: "hint" }, `The captioner said: “${draft.said}”`),
    draft.touched && h("p", {}, h("button", { type: "button", onclick: again }, "Read the photo again (your changes go)")),
    failed && !draft.touched && h("p", {}, h("button", { type: "button", onclick: again }, "Read the photo again")),
  ];
}

/** A choice of where the words come from, each with the options that it has. */
function otherStarts(about) {
  const place = h("div", { class: "fields" });
  const choose = h("select", { id: "start-kind", onchange: () => open(choose.value) });
  choose.append(...about.starts.map((one) => h("option", { value: one.init }, `${one.init}: ${one.help}`)));
  const open = (kind) => {
    const fields = form(about.fields.starts[kind] ?? [], "start", kind === draft.start.kind ? draft.start : {});
    const problem = (field, sentence) => {
      if (sentence && (about.fields.starts[kind] ?? []).some((one) => one.name === field)) whole.open = true; // it is seen
      return fields.problem(field, sentence);
    };
    options = { ...fields, problem };
    put(place, fields.shown);
  };
  const use = () => draft.set({ touched: false, read: null, start: { ...options.values(), kind: choose.value } });
  const whole = h(
    "details",
    {},
    h("summary", {}, "Find the words in another way"),
    h("div", { class: "field" }, h("label", { for: "start-kind" }, "Where the words come from"), choose),
    place,
    h("button", { type: "button", onclick: use }, "Find the words"),
  );
  choose.value = draft.start.kind;
  open(draft.start.kind);
  return whole;
}

async function drawPlain(place) {
  const sentence = draft.words.map((word) => word.text).filter(Boolean).join(" ");
  const asked = { prompt: [`a photo of a ${sentence}`], ...draft.selection, negative: "", seeds: [0, 1, 2, 3], settings: {} };
  const id = await draw(asked, place);
  if (place.isConnected && place.watched === id) draft.set({ drawn: id });
}
