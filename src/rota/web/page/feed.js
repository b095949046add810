// The stream of the agent. With a token, by fetch, since EventSource cannot send one.

const AGAIN = 2000; // ms until a stream that ended is asked for anew

export class Feed {
  // on: { state(snapshot), turns(page), link(lost), refused() }; since(): the turn to go on with.
  constructor(token, on, since) {
    this.token = token;
    this.on = on;
    this.since = since;
  }

  start() {
    if (this.token) this.read();
    else this.listen();
  }

  listen() {
    const source = new EventSource("api/v1/stream");
    source.onopen = () => this.on.link(false);
    source.onerror = () => {
      this.on.link(true);
      if (source.readyState === EventSource.CLOSED) this.ask(); // refused: is it for want of a token?
    };
    for (const name of ["state", "turns"]) {
      source.addEventListener(name, (event) => this.take(name, event.data));
    }
  }

  async ask() {
    try {
      const answer = await fetch("api/v1/state");
      if (answer.status === 401) {
        this.on.refused();
        return;
      }
    } catch {
      // not there; it may come back
    }
    setTimeout(() => this.listen(), AGAIN);
  }

  async read() {
    try {
      const since = this.since();
      const query = since === null ? "" : `?since=${since}`;
      const headers = { Authorization: `Bearer ${this.token}` };
      const answer = await fetch(`api/v1/stream${query}`, { headers });
      if (answer.status === 401) {
        this.on.refused();
        return;
      }
      if (answer.ok) {
        this.on.link(false);
        await this.readAll(answer.body.pipeThrough(new TextDecoderStream()).getReader());
      }
    } catch {
      // hung up
    }
    this.on.link(true);
    setTimeout(() => this.read(), AGAIN);
  }

  async readAll(reader) {
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const events = (rest + value).split(/\r?\n\r?\n/);
      rest = events.pop();
      for (const text of events) this.takeEvent(text);
    }
  }

  takeEvent(text) {
    const fields = new Map();
    for (const line of text.split(/\r?\n/)) {
      const at = line.indexOf(":");
      if (at > 0) fields.set(line.slice(0, at), line.slice(at + 1).trimStart());
    }
    if (fields.has("data")) this.take(fields.get("event"), fields.get("data"));
  }

  take(name, data) {
    if (name === "state" || name === "turns") this.on[name](JSON.parse(data));
  }
}
