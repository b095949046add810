// The stream of the agent. With a token, by fetch, since EventSource cannot send one.

const AGAIN = 2000; // ms until a stream that ended is asked for anew

export class Feed {
  // on: { state(snapshot), turns(page), link(lost), refused() }; since(): the turn to go on with.
  constructor(token, on, since) {
    this.token = token;
    this.on = on;
    this.since = since;
    this.stopper = null;
  }

  start() {
    if (this.stopper) return;
    this.stopper = new AbortController();
    const { signal } = this.stopper;
    if (this.token) this.read(signal);
    else this.listen(signal);
  }

  // A browser has six connections to one host for all its pages: who is not seen gives its own back.
  stop() {
    if (this.stopper) this.stopper.abort();
    this.stopper = null;
  }

  path() {
    const since = this.since();
    return since === null ? "api/v1/stream" : `api/v1/stream?since=${since}`;
  }

  again(what, signal) {
    if (!signal.aborted) setTimeout(() => signal.aborted || what.call(this, signal), AGAIN);
  }

  listen(signal) {
    const source = new EventSource(this.path());
    signal.addEventListener("abort", () => source.close());
    source.onopen = () => this.on.link(false);
    source.onerror = () => {
      this.on.link(true);
      if (source.readyState === EventSource.CLOSED) this.ask(signal); // refused: for want of a token?
    };
    for (const name of ["state", "turns"]) {
      source.addEventListener(name, (event) => this.take(name, event.data));
    }
  }

  async ask(signal) {
    try {
      const answer = await fetch("api/v1/state", { signal });
      if (answer.status === 401) {
        this.on.refused();
        return;
      }
    } catch {
      // not there; it may come back
    }
    this.again(this.listen, signal);
  }

  async read(signal) {
    try {
      const headers = { Authorization: `Bearer ${this.token}` };
      const answer = await fetch(this.path(), { headers, signal });
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
    if (signal.aborted) return;
    this.on.link(true);
    this.again(this.read, signal);
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
