// What the person made: where each item is, why it was refused, and the choice where somebody was faster.
import { say } from "../shell/say.js";
import { h, icon, megabytes, moment, sure, toast, told } from "./dom.js";
import { Outbox, isOpen, stateWords } from "./outbox.js";

const SIGNS = { waiting: "hourglass", sending: "upload", later: "hourglass", done: "circle-check", refused: "circle-x", conflict: "split" };

export function outbox(app) {
  const entries = [...app.outbox.entries].reverse();
  const open = entries.filter(isOpen).length;
  return h(
    "div",
    { class: "stack" },
    h("div", { class: "page-head" }, h("h1", {}, say("发件箱", "Outbox")), h("span", { class: "muted number" }, say("{n}项待发", "{n} to send", { n: open }))),
    open ? h("button", { type: "button", class: "button big primary", onclick: () => app.refresh().then(() => app.outbox.send(true)) }, icon("send"), say("现在发送", "Send now")) : null,
    entries.length
      ? h("ul", { class: "task-list" }, entries.map((e) => h("li", {}, item(app, e))))
      : h("p", { class: "empty" }, icon("circle-check"), say("没有待发的。您做的每一步都会先存在这里，送达后打勾。", "Nothing to send. Every step is kept here first, and ticked off when it has arrived.")),
    entries.some((e) => e.state === "done") ? h("button", { type: "button", class: "button", onclick: async () => { for (const e of entries.filter((x) => x.state === "done")) await app.outbox.remove(e); app.render(); } }, say("清除已送达的", "Clear what has arrived")) : null,
  );
}

function item(app, e) {
  const size = e.files.reduce((sum, f) => sum + f.size, 0);
  return h(
    "article",
    { class: `card stack tight outbox-item ${e.state}`, "aria-label": told(e.title) },
    h("div", { class: "row tight apart" }, h("strong", {}, e.kind === "report" ? say("上报：", "Report: ") : "", told(e.title)), h("span", { class: "outbox-state" }, icon(SIGNS[e.state]), stateWords(e))),
    h("p", { class: "muted small number" }, e.body.case || e.number || "", e.body.case || e.number ? " · " : "", moment(e.made_at), e.files.length ? say(" · {n}个文件 {s}", " · {n} file(s), {s}", { n: e.files.length, s: megabytes(size) }) : ""),
    e.files.length && e.state === "sending" ? h("progress", { max: 100, value: Outbox.share(e), "aria-label": say("发送进度", "Progress") }) : null,
    e.why && e.state !== "done" ? h("p", { class: e.state === "later" ? "muted" : "error" }, told(e.why)) : null,
    e.mistakes ? h("ul", {}, e.mistakes.map(([place, what, instead]) => h("li", {}, `${place}：${told(what)} ${told(instead)}`))) : null,
    e.state === "conflict" ? choice(app, e) : null,
    e.state === "refused" ? h("div", { class: "row tight" }, h("button", { type: "button", class: "button", onclick: () => retry(app, e) }, icon("rotate-ccw"), say("再试一次", "Try again")), drop(app, e)) : null,
    ["waiting", "later"].includes(e.state) ? h("div", { class: "row tight" }, drop(app, e)) : null,
  );
}

const drop = (app, e) =>
  h("button", {
    type: "button", class: "button danger",
    onclick: async () => {
      const more = e.tries ? say("服务器可能已经收到过它：以任务里的状态为准。", "The server may have received it already: what the task says counts.") : null;
      if (await sure(say("不再发送这一项？", "Give this item up?"), say("放弃这一项", "Give it up"), { danger: true, more })) {
        await app.outbox.remove(e);
        app.render();
      }
    },
  }, icon("trash-2"), say("放弃", "Give up"));

async function retry(app, e) {
  const t = app.bundle?.tasks.find((x) => x.number === e.body.case);
  await app.outbox.again(e, t?.version ?? e.now?.version);
  app.render();
}

/** Two people, one case: what the person saw, how it is now, and a decision that nobody else can take. */
function choice(app, e) {
  const t = app.bundle?.tasks.find((x) => x.number === e.body.case);
  const possible = t?.can.some((c) => c.verb === e.body.verb && c.outcome === (e.body.outcome ?? ""));
  return h(
    "div",
    { class: "conflict stack tight", role: "group", "aria-label": say("有人先办了", "Somebody was faster") },
    h(
      "dl",
      { class: "facts" },
      h("dt", {}, say("您看到的", "You saw")), h("dd", {}, told(e.seen?.state_name), h("span", { class: "muted small" }, say(" 第{n}版", " version {n}", { n: e.seen?.version ?? "?" }))),
      h("dt", {}, say("您想做的", "You want")), h("dd", {}, told(e.title)),
      h("dt", {}, say("现在是", "It is now")), h("dd", {}, h("strong", {}, told(e.now?.state_name) || "—"), h("span", { class: "muted small" }, say(" 第{n}版", " version {n}", { n: e.now?.version ?? "?" }))),
    ),
    possible
      ? h("button", { type: "button", class: "button big primary", onclick: async () => { await app.outbox.again(e, t.version); toast(say("按现在的情况重新发送。", "Sent anew, on the case as it is now.")); app.render(); } }, icon("check"), say("仍然要做：{t}", "Do it still: {t}", { t: told(e.title) }))
      : h("p", { class: "muted" }, say("按现在的状态，这一步已不能做，或案件已不在您手中。", "As it is now this step is not possible, or the case is no longer yours.")),
    h("button", { type: "button", class: "button big", onclick: async () => { await app.outbox.remove(e); app.render(); } }, icon("undo-2"), say("放弃我的这一步", "Let mine go")),
  );
}
