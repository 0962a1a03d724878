// What the telephone keeps of one person: sealed with AES-GCM under a key that no script can read out.
//
// Without a PIN the key lies in the browser's database as a non-extractable CryptoKey: that keeps copies of single
// records, backups of the database's content and other origins out, not somebody who has the unlocked telephone or its
// whole disk. With a PIN only the wrapped key lies there, and memory loses it when the application is closed.
import { deleteDB, openDB } from "../vendor/idb.js";

const AES = "AES-GCM";
const ROUNDS = 600000;
/** Hours for which what was fetched may be kept without a word from the server. What is not sent yet stays. */
export const KEEP_HOURS = 72;
const PERSON = "gridloop.field.person";

const nameOf = (person) => `gridloop-field-${person}`;
const encode = (value) => new TextEncoder().encode(JSON.stringify(value));
const decode = (bytes) => JSON.parse(new TextDecoder().decode(bytes));

export const owner = () => Number(localStorage.getItem(PERSON)) || null;
export const setOwner = (person) => (person ? localStorage.setItem(PERSON, String(person)) : localStorage.removeItem(PERSON));

async function seal(key, name, bytes) {
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const data = await crypto.subtle.encrypt({ name: AES, iv, additionalData: new TextEncoder().encode(name) }, key, bytes);
  return { iv, data };
}

async function unseal(key, name, { iv, data }) {
  return crypto.subtle.decrypt({ name: AES, iv, additionalData: new TextEncoder().encode(name) }, key, data);
}

async function keyOfPin(pin, salt) {
  const material = await crypto.subtle.importKey("raw", new TextEncoder().encode(pin), "PBKDF2", false, ["deriveKey"]);
  return crypto.subtle.deriveKey({ name: "PBKDF2", hash: "SHA-256", salt, iterations: ROUNDS }, material, { name: AES, length: 256 }, false, [
    "encrypt",
    "decrypt",
  ]);
}

const usable = (raw) => crypto.subtle.importKey("raw", raw, AES, false, ["encrypt", "decrypt"]);

export async function openStore(person) {
  const db = await openDB(nameOf(person), 1, {
    upgrade(fresh) {
      for (const name of ["meta", "sealed", "files", "outbox"]) fresh.createObjectStore(name);
    },
    blocking(_now, _next, event) {
      event.target.close();
    },
  });
  let key = await db.get("meta", "key");
  const wrapped = await db.get("meta", "wrapped");
  if (!key && !wrapped) {
    key = await crypto.subtle.generateKey({ name: AES, length: 256 }, false, ["encrypt", "decrypt"]);
    await db.put("meta", key, "key");
  }
  return new Store(person, db, key ?? null, wrapped ?? null);
}

/** Remove everything that is kept of a person, the key first. */
export async function wipe(person, store = null) {
  if (store) {
    const run = store.db.transaction(["meta", "sealed", "files", "outbox"], "readwrite");
    for (const name of ["meta", "sealed", "files", "outbox"]) run.objectStore(name).clear();
    await run.done;
    store.db.close();
  }
  await deleteDB(nameOf(person));
  if (owner() === person) setOwner(null);
}

export class Store {
  constructor(person, db, key, wrapped) {
    Object.assign(this, { person, db, key, wrapped });
  }

  get locked() {
    return this.key === null;
  }

  get hasPin() {
    return this.wrapped !== null;
  }

  /** Open with the PIN; false if it is wrong. */
  async unlock(pin) {
    try {
      const raw = await unseal(await keyOfPin(pin, this.wrapped.salt), "key", this.wrapped);
      this.key = await usable(raw);
      return true;
    } catch {
      return false;
    }
  }

  /** Set a PIN (or take it away with ""): a fresh key, under which everything is sealed anew in one transaction. */
  async setPin(pin) {
    const raw = crypto.getRandomValues(new Uint8Array(32));
    const key = await usable(raw);
    const fresh = {};
    for (const name of ["sealed", "files", "outbox"]) {
      fresh[name] = [];
      for (const id of await this.db.getAllKeys(name)) {
        fresh[name].push([id, await seal(key, id, await unseal(this.key, id, await this.db.get(name, id)))]);
      }
    }
    let wrapped = null;
    if (pin) {
      const salt = crypto.getRandomValues(new Uint8Array(16));
      wrapped = { salt, ...(await seal(await keyOfPin(pin, salt), "key", raw)) };
    }
    raw.fill(0);
    const run = this.db.transaction(["meta", "sealed", "files", "outbox"], "readwrite", { durability: "strict" });
    for (const name of ["sealed", "files", "outbox"]) for (const [id, value] of fresh[name]) run.objectStore(name).put(value, id);
    if (wrapped) {
      run.objectStore("meta").put(wrapped, "wrapped");
      run.objectStore("meta").delete("key");
    } else {
      run.objectStore("meta").put(key, "key");
      run.objectStore("meta").delete("wrapped");
    }
    await run.done;
    Object.assign(this, { key, wrapped });
  }

  // --- what was fetched ---
  async get(name) {
    const found = await this.db.get("sealed", name);
    return found ? decode(await unseal(this.key, name, found)) : null;
  }

  async put(name, value) {
    await this.db.put("sealed", await seal(this.key, name, encode(value)), name);
  }

  async getBytes(name) {
    const found = await this.db.get("sealed", name);
    return found ? unseal(this.key, name, found) : null;
  }

  async putBytes(name, bytes) {
    await this.db.put("sealed", await seal(this.key, name, bytes), name);
  }

  names() {
    return this.db.getAllKeys("sealed");
  }

  remove(name) {
    return this.db.delete("sealed", name);
  }

  /** The mark by which the server knows whose telephone this is; and when it was last heard of. No personal data. */
  meta(name) {
    return this.db.get("meta", name);
  }

  setMeta(name, value) {
    return this.db.put("meta", value, name);
  }

  /** Forget what was fetched; what the person made and has not sent yet stays, sealed. */
  forgetFetched() {
    return this.db.clear("sealed");
  }

  // --- what is to be sent ---
  /** Keep an entry with its files: all of it, or nothing. Resolves when it is on disk. */
  async addEntry(entry, files) {
    const body = await seal(this.key, entry.id, encode(entry));
    const sealed = [];
    for (const [id, bytes] of files) sealed.push([id, await seal(this.key, id, bytes)]);
    const run = this.db.transaction(["outbox", "files"], "readwrite", { durability: "strict" });
    run.objectStore("outbox").put(body, entry.id);
    for (const [id, value] of sealed) run.objectStore("files").put(value, id);
    await run.done;
  }

  async saveEntry(entry) {
    const body = await seal(this.key, entry.id, encode(entry));
    // Never bring back what was removed in the meantime.
    const run = this.db.transaction("outbox", "readwrite", { durability: "strict" });
    if (await run.store.getKey(entry.id)) run.store.put(body, entry.id);
    await run.done;
  }

  async entries() {
    const found = [];
    for (const id of await this.db.getAllKeys("outbox")) {
      const sealed = await this.db.get("outbox", id);
      if (sealed) found.push(decode(await unseal(this.key, id, sealed)));
    }
    return found.sort((a, b) => a.seq - b.seq);
  }

  async removeEntry(entry) {
    const run = this.db.transaction(["outbox", "files"], "readwrite");
    run.objectStore("outbox").delete(entry.id);
    for (const file of entry.files) run.objectStore("files").delete(file.id);
    await run.done;
  }

  async fileBytes(id) {
    const found = await this.db.get("files", id);
    return found ? unseal(this.key, id, found) : null;
  }

  removeFile(id) {
    return this.db.delete("files", id);
  }
}
