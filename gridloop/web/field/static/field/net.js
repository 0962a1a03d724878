// Talking to the server: every way in which a link can fail is one of three errors.
import { say } from "../shell/say.js";

/** There was no answer of ours: no link, a cut, a captive portal's page, a server that is busy. Try again later. */
export class Offline extends Error {}
/** The session is over. */
export class Over extends Error {}
/** The server says no: {status, code, sentence}. */
export class No extends Error {
  constructor(status, body) {
    super(body.sentence ?? "");
    Object.assign(this, { status, code: body.code ?? "", sentence: body.sentence ?? say("服务器拒绝了。", "The server refused.") });
  }
}

let csrf = "";
export const setToken = (token) => (csrf = token);

export async function call(method, path, { json, bytes, seconds = 30, raw = false } = {}) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRFToken"] = csrf;
  if (json !== undefined) headers["Content-Type"] = "application/json";
  if (bytes !== undefined) headers["Content-Type"] = "application/octet-stream";
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), seconds * 1000);
  try {
    const response = await fetch(`/field/api/${path}`, {
      method, headers, credentials: "same-origin", redirect: "manual", cache: "no-store", signal: stop.signal,
      body: json !== undefined ? JSON.stringify(json) : bytes,
    });
    if (response.status === 401) throw new Over();
    if (response.status === 0 || response.status >= 500 || response.status === 429 || response.status === 408) throw new Offline();
    const ours = (response.headers.get("Content-Type") ?? "").includes("application/json");
    if (response.ok && raw) return { bytes: await response.arrayBuffer(), type: response.headers.get("Content-Type") };
    const body = ours ? await response.json() : null;
    if (response.ok && ours) return body;
    if (response.ok || response.status < 400) throw new Offline(); // somebody else's page in between
    throw new No(response.status, body ?? { code: response.status === 403 ? "csrf" : "" });
  } catch (error) {
    if (error instanceof Over || error instanceof No || error instanceof Offline) throw error;
    throw new Offline(String(error)); // fetch failed, was cut while it was read, or took too long
  } finally {
    clearTimeout(timer);
  }
}
