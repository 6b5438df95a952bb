// Making elements. Text from the server is only ever set as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** The element of this id. */
export const byId = (id) => document.getElementById(id);

/** An HTML element: h("button", {class: "main", onclick: go}, "Go"). null, false and undefined children are left out. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Put these in place of all that an element holds. */
export function put(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Say something to people who do not see the page. What was said just before stays a while, or it may never be read. */
export function speak(text) {
  const sentence = document.createElement("p");
  sentence.textContent = text;
  byId("spoken").append(sentence);
  while (byId("spoken").childElementCount > 4) byId("spoken").firstElementChild.remove();
}

/** A function that runs once, so many milliseconds after it was last called. */
export function later(milliseconds, run) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...given), milliseconds);
  };
}

/** 75 -> "1 min 15 s". */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** How much lower a loss is than at the start, in words: "8.2 % lower". */
export function gain(start, now) {
  const percent = (100 * (start - now)) / start;
  return `${Math.abs(percent).toFixed(1)} % ${percent < 0 ? "higher" : "lower"}`;
}
