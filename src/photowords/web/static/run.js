// A run as its folder tells it: the photo and its words, the curve, the pictures on the way, and what can be done now.

import { follow, post } from "./api.js";
import { curves } from "./curve.js";
import { draft } from "./draft.js";
import { byId, duration, gain, h, put, speak } from "./dom.js";
import { report } from "./report.js";
import * as use from "./use.js";

const SAID = {
  queued: "Waiting for its turn",
  starting: "Starting: the model is loaded, the plain words are measured",
  learning: "Learning",
  stopping: "Stopping after this step; what was reached is kept",
  stopped: "Stopped; what was reached is kept",
  done: "Learned",
  failed: "It went wrong",
  interrupted: "Interrupted; it can go on from its last checkpoint",
};

/** Show a run and follow it until the returned function is called; ``go`` opens another address. */
export function show(name, about, go) {
  const view = { name, about, go, key: "", said: "", tenth: -1, left: false };
  for (const id of ["stage", "sentence", "learn", "use"]) put(byId(id));
  put(byId("learn"), h("h2", { id: "learn-title" }, "Learn"), h("p", { class: "hint" }, "Opening the run…"));
  const gone = () => put(byId("learn"), h("h2", { id: "learn-title" }, "No such run"), h("p", {}, "There is no run of this name any more. ", h("a", { href: "/?view=runs", "data-route": true }, "See all runs")));
  const stop = follow(`/api/runs/${encodeURIComponent(name)}/events`, "run", (run) => update(view, run), gone);
  return () => {
    view.left = true; // what is answered now is of another page
    stop();
    document.title = "photowords";
  };
}

function update(view, run) {
  if (view.left) return;
  const usable = run.can.use && run.step > 0; // at step 0 the words are plain
  if (view.key === "") begin(view, run);
  const photo = run.overlay_url ?? run.photos[0];
  if (photo && view.photo.getAttribute("src") !== photo) view.photo.src = photo;
  progress(view, run);
  curves(view.curve, [{ name: run.name, losses: run.losses, steps: run.steps }]);
  samples(view, run);
  const key = `${run.state} ${usable}`;
  if (key !== view.key) {
    view.key = key;
    if (usable && byId("use").childElementCount === 0) use.show(run, view.about);
    const inside = view.actions.contains(document.activeElement);
    put(view.actions, actions(view, run, usable));
    if (inside) view.actions.querySelector("button")?.focus(); // the keyboard stays where it was
    if (usable && ["done", "stopped", "failed", "interrupted"].includes(run.state)) report(view.words, run);
  }
}

/** What does not change while a run learns. */
function begin(view, run) {
  view.photo = h("img", { alt: `The photo of ${run.name}, and what of it is learned` });
  put(
    byId("stage"),
    h("h2", { id: "stage-title" }, "The photo"),
    h("div", { class: "surface still" }, view.photo),
    h("div", { class: "tools" }, h("button", { type: "button", onclick: () => anew(view, run) }, run.photos.length > 1 ? "Change the words, learn again from the first photo" : "Change the words, learn again")),
  );
  view.words = h("div", {});
  put(
    byId("sentence"),
    h("h2", { id: "sentence-title" }, "Its sentence"),
    h(
      "ol",
      { class: "chips", "aria-label": "The words of the sentence" },
      run.words.map((word) => h("li", { class: `chip still ${word.trainable ? "learned" : "kept"}` }, word.text)),
    ),
    view.words,
  );
  view.state = h("p", { class: "state" });
  view.bar = h("progress", { max: 1, value: 0, "aria-label": "Progress of learning" });
  view.found = h("p", { class: "found" });
  view.curve = h("div", { class: "curve-place" });
  view.samples = h("ol", { class: "samples" });
  view.actions = h("div", { class: "actions" });
  view.problem = h("p", { class: "problem", role: "alert" });
  view.refused = h("p", { class: "problem refused", role: "alert" }); // of what was pressed; events leave it alone
  put(
    byId("learn"),
    h("h2", { id: "learn-title" }, "Learn"),
    view.state,
    view.bar,
    view.actions,
    view.refused,
    view.problem,
    view.found,
    h(
      "figure",
      { class: "chart" },
      h("figcaption", {}, "How well the words explain the photo: lower is better. Bars are the uncertainty of the gain. The thin line below is each step’s own loss, which jumps with its noise."),
      view.curve,
    ),
    view.samples,
  );
}

function progress(view, run) {
  const share = run.steps ? run.step / run.steps : 0;
  const place = run.state === "queued" && run.queue ? `, ${run.queue} in line` : "";
  const left = run.state === "learning" && run.time_left !== null ? `, about ${duration(run.time_left)} left` : "";
  const steps = run.step === null || run.state === "queued" ? "" : `: step ${run.step} of ${run.steps}`;
  view.state.textContent = `${SAID[run.state] ?? run.state}${place}${steps}${left}`;
  view.state.className = `state ${run.state}`;
  view.bar.value = share;
  view.bar.hidden = run.state === "done";
  document.title = `${run.state === "learning" ? `${Math.round(100 * share)} % ` : ""}${run.name} · photowords`;
  const wrong = [run.error, ...run.warnings].filter(Boolean).join(" ");
  if (wrong !== view.problem.textContent) view.problem.textContent = wrong; // else it is read out at each step
  const measured = run.start_loss !== null && run.loss !== null && run.loss !== run.start_loss;
  const then = run.measured === run.step ? "" : `At step ${run.measured}, where it was last measured, `;
  const found = `${then ? "the" : "The"} photo’s held-out loss is ${gain(run.start_loss, run.loss)} than with the plain words.`;
  view.found.textContent = measured ? then + found : "";
  const tenth = Math.floor(10 * share);
  if (view.said !== run.state || (run.state === "learning" && tenth !== view.tenth)) speak(view.state.textContent);
  [view.said, view.tenth] = [run.state, tenth];
}

/** The pictures at the checkpoints; those that are there stay as they are, and a run that goes on loses its former end's. */
function samples(view, run) {
  const shown = new Map([...view.samples.children].map((item) => [item.dataset.url, item]));
  const item = ({ step, url }) => {
    const what = step === 0 ? "the plain words" : `step ${step}`;
    const picture = h("img", { src: url, alt: `What the model draws: ${what}`, loading: "lazy" });
    return h("li", { "data-url": url }, h("span", { class: "when" }, what), picture);
  };
  const wanted = run.samples.map((one) => shown.get(one.url) ?? item(one));
  const same = wanted.length === shown.size && wanted.every((one, i) => view.samples.children[i] === one);
  if (!same) view.samples.replaceChildren(...wanted);
}

function actions(view, run, usable) {
  const act = (what, body) => async () => {
    view.refused.textContent = "";
    try {
      update(view, await post(`/api/runs/${encodeURIComponent(run.run)}/${what}`, body?.()));
    } catch (refused) {
      view.refused.textContent = refused.message;
    }
  };
  const toUse = () => {
    byId("use").scrollIntoView();
    byId("use").querySelector("select, input").focus({ preventScroll: true });
  };
  const more = h("input", { id: "more", type: "number", min: 1, step: 1, value: 50 });
  const learnMore = () => {
    const steps = Number(more.value);
    if (Number.isInteger(steps) && steps > 0) act("resume", () => ({ steps: run.steps + steps }))();
    else {
      view.refused.textContent = "More steps must be a whole number of at least 1.";
      more.focus();
    }
  };
  return [
    usable && h("button", { type: "button", class: run.state === "done" ? "main" : "", onclick: toUse }, "Draw with it"),
    run.can.stop && h("button", { type: "button", onclick: act("stop") }, run.state === "queued" ? "Take it out of the queue" : "Stop here"),
    run.can.resume && h("button", { type: "button", class: run.state === "failed" ? "" : "main", onclick: act("resume") }, "Go on"),
    run.can.more &&
      h(
        "span",
        { class: "more" },
        h("label", { for: "more" }, "More steps"),
        more,
        h("button", { type: "button", onclick: learnMore }, "Learn more"),
      ),
  ];
}

const ASK = "A photo is in preparation that was not learned yet. Put this run’s photo and words in its place?";
const MASKED = "The object of this run is that of a mask file, which cannot be taken up here: click on the thing again.";

/** Begin again from a run's first photo: with its words, clicks and settings. */
async function anew(view, run) {
  if (draft.ran !== run.run && draft.isUnlearned && !confirm(ASK)) return;
  try {
    if (draft.ran !== run.run) {
      const photo = await post(`/api/runs/${encodeURIComponent(run.run)}/photo`);
      if (view.left) return;
      draft.begin({
        photo,
        clicks: run.clicks,
        box: run.box,
        words: run.words.map(({ text, trainable }) => ({ text, trainable })),
        touched: true,
        name: run.name,
        settings: run.settings,
        samples: run.samples_asked === 0 ? "none" : run.samples_at,
        ran: run.run,
      });
    }
    view.go("/");
    if (run.masked) byId("stage").querySelector(".problem").textContent = MASKED;
  } catch (refused) {
    view.refused.textContent = refused.message;
  }
}
