// Small words for making elements, and how moments, distances and sentences are shown.
import { language, say } from "../shell/say.js";

const SPRITE = new URL("../vendor/icons.svg", import.meta.url).href;

/** h("button", {class: "button", onclick: fn}, "text", child): one element. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && !["list", "form", "role", "style"].includes(name) && typeof value !== "string") element[name] = value;
    else element.setAttribute(name === "className" ? "class" : name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const NS = "http://www.w3.org/2000/svg";

/** The same for a drawing. */
export function s(tag, props = {}, ...children) {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(props)) if (value !== null && value !== undefined) element.setAttribute(name, value);
  element.append(...children.flat(Infinity));
  return element;
}

export const icon = (name) => s("svg", { class: "icon", "aria-hidden": "true" }, s("use", { href: `${SPRITE}#${name}` }));

/** A stored sentence {zh, en} in the language of the page. */
export const told = (sentence) => (sentence ? (typeof sentence === "string" ? sentence : sentence[language] || sentence.zh) : "");

/** Words that people wrote: shown as they are. */
export const data = (text, tag = "span", cls = "") => h(tag, { lang: "zh", class: `data ${cls}`.trim() }, text);

let zone = "Asia/Shanghai";
export function setZone(name) {
  zone = name || zone;
}

export const moment = (at) =>
  at
    ? new Intl.DateTimeFormat(language === "en" ? "en-GB" : "zh-CN", {
        timeZone: zone, month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hour12: false,
      }).format(new Date(at))
    : "—";

export function span(ms) {
  const minutes = Math.floor(Math.abs(ms) / 60000);
  const [days, hours, rest] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24, minutes % 60];
  if (days) return say("{d}天{h}小时", "{d} d {h} h", { d: days, h: hours });
  if (hours) return say("{h}小时{m}分", "{h} h {m} min", { h: hours, m: rest });
  return say("{m}分钟", "{m} min", { m: rest });
}

/** The clock of a task: colour, sign and words. */
export function due(task, now = Date.now()) {
  if (!task.due_at) return null;
  const left = new Date(task.due_at) - now;
  const [colour, sign, words] =
    left < 0
      ? ["red", "circle-alert", say("超时{t}", "{t} overdue", { t: span(left) })]
      : !task.warn_at || new Date(task.warn_at) <= now
        ? ["yellow", "alarm-clock", say("仅剩{t}", "only {t} left", { t: span(left) })]
        : ["green", "clock", say("剩{t}", "{t} left", { t: span(left) })];
  return h("span", { class: `clock-chip ${colour}` }, icon(sign), h("span", {}, words));
}

export const metres = (m) => (m < 995 ? say("{n}米", "{n} m", { n: Math.round(m / 10) * 10 }) : say("{n}公里", "{n} km", { n: (m / 1000).toFixed(1) }));

export const megabytes = (n) => (n < 1e6 ? `${Math.max(1, Math.round(n / 1e3))} KB` : `${(n / 1e6).toFixed(1)} MB`);

/** A message that goes away by itself; with `undo`, a button for as long. */
export function toast(text, kind = "", undo = null) {
  const element = h("div", { class: `toast ${kind}` }, h("span", {}, text));
  if (undo) {
    element.append(h("button", { type: "button", class: "button small", onclick: () => (element.remove(), undo()) }, say("撤销", "Undo")));
  }
  document.getElementById("toasts").append(element);
  setTimeout(() => element.remove(), undo ? 6000 : 4500);
}

/** A question with two answers; resolves to true or false. */
export function sure(question, yes, { danger = false, more = null } = {}) {
  return new Promise((resolve) => {
    const box = h(
      "dialog",
      { class: "field-dialog", "aria-label": question },
      h("h2", {}, question),
      more ? h("p", {}, more) : null,
      h(
        "div",
        { class: "stack tight" },
        h("button", { type: "button", class: `button big ${danger ? "danger" : "primary"}`, onclick: () => box.close("yes") }, yes),
        h("button", { type: "button", class: "button big", onclick: () => box.close("no") }, say("不，返回", "No, back")),
      ),
    );
    box.addEventListener("close", () => (box.remove(), resolve(box.returnValue === "yes")));
    document.body.append(box);
    box.showModal();
  });
}
