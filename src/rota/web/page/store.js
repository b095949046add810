// What is known: the last snapshot, and the turns of the last minutes. No drawing.

const KEPT = 180; // seconds of turns
const MOST = 20000; // turns, whatever their age
const HISTORY = 60; // snapshots, one a second

export const keyOf = (one) => `${one.client} ${one.gpu}`;

export class Store {
  constructor() {
    this.snapshot = null;
    this.lanes = new Map(); // key → turns in the order of time
    this.history = new Map(); // key → GPU % of late
    this.next = null; // the number of the turn to go on with
    this.offsets = []; // server's clock less ours, of late
  }

  // The agent's time, as well as it is known: what came the quickest tells best.
  now() {
    return performance.now() / 1000 + (this.offsets.length ? Math.max(...this.offsets) : 0);
  }

  takeSnapshot(snapshot) {
    this.offsets.push(snapshot.at - performance.now() / 1000);
    if (this.offsets.length > 15) this.offsets.shift();
    this.snapshot = snapshot;
    const history = new Map();
    for (const client of snapshot.clients) {
      const values = this.history.get(keyOf(client)) || [];
      values.push(client.utilization);
      history.set(keyOf(client), values.slice(-HISTORY));
    }
    this.history = history;
    this.forget(snapshot.at - KEPT);
  }

  takeTurns(page) {
    for (const turn of page.turns) {
      if (this.next !== null && turn.number < this.next && this.has(turn)) continue; // told twice
      const key = keyOf(turn);
      if (!this.lanes.has(key)) this.lanes.set(key, []);
      this.lanes.get(key).push(turn);
    }
    this.next = page.next;
  }

  has(turn) {
    const lane = this.lanes.get(keyOf(turn)) || [];
    return lane.length > 0 && lane[lane.length - 1].end >= turn.end;
  }

  forget(before) {
    for (const [key, turns] of this.lanes) {
      let gone = Math.max(0, turns.length - MOST);
      while (gone < turns.length && turns[gone].end < before) gone += 1;
      if (gone) turns.splice(0, gone);
      if (!turns.length) this.lanes.delete(key);
    }
  }

  // The clients of a GPU: those of now, and those that had a turn in sight and are gone.
  clientsOf(gpu, from) {
    const here = this.snapshot.clients.filter((client) => client.gpu === gpu);
    const known = new Set(here.map((client) => client.client));
    for (const turns of this.lanes.values()) {
      const last = turns[turns.length - 1];
      if (last.gpu === gpu && last.end > from && !known.has(last.client)) {
        here.push({ client: last.client, gpu, gone: true, state: "absent" });
      }
    }
    return here;
  }

  // The turns of a client between two moments; the one of now ends at `to`.
  turnsOf(client, from, to) {
    const turns = this.lanes.get(keyOf(client)) || [];
    let low = 0;
    let high = turns.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (turns[middle].end < from) low = middle + 1;
      else high = middle;
    }
    const seen = [];
    for (let i = low; i < turns.length && turns[i].start - turns[i].waited <= to; i += 1) seen.push(turns[i]);
    const open = this.openTurn(client, turns[turns.length - 1], to);
    return open ? [...seen, open] : seen;
  }

  openTurn(client, last, to) {
    const since = client.turn_since;
    if (since === null || since === undefined || since > to) return null;
    if (last && last.end > since) return null; // it has ended since that snapshot
    return { ...client, start: since, end: to, waited: 0, closing: 0, used: null, why: "", open: true };
  }
}
