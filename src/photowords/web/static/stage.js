// The second moment: click on the thing, shift-click beside it, drag a box; the mask glows over the photo at once.

import { post } from "./api.js";
import { draft } from "./draft.js";
import { byId, h, put, s, speak } from "./dom.js";
import { Crosshair } from "./crosshair.js";

const DRAG = 6; // CSS pixels: a shorter movement is a click
let mode = "on";
let asked = null; // the AbortController of the mask that is on its way

/** Show the draft's photo, to be clicked on. */
export function show() {
  const { url, width, height, warnings = [] } = draft.photo;
  const marks = s("g", { class: "marks" });
  const drawing = s("svg", { class: "over", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  const shade = s("g", {});
  const crosshair = new Crosshair(width, height);
  drawing.append(shade, marks, crosshair.element);
  const unit = Math.max(width, height) / 100; // marks are as large on a photo of any size
  const surface = h(
    "div",
    {
      class: "surface",
      tabindex: "0",
      role: "application",
      "aria-label": "The photo, to point at the thing",
      "aria-describedby": "stage-keys",
    },
    h("img", { src: url, alt: "The photo to learn from", width, height, draggable: "false" }),
    drawing,
  );
  const problem = h("p", { class: "problem", role: "alert" }, warnings.join(" "));
  const told = h("p", { class: "hint", id: "stage-told" });
  const undo = h("button", { type: "button", onclick: takeBack }, "Undo");
  const clear = h("button", { type: "button", onclick: () => point({ clicks: [], box: null }) }, "Clear");
  put(
    byId("stage"),
    h(
      "div",
      { class: "title" },
      h("h2", { id: "stage-title" }, "Point at the thing"),
      h("button", { type: "button", onclick: () => draft.begin() }, "Another photo"),
    ),
    surface,
    h("div", { class: "tools" }, modes(), undo, clear),
    told,
    h(
      "p",
      { class: "hint keys", id: "stage-keys" },
      "Shift-click where it is not; drag a box around it. By keyboard: arrows move, Enter clicks, Shift+Enter says not, " +
        "B sets a box’s corners, Backspace undoes.",
    ),
    problem,
  );
  listen(surface, drawing, crosshair);
  const redraw = () => {
    put(marks, ...draft.clicks.map((click) => dot(click, unit)), draft.box && frame(draft.box));
    undo.disabled = draft.past.length === 0;
    clear.disabled = draft.clicks.length === 0 && draft.box === null;
  };
  const glow = () => {
    put(shade, draft.mask && glowing(draft.mask.url, width, height, unit));
    if (draft.mask) told.textContent = `This is what is learned: ${Math.round(100 * draft.mask.share)} % of the photo. Click again where it is wrong.`;
    else if (draft.box || draft.clicks.length > 0) told.textContent = "What these clicks mean is not known yet: click again, or clear them.";
    else told.textContent = "Click on the thing, so that little is learned of what is around it. Without a click, the photo's middle square is learned.";
  };
  draft.when(["clicks", "box"], redraw);
  draft.when(["mask"], glow);
  // As a run had it, or where the page was left before the newest click was answered.
  if ((draft.box || draft.clicks.length > 0) && draft.mask?.of !== pointed()) segment();
}

function modes() {
  const choices = [
    ["on", "The thing"],
    ["off", "Not this"],
    ["box", "Box"],
  ];
  return h(
    "fieldset",
    { class: "switch" },
    h("legend", { class: "unseen" }, "What a click says"),
    choices.map(([value, text]) =>
      h(
        "label",
        {},
        h("input", { type: "radio", name: "mode", value, checked: value === mode, onchange: () => setMode(value) }),
        h("span", {}, text),
      ),
    ),
  );
}

function setMode(value) {
  mode = value;
  byId("stage").classList.toggle("boxing", value === "box"); // a finger draws then, and does not scroll
}

function listen(surface, drawing, crosshair) {
  let from = null;
  const at = (event) => {
    const rect = drawing.getBoundingClientRect();
    const { width, height } = draft.photo;
    return {
      x: Math.min(width - 1, Math.max(0, Math.floor(((event.clientX - rect.left) / rect.width) * width))),
      y: Math.min(height - 1, Math.max(0, Math.floor(((event.clientY - rect.top) / rect.height) * height))),
    };
  };
  const far = (event) => Math.hypot(event.clientX - from.clientX, event.clientY - from.clientY) > DRAG;
  const drawn = s("rect", { class: "box" });
  surface.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    from = event;
    if (event.pointerType === "mouse" || mode === "box") surface.setPointerCapture(event.pointerId);
  });
  surface.addEventListener("pointermove", (event) => {
    if (!from || !far(event)) return;
    const [left, top, right, bottom] = spanned(at(from), at(event));
    for (const [name, value] of Object.entries({ x: left, y: top, width: right - left, height: bottom - top }))
      drawn.setAttribute(name, value);
    drawing.append(drawn);
  });
  const end = (event) => {
    drawn.remove();
    if (!from) return;
    if (far(event)) setBox(spanned(at(from), at(event)));
    else click(at(event), event.shiftKey);
    from = null;
  };
  surface.addEventListener("pointerup", end);
  surface.addEventListener("pointercancel", () => {
    from = null;
    drawn.remove();
  });
  crosshair.listen(surface, { click, box: (one, other) => setBox(spanned(one, other)), undo: takeBack });
}

const spanned = (one, other) => [
  Math.min(one.x, other.x),
  Math.min(one.y, other.y),
  Math.max(one.x, other.x) + 1,
  Math.max(one.y, other.y) + 1,
];

// A click on the thing outside the box contradicts it: the newer one wins.
const agrees = ({ x, y, not }, box) => not || box === null || (x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3]);

function click(place, shift) {
  const made = { ...place, not: shift || mode === "off" };
  point({ clicks: [...draft.clicks, made], box: agrees(made, draft.box) ? draft.box : null });
}

function setBox(box) {
  point({ box, clicks: draft.clicks.filter((one) => agrees(one, box)) });
}

/** What the mask has to be of. */
const pointed = () => JSON.stringify([draft.clicks, draft.box]);

function point(change) {
  draft.set({ past: [...draft.past, { clicks: draft.clicks, box: draft.box }], ...change });
  segment();
}

function takeBack() {
  if (draft.past.length === 0) return;
  draft.set({ ...draft.past.at(-1), past: draft.past.slice(0, -1) });
  segment();
}

async function segment() {
  asked?.abort();
  asked = new AbortController();
  const mine = asked;
  const stage = byId("stage");
  const problem = stage.querySelector(".problem");
  problem.textContent = "";
  stage.classList.remove("busy");
  if (draft.box === null && !draft.clicks.some((one) => !one.not)) {
    if (draft.clicks.length > 0) problem.textContent = "Click on the thing as well: so far it is only said where it is not.";
    draft.set({ mask: null });
    return;
  }
  stage.classList.add("busy");
  try {
    const { photo } = draft;
    const of = pointed();
    const mask = await post("/api/mask", draft.selection, mine.signal);
    // Else it is of clicks that were taken back, or of the photo before.
    if (mine === asked && photo === draft.photo) {
      draft.set({ mask: { ...mask, of } });
      speak(`The thing covers ${Math.round(100 * mask.share)} percent of the photo.`);
    }
  } catch (refused) {
    if (refused.name !== "AbortError") {
      problem.textContent = refused.message;
      if (mine === asked) draft.set({ mask: null }); // another one's would not be what is learned
    }
  }
  if (mine === asked) stage.classList.remove("busy");
}

function dot({ x, y, not }, unit) {
  const r = 2 * unit;
  const centre = { cx: x + 0.5, cy: y + 0.5 };
  return s(
    "g",
    { class: not ? "dot off" : "dot on" },
    s("circle", { ...centre, r, "stroke-width": 0.7 * unit }),
    s("path", {
      d: `M${x + 0.5 - r / 2} ${y + 0.5}h${r}` + (not ? "" : `M${x + 0.5} ${y + 0.5 - r / 2}v${r}`),
      "stroke-width": 0.7 * unit,
    }),
  );
}

const frame = ([left, top, right, bottom]) =>
  s("rect", { class: "box", x: left, y: top, width: right - left, height: bottom - top });

/** The mask as light: what is outside darkens, and the edge of what is inside glows. */
export function glowing(url, width, height, unit) {
  const whole = { x: 0, y: 0, width, height };
  return s(
    "g",
    { class: "glow" },
    s(
      "defs",
      {},
      s("filter", { id: "black" }, s("feColorMatrix", { values: "0 0 0 0 0  0 0 0 0 0  0 0 0 0 0  0 0 0 1 0" })),
      s("mask", { id: "outside" }, s("rect", { ...whole, fill: "white" }), s("image", { ...whole, href: url, filter: "url(#black)" })),
      s(
        "filter",
        { id: "edge", filterUnits: "userSpaceOnUse", ...whole },
        s("feMorphology", { in: "SourceAlpha", operator: "dilate", radius: 0.6 * unit, result: "wide" }),
        s("feComposite", { in: "wide", in2: "SourceAlpha", operator: "out", result: "rim" }),
        s("feFlood", { class: "light" }),
        s("feComposite", { in2: "rim", operator: "in", result: "line" }),
        s("feGaussianBlur", { in: "line", stdDeviation: 1.6 * unit, result: "soft" }),
        s("feMerge", {}, ["soft", "soft", "line"].map((one) => s("feMergeNode", { in: one }))),
      ),
    ),
    s("rect", { ...whole, class: "dark", mask: "url(#outside)" }),
    s("image", { ...whole, href: url, filter: "url(#edge)" }),
  );
}
