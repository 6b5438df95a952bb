// A prompt of plain text and concepts, each word of a concept a drop-down: as learned, as plain text, or another word.

import { fit } from "./chips.js";
import { h, put } from "./dom.js";

/**
 * ``parts`` are texts and concepts in turn, beginning and ending with a text; a concept is
 * {run, name, words: [{text, trainable}], uses: [{use, text?}]}.
 */
export class Prompt {
  constructor(place, parts, changed) {
    this.place = place;
    this.parts = parts;
    this.changed = changed;
    this.show();
  }

  /** As the server takes it. */
  get pieces() {
    return this.parts
      .map((part) => (typeof part === "string" ? part : { run: part.run, words: part.uses.map((use) => ({ ...use })) }))
      .filter((part) => part !== "");
  }

  /** The same with nothing learned: every word that would be as learned is plain. */
  get plainPieces() {
    const plain = (use) => (use.use === "learned" ? { use: "plain" } : use);
    return this.pieces.map((piece) => (typeof piece === "string" ? piece : { ...piece, words: piece.words.map(plain) }));
  }

  /** Put the concepts into another text, such as "a sketch of {}". */
  suggest(text) {
    const [before, after] = text.split("{}");
    const concepts = this.parts.filter((part) => typeof part !== "string");
    this.parts = [before, ...concepts.flatMap((one, i) => (i ? [" and ", one] : [one])), after];
    this.show();
    this.changed();
  }

  add(concept) {
    const last = this.parts.at(-1);
    this.parts = [...this.parts.slice(0, -1), `${last} and `, concept, ""];
    this.show();
    this.changed();
  }

  remove(index) {
    const text = this.parts[index - 1].replace(/ and $/, "") + this.parts[index + 1];
    this.parts = [...this.parts.slice(0, index - 1), text, ...this.parts.slice(index + 2)];
    this.show();
    this.changed();
  }

  show() {
    put(this.place, this.parts.map((part, index) => (typeof part === "string" ? this.text(part, index) : this.concept(part, index))));
  }

  text(part, index) {
    const names = { 0: "Before the words", [this.parts.length - 1]: "After the words" };
    const label = this.parts.length === 1 ? "The prompt" : (names[index] ?? "Between the concepts");
    const last = index === this.parts.length - 1;
    const input = h("input", {
      class: "plain",
      value: part,
      "aria-label": label,
      placeholder: last ? "… and more words" : "",
      autocomplete: "off",
      spellcheck: "false",
      oninput: () => {
        fit(input);
        this.parts[index] = input.value;
        this.changed();
      },
    });
    fit(input);
    return input;
  }

  concept(part, index) {
    const several = this.parts.length > 3;
    return h(
      "span",
      { class: "concept", role: "group", "aria-label": `What was learned as ${part.name}` },
      part.words.map((word, i) => this.word(part, word, i)),
      several && h("button", { type: "button", class: "drop-word", "aria-label": `Take ${part.name} out of the prompt`, onclick: () => this.remove(index) }, "×"),
    );
  }

  word(part, word, i) {
    const use = part.uses[i];
    const other = h("input", {
      class: "instead",
      value: use.text ?? "",
      placeholder: "another word",
      "aria-label": `Instead of ${word.text}`,
      autocomplete: "off",
      hidden: use.use !== "another",
      oninput: () => {
        fit(other);
        part.uses[i] = { use: "another", text: other.value.trim() };
        this.changed();
      },
    });
    fit(other);
    const choose = h(
      "select",
      {
        class: use.use,
        "aria-label": `Word ${i + 1}: ${word.text}`,
        onchange: () => {
          choose.className = choose.value;
          other.hidden = choose.value !== "another";
          part.uses[i] = choose.value === "another" ? { use: "another", text: other.value.trim() } : { use: choose.value };
          if (!other.hidden) other.focus();
          this.changed();
        },
      },
      word.trainable && h("option", { value: "learned" }, `${word.text} · learned`),
      h("option", { value: "plain" }, `${word.text} · plain`),
      h("option", { value: "another" }, "another word:"),
    );
    choose.value = use.use;
    return h("span", { class: "word" }, choose, other);
  }
}

/** A run's concept with every word as learned. */
export const conceptOf = (run) => ({
  run: run.run,
  name: run.name,
  words: run.words,
  uses: run.words.map((word) => ({ use: word.trainable ? "learned" : "plain" })),
});

/** "0-3" or "0,5,7" as numbers; throws an Error that says what is wrong. */
export function seedsOf(text, most) {
  const seeds = [];
  for (const part of text.split(",")) {
    const found = /^\s*(\d{1,10})(?:\s*-\s*(\d{1,10}))?\s*$/.exec(part);
    if (!found) throw new Error(`Seeds are whole numbers, written like 0-3 or 0, 5, 7; “${text}” is not.`);
    const [first, last] = [Number(found[1]), Number(found[2] ?? found[1])];
    if (last < first || last - first >= most) throw new Error(`Write at most ${most} seeds, the smaller number first.`);
    for (let seed = first; seed <= last; seed++) seeds.push(seed);
  }
  const twice = seeds.find((seed, i) => seeds.indexOf(seed) < i);
  if (twice !== undefined) throw new Error(`Seed ${twice} is there twice; name each once.`);
  if (seeds.length > most) throw new Error(`Write at most ${most} seeds.`);
  return seeds;
}
