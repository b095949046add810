// What the address asks for: #gpu=…&client=…&seconds=…; a token is taken out of it at once.

const SPANS = [1, 2, 5, 10, 20, 30, 60, 120];

export class Place {
  constructor() {
    this.token = sessionStorage.getItem("token") || "";
    this.span = 10;
    this.read();
  }

  read() {
    const asked = new URLSearchParams(location.hash.slice(1));
    if (asked.has("token")) {
      this.keep(asked.get("token"));
      asked.delete("token");
      history.replaceState(null, "", `#${asked}`);
    }
    this.gpu = asked.get("gpu") || "";
    this.client = asked.get("client") || "";
    const seconds = Number(asked.get("seconds"));
    if (seconds) this.span = SPANS.reduce((a, b) => (Math.abs(b - seconds) < Math.abs(a - seconds) ? b : a));
  }

  keep(token) {
    this.token = token;
    sessionStorage.setItem("token", token);
  }

  // A GPU is asked for by UUID or index.
  wantsGpu(gpu) {
    return !this.gpu || gpu.uuid === this.gpu || String(gpu.index) === this.gpu;
  }

  wantsClient(client) {
    return !this.client || client.client === this.client;
  }

  zoom(step) {
    const at = Math.min(SPANS.length - 1, Math.max(0, SPANS.indexOf(this.span) + step));
    this.span = SPANS[at];
    const asked = new URLSearchParams(location.hash.slice(1));
    asked.set("seconds", this.span);
    history.replaceState(null, "", `#${asked}`);
  }
}
