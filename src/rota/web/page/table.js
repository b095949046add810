// The table of clients: sorted by a click on a heading, with the GPU % of the last minute.

import { fill, make, say } from "./dom.js";
import { keyOf } from "./store.js";
import { gib, length, name, owner, percent } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

// heading, text, key of sorting, classes; `more` is left out on a phone
const COLUMNS = [
  ["Namespace", owner, owner, "more"],
  ["Client", name, name, ""],
  ["GPU", (c, gpus) => gpus.get(c.gpu), (c, gpus) => Number(gpus.get(c.gpu)), "number more"],
  ["State", stateOf, (c) => c.state, ""],
  ["Share", (c) => percent(c.share), (c) => c.share, "number more"],
  ["GPU %", (c) => percent(c.utilization), (c) => c.utilization, "number"],
  ["of late", () => "", (c) => c.utilization, "more"],
  ["Memory, GiB", (c) => `${gib(c.memory_bytes)} / ${gib(c.memory_limit_bytes)}`, (c) => c.memory_bytes, "number"],
  ["Wait p50", (c) => length(c.wait_p50), (c) => c.wait_p50 || 0, "number more"],
  ["Wait p95", (c) => length(c.wait_p95), (c) => c.wait_p95 || 0, "number"],
  ["GPU seconds", (c) => c.gpu_seconds_total.toFixed(1), (c) => c.gpu_seconds_total, "number more"],
  ["Turns", (c) => String(turnsOf(c)), turnsOf, "number more"],
  ["Power", (c) => (c.power_watts === null ? "–" : `≈ ${Math.round(c.power_watts)} W`), (c) => c.power_watts || 0, "number more"],
];
const CURVE = 6;

function turnsOf(client) {
  return Object.values(client.turns).reduce((sum, count) => sum + count, 0);
}

function stateOf(client) {
  return client.state === "waits" ? `waits ${length(client.waiting)}` : client.state;
}

export class Table {
  constructor(section) {
    this.section = section;
    this.body = section.querySelector("tbody");
    this.order = 1;
    this.reverse = false;
    this.again = () => {};
    const cells = COLUMNS.map(([title, , , kind], place) => {
      const button = make("button", { type: "button", textContent: title, onclick: () => this.sortBy(place) });
      return make("th", { className: kind, scope: "col" }, button);
    });
    this.heads = cells;
    section.querySelector("thead").append(make("tr", {}, ...cells));
  }

  sortBy(place) {
    this.reverse = place === this.order ? !this.reverse : COLUMNS[place][3].startsWith("number");
    this.order = place;
    this.again();
  }

  tell(clients, gpus, shades, history) {
    this.section.hidden = !clients.length;
    this.heads.forEach((head, place) => {
      if (place === this.order) head.setAttribute("aria-sort", this.reverse ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    const key = COLUMNS[this.order][2];
    const sorted = [...clients].sort((a, b) => compare(key(a, gpus), key(b, gpus)) || compare(keyOf(a), keyOf(b)));
    if (this.reverse) sorted.reverse();
    const pods = clients.some((client) => client.kind === "pod");
    say(this.heads[0].firstChild, pods ? "Namespace" : "User");
    const most = Math.max(0.1, ...clients.flatMap((client) => history.get(keyOf(client)) || []));
    const rows = fill(this.body, sorted.length, newRow);
    const curve = (client) => (history.get(keyOf(client)) || []).map((value) => value / most);
    sorted.forEach((client, place) => tellRow(rows[place], client, gpus, shades.get(client.client), curve(client)));
  }
}

function compare(one, other) {
  return one < other ? -1 : one > other ? 1 : 0;
}

function newRow() {
  const cells = COLUMNS.map(([, , , kind]) => make("td", { className: kind }));
  cells[1].append(make("i"), make("a"));
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", "0 0 60 20");
  picture.setAttribute("preserveAspectRatio", "none");
  picture.append(document.createElementNS(SVG, "polyline"));
  cells[CURVE].append(picture);
  return make("tr", {}, ...cells);
}

function tellRow(row, client, gpus, colour, values) {
  row.className = client.state;
  row.title = client.why ? `${client.state}: ${client.why}` : client.client;
  COLUMNS.forEach(([, text], place) => {
    const cell = row.children[place];
    if (place === CURVE) tellCurve(cell.querySelector("polyline"), values, colour);
    else if (place === 1) tellName(cell, client, colour);
    else say(cell, text(client, gpus));
  });
}

function tellName(cell, client, colour) {
  cell.querySelector("i").style.background = colour;
  const link = cell.querySelector("a");
  link.href = `#client=${encodeURIComponent(client.client)}`;
  say(link, name(client));
}

function tellCurve(line, values, colour) {
  const from = 60 - values.length;
  line.setAttribute("points", values.map((value, i) => `${from + i},${19 - 18 * Math.min(1, value)}`).join(" "));
  line.style.stroke = colour;
}
