// What is off, and stays off; the lock; the language; leaving.
import { language, say } from "../shell/say.js";
import { h, icon, megabytes, moment, told, toast } from "./dom.js";
import { GUIDES, guide, setGuide } from "./route.js";

const OFF = [
  ["map-pin", () => say("轨迹记录", "Recording of tracks"), () => say("不存在。位置只在您点按时取一次，用于排序和上报，不保存、不上传行踪。", "Does not exist. Your position is read when you tap, to sort and to report; no movements are kept or sent.")],
  ["badge-check", () => say("打卡签到", "Check-in"), () => say("不存在。到达、离开都不记录。", "Does not exist. Neither arriving nor leaving is recorded.")],
  ["star", () => say("积分排名", "Points and ranking"), () => say("不存在。只评价单位的办理结果，不给个人打分。", "Does not exist. Units are judged by results; persons are not scored.")],
  ["clock", () => say("统计在线时长", "Counting time online"), () => say("不存在。", "Does not exist.")],
  ["camera", () => say("强制上传工作照片", "Compulsory photographs of work"), () => say("只在场景包规定的案件类型要照片，其他情况可不拍。", "Photographs are asked only where the scenario pack says so for a kind of case; elsewhere they are optional.")],
];

async function prefer(app, name, value) {
  const body = new URLSearchParams({ [name]: value, next: "/field/", csrfmiddlewaretoken: app.csrf ?? "" });
  try {
    await fetch("/prefer", { method: "POST", body, credentials: "same-origin", redirect: "manual" });
  } catch {
    return toast(say("需要联网才能更改。", "This needs a link."), "bad");
  }
  const worker = navigator.serviceWorker?.controller;
  if (!worker) return location.reload();
  navigator.serviceWorker.addEventListener("message", () => location.reload(), { once: true });
  worker.postMessage("page");
}

export function settings(app) {
  const size = h("dd", {}, "…");
  navigator.storage?.estimate?.().then(({ usage }) => (size.textContent = megabytes(usage ?? 0)));
  const choice = (name, value, words, chosen) => h("button", { type: "button", class: "chip", "aria-pressed": String(chosen), onclick: () => prefer(app, name, value) }, words);
  const pick = h("select", { id: "guide", onchange: (event) => setGuide(event.target.value) }, Object.entries(GUIDES).map(([key, [name]]) => h("option", { value: key, selected: key === guide() }, name())));
  return h(
    "div",
    { class: "stack" },
    h("h1", {}, say("设置", "Settings")),
    h("p", {}, data(app.me.name), app.me.posts.length ? ` · ${app.me.posts.map(told).join(say("、", ", "))}` : ""),
    h(
      "section",
      { class: "card stack tight", "aria-labelledby": "off" },
      h("h2", { id: "off" }, icon("shield-check"), " ", say("本应用没有这些", "What this application does not have")),
      h("ul", { class: "switches" }, OFF.map(([sign, name, words]) => h("li", {}, h("span", { class: "switch-off" }, icon(sign), h("strong", {}, name()), h("span", { class: "pill" }, icon("ban"), say("关闭", "off"))), h("span", { class: "small muted" }, words())))),
      h("p", { class: "small muted" }, say("依据：国办函〔2026〕12号《政务移动互联网应用程序规范化管理办法》（2026年1月25日）。据新闻转述，未核对原文。", "After State Council General Office letter (2026) No. 12 on government mobile applications (25 January 2026); quoted from the press, the original was not read.")),
    ),
    h(
      "section",
      { class: "card stack tight", "aria-labelledby": "lock" },
      h("h2", { id: "lock" }, icon("lock"), " ", say("本机数据", "On this telephone")),
      h("p", { class: "small" }, say("任务、照片和待发内容用AES-256加密保存，最多72小时；退出时清除。不设密码时，能解锁手机的人也能打开本应用；设了密码，关掉应用后没有密码读不出任何内容。", "Tasks, pictures and what is not sent are kept encrypted (AES-256), for 72 hours at most, and wiped when you log out. Without a PIN, whoever can unlock the telephone can open this application; with one, nothing can be read after it is closed.")),
      h("dl", { class: "facts" }, h("dt", {}, say("占用", "Space")), size, h("dt", {}, say("上次联网", "Last contact")), h("dd", { class: "number" }, moment(app.heard || null))),
      pin(app),
    ),
    h(
      "section",
      { class: "card stack tight", "aria-label": say("显示", "Display") },
      h("h2", {}, icon("sun"), " ", say("显示", "Display")),
      h("div", { class: "row tight" }, choice("language", "zh-hans", h("span", { lang: "zh" }, say("中文", "中文")), language === "zh"), choice("language", "en", "English", language === "en")),
      h("div", { class: "row tight" }, choice("size", "normal", say("普通字", "Normal letters"), document.documentElement.dataset.size !== "large"), choice("size", "large", say("大字", "Large letters"), document.documentElement.dataset.size === "large")),
      h("div", { class: "row tight" }, choice("theme", "light", say("浅色", "Light"), false), choice("theme", "dark", say("深色", "Dark"), false), choice("theme", "contrast", say("强光", "Bright sun"), false)),
      h("div", { class: "field" }, h("label", { for: "guide" }, say("导航应用", "Application that leads the way")), pick),
    ),
    h("a", { class: "button big", href: "/console/" }, icon("layout-dashboard"), say("打开工作台", "Open the console")),
    h("button", { type: "button", class: "button big danger", onclick: () => app.leave() }, icon("log-out"), say("退出登录并清除本机数据", "Log out and wipe this telephone")),
  );
}

const data = (text) => h("span", { lang: "zh", class: "data" }, text);

function pin(app) {
  const input = h("input", { type: "password", inputmode: "numeric", id: "new-pin", autocomplete: "new-password", minlength: "6" });
  const set = async (event) => {
    event.preventDefault();
    if (input.value.length < 6) return toast(say("至少6位。", "At least 6 digits."), "bad");
    await app.store.setPin(input.value);
    toast(say("密码已设好。", "The PIN is set."), "good");
    app.render();
  };
  if (app.store.hasPin) {
    return h("button", { type: "button", class: "button big", onclick: async () => { await app.store.setPin(""); toast(say("密码已取消。", "The PIN is removed.")); app.render(); } }, icon("lock"), say("取消本机密码", "Remove the PIN"));
  }
  return h("form", { class: "stack tight", onsubmit: set }, h("div", { class: "field" }, h("label", { for: "new-pin" }, say("设本机密码（至少6位，忘记无法找回，须重新登录并丢弃未发内容）", "Set a PIN (at least 6 digits; if forgotten, what is not sent is lost)")), input), h("button", { class: "button big" }, say("设密码", "Set the PIN")));
}
