// A learned concept for other tools, and the whole run as a folder.

import { get, Problem } from "./api.js";
import { h, put } from "./dom.js";

/** What a run can be taken away as. */
export function exports(run, about) {
  const rows = (about.tools ?? []).map((tool) => row(run, tool));
  get(`/api/runs/${encodeURIComponent(run.run)}/tools`).then((refused) => rows.forEach((one) => one.refuse(refused[one.name])), () => {});
  return h(
    "section",
    { class: "exports", "aria-labelledby": "exports-title" },
    h("h3", { id: "exports-title" }, "Take it with you"),
    h("p", { class: "hint" }, "A file of a few kilobytes, for the program that you draw with."),
    h("ul", {}, rows.map((one) => one.element)),
    h("a", { class: "button", href: `/api/runs/${encodeURIComponent(run.run)}.zip`, download: `${run.run}.zip` }, "Download the whole run folder"),
  );
}

function row(run, tool) {
  const said = h("div", { class: "hint", role: "status" });
  const button = h("button", { type: "button", "aria-label": `Export for ${tool.title}` }, "Export");
  button.addEventListener("click", async () => {
    button.disabled = true;
    put(said, "Writing the file…");
    try {
      const use = await download(`/api/runs/${encodeURIComponent(run.run)}/export?tool=${encodeURIComponent(tool.name)}`);
      put(said, ...use.split("\n").map((line) => h("p", {}, line)));
    } catch (refused) {
      put(said, h("p", { class: "problem", role: "alert" }, refused.message));
    }
    button.disabled = false;
  });
  const refuse = (why) => {
    if (!why) return;
    button.disabled = true;
    put(said, why.split(", but ")[0]); // what it takes; the rest is of this concept, as for all that cannot
  };
  return { name: tool.name, element: h("li", {}, h("span", { class: "tool" }, tool.title), button, said), refuse };
}

/** Save a file under the name that the server gives it. Returns what the server says of its use. */
async function download(path) {
  const answer = await fetch(path, { credentials: "same-origin" });
  if (!answer.ok) throw new Problem((await answer.json().catch(() => ({}))).error ?? `The server refused this (${answer.status}).`);
  const name = /filename="?([^";]+)/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1] ?? "concept.safetensors";
  const link = h("a", { href: URL.createObjectURL(await answer.blob()), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  return `Saved as ${name}.\n${decodeURIComponent(answer.headers.get("X-Photowords-Use") ?? "")}`;
}
