// The page: takes what the agent tells, and draws it about twenty times a second while it is seen.

import { colours } from "./colours.js";
import { say } from "./dom.js";
import { Feed } from "./feed.js";
import { GpuCard, said } from "./gpu.js";
import { Place } from "./place.js";
import { Store } from "./store.js";
import { Table } from "./table.js";
import { facts } from "./timeline.js";

const LATE = 0.4; // seconds: the page shows what was, so that turns that have ended are told by then
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const $ = (id) => document.getElementById(id);
const place = new Place();
const store = new Store();
const table = new Table($("clients"));
const cards = new Map();
const page = { paused: null, drawn: 0, look: null, shades: new Map(), pointer: null, drag: null, feed: null };

const watcher = new IntersectionObserver((seen) => {
  for (const entry of seen) {
    const card = [...cards.values()].find((each) => each.canvas === entry.target);
    if (card) card.seen = entry.isIntersecting;
  }
});

function readLook() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  page.look = {
    ink: of("--ink"), faint: of("--faint"), line: of("--line"), wait: of("--wait"), close: of("--close"),
    font: `12px ${getComputedStyle(document.body).fontFamily}`,
  };
}

function view() {
  const to = page.paused === null ? store.now() - LATE : page.paused;
  return { from: to - place.span, to };
}

// Once for each snapshot, and where something else was asked for.
function tell() {
  const { snapshot } = store;
  if (!snapshot) return;
  page.shades = colours(snapshot.clients.map((client) => client.client));
  say($("node"), [snapshot.node, snapshot.driver_version && `driver ${snapshot.driver_version}`].filter(Boolean).join(" · "));
  $("emulated").hidden = !snapshot.emulated;
  const { gatekeeper_problem: problem, config_refused_now: refused } = snapshot.own;
  say($("trouble"), [problem && `No gatekeeper: ${problem}`, refused && `The config on disk is not served: ${refused}`].filter(Boolean).join(" · "));
  $("trouble").hidden = !$("trouble").textContent;
  const chosen = [place.gpu && `GPU ${place.gpu}`, place.client].filter(Boolean).join(", ");
  $("chosen").hidden = !chosen;
  say($("what"), chosen);
  const gpus = snapshot.gpus.filter((gpu) => place.wantsGpu(gpu) && hasChosen(gpu));
  tellCards(gpus);
  const shown = new Set(gpus.map((gpu) => gpu.uuid));
  const indexes = new Map(snapshot.gpus.map((gpu) => [gpu.uuid, String(gpu.index)]));
  const clients = snapshot.clients.filter((client) => shown.has(client.gpu) && place.wantsClient(client));
  table.tell(clients, indexes, page.shades, store.history);
}

// A GPU without the client that was asked for is left out, unless nobody has that client.
function hasChosen(gpu) {
  const all = store.snapshot.clients.filter((client) => place.wantsClient(client));
  return !all.length || all.some((client) => client.gpu === gpu.uuid);
}

function tellCards(gpus) {
  const wanted = new Set(gpus.map((gpu) => gpu.uuid));
  for (const [uuid, card] of cards) {
    if (!wanted.has(uuid)) {
      watcher.unobserve(card.canvas);
      card.element.remove();
      cards.delete(uuid);
    }
  }
  for (const gpu of gpus) {
    if (!cards.has(gpu.uuid)) addCard(gpu.uuid);
    const clients = store.snapshot.clients.filter((client) => client.gpu === gpu.uuid);
    cards.get(gpu.uuid).tell(gpu, clients, page.shades);
  }
}

function addCard(uuid) {
  const card = new GpuCard(uuid);
  cards.set(uuid, card);
  $("gpus").append(card.element);
  watcher.observe(card.canvas);
  card.canvas.addEventListener("pointermove", (event) => move(card, event));
  card.canvas.addEventListener("pointerdown", (event) => press(card, event));
  card.canvas.addEventListener("pointerup", () => { page.drag = null; });
  card.canvas.addEventListener("pointerleave", () => { page.pointer = page.drag = null; showTip(); });
  card.canvas.addEventListener("wheel", wheel, { passive: false });
}

function draw() {
  if (!store.snapshot) return;
  const now = view();
  for (const card of cards.values()) {
    if (!card.seen) continue;
    const lanes = store.clientsOf(card.uuid, now.from).map((client) => lane(client, now));
    card.timeline.draw(now, lanes, page.look);
    card.canvas.classList.toggle("paused", page.paused !== null);
    card.canvas.dataset.to = now.to.toFixed(3);
    card.canvas.dataset.turns = String(card.timeline.boxes.length);
  }
  showTip();
}

function lane(client, now) {
  const turns = store.turnsOf(client, now.from, now.to);
  const ahead = now.to - store.snapshot.at + (client.waiting || 0);
  const waiting = client.state === "waits" && page.paused === null ? Math.max(0, ahead) : 0;
  return {
    client: client.client, turns, colour: page.shades.get(client.client) || page.look.faint, waiting,
    dim: !place.wantsClient(client), gone: client.gone, said: turns.length ? "" : said(client),
  };
}

function frame(time) {
  requestAnimationFrame(frame);
  const every = calm.matches ? 1000 : 48;
  if (page.paused !== null || time - page.drawn < every) return;
  page.drawn = time;
  draw();
}

function pause(on) {
  page.paused = on ? view().to : null;
  $("pause").setAttribute("aria-pressed", String(on));
  say($("pause"), on ? "Go on" : "Pause");
  draw();
}

function zoom(step) {
  place.zoom(step);
  say($("span"), `${place.span} s`);
  draw();
}

function wheel(event) {
  if (!event.ctrlKey && !event.metaKey) return; // the page itself is scrolled
  event.preventDefault();
  zoom(Math.sign(event.deltaY));
}

function press(card, event) {
  page.pointer = { card, x: event.offsetX, y: event.offsetY, left: event.clientX, top: event.clientY };
  if (page.paused !== null) page.drag = { x: event.offsetX, to: page.paused };
  showTip();
}

function move(card, event) {
  if (page.drag && page.paused !== null) {
    const { gutter, width } = card.timeline.layout;
    const seconds = ((event.offsetX - page.drag.x) / (width - gutter)) * place.span;
    page.paused = Math.min(page.drag.to - seconds, store.now() - LATE);
    draw();
  }
  page.pointer = { card, x: event.offsetX, y: event.offsetY, left: event.clientX, top: event.clientY };
  showTip();
}

function showTip() {
  const tip = $("tip");
  const { pointer } = page;
  const turn = pointer && pointer.card.timeline.at(pointer.x, pointer.y);
  tip.hidden = !turn;
  if (!turn) return;
  say(tip, facts(turn));
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(pointer.left + 14, innerWidth - width - 8);
  const top = pointer.top + 18 + height > innerHeight ? pointer.top - height - 12 : pointer.top + 18;
  tip.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, top)}px)`;
}

function keyed(event) {
  if (event.target.closest("input, button, a")) return;
  if (event.key === " ") {
    event.preventDefault();
    pause(page.paused === null);
  } else if (event.key === "+" || event.key === "=") zoom(-1);
  else if (event.key === "-") zoom(1);
}

function link(lost) {
  $("link").classList.toggle("lost", lost);
  say($("link"), lost ? "the agent does not answer; asking again" : "live");
}

function start() {
  $("ask").hidden = true;
  if (page.feed) page.feed.stop();
  page.feed = new Feed(place.token, {
    state: (snapshot) => { store.takeSnapshot(snapshot); tell(); },
    turns: (told) => store.takeTurns(told),
    link,
    refused: () => { $("ask").hidden = false; say($("link"), "refused"); },
  }, () => store.next);
  seenOrNot();
}

function seenOrNot() {
  if (document.visibilityState === "visible") page.feed.start();
  else page.feed.stop();
}

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  place.keep($("token").value.trim());
  start();
});
$("pause").addEventListener("click", () => pause(page.paused === null));
$("in").addEventListener("click", () => zoom(-1));
$("out").addEventListener("click", () => zoom(1));
addEventListener("keydown", keyed);
addEventListener("hashchange", () => { place.read(); say($("span"), `${place.span} s`); tell(); draw(); });
document.addEventListener("visibilitychange", seenOrNot);
addEventListener("pagehide", () => page.feed.stop());
addEventListener("pageshow", seenOrNot);
addEventListener("resize", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readLook(); draw(); });
table.again = tell;
readLook();
say($("span"), `${place.span} s`);
start();
requestAnimationFrame(frame);
