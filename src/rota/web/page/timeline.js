// The lanes of one GPU on a canvas. Draws what it is given; knows no network.

import { clock, length, shortName } from "./words.js";

const LANE = 30; // pixels
const AXIS = 20;
const NARROW = 560; // below that, names stand above their lanes

export class Timeline {
  constructor(canvas) {
    this.canvas = canvas;
    this.boxes = []; // what is drawn, for the pointer: [x, y, width, height, turn]
    this.layout = null;
  }

  // view: { from, to }; lanes: [{ client, turns, colour, dim }]
  draw(view, lanes, look) {
    const ratio = window.devicePixelRatio || 1;
    const width = this.canvas.clientWidth;
    const narrow = width < NARROW;
    const lane = narrow ? LANE + 14 : LANE;
    const height = Math.max(1, lanes.length) * lane + AXIS;
    this.resize(width, height, ratio);
    const gutter = narrow ? 0 : Math.min(230, width * 0.24);
    this.layout = { gutter, lane, narrow, width, height, view };
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = look.font;
    this.boxes = [];
    this.axis(pen, look);
    lanes.forEach((each, place) => this.lane(pen, each, place * lane, look));
  }

  resize(width, height, ratio) {
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== h) {
      this.canvas.width = w;
      this.canvas.height = h;
      this.canvas.style.height = `${height}px`;
    }
  }

  x(time) {
    const { gutter, width, view } = this.layout;
    return gutter + ((time - view.from) / (view.to - view.from)) * (width - gutter);
  }

  timeAt(x) {
    const { gutter, width, view } = this.layout;
    return view.from + ((x - gutter) / (width - gutter)) * (view.to - view.from);
  }

  axis(pen, look) {
    const { view, height, width, gutter } = this.layout;
    const step = stepFor(view.to - view.from, (width - gutter) / 90);
    const digits = step >= 1 ? 0 : step >= 0.1 ? 1 : 2;
    pen.textBaseline = "alphabetic";
    pen.textAlign = "center";
    for (let time = Math.ceil(view.from / step) * step; time <= view.to; time += step) {
      const x = this.x(time);
      pen.fillStyle = look.line;
      pen.fillRect(Math.round(x), 0, 1, height - AXIS + 4);
      pen.fillStyle = look.faint;
      const said = digits ? clock(time).slice(6, 9 + digits) : clock(time).slice(0, 8);
      if (x > gutter + 26 && x < width - 26) pen.fillText(said, x, height - 5);
    }
  }

  lane(pen, each, top, look) {
    const { gutter, lane, narrow, width } = this.layout;
    const bar = LANE - 12;
    const y = top + (narrow ? 18 : 5);
    pen.globalAlpha = each.dim ? 0.25 : 1;
    this.label(pen, each, top, look);
    pen.save();
    pen.beginPath();
    pen.rect(gutter, top, width - gutter, lane);
    pen.clip();
    for (const turn of each.turns) this.turn(pen, turn, y, bar, each.colour, look);
    if (each.waiting) this.wait(pen, this.layout.view.to - each.waiting, this.layout.view.to, y + bar / 2, look);
    if (each.said) this.said(pen, each.said, y, bar, look);
    pen.restore();
    pen.globalAlpha = 1;
  }

  label(pen, each, top, look) {
    const { gutter, narrow, width } = this.layout;
    pen.textAlign = "left";
    pen.textBaseline = narrow ? "alphabetic" : "middle";
    pen.fillStyle = each.colour;
    pen.fillRect(0, top + (narrow ? 5 : 9), 10, 10);
    pen.fillStyle = each.gone ? look.faint : look.ink;
    const text = shortName(each.client);
    pen.fillText(fit(pen, text, (narrow ? width : gutter) - 24), 16, top + (narrow ? 14 : 14));
  }

  turn(pen, turn, y, bar, colour, look) {
    const [begin, end] = [this.x(turn.start), this.x(turn.end)];
    if (turn.waited > 0) this.wait(pen, turn.start - turn.waited, turn.start, y + bar / 2, look);
    const wide = Math.max(1, end - begin);
    pen.fillStyle = colour;
    pen.fillRect(begin, y, wide, bar);
    const closing = turn.closing > 0 ? end - this.x(turn.end - turn.closing) : 0;
    if (closing >= 1) {
      pen.fillStyle = look.close;
      pen.fillRect(end - closing, y, closing, bar);
    }
    this.boxes.push([begin, y, wide, bar, turn]);
  }

  wait(pen, from, to, y, look) {
    pen.fillStyle = look.wait;
    const begin = this.x(from);
    pen.fillRect(begin, y - 1, this.x(to) - begin, 2);
  }

  // A state without turns, where the lane would be empty.
  said(pen, text, y, bar, look) {
    pen.fillStyle = look.faint;
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    pen.fillText(text, this.layout.gutter + 8, y + bar / 2);
  }

  // The turn at a place of the canvas, or null; near is near enough for a finger.
  at(x, y) {
    let best = null;
    let least = 8;
    for (const [left, top, width, height, turn] of this.boxes) {
      if (y < top - 6 || y > top + height + 6) continue;
      const off = Math.max(left - x, x - left - width, 0);
      if (off < least) [best, least] = [turn, off];
    }
    return best;
  }
}

// A step of the axis: 1, 2 or 5 times a power of ten, for at most so many marks.
function stepFor(seconds, marks) {
  const rough = seconds / Math.max(1, marks);
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
}

function fit(pen, text, room) {
  if (pen.measureText(text).width <= room) return text;
  let kept = text.length;
  const cut = () => `${text.slice(0, Math.ceil(kept / 2))}…${text.slice(text.length - Math.floor(kept / 2))}`;
  while (kept > 3 && pen.measureText(cut()).width > room) kept -= 1;
  return cut();
}

// What is said of a turn.
export function facts(turn) {
  const long = length(turn.end - turn.start);
  if (turn.open) return `${turn.client}\nits turn since ${clock(turn.start)}: ${long} so far`;
  return [
    turn.client,
    `turn ${turn.number}, ${clock(turn.start)} to ${clock(turn.end)}`,
    `lasted ${long}, of which ${length(turn.used)} used`,
    `waited ${length(turn.waited)} for it; gates closed in ${length(turn.closing)}`,
    `ended: ${turn.why}`,
  ].join("\n");
}
