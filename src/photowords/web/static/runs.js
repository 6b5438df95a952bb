// All runs of the folder, those of the command line too; those that are ticked are compared side by side.

import { follow, get, post } from "./api.js";
import { curves } from "./curve.js";
import { byId, gain, h, put } from "./dom.js";

const MOST = 6; // curves that can still be told apart

/** Show the list; ``chosen`` are the names compared at first. Returns the function that stops. */
export function show(chosen, remember) {
  const ticked = new Set(chosen);
  const list = h("ul", { class: "run-list" });
  const compared = h("div", { class: "compared" });
  const problem = h("p", { class: "problem", role: "alert" });
  put(
    byId("runs"),
    h("h1", { id: "runs-title" }, "Runs"),
    h("p", { class: "hint" }, "Everything that was learned in this folder, from this page or from a terminal. Tick two or more to compare them."),
    problem,
    compared,
    list,
  );
  const tick = (name, on) => {
    if (on && ticked.size >= MOST) {
      problem.textContent = `At most ${MOST} runs can be compared at once.`;
      return false;
    }
    problem.textContent = "";
    if (on) ticked.add(name);
    else ticked.delete(name);
    remember([...ticked]);
    compare(compared, [...ticked]);
    return true;
  };
  const cards = new Map();
  const told = ({ runs }) => {
    const gone = [...ticked].filter((name) => !runs.some((run) => run.run === name));
    for (const name of gone) tick(name, false);
    if (runs.length === 0) return put(list, h("li", { class: "hint" }, "No run yet. ", h("a", { href: "/", "data-route": true }, "Begin with a photo")));
    let moved = false;
    const wanted = runs.map((run) => {
      const known = cards.get(run.run);
      const now = JSON.stringify(run);
      if (known?.now === now) return known.element;
      moved ||= ticked.has(run.run);
      // A step changes one line; whoever is about to press a button of the card finds it where it was.
      const lasting = JSON.stringify({ ...run, step: 0, loss: 0, measured: 0, when: 0 });
      const same = known?.lasting === lasting;
      const element = same ? known.element : card(run, ticked.has(run.run), tick, problem);
      if (same) element.querySelector(".hint").textContent = about(run);
      cards.set(run.run, { now, lasting, element });
      return element;
    });
    place(list, wanted);
    if (moved) compare(compared, [...ticked]);
  };
  return follow("/api/events", "runs", told, () => {}, "/api/runs");
}

/** Put these items into a list, without touching those that are where they should be. */
function place(list, wanted) {
  const focused = document.activeElement?.id;
  wanted.forEach((item, i) => list.children[i] !== item && list.insertBefore(item, list.children[i] ?? null));
  while (list.children.length > wanted.length) list.lastElementChild.remove();
  if (focused && document.activeElement?.id !== focused) byId(focused)?.focus();
}

function card(run, on, tick, problem) {
  const href = `/?run=${encodeURIComponent(run.run)}`;
  const box = h("input", { type: "checkbox", id: `tick-${run.run}`, checked: on, onchange: () => (box.checked = tick(run.run, box.checked) && box.checked) });
  const remove = async () => {
    if (!confirm(`Put the run ${run.run} into the trash folder?`)) return;
    try {
      await post(`/api/runs/${encodeURIComponent(run.run)}/delete`);
      if (box.checked) tick(run.run, false);
    } catch (refused) {
      problem.textContent = refused.message;
    }
  };
  return h(
    "li",
    { class: `run ${run.state}` },
    h(
      "a",
      { href, "data-route": true, class: "look" },
      run.photo_url && h("img", { src: run.photo_url, alt: "", width: 96, height: 96, loading: "lazy" }),
      run.picture_url && h("img", { class: "strip", src: run.picture_url, alt: "", loading: "lazy" }),
      h("span", { class: "sentence" }, run.sentence || run.run),
    ),
    h("p", { class: "hint" }, about(run)),
    run.error && h("p", { class: "problem" }, run.error),
    h(
      "div",
      { class: "tools" },
      h("label", { class: "tick" }, box, " compare"),
      !["learning", "starting", "stopping"].includes(run.state) && h("button", { type: "button", class: "last", "aria-label": `Delete ${run.run}`, onclick: remove }, "Delete"),
    ),
  );
}

/** Its name, how far it is, what it gained and when. */
function about(run) {
  return [run.run, state(run), hasGained(run) && `loss ${gain(run.start_loss, run.loss)}`, when(run.when)].filter(Boolean).join(" · ");
}

/** Whether the held-out loss was measured after the start. */
const hasGained = (run) => run.start_loss !== null && run.loss !== null && run.measured > 0;

function state(run) {
  if (run.state === "queued") return run.queue ? `waiting, ${run.queue} in line` : "waiting";
  if (run.state === "done") return `${run.steps} steps`;
  return run.step === null ? run.state : `${run.state}, step ${run.step} of ${run.steps}`;
}

const when = (seconds) => (seconds ? new Date(1000 * seconds).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) : "");

let comparing = 0; // the newest asking: an older one's answer comes too late

async function compare(place, names) {
  const mine = ++comparing;
  if (names.length === 0) return put(place);
  const found = await Promise.allSettled(names.map((name) => get(`/api/runs/${encodeURIComponent(name)}`)));
  if (mine !== comparing) return;
  const runs = found.filter((one) => one.status === "fulfilled").map((one) => one.value);
  const curve = h("div", { class: "curve-place" });
  put(
    place,
    h("h2", {}, "Side by side"),
    curve,
    h(
      "div",
      { class: "columns" },
      runs.map((run) =>
        h(
          "article",
          {},
          h("h3", {}, run.run),
          h("p", { class: "sentence" }, run.sentence),
          run.samples.length > 0 && h("img", { src: run.samples.at(-1).url, alt: `Pictures of ${run.run} at step ${run.samples.at(-1).step}` }),
          h("p", { class: "hint" }, hasGained(run) ? `from ${run.start_loss.toFixed(4)} to ${run.loss.toFixed(4)} in ${run.measured} steps` : state(run)),
        ),
      ),
    ),
  );
  curves(curve, runs.map((run) => ({ name: run.run, losses: run.losses, steps: run.step })));
}
