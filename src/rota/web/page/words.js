// Figures as short text.

const GIB = 2 ** 30;

export const gib = (bytes) => (bytes === null ? "–" : (bytes / GIB).toFixed(bytes >= 99.95 * GIB ? 0 : 1));

export const percent = (part) => (part === null ? "–" : `${Math.round(100 * part)} %`);

export function length(seconds) {
  if (seconds === null) return "–";
  if (seconds < 0.00995) return `${(1000 * seconds).toFixed(1)} ms`;
  if (seconds < 0.9995) return `${Math.round(1000 * seconds)} ms`;
  return seconds < 99.95 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds / 60)} min`;
}

export const name = (client) => client.pod || client.job || (client.kind === "unmanaged" ? "unmanaged" : client.client);

export const owner = (client) => client.namespace || client.user || "–";

// A name as it is shown of a client that is known by its id only.
export function shortName(id) {
  const parts = id.split("/");
  return parts[0] === "job" ? parts[1] : parts[0] === "unmanaged" ? "unmanaged" : parts[1] || id;
}

// The time of day on the viewer's clock, to the millisecond.
export function clock(seconds) {
  const at = new Date(seconds * 1000);
  const two = (value) => String(value).padStart(2, "0");
  const rest = String(at.getMilliseconds()).padStart(3, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${rest}`;
}
