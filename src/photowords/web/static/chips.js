// A sentence as chips: each word is edited in place, dropped, kept as it is, moved; words are added.

import { h, put, speak } from "./dom.js";

/** Fill ``list`` (an ol) with the chips of ``words``; ``changed(words)`` is told of each change by the user. */
export function chips(list, words, changed, focus = null) {
  const again = (next, at = null) => {
    changed(next);
    chips(list, next, changed, at);
  };
  const without = (index) => words.filter((_, i) => i !== index);
  const insert = (index) => again(words.toSpliced(index, 0, { text: "", trainable: true }), index);
  const append = () => {
    const full = words.filter((word) => word.text); // an empty one that was added before is this one
    again([...full, { text: "", trainable: true }], full.length);
  };
  list.onpointerdown = (event) => event.target.closest("button") && event.preventDefault(); // else what is pressed is gone
  put(
    list,
    words.map((word, index) => chip(word, index)),
    h(
      "li",
      { class: "add" },
      h("button", { type: "button", onclick: append, "aria-label": "Add a word" }, "+ word"),
    ),
  );
  if (focus !== null) list.querySelectorAll("input")[focus]?.focus();

  function chip(word, index) {
    const input = h("input", {
      value: word.text,
      "aria-label": `Word ${index + 1} of ${words.length}`,
      autocomplete: "off",
      autocapitalize: "none",
      spellcheck: "false",
      maxlength: 200,
    });
    fit(input);
    input.addEventListener("input", () => {
      fit(input);
      words[index] = { ...word, text: input.value.trim() };
      item.querySelector(".drop-word").setAttribute("aria-label", `Leave out ${words[index].text || "this word"}`);
      changed(words);
    });
    input.addEventListener("change", settle);
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        if (input.value.trim()) insert(index + 1);
      } else if (event.altKey && event.key === "ArrowLeft") move(-1, event);
      else if (event.altKey && event.key === "ArrowRight") move(1, event);
      else if (event.key === "Backspace" && input.value === "") {
        event.preventDefault();
        again(without(index), Math.max(0, index - 1));
      }
    });
    const item = h(
      "li",
      { class: `chip ${word.trainable ? "learned" : "kept"}` },
      input,
      h("button", { type: "button", class: "drop-word", "aria-label": `Leave out ${word.text || "this word"}`, onclick: drop }, "×"),
      h("div", { class: "choices" }, keep(), mover(-1), mover(1)),
    );
    item.addEventListener("focusout", (event) => !item.contains(event.relatedTarget) && leave());
    return item;

    function keep() {
      const toggle = () => again(words.with(index, { ...word, text: input.value.trim(), trainable: !word.trainable }), index);
      const text = word.trainable ? "Keep this word as it is" : "Learn this word";
      return h("button", { type: "button", onclick: toggle }, text);
    }
    function mover(by) {
      const names = by < 0 ? ["←", "Move to the left"] : ["→", "Move to the right"];
      const disabled = index + by < 0 || index + by >= words.length;
      return h("button", { type: "button", disabled, "aria-label": names[1], onclick: (event) => move(by, event) }, names[0]);
    }
    function move(by, event) {
      event.preventDefault();
      const other = index + by;
      if (other < 0 || other >= words.length) return;
      again(words.with(index, words[other]).with(other, words[index]), other);
    }
    function drop() {
      speak(`${input.value.trim() || "The empty word"} is left out`);
      again(words.filter((other, i) => i !== index && other.text));
      const left = list.querySelectorAll(".drop-word");
      (left[Math.min(index, left.length - 1)] ?? list.querySelector(".add button")).focus();
    }
    function settle() {
      const parts = input.value.split(/\s+/).filter(Boolean);
      if (parts.length > 1) again(words.toSpliced(index, 1, ...parts.map((text) => ({ ...word, text }))), index + parts.length - 1);
    }
    /** Once the focus is where it goes, an empty word goes. */
    function leave() {
      setTimeout(() => {
        if (!list.contains(item) || input.value.trim() || item.contains(document.activeElement)) return;
        const at = [...list.querySelectorAll("input")].indexOf(document.activeElement);
        again(without(index), at < 0 ? null : at - (at > index));
      });
    }
  }
}

/** As wide as its text, also where the browser has no field-sizing. */
export function fit(input) {
  input.size = Math.max(2, input.value.length || input.placeholder.length);
}
