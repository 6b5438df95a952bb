// Pointing at a photo by keyboard: arrow keys move a crosshair, Enter clicks.

import { later, s, speak } from "./dom.js";

const STEP = 0.02; // of the photo's side; with Alt a tenth of that

export class Crosshair {
  constructor(width, height) {
    this.size = { x: width, y: height };
    this.at = { x: Math.floor(width / 2), y: Math.floor(height / 2) };
    this.corner = null; // the first corner of a box
    this.lines = s("path", {});
    this.element = s("g", { class: "crosshair" }, this.lines);
    this.tell = later(400, () => {
      const percent = (axis) => Math.round((100 * this.at[axis]) / this.size[axis]);
      speak(`${percent("x")} percent from the left, ${percent("y")} percent from the top`);
    });
    this.draw();
  }

  /** ``does``: click(place, isNot), box(corner, corner), undo(). */
  listen(surface, does) {
    surface.addEventListener("keydown", (event) => {
      const direction = { ArrowLeft: ["x", -1], ArrowRight: ["x", 1], ArrowUp: ["y", -1], ArrowDown: ["y", 1] }[event.key];
      if (direction) this.move(...direction, event.altKey ? STEP / 10 : STEP);
      else if (event.key === "Enter") does.click({ ...this.at }, event.shiftKey);
      else if (event.key.toLowerCase() === "b" && !event.ctrlKey && !event.metaKey) this.setCorner(does.box);
      else if (event.key === "Backspace" || (event.key === "z" && (event.ctrlKey || event.metaKey))) does.undo();
      else if (event.key === "Escape") this.corner = null;
      else return;
      event.preventDefault();
    });
  }

  move(axis, sign, share) {
    const moved = this.at[axis] + sign * Math.max(1, Math.round(share * this.size[axis]));
    this.at[axis] = Math.min(this.size[axis] - 1, Math.max(0, moved));
    this.draw();
    this.tell();
  }

  setCorner(box) {
    if (this.corner === null) {
      this.corner = { ...this.at };
      speak("First corner of the box; move to the other and press B again");
    } else {
      box(this.corner, { ...this.at });
      this.corner = null;
    }
    this.draw();
  }

  draw() {
    const { x, y } = this.at;
    const [cx, cy] = [x + 0.5, y + 0.5];
    const box = this.corner ? `M${this.corner.x} ${this.corner.y}H${x}V${y}H${this.corner.x}Z` : "";
    this.lines.setAttribute("d", `M0 ${cy}H${this.size.x}M${cx} 0V${this.size.y}${box}`);
  }
}
