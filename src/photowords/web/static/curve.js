// The held-out curve as SVG: how well the words explain the photo, against what the plain words did at step 0.

import { h, put, s } from "./dom.js";

const PAD = { left: 66, right: 14, top: 14, bottom: 34 };
const HEIGHT = 240;
const STRIP = 46; // the steps' own losses, below

/** The held-out points of a run's losses: {step, loss, error}; the error is that of the gain over step 0. */
export const heldOut = (losses) =>
  losses
    .filter((row) => typeof row.held_out === "number")
    .map(({ step, held_out, error }) => ({ step, loss: held_out, error: error ?? 0 }));

/**
 * Draw curves into ``place``. ``runs`` are {name, losses, steps}; one run also gets its step 0 as a line and the
 * steps' own losses. The drawing follows the width of its place.
 */
export function curves(place, runs) {
  place.curveRuns = runs;
  if (!place.curveObserver) {
    place.curveObserver = new ResizeObserver(() => draw(place));
    place.curveObserver.observe(place);
  }
  draw(place);
}

function draw(place) {
  const width = Math.floor(place.clientWidth);
  const series = place.curveRuns.map((run) => ({ ...run, points: heldOut(run.losses) })).filter((run) => run.points.length > 0);
  if (width === 0) return;
  if (series.length === 0) {
    put(place, h("p", { class: "hint" }, "The curve begins when the plain words have been measured."));
    return;
  }
  const single = series.length === 1;
  const scale = scales(series, width);
  const total = HEIGHT + (single ? STRIP : 0);
  put(
    place,
    s(
      "svg",
      { class: "curve", width, height: total, viewBox: `0 0 ${width} ${total}`, role: "img", "aria-label": described(series) },
      axes(scale, width, total, single),
      single && startLine(series[0].points[0], scale, width),
      series.map((run, index) => line(run, index, scale)),
      single && strip(series[0], scale),
    ),
    !single && h("ul", { class: "legend" }, series.map((run, index) => h("li", { class: `series-${index % 6}` }, run.name))),
  );
}

function scales(series, width) {
  const all = series.flatMap((run) => run.points);
  let low = Math.min(...all.map((point) => point.loss - point.error));
  let high = Math.max(...all.map((point) => point.loss + point.error));
  const room = (high - low || high * 0.1) * 0.12;
  [low, high] = [low - room, high + room];
  const last = Math.max(1, ...series.map((run) => run.steps), ...all.map((point) => point.step));
  return {
    low,
    high,
    last,
    x: (step) => PAD.left + (step / last) * (width - PAD.left - PAD.right),
    y: (loss) => PAD.top + ((high - loss) / (high - low)) * (HEIGHT - PAD.top - PAD.bottom),
  };
}

function axes({ low, high, last, x, y }, width, total, single) {
  const ticks = round(low, high, 4);
  const digits = Math.max(2, Math.min(6, 1 - Math.floor(Math.log10(ticks[1] - ticks[0] || 1))));
  return s(
    "g",
    { class: "axes" },
    ticks.map((value) => [
      s("line", { x1: PAD.left, x2: width - PAD.right, y1: y(value), y2: y(value) }),
      s("text", { x: PAD.left - 8, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(digits)),
    ]),
    round(0, last, width < 420 ? 4 : 6)
      .filter((step) => Number.isInteger(step))
      .map((step) => s("text", { x: x(step), y: (single ? total : HEIGHT) - 10, "text-anchor": "middle" }, step === 0 ? "step 0" : step)),
  );
}

/** Round numbers in a range, about ``count`` of them. */
function round(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= raw);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + 1e-12; value += step) found.push(Number(value.toPrecision(12)));
  return found;
}

function startLine({ loss }, { y }, width) {
  return s(
    "g",
    { class: "start" },
    s("line", { x1: PAD.left, x2: width - PAD.right, y1: y(loss), y2: y(loss) }),
    s("text", { x: width - PAD.right - 4, y: y(loss) - 6, "text-anchor": "end" }, "the plain words, nothing learned"),
  );
}

function line({ points }, index, { x, y }) {
  const path = points.map(({ step, loss }, i) => `${i ? "L" : "M"}${x(step).toFixed(1)} ${y(loss).toFixed(1)}`).join("");
  const bars = points.filter((point) => point.error > 0);
  return s(
    "g",
    { class: `series series-${index % 6}` },
    bars.map(({ step, loss, error }) => s("line", { class: "error", x1: x(step), x2: x(step), y1: y(loss - error), y2: y(loss + error) })),
    s("path", { d: path }),
    points.map(({ step, loss }) => s("circle", { cx: x(step), cy: y(loss), r: 4 }, s("title", {}, `step ${step}: ${loss.toFixed(5)}`))),
  );
}

/** The steps' own losses, scaled to the strip: they jump with the noise that each step draws. */
function strip({ losses }, { x }) {
  const own = losses.filter((row) => typeof row.loss === "number");
  if (own.length < 2) return null;
  const most = Math.max(...own.map((row) => row.loss));
  const top = HEIGHT - PAD.bottom + 12;
  const y = (loss) => top + (1 - loss / most) * STRIP;
  const path = own.map(({ step, loss }, i) => `${i ? "L" : "M"}${x(step).toFixed(1)} ${y(loss).toFixed(1)}`).join("");
  return s("path", { class: "own", d: path });
}

function described(series) {
  return series
    .map(({ name, points }) => {
      const [first, last] = [points[0], points.at(-1)];
      return `${name}: held-out loss ${first.loss.toFixed(4)} at step 0, ${last.loss.toFixed(4)} at step ${last.step}`;
    })
    .join("; ");
}
