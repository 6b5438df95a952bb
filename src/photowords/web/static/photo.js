// The first moment: a photo is dropped, pasted, chosen, or taken from the bank.

import { post, upload } from "./api.js";
import { draft } from "./draft.js";
import { byId, h, put, speak } from "./dom.js";

/** Show where a photo can come from. ``about`` is what the server says of itself. */
export function show(about) {
  const file = h("input", {
    type: "file",
    id: "file",
    accept: "image/*",
    class: "unseen",
    onchange: () => {
      const [chosen] = file.files;
      if (chosen) take(() => upload(chosen)).finally(() => (file.value = "")); // so that it can be chosen again
    },
  });
  const bank = about.bank.map((one) =>
    h(
      "li",
      {},
      h(
        "button",
        {
          type: "button",
          class: "thumb",
          draggable: "true",
          ondragstart: (event) => event.dataTransfer.setData(OURS, one.name),
          onclick: () => take(() => fromBank(one.name)),
        },
        h("img", { src: one.url, alt: "", width: 96, height: 96, loading: "lazy", draggable: "false" }),
        h("span", {}, one.title),
      ),
    ),
  );
  put(
    byId("photo"),
    h("h1", { id: "photo-title" }, "One photo. One sentence. Your thing, in any picture."),
    h(
      "p",
      { class: "lead" },
      "Give a photo of one thing. It is described in words, each word is tuned until the model draws what you see, and " +
        "then you draw it wherever you like, word by word.",
    ),
    h(
      "div",
      { class: "drop" },
      h("label", { for: "file", class: "button main" }, "Choose a photo"),
      file,
      h("p", {}, "or drop one here, or paste one"),
      h("p", { class: "problem", role: "alert" }),
    ),
    bank.length > 0 && h("h2", { class: "quiet" }, "No photo at hand? Try one of these"),
    bank.length > 0 && h("ul", { class: "bank" }, bank),
  );
}

/** Take photos that are dropped or pasted anywhere on the page; ``open`` shows the screen that they appear on. */
export function listen(open) {
  const zone = document.documentElement;
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("dragged");
  });
  zone.addEventListener("dragleave", (event) => event.relatedTarget === null && zone.classList.remove("dragged"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("dragged");
    const name = event.dataTransfer.getData(OURS);
    const file = event.dataTransfer.files[0];
    if (name || file) take(() => (name ? fromBank(name) : upload(file)), open);
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.getData("text/plain") && event.target.closest("input, textarea")) return; // cells of a table
    const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (file) take(() => upload(file), open);
  });
}

const OURS = "text/x-photowords"; // a photo of the bank that is dragged

const fromBank = (name) => post(`/api/bank/${encodeURIComponent(name)}`);

let taking = 0; // the newest photo: a slower one that was asked for before it is left

async function take(ask, open = () => {}) {
  const mine = ++taking;
  open();
  const place = byId(draft.photo ? "stage" : "photo");
  const problem = place.querySelector(".problem");
  problem.textContent = "";
  place.classList.add("busy");
  try {
    const photo = await ask();
    if (mine !== taking) return;
    draft.begin({ photo });
    speak("The photo is here. Point at the thing, or go on to its sentence.");
  } catch (refused) {
    problem.textContent = refused.message;
  }
  place.classList.remove("busy");
}
