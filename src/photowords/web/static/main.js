// The page: which of its screens the address asks for, and what is shown on all of them.

import { get, poll } from "./api.js";
import { draft } from "./draft.js";
import { byId, h, put } from "./dom.js";
import * as learn from "./learn.js";
import * as photo from "./photo.js";
import * as run from "./run.js";
import * as runs from "./runs.js";
import * as sentence from "./sentence.js";
import * as stage from "./stage.js";
import * as studies from "./studies.js";

const VIEWS = ["make", "runs", "studies"];
let about = null;
let leave = () => {}; // stops what the screen that is left was following

/** Show the screen that the address asks for. */
function route() {
  const asked = new URLSearchParams(location.search);
  const view = VIEWS.includes(asked.get("view")) ? asked.get("view") : "make";
  byId("big").close(); // an enlarged picture belongs to the screen that is left
  leave();
  leave = () => {};
  draft.unseen();
  for (const id of VIEWS) byId(id).hidden = id !== view;
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.dataset.view === view && !asked.has("run");
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (view === "runs") leave = runs.show((asked.get("compare") ?? "").split(",").filter(Boolean), compareInAddress);
  else if (view === "studies") leave = studies.show(asked.get("study"));
  else if (asked.has("run")) {
    bench(true, `Run ${asked.get("run")}`);
    leave = run.show(asked.get("run"), about, go);
  } else make();
}

function bench(shown, title = "A new photo") {
  byId("bench-title").textContent = title;
  byId("bench").hidden = !shown;
  byId("photo").hidden = shown;
}

/** The screen of a photo that is not learned yet. */
function make() {
  draft.unseen();
  bench(draft.photo !== null);
  if (draft.photo === null) {
    photo.show(about);
    return;
  }
  put(byId("use"));
  stage.show();
  sentence.show(about);
  learn.show(about, (name) => go(`/?run=${encodeURIComponent(name)}`));
}

function compareInAddress(names) {
  history.replaceState(null, "", `/?view=runs${names.length ? `&compare=${names.map(encodeURIComponent).join(",")}` : ""}`);
}

/** Go to another address of this page. */
function go(address) {
  history.pushState(null, "", address);
  route();
  scrollTo(0, 0);
  byId("main").focus({ preventScroll: true });
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-route]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  // What is being prepared is kept while one looks at runs; what has been learned makes room.
  if (link.dataset.view === "make" && (draft.ran !== null || !location.search)) draft.begin();
  go(link.getAttribute("href"));
});
addEventListener("popstate", route);

function queue({ runs: all }) {
  const learning = all.filter((one) => ["starting", "learning", "stopping"].includes(one.state));
  const waiting = all.filter((one) => one.state === "queued");
  const text = [learning.length && `${learning.length} learning`, waiting.length && `${waiting.length} waiting`].filter(Boolean);
  byId("queue").hidden = text.length === 0;
  byId("queue").textContent = text.join(", ");
}

async function start() {
  try {
    about = await get("/api/about");
  } catch (refused) {
    byId("make").hidden = false;
    put(byId("photo"), h("p", { class: "problem", role: "alert" }, refused.message)).hidden = false;
    return;
  }
  put(byId("foot"), `photowords ${about.version} · ${named(about)} · your photos are sent nowhere`);
  photo.listen(() => location.search && go("/"));
  draft.addEventListener("photo", () => {
    if (location.search) return;
    make();
    scrollTo(0, 0);
  });
  route();
  poll("/api/runs", 4000, queue);
}

/** Which model draws; "auto" is the one that fits the photo. */
const named = ({ model, device }) => (model === "auto" ? "the model is chosen by the photo" : `model ${model}`) + (device === "auto" ? "" : ` on ${device}`);

start();
