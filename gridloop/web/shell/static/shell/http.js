// Our own addresses, asked for JSON. What is refused is thrown as {status, sentence, mistakes}.
import { say } from "./say.js";

const token = () => document.querySelector("meta[name=csrf]")?.content ?? "";

export class RefusedError extends Error {
  constructor(status, { sentence, mistakes = [], code = "" }) {
    super(sentence);
    Object.assign(this, { status, sentence, mistakes, code });
  }
}

async function ask(url, options) {
  let response;
  try {
    response = await fetch(url, { credentials: "same-origin", ...options });
  } catch {
    throw new RefusedError(0, { sentence: say("网络不通，请稍后再试。", "There is no connection. Try again in a moment.") });
  }
  if (response.status === 401) {
    const here = location.pathname + location.search;
    location.assign(`${response.headers.get("Location") ?? "/login"}?next=${encodeURIComponent(here)}`);
  }
  const body = response.headers.get("Content-Type")?.includes("json") ? await response.json() : {};
  if (!response.ok) {
    const sentence = body.sentence ?? say("服务器暂时无法处理（{n}）。", "The server cannot do this now ({n}).", { n: response.status });
    throw new RefusedError(response.status, { ...body, sentence });
  }
  return body;
}

export const getJSON = (url, options = {}) => ask(url, { headers: { Accept: "application/json" }, ...options });

export const postJSON = (url, body, options = {}) =>
  ask(url, {
    method: "POST",
    headers: { Accept: "application/json", "Content-Type": "application/json", "X-CSRFToken": token() },
    body: JSON.stringify(body),
    ...options,
  });

export const csrf = token;
