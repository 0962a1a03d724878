// The application on the telephone: who is here, what is kept, what is shown. Works the same with and without a link.
import { say } from "../shell/say.js";
import "../shell/font.js";
import { h, icon, setZone, span, sure } from "./dom.js";
import { No, Offline, Over, call, setToken } from "./net.js";
import { Outbox, isOpen } from "./outbox.js";
import { map } from "./page-map.js";
import { outbox } from "./page-outbox.js";
import { report } from "./page-report.js";
import { settings } from "./page-settings.js";
import { act, task, tasks } from "./page-tasks.js";
import { KEEP_HOURS, openStore, owner, setOwner, wipe } from "./store.js";

const EVERY = 60000;
const PICTURES = 150;
const SUN = "gridloop.field.sun";

/** Everything that is shown comes from here. */
export const app = {
  store: null, outbox: null, me: null, bundle: null, standard: null, ground: null,
  /** Where the person was when last asked: memory only. */
  here: null,
  online: navigator.onLine, over: false, busy: false, heard: 0,
  pages: { tasks, task, act, report, map, outbox, settings },
  refresh, render, go, leave, picture, sun, again: null,
};

const main = document.getElementById("main");
const nav = document.getElementById("nav");
const bar = document.getElementById("top");

export function go(where) {
  if (location.hash === `#${where}`) render();
  else location.hash = where;
}

// --- frame ---
const TABS = [
  ["/tasks", "list-checks", () => say("任务", "Tasks")],
  ["/map", "map", () => say("地图", "Map")],
  ["/report", "camera", () => say("上报", "Report")],
  ["/outbox", "send", () => say("发件箱", "Outbox")],
  ["/settings", "settings", () => say("设置", "Settings")],
];

function frame() {
  const place = location.hash.slice(1) || "/tasks";
  const waiting = app.outbox?.entries.filter((e) => e.state !== "done").length ?? 0;
  nav.hidden = !app.store || app.store.locked || app.over;
  nav.replaceChildren(
    ...TABS.map(([where, name, words]) =>
      h(
        "a",
        { href: `#${where}`, class: where === "/report" ? "tab main-tab" : "tab", "aria-current": place.startsWith(where) || (where === "/tasks" && place.startsWith("/task/")) ? "page" : null },
        h("span", { class: "tab-icon" }, icon(name), where === "/outbox" && waiting ? h("span", { class: "badge" }, String(waiting)) : null),
        h("span", {}, words()),
      ),
    ),
  );
  const age = app.heard ? Date.now() - app.heard : 0;
  bar.replaceChildren(
    h("a", { href: "#/tasks", class: "brand" }, h("img", { src: new URL("../shell/mark.svg", import.meta.url).href, alt: "", width: 24, height: 24 }), say("网格现场", "Gridloop Field")),
    h(
      "span",
      { class: `link-state ${app.online ? "on" : "off"}`, role: "status" },
      icon(app.online ? "wifi" : "wifi-off"),
      app.online ? (app.busy ? say("更新中", "updating") : say("在线", "online")) : say("离线 · 数据为{t}前", "offline · data {t} old", { t: span(age) }),
    ),
    h("button", { type: "button", class: "button quiet icon-only", "aria-label": say("强光下的显示", "Show for bright sun"), "aria-pressed": String(document.documentElement.dataset.theme === "contrast"), onclick: sun }, icon("sun")),
  );
}

export function sun() {
  const on = localStorage.getItem(SUN) !== "on";
  localStorage.setItem(SUN, on ? "on" : "off");
  applySun();
  frame();
}

let plain = null;
function applySun() {
  const root = document.documentElement;
  plain ??= root.dataset.theme;
  root.dataset.theme = localStorage.getItem(SUN) === "on" ? "contrast" : plain;
}

let shown = "";
/** Show what the address names. `quiet`: something changed by itself; do not disturb what a person is writing. */
export function render(quiet = false) {
  frame();
  const [path, query = ""] = (location.hash.slice(1) || "/tasks").split("?");
  const [, page = "tasks", ...rest] = path.split("/");
  if (quiet && ["report", "act"].includes(page)) return;
  let content;
  if (!app.store || !app.me) content = welcome();
  else if (app.store.locked) content = unlock();
  else if (app.over) content = loginAgain();
  else content = (app.pages[page] ?? tasks)(app, rest.map(decodeURIComponent), new URLSearchParams(query));
  if (content === null) return; // the page changes itself
  const keep = quiet ? window.scrollY : 0;
  main.replaceChildren(content);
  if (shown !== path || !quiet) {
    if (shown && shown !== path) main.focus({ preventScroll: true });
    window.scrollTo(0, keep);
  }
  shown = path;
  document.title = `${main.querySelector("h1")?.textContent ?? say("现场", "Field")} · ${say("格环", "Gridloop")}`;
}

const loginLink = () =>
  h("a", { class: "button big primary", href: "/login?next=/field/" }, icon("log-in"), say("登录", "Log in"));

function welcome() {
  return h(
    "div",
    { class: "stack welcome" },
    h("h1", {}, say("网格现场", "Gridloop Field")),
    h("p", {}, say("核实、处置、核查和上报，没有信号也能做：先存在手机里，有网时自动发出，一件不丢、一件不重。", "Verify, handle, check and report, also without a link: it is kept on the telephone and sent by itself; nothing is lost and nothing is done twice.")),
    crypto.subtle ? null : h("p", { class: "notice bad" }, say("请用 https 地址打开，否则手机上的数据无法加密。", "Open it by its https address: otherwise nothing on the telephone can be encrypted.")),
    app.online ? loginLink() : h("p", { class: "notice warn" }, say("第一次使用请先联网登录。", "The first time, log in with a link.")),
    app.again,
  );
}

function loginAgain() {
  const waiting = app.outbox?.entries.filter((e) => e.state !== "done").length ?? 0;
  return h(
    "div",
    { class: "stack welcome" },
    h("h1", {}, say("请重新登录", "Log in again")),
    h("p", {}, say("登录已到期。未发送的{n}项加密保存在本机，登录后自动发出。", "Your session has ended. {n} items that are not sent yet stay here, encrypted, and are sent when you are back.", { n: waiting })),
    loginLink(),
  );
}

function unlock() {
  const input = h("input", { type: "password", inputmode: "numeric", autocomplete: "off", id: "pin" });
  const error = h("p", { class: "error", role: "alert" });
  let wait = 0;
  const open = async (event) => {
    event.preventDefault();
    if (Date.now() < wait) return;
    if (await app.store.unlock(input.value)) return begin();
    const tries = Number((await app.store.meta("tries")) ?? 0) + 1;
    await app.store.setMeta("tries", tries);
    const seconds = tries < 4 ? 0 : Math.min(300, 2 ** (tries - 2));
    wait = Date.now() + seconds * 1000;
    error.textContent = seconds ? say("密码不对，请{n}秒后再试。", "Wrong. Try again in {n} seconds.", { n: seconds }) : say("密码不对。", "Wrong.");
    input.value = "";
  };
  return h(
    "form",
    { class: "stack welcome", onsubmit: open },
    h("h1", {}, say("解锁", "Unlock")),
    h("div", { class: "field" }, h("label", { for: "pin" }, say("本机密码", "PIN of this telephone")), input, error),
    h("button", { class: "button big primary" }, icon("lock"), say("打开", "Open")),
  );
}

// --- what is kept ---
async function begin() {
  await app.store.setMeta("tries", 0);
  app.heard = (await app.store.meta("heard")) ?? 0;
  if (Date.now() - app.heard > KEEP_HOURS * 3600000) await app.store.forgetFetched();
  app.me = (await app.store.get("me")) ?? { id: app.store.person, name: "", posts: [], may: [] };
  setZone(app.me.zone);
  [app.bundle, app.standard, app.ground] = await Promise.all(["tasks", "standard", "map"].map((name) => app.store.get(name)));
  app.outbox = new Outbox(app.store, { changed, over: () => refresh(), clock });
  await app.outbox.load();
  render();
}

/** The server's time as far as we know it: a telephone's clock may be wrong by years. */
let skew = 0;
export const clock = () => Date.now() + skew;
app.clock = clock;

let before = new Set();
function changed(entries) {
  const open = new Set(entries.filter(isOpen).map((e) => e.id));
  const gone = [...before].some((id) => !open.has(id));
  before = open;
  frame();
  if ((location.hash.slice(1) || "/tasks").startsWith("/outbox")) render(true);
  if (gone) {
    clearTimeout(changed.timer);
    changed.timer = setTimeout(() => refresh(), 300); // what was done changes the tasks
  }
}

let running = null;
/** Ask the server for everything anew and send what waits. Several calls at once are one. */
export function refresh() {
  running ??= _refresh().finally(() => (running = null));
  return running;
}

async function _refresh() {
  app.busy = true;
  frame();
  try {
    const sent = Date.now();
    const me = await call("GET", "me");
    if (me.id === null) throw new Over(me.go);
    skew = new Date(me.at) - (sent + Date.now()) / 2;
    setToken(me.csrf);
    app.csrf = me.csrf;
    app.online = true;
    app.over = false;
    await takeOver(me);
    if (app.store.locked) return;
    app.me = me;
    setZone(me.zone);
    const works = ["report", "verify", "start", "hand_back", "check", "self_handle"];
    if (!works.some((word) => me.may.includes(word))) throw new No(403, { sentence: say("您的岗位没有现场工作。", "Your post has no work in the street.") });
    const [bundle, standard, ground] = await Promise.all([call("GET", "tasks"), call("GET", "standard"), call("GET", "map")]);
    Object.assign(app, { bundle, standard, ground, heard: Date.now() });
    await Promise.all([app.store.put("me", me), app.store.put("tasks", bundle), app.store.put("standard", standard), app.store.put("map", ground)]);
    await app.store.setMeta("heard", app.heard);
    await app.store.setMeta("lease", me.lease);
    render(true);
    app.outbox.send();
    pictures(bundle);
  } catch (error) {
    if (error instanceof Over) await sessionOver();
    else if (error instanceof Offline) app.online = false;
    else if (error instanceof No) {
      app.again = h("p", { class: "notice bad" }, error.sentence);
      app.me = null;
      render(true);
    } else throw error;
  } finally {
    app.busy = false;
    frame();
  }
}

/** The person who is logged in now gets a store of their own; what another one fetched here is forgotten. */
async function takeOver(me) {
  if (app.store && app.store.person === me.id) {
    if (!app.outbox && !app.store.locked) await begin();
    return;
  }
  if (app.store) {
    await app.store.forgetFetched();
    app.store.db.close();
    app.outbox = null;
  }
  setOwner(me.id);
  app.store = await openStore(me.id);
  app.me = me;
  if (app.store.locked) render();
  else await begin();
}

/** The session has ended: the server says whether to wait for the person or to forget everything. */
async function sessionOver() {
  app.online = true;
  if (!app.store) return render();
  let order = "login";
  try {
    const lease = (await app.store.meta("lease")) ?? "";
    const response = await fetch("/field/api/lease", { method: "POST", body: lease, credentials: "omit" });
    if (response.ok) order = (await response.json()).order;
  } catch {
    return;
  }
  if (order === "wipe") {
    await wipe(app.store.person, app.store);
    Object.assign(app, { store: null, outbox: null, me: null, bundle: null });
    app.again = h("p", { class: "notice warn" }, say("账号已停用或已在别处结束全部登录，本机数据已清除。", "Your access was ended; what this telephone kept has been wiped."));
  } else {
    app.over = true;
    await app.store.forgetFetched();
    app.bundle = null;
  }
  render();
}

/** Leave: send nothing, keep nothing. Refuses while something is not sent yet, unless the person insists. */
export async function leave() {
  const waiting = app.outbox.entries.filter((e) => e.state !== "done").length;
  const more = waiting
    ? say("还有{n}项没有送达，退出会把它们从本机清除，无法找回。", "{n} items have not arrived yet. Leaving removes them from this telephone for good.", { n: waiting })
    : say("本机保存的任务、照片和地图都会清除。", "The tasks, pictures and map on this telephone are removed.");
  if (!(await sure(say("退出登录？", "Log out?"), say("退出并清除", "Log out and wipe"), { danger: true, more }))) return;
  const person = app.store.person;
  await wipe(person, app.store);
  Object.assign(app, { store: null, outbox: null, me: null, bundle: null, standard: null, ground: null, here: null });
  const form = h("form", { method: "post", action: "/logout", hidden: true }, h("input", { type: "hidden", name: "csrfmiddlewaretoken", value: app.csrf }), h("input", { type: "hidden", name: "next", value: "/field/" }));
  document.body.append(form);
  form.submit();
}

// --- pictures ---
const BEFORE = new Set(["report", "verify", "before"]);

/** The picture of a task that is laid over the camera. */
export const ghostOf = (task) => task.pictures.find((p) => BEFORE.has(p.stage)) ?? null;

/** Fetch the pictures of the tasks one after the other, small, and large only what is laid over the camera. */
async function pictures(bundle) {
  const wanted = new Set();
  for (const t of bundle.tasks) {
    for (const p of t.pictures) if (p.stage !== "note") wanted.add(`small:${p.id}`);
    const ghost = ghostOf(t);
    if (ghost) wanted.add(`large:${ghost.id}`);
    if (wanted.size > PICTURES) break;
  }
  const kept = new Set(await app.store.names());
  for (const name of kept) if (/^(small|large):/.test(name) && !wanted.has(name)) await app.store.remove(name);
  let failed = 0; // one that is not ready yet must not hold up the others; several in a row are a link that is gone
  for (const name of wanted) {
    if (kept.has(name) || !app.store || app.store.locked) continue;
    try {
      await fetchPicture(name);
      failed = 0;
    } catch (error) {
      if (!(error instanceof No) && ++failed > 2) return;
    }
  }
}

async function fetchPicture(name) {
  const [size, id] = name.split(":");
  const { bytes } = await call("GET", `pictures/${id}${size === "small" ? "?small" : ""}`, { raw: true });
  await app.store?.putBytes(name, bytes);
  return bytes;
}

/** A picture as a Blob, large if that is kept, or from the server; null where there is none without a link. */
export async function picture(id, { large = false } = {}) {
  for (const size of large ? ["large", "small"] : ["small", "large"]) {
    const kept = await app.store.getBytes(`${size}:${id}`);
    if (kept) return new Blob([kept]);
  }
  try {
    return new Blob([await fetchPicture(`${large ? "large" : "small"}:${id}`)]);
  } catch {
    return null;
  }
}

// --- start ---
applySun();
if ("serviceWorker" in navigator) navigator.serviceWorker.register("/field/worker.js", { scope: "/field/" }).catch(() => {});
navigator.storage?.persist?.();
addEventListener("hashchange", () => render());
document.fonts?.addEventListener?.("loadingdone", () => frame(), { once: true });
addEventListener("online", () => {
  app.online = true;
  refresh().then(() => app.outbox?.send(true));
});
addEventListener("offline", () => {
  app.online = false;
  frame();
});
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && refresh());
setInterval(() => document.visibilityState === "visible" && refresh(), EVERY);

const deep = location.pathname.match(/^\/field\/c\/([\w-]{1,24})$/);
if (deep) history.replaceState(null, "", `/field/#/report?code=${deep[1]}`);
const known = owner();
if (known && crypto.subtle) {
  app.store = await openStore(known);
  app.me = { id: known, name: "", posts: [], may: [] };
  if (!app.store.locked) await begin();
}
render();
if (crypto.subtle) await refresh();
