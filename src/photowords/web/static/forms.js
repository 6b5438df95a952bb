// Forms from what the settings say of their own fields: nothing here knows a setting's name.

import { h } from "./dom.js";

/**
 * A form of these fields. ``prefix`` makes its ids its own; ``main`` are the names of those that show at once, where not
 * all do. Returns the rows that show, the details of the others (or null), ``values()`` of what was filled in,
 * ``give(values)``, which fills in these and leaves the rest at their defaults, and ``problem(field, sentence)``, which
 * says whether the form has that field.
 */
export function form(fields, prefix, given = {}, main = null, changed = () => {}) {
  const rows = new Map(fields.map((field) => [field.name, row(field, `${prefix}-${field.name}`, given[field.name], changed)]));
  const first = (field) => main === null || main.includes(field.name);
  const these = (chosen) => chosen.map((field) => rows.get(field.name).element);
  const more = these(fields.filter((field) => !first(field)));
  const details = more.length > 0 ? h("details", {}, h("summary", {}, "More settings"), h("div", { class: "fields" }, more)) : null;
  return {
    shown: these(fields.filter(first)),
    details,
    values: () => {
      const told = {};
      for (const [name, one] of rows) {
        const value = one.value();
        if (value !== undefined) told[name] = value;
      }
      return told;
    },
    give: (told) => {
      for (const [name, one] of rows) one.give(told[name]);
    },
    problem: (name, sentence) => {
      for (const one of rows.values()) one.say("");
      if (!rows.has(name)) return false;
      rows.get(name).say(sentence);
      if (details?.contains(rows.get(name).element)) details.open = true;
      rows.get(name).input.focus();
      return true;
    },
  };
}

function row(field, id, given, changed) {
  const said = h("p", { class: "problem", id: `${id}-problem`, role: "alert" });
  const input = control(field, id, given);
  input.addEventListener("input", () => {
    said.textContent = "";
    changed();
  });
  const label = h("label", { for: id }, field.label[0].toUpperCase() + field.label.slice(1));
  const unset = isLong(field) ? ` (empty: ${field.unset})` : "";
  const help = h("p", { class: "hint", id: `${id}-help` }, field.help + (field.many ? ", separated by commas" : "") + unset);
  return {
    input,
    element: h("div", { class: `field ${field.kind}` }, label, input, help, said),
    value: () => read(field, input),
    give: (told) => {
      const filled = control(field, id, told);
      if (field.kind === "bool") input.checked = filled.checked;
      else input.value = filled.value;
    },
    say: (sentence) => {
      said.textContent = sentence;
      input.setAttribute("aria-invalid", sentence ? "true" : "false");
    },
  };
}

/** Whether what an empty field means is too long to stand in it. */
const isLong = (field) => (field.unset ?? "").length > 24;

function control(field, id, given) {
  const common = { id, "aria-describedby": `${id}-help ${id}-problem` };
  const value = given ?? field.default;
  if (field.kind === "bool") return h("input", { ...common, type: "checkbox", checked: Boolean(value) });
  if (field.kind === "choice" && !field.many) {
    const select = h("select", common, !field.default && h("option", { value: "" }, field.unset ?? ""), field.choices.map((one) => h("option", { value: one }, one)));
    select.value = value ?? "";
    return select;
  }
  const number = ["int", "float"].includes(field.kind) && !field.many;
  const shown = field.many ? (value ?? []).join(", ") : (value ?? "");
  const bounds = number ? { min: field.min ?? field.above, max: field.max, step: field.kind === "int" ? 1 : "any" } : {};
  return h("input", { ...common, ...bounds, type: number ? "number" : "text", value: shown, placeholder: isLong(field) ? null : field.unset, autocomplete: "off" });
}

/** What was filled in; undefined for what was left at its default. */
function read(field, input) {
  if (field.kind === "bool") return input.checked === Boolean(field.default) ? undefined : input.checked;
  const text = input.value.trim();
  if (input.validity.badInput) return "?"; // a number field that holds no number: the server says what it wants
  if (field.many) {
    const items = text.split(",").map((one) => one.trim()).filter(Boolean);
    const same = JSON.stringify(items) === JSON.stringify((field.default ?? []).map(String));
    return same ? undefined : items.map((one) => plain(field, one));
  }
  return text === "" || text === String(field.default) ? undefined : plain(field, text);
}

const plain = (field, text) => (["int", "float"].includes(field.kind) && text !== "" && !Number.isNaN(Number(text)) ? Number(text) : text);
