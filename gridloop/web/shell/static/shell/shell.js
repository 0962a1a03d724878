// What every page has: htmx with strict settings, toasts, dialogs, keys and their list, a bar while something loads.
import { say } from "./say.js";
import "./font.js";

/** A short message that goes away by itself. `undo` adds a button. */
export function toast(text, kind = "", undo = null) {
  const box = document.getElementById("toasts");
  const element = document.createElement("div");
  element.className = `toast ${kind}`;
  element.append(text);
  if (undo) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = say("撤销", "Undo");
    button.addEventListener("click", () => {
      element.remove();
      undo();
    });
    element.append(button);
  }
  box.append(element);
  setTimeout(() => element.remove(), undo ? 10000 : 5000);
  return element;
}

// --- keys ---
const known = new Map();
const typing = (event) =>
  event.target instanceof Element &&
  event.target.closest("input:not([type=checkbox],[type=radio]), textarea, select, [contenteditable]");

/** keys({"j": [fn, "下一行", "next row"]}): a single key outside of text fields, listed under "?". */
export function keys(table) {
  for (const [key, entry] of Object.entries(table)) known.set(key, entry);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || typing(event)) return;
  if (document.querySelector("dialog[open]") && event.key !== "Escape") return;
  const entry = known.get(event.key);
  if (!entry) return;
  event.preventDefault();
  entry[0](event);
});

/** A dialog with a heading and any content; resolves when it closes. */
export function dialog(heading, content) {
  const element = document.createElement("dialog");
  element.setAttribute("aria-label", heading);
  const head = document.createElement("div");
  head.className = "dialog-head";
  const title = document.createElement("h2");
  title.textContent = heading;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "button quiet";
  close.textContent = say("关闭", "Close");
  close.addEventListener("click", () => element.close());
  head.append(title, close);
  const body = document.createElement("div");
  body.className = "dialog-body";
  body.append(content);
  element.append(head, body);
  element.addEventListener("close", () => element.remove());
  document.body.append(element);
  element.showModal();
  return element;
}

function help() {
  const list = document.createElement("dl");
  list.className = "facts";
  for (const [key, [, zh, en]] of known) {
    const term = document.createElement("dt");
    const cap = document.createElement("kbd");
    cap.textContent = key;
    term.append(cap);
    const text = document.createElement("dd");
    text.textContent = say(zh, en);
    list.append(term, text);
  }
  dialog(say("键盘", "Keyboard"), list);
}
keys({ "?": [help, "显示这些按键", "show these keys"] });

// Dialogs that stand in the page: <button data-opens="id">, <button data-closes>.
document.addEventListener("click", (event) => {
  const opener = event.target.closest?.("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens)?.showModal();
  const closer = event.target.closest?.("[data-closes]");
  if (closer) closer.closest("dialog")?.close();
  // An open menu closes when one clicks elsewhere.
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
});
document.addEventListener("change", (event) => {
  if (event.target.matches?.("[data-submits]")) event.target.form.requestSubmit();
});

// --- htmx ---
const bar = document.createElement("div");
bar.className = "loading-bar";
document.body.append(bar);
let running = 0;
document.body.addEventListener("htmx:beforeRequest", () => {
  running += 1;
  bar.classList.add("on");
});
document.body.addEventListener("htmx:afterRequest", () => {
  running = Math.max(0, running - 1);
  if (!running) bar.classList.remove("on");
});
// What is refused comes with its own fragment; it is shown, not swallowed.
document.body.addEventListener("htmx:beforeSwap", (event) => {
  const { status } = event.detail.xhr;
  if (status >= 400 && status < 600 && event.detail.xhr.getResponseHeader("HX-Retarget")) {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  }
});
document.body.addEventListener("htmx:responseError", (event) => {
  toast(say("服务器暂时无法处理（{n}）。", "The server cannot do this now ({n}).", { n: event.detail.xhr.status }), "bad");
});
document.body.addEventListener("htmx:sendError", () => {
  toast(say("网络不通，请稍后再试。", "There is no connection. Try again in a moment."), "bad");
});
document.body.addEventListener("toast", (event) => toast(event.detail.value ?? event.detail));
