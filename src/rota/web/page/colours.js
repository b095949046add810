// One colour a client, the same as in `rota top` and in plots: see rota/figures/palette.py.

export const COLOURS = ["#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#d55e00", "#0072b2"];

export function colours(clients) {
  const taken = COLOURS.map(() => 0);
  const found = new Map();
  for (const name of [...new Set(clients)].sort()) {
    const first = hash(name) % COLOURS.length;
    const least = Math.min(...taken);
    let place = first;
    while (taken[place] !== least) place = (place + 1) % COLOURS.length;
    taken[place] += 1;
    found.set(name, COLOURS[place]);
  }
  return found;
}

// FNV-1a of 32 bits.
function hash(text) {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) {
    value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  }
  return value;
}
