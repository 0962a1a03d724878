// What the person made and the server has not confirmed yet. Each entry has a key of its own, so that it may be sent
// as often as the link breaks: the server does it once and gives the same answer again.
import { say } from "../shell/say.js";
import { No, Offline, Over, call } from "./net.js";

const [LEAST, MOST] = [4 * 1024, 512 * 1024];
const LONGEST = 5 * 60 * 1000;
const OPEN = new Set(["waiting", "sending", "later"]);
/** Entries that the server has confirmed are shown for as long as this. */
const SHOWN = 72 * 3600 * 1000;

export const isOpen = (entry) => OPEN.has(entry.state);

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Outbox {
  /** `changed(entries)` is called whenever something is different; `over()` when the session has ended. */
  constructor(store, { changed = () => {}, over = () => {}, clock = () => Date.now() } = {}) {
    Object.assign(this, { store, changed, over, clock, entries: [], running: false, timer: 0, piece: 64 * 1024 });
  }

  async load() {
    this.entries = await this.store.entries();
    for (const entry of this.entries) if (entry.state === "sending") entry.state = "waiting"; // we were killed
    const old = this.entries.filter((e) => e.state === "done" && this.clock() - e.done_at > SHOWN);
    for (const entry of old) await this.store.removeEntry(entry);
    this.entries = this.entries.filter((e) => !old.includes(e));
    this.changed(this.entries);
  }

  /** Keep something to be sent. `files`: [{stage, blob}]. Resolves when it is on disk; it is sent by itself. */
  async add({ kind, title, body, files = [], wait = 0, seen = null, seq = 0 }) {
    const kept = [];
    const about = [];
    for (const { stage, blob } of files) {
      const bytes = await blob.arrayBuffer();
      const id = crypto.randomUUID();
      kept.push([id, bytes]);
      about.push({ id, stage, size: bytes.byteLength, sha256: await sha256(bytes), sent: 0, done: false });
    }
    const entry = {
      id: crypto.randomUUID(), seq: seq || 1 + Math.max(0, ...this.entries.map((e) => e.seq)), kind, title, body, files: about, seen,
      state: "waiting", why: null, now: null, tries: 0, next_at: this.clock() + wait, made_at: this.clock(), done_at: 0, known: false,
    };
    if (kind === "move" && body.case && !seq) {
      const before = this.entries.filter((e) => e.kind === "move" && e.body.case === body.case && isOpen(e)).at(-1);
      if (before) entry.body.after = before.id;
    }
    await this.store.addEntry(entry, kept);
    this.entries = [...this.entries, entry].sort((a, b) => a.seq - b.seq);
    this.changed(this.entries);
    this.wake(wait);
    return entry;
  }

  /** Forget an entry, and what was to be done with the case of a report that is not made now. */
  async remove(entry) {
    const gone = [entry, ...this.entries.filter((e) => e.body.report === entry.id && e.state !== "done")];
    for (const one of gone) await this.store.removeEntry(one);
    this.entries = this.entries.filter((e) => !gone.includes(e));
    this.changed(this.entries);
  }

  wake(after = 0) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(), after + 20);
  }

  /** Send what can be sent. With `all`, also what was told to wait. One tab at a time does it. */
  async send(all = false) {
    if (this.running || this.store.locked) return;
    this.running = true;
    try {
      const work = async (lock) => lock !== null && this._send(all);
      await (navigator.locks ? navigator.locks.request(`gridloop-field-${this.store.person}`, { ifAvailable: true }, work) : work(true));
    } finally {
      this.running = false;
    }
    const next = this.entries.filter((e) => isOpen(e)).map((e) => e.next_at);
    if (next.length) this.wake(Math.max(1000, Math.min(...next) - this.clock()));
  }

  async _send(all) {
    for (const entry of [...this.entries]) {
      if (!isOpen(entry) || (!all && entry.next_at > this.clock()) || this._held(entry)) continue;
      try {
        await this._update(entry, { state: "sending" });
        await this._deliver(entry);
      } catch (error) {
        if (error instanceof No) {
          // A token of an older session, or the page is older than the server: not the entry's fault.
          if (error.code === "csrf") {
            await this._later(entry);
            this.over();
            return;
          }
          await this._update(entry, { state: "refused", why: error.sentence });
          continue;
        }
        await this._later(entry);
        if (error instanceof Over) this.over();
        if (error instanceof Over || error instanceof Offline) return;
        throw error;
      }
    }
  }

  /** Whether an earlier step with the same case must be answered first. */
  _held(entry) {
    const at = this.entries.indexOf(entry);
    return this.entries.slice(0, at).some((e) => {
      if (entry.body.report) return e.id === entry.body.report && e.state !== "done";
      return e.kind === "move" && e.body.case === entry.body.case && (isOpen(e) || e.state === "conflict");
    });
  }

  async _later(entry) {
    const tries = entry.tries + 1;
    const wait = Math.min(LONGEST, 1000 * 2 ** Math.min(tries, 9)) * (0.7 + 0.6 * Math.random());
    await this._update(entry, { state: "waiting", tries, next_at: this.clock() + wait });
  }

  async _update(entry, change) {
    Object.assign(entry, change);
    await this.store.saveEntry(entry);
    this.changed(this.entries);
  }

  async _deliver(entry) {
    if (entry.kind === "report") {
      if (!entry.known && !(await this._ask(entry))) return;
      if (!(await this._files(entry, `report=${entry.id}`))) return;
      await this._done(entry);
      return;
    }
    if (entry.body.report && !entry.files.every((f) => f.done)) {
      if (!(await this._files(entry, `report=${entry.body.report}`))) return;
    }
    if (!entry.body.report && !(await this._files(entry, `case=${entry.body.case}`))) return;
    if (await this._ask(entry)) await this._done(entry);
  }

  /** Hand the item in; true if it was done. What else was answered is written to the entry. */
  async _ask(entry) {
    const item = { key: entry.id, kind: entry.kind, ...entry.body };
    const { answers } = await call("POST", "sync", { json: { items: [item] } });
    const answer = answers[0];
    if (answer.outcome === "done") {
      await this._update(entry, { known: true, now: answer, number: answer.report ?? answer.number });
      return true;
    }
    if (answer.outcome === "later") {
      await this._later(entry);
      await this._update(entry, { state: "later", why: answer.sentence, next_at: this.clock() + 15000 });
      return false;
    }
    await this._update(entry, { state: answer.outcome, why: answer.sentence, now: answer.now ?? null, mistakes: answer.mistakes ?? null });
    return false;
  }

  async _done(entry) {
    for (const file of entry.files) await this.store.removeFile(file.id);
    await this._update(entry, { state: "done", done_at: this.clock(), why: null });
  }

  /** Send the files piece by piece, each from where the server has it; false if one of them was refused. */
  async _files(entry, target) {
    for (const file of entry.files) {
      if (file.done) continue;
      const bytes = await this.store.fileBytes(file.id);
      if (!bytes) throw new Error("a file of the outbox is gone");
      const what = `${target}&stage=${file.stage}&size=${file.size}&sha256=${file.sha256}`;
      let at = await call("GET", `photos/${file.id}`);
      for (let stuck = 0; !at.complete && !at.refused; ) {
        const piece = bytes.slice(at.received, at.received + this.piece);
        let next;
        try {
          next = await call("PUT", `photos/${file.id}?${what}&offset=${at.received}`, { bytes: piece, seconds: 60 });
          this.piece = Math.min(this.piece * 2, MOST);
        } catch (error) {
          this.piece = Math.max(this.piece / 4, LEAST); // a link that breaks often still lets small pieces through
          throw error;
        }
        stuck = next.received > at.received || next.complete ? 0 : stuck + 1;
        if (stuck > 3) throw new Offline();
        at = next;
        file.sent = at.received;
        this.changed(this.entries);
      }
      if (at.refused) {
        await this._update(entry, { state: "refused", why: at.refused });
        return false;
      }
      file.done = true;
      file.sent = file.size;
      await this._update(entry, {});
    }
    return true;
  }

  /** How much of an entry has gone: 0 to 100. */
  static share(entry) {
    const size = entry.files.reduce((sum, f) => sum + f.size, 0);
    return size ? Math.round((100 * entry.files.reduce((sum, f) => sum + f.sent, 0)) / size) : 0;
  }

  /** The person decided: do the same on the case as it is now. A new key, because it is a new decision. */
  async again(entry, version) {
    const files = [];
    for (const file of entry.files) {
      if (file.done) continue;
      const bytes = await this.store.fileBytes(file.id);
      if (bytes) files.push({ stage: file.stage, blob: new Blob([bytes]) });
    }
    const body = { ...entry.body };
    delete body.after;
    if (version !== undefined) body.version = version;
    const fresh = await this.add({ kind: entry.kind, title: entry.title, body, files, seen: entry.now ?? entry.seen, seq: entry.seq });
    for (const other of this.entries) {
      if (other.state === "done") continue;
      if (other.body.after === entry.id) other.body.after = fresh.id;
      else if (other.body.report === entry.id) other.body.report = fresh.id;
      else continue;
      await this.store.saveEntry(other);
    }
    await this.remove(entry);
    return fresh;
  }
}

export const stateWords = (entry) =>
  ({
    waiting: entry.tries ? say("等待网络", "waiting for a link") : say("等待发送", "waiting"),
    sending: entry.files.length ? say("发送中 {n}%", "sending {n} %", { n: Outbox.share(entry) }) : say("发送中", "sending"),
    later: say("等待成为案件", "waiting for its case"),
    done: say("已送达", "delivered"),
    refused: say("未被接受", "refused"),
    conflict: say("有人先办：请选择", "somebody was faster: choose"),
  })[entry.state];
