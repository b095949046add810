// The part of the page that shows one GPU: how it is, its lanes, its memory.

import { fill, make, say } from "./dom.js";
import { Timeline } from "./timeline.js";
import { gib, name, percent, shortName } from "./words.js";

export class GpuCard {
  constructor(uuid) {
    this.uuid = uuid;
    this.seen = true; // on the screen, as far as the browser says
    this.title = make("a");
    this.vitals = make("span", { className: "vitals" });
    this.turn = make("span", { className: "turn" });
    this.trouble = make("p", { className: "trouble", hidden: true });
    this.canvas = make("canvas", { role: "img", tabIndex: 0 });
    this.what = make("p", { className: "what", textContent: "Memory: each client in the room of its share" });
    this.memory = make("div", { className: "memory", role: "img" });
    this.legend = make("ul", { className: "legend" });
    const head = make("div", { className: "head" }, make("h2", {}, this.title), this.vitals, this.turn);
    this.element = make("section", { className: "gpu" }, head, this.trouble, this.canvas, this.what, this.memory, this.legend);
    this.timeline = new Timeline(this.canvas);
  }

  // Once for each snapshot.
  tell(gpu, clients, shades) {
    say(this.title, `GPU ${gpu.index}  ${gpu.product}`);
    this.title.href = `#gpu=${encodeURIComponent(gpu.uuid)}`;
    say(this.vitals, vitals(gpu));
    say(this.turn, turnOf(gpu, clients));
    const trouble = [
      gpu.healthy ? "" : `Not healthy: ${gpu.why_unhealthy}`,
      gpu.turns_off ? `No turns: ${gpu.turns_off}` : "",
    ];
    say(this.trouble, trouble.filter(Boolean).join(" · "));
    this.trouble.hidden = !this.trouble.textContent;
    this.tellMemory(gpu, clients, shades);
    this.canvas.setAttribute("aria-label", `Turns on GPU ${gpu.index}. ${turnOf(gpu, clients)}`);
  }

  // Each client has the room of its share, filled as far as it uses it; then what belongs to nobody.
  tellMemory(gpu, clients, shades) {
    const total = gpu.memory_total_bytes;
    this.what.hidden = this.memory.hidden = this.legend.hidden = !total;
    if (!total) return;
    const rooms = clients.map((client) => room(client, total, shades.get(client.client)));
    const cells = fill(this.memory, rooms.length, () => make("div", {}, make("i")));
    rooms.forEach((each, place) => {
      const cell = cells[place];
      cell.style.width = `${100 * each.size}%`;
      cell.firstChild.style.width = `${100 * Math.min(1, each.filled)}%`;
      cell.firstChild.style.background = each.colour;
      cell.className = each.filled > 1 ? "over" : "";
      cell.title = each.text;
    });
    const free = gpu.memory_used_bytes === null ? null : total - gpu.memory_used_bytes;
    const rest = [`${gib(total)} GiB in all`, free === null ? "" : `${gib(free)} free`];
    if (gpu.ballast_bytes) rest.push(`${gib(gpu.ballast_bytes)} held back for those it belongs to`);
    const said = [...rooms, { colour: "", text: rest.filter(Boolean).join(", ") }];
    const items = fill(this.legend, said.length, () => make("li", {}, make("i"), make("span")));
    said.forEach((each, place) => {
      items[place].firstChild.hidden = !each.colour;
      items[place].firstChild.style.background = each.colour;
      say(items[place].lastChild, each.text);
    });
    this.memory.setAttribute("aria-label", `Memory: ${said.map((each) => each.text).join("; ")}`);
  }
}

function room(client, total, colour) {
  const limit = client.memory_limit_bytes;
  const due = limit === null ? client.share * total : limit;
  const size = Math.max(due, due ? 0 : client.memory_bytes) / total;
  const of = limit === null ? "" : ` of ${gib(limit)}`;
  const paged = client.paged_out_bytes ? `, ${gib(client.paged_out_bytes)} paged out` : "";
  const filled = size ? client.memory_bytes / (size * total) : 0;
  return { size, filled, colour, text: `${name(client)} ${gib(client.memory_bytes)}${of} GiB${paged}` };
}

function vitals(gpu) {
  const parts = [percent(gpu.utilization) + " busy"];
  if (gpu.temperature_celsius !== null) parts.push(`${Math.round(gpu.temperature_celsius)} °C`);
  if (gpu.power_watts !== null) {
    const limit = gpu.power_limit_watts === null ? "" : ` of ${Math.round(gpu.power_limit_watts)}`;
    parts.push(`${Math.round(gpu.power_watts)}${limit} W`);
  }
  return parts.join(" · ");
}

function turnOf(gpu, clients) {
  if (gpu.turns_mode !== "exclusive") return "the driver slices its time, as configured";
  if (gpu.turns_off) return "the driver slices its time";
  const waits = clients.filter((client) => client.state === "waits").length;
  const holder = gpu.holder ? `turn: ${shortName(gpu.holder)}` : "nobody's turn";
  return waits ? `${holder}, ${waits} ${waits === 1 ? "waits" : "wait"}` : holder;
}

// What a lane says where it has no turns to show.
export function said(client) {
  if (client.gone) return "gone";
  if (client.state === "ungated") return `no turns: ${client.why} (GPU ${percent(client.utilization)})`;
  if (client.state === "paged") return `paged out to host memory${client.why ? `: ${client.why}` : ""}`;
  return client.state === "starting" ? "starting" : "";
}
