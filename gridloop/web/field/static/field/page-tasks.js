// My tasks, one task, and doing something with it.
import { say } from "../shell/say.js";
import { photograph } from "./camera.js";
import { data, due, h, icon, metres, moment, toast, told } from "./dom.js";
import { form as filled } from "./forms.js";
import { Map as Ground } from "./map.js";
import { isOpen, stateWords } from "./outbox.js";
import { distance, guideLink, length, order, whereAmI } from "./route.js";
import { recorder } from "./voice.js";

let sorted = "due";

/** What the person has decided about a case and the server has not confirmed. */
const pending = (app, number) => app.outbox.entries.filter((e) => e.kind === "move" && e.body.case === number && e.state !== "done");
const find = (app, number) => app.bundle?.tasks.find((t) => t.number === number) ?? null;
const typeOf = (app, t) => app.bundle.types[t.type];
const far = (app, t) => (app.here && t.lon !== null ? distance(app.here, [t.lon, t.lat]) : null);

export function tasks(app) {
  const head = h("div", { class: "page-head" }, h("h1", {}, say("我的任务", "My tasks")), h("span", { class: "muted number" }, app.bundle ? say("{n}件", "{n}", { n: app.bundle.tasks.length }) : ""));
  if (!app.bundle) {
    return h("div", {}, head, h("p", { class: "empty" }, icon("wifi-off"), app.online ? say("正在取任务……", "Fetching your tasks …") : say("本机没有任务：超过72小时没有联网，已按规定清除。请联网更新。", "No tasks on this telephone: after 72 hours without a link they are removed. Connect to fetch them.")));
  }
  const list = [...app.bundle.tasks];
  let numbers = null;
  let walk = 0;
  if (sorted === "far" && app.here) list.sort((a, b) => (far(app, a) ?? Infinity) - (far(app, b) ?? Infinity));
  if (sorted === "route") {
    const placed = list.filter((t) => t.lon !== null);
    const places = placed.map((t) => [t.lon, t.lat]);
    const way = placed.length ? order(app.here, places) : [];
    walk = length(app.here, places, way);
    numbers = new globalThis.Map(way.map((n, at) => [placed[n].number, at + 1]));
    list.sort((a, b) => (numbers.get(a.number) ?? Infinity) - (numbers.get(b.number) ?? Infinity));
  }
  const choose = (name, words, sign) =>
    h("button", {
      type: "button", class: "chip", "aria-pressed": String(sorted === name),
      onclick: async () => {
        if (name !== "due") {
          try {
            app.here = await whereAmI();
          } catch (error) {
            if (name === "far") return toast(error.message, "bad");
          }
        }
        sorted = name;
        app.render();
      },
    }, icon(sign), words);
  return h(
    "div",
    {},
    head,
    h("div", { class: "row tight sorts", role: "group", "aria-label": say("排序", "Order") }, choose("due", say("按时限", "By deadline"), "clock"), choose("far", say("按远近", "Nearest"), "navigation"), choose("route", say("排路线", "Route"), "route")),
    numbers ? h("p", { class: "muted small" }, say("按直线约{d}，按顺序走完。位置只在本机使用。", "About {d} as the crow flies. Your position stays on this telephone.", { d: metres(walk) })) : null,
    list.length
      ? h("ul", { class: "task-list" }, list.map((t) => card(app, t, numbers?.get(t.number))))
      : h("p", { class: "empty" }, icon("circle-check"), say("现在没有等您办的事。", "Nothing waits for you now.")),
    app.bundle.more ? h("p", { class: "notice info" }, say("还有{n}件没有带到手机上：先办最急的。", "{n} more are not on this telephone: the most pressing come first.", { n: app.bundle.more })) : null,
  );
}

function card(app, t, number) {
  const mine = pending(app, t.number);
  const way = far(app, t);
  return h(
    "li",
    {},
    h(
      "a",
      { class: `task-card ${t.urgent ? "urgent" : ""}`, href: `#/task/${t.number}` },
      h("span", { class: "row tight apart" }, h("strong", { class: "task-type" }, number ? h("span", { class: "stop" }, String(number)) : null, told(typeOf(app, t).name)), due(t, app.clock())),
      h("span", { class: "task-place" }, icon("map-pin"), data(t.address || t.region_name || say("地点见地图", "see the map"))),
      h(
        "span",
        { class: "row tight" },
        h("span", { class: "pill" }, told(t.state_name)),
        t.urgent ? h("span", { class: "pill halt" }, icon("flame"), say("紧急", "urgent")) : null,
        t.supervised ? h("span", { class: "pill halt" }, icon("eye"), say("督办", "supervised")) : null,
        t.reworks ? h("span", { class: "pill halt" }, icon("rotate-ccw"), say("返工", "again")) : null,
        way === null ? null : h("span", { class: "muted small number" }, metres(way)),
        ...mine.map((e) => h("span", { class: `pill ${e.state === "conflict" || e.state === "refused" ? "halt" : "work"}` }, icon("send"), `${told(e.title)} · ${stateWords(e)}`)),
      ),
    ),
  );
}

// --- one task ---
export function task(app, [number]) {
  const t = find(app, number);
  if (!t) return gone(number);
  const type = typeOf(app, t);
  const mine = pending(app, t.number);
  const busy = mine.some((e) => isOpen(e) && !["start"].includes(e.body.verb));
  const can = t.can.filter((c) => !mine.some((e) => e.body.verb === c.verb && isOpen(e)));
  const place = t.lon === null ? null : [t.lon, t.lat];
  return h(
    "article",
    { class: "stack task" },
    h("a", { class: "button quiet back", href: "#/tasks" }, icon("arrow-left"), say("任务", "Tasks")),
    h("header", { class: "stack tight" }, h("h1", {}, told(type.name)), h("div", { class: "row tight" }, h("span", { class: "pill" }, told(t.state_name)), due(t, app.clock()), t.urgent ? h("span", { class: "pill halt" }, icon("flame"), say("紧急", "urgent")) : null), h("p", { class: "muted small number" }, t.number, " · ", told(type.major))),
    mine.map((e) =>
      h("p", { class: `notice ${e.state === "conflict" || e.state === "refused" ? "bad" : "info"}` }, icon("send"), h("span", {}, `${told(e.title)}：${stateWords(e)} `, h("a", { href: "#/outbox" }, say("看发件箱", "see the outbox")))),
    ),
    data(t.text, "p", "pre task-text"),
    h(
      "section",
      { class: "card stack tight", "aria-label": say("地点", "Place") },
      h("p", {}, icon("map-pin"), " ", data(t.address || "—"), t.region_name ? [" · ", data(t.region_name)] : null, far(app, t) === null ? null : ` · ${metres(far(app, t))}`),
      place && app.ground ? small(app, t) : null,
      place ? h("a", { class: "button big", href: guideLink(place) }, icon("navigation"), say("导航去那里", "Lead me there")) : null,
    ),
    h(
      "dl",
      { class: "facts card" },
      h("dt", {}, say("时限", "Deadline")), h("dd", { class: "number" }, moment(t.due_at)),
      h("dt", {}, say("上报", "Reported")), h("dd", { class: "number" }, moment(t.reported_at), t.callers > 1 ? say("，{n}人反映", ", {n} callers", { n: t.callers }) : ""),
      type.closes_when[t.condition] ? [h("dt", {}, say("办结标准", "Done when")), h("dd", {}, told(type.closes_when[t.condition]))] : null,
      t.why ? [h("dt", {}, say("为什么派到这里", "Why it is here")), h("dd", {}, told(t.why))] : null,
      t.part ? [h("dt", {}, say("协办任务", "Your part")), h("dd", {}, data(t.part.task || "—"))] : null,
      h("dt", {}, say("要求照片", "Photographs asked")), h("dd", {}, say("前{a}张（已有{b}），后{c}张（已有{d}）", "before {a} (there are {b}), after {c} (there are {d})", { a: type.evidence[0], b: t.photographs[0], c: type.evidence[1], d: t.photographs[1] })),
    ),
    t.pictures.length ? h("div", { class: "pictures" }, t.pictures.map((p) => shot(app, p))) : null,
    h(
      "div",
      { class: "actions stack tight" },
      can.length && !busy
        ? can.map((c) => h("a", { class: `button big ${c.verb === "return_back" || c.outcome === "failed" || c.outcome === "false" ? "" : "primary"}`, href: `#/act/${t.number}/${c.verb}/${c.outcome}` }, icon(SIGN[c.verb] ?? "check"), told(c.name)))
        : h("p", { class: "muted" }, busy ? say("您的这一步正在等待送达。", "Your step is on its way.") : say("这件事现在没有您要办的一步。", "There is nothing for you to do with it now.")),
    ),
  );
}

const SIGN = { start: "play", hand_back: "check-check", verify: "eye", check: "badge-check", self_handle: "wrench", return_back: "undo-2", co_hand_back: "hand" };

const gone = (number) =>
  h("div", { class: "stack" }, h("h1", {}, number), h("p", { class: "empty" }, icon("circle-check"), say("它不在您的任务里了：已办好，或已转给别人。", "It is no longer among your tasks: it is done, or somebody else has it.")), h("a", { class: "button big", href: "#/tasks" }, say("回到任务", "Back to the tasks")));

function small(app, t) {
  const map = new Ground(app.ground, { centre: [t.lon, t.lat], span: 320, label: say("地点在地图上", "The place on the map") });
  map.mark([{ at: [t.lon, t.lat], kind: "task" }, ...(app.here ? [{ at: app.here, kind: "me" }] : [])]);
  map.element.classList.add("small");
  return map.element;
}

const STAGE = { report: () => say("上报时", "as reported"), verify: () => say("核实时", "when verified"), before: () => say("处置前", "before"), after: () => say("处置后", "after"), check: () => say("核查时", "when checked"), note: () => say("语音", "spoken note") };

function shot(app, p) {
  if (p.stage === "note") return h("figure", {}, h("a", { class: "button", href: `/field/api/notes/${p.id}`, download: "" }, icon("mic"), STAGE.note()));
  const img = h("img", { alt: say("照片：{s}，{t}", "Photograph: {s}, {t}", { s: STAGE[p.stage](), t: moment(p.at) }), width: 160, height: 120 });
  app.picture(p.id).then((blob) => blob && (img.src = URL.createObjectURL(blob)));
  return h("figure", {}, img, h("figcaption", { class: "small muted" }, STAGE[p.stage](), " ", moment(p.at)));
}

// --- doing it ---
const PHOTOS = { verify: ["verify"], hand_back: ["before", "after"], self_handle: ["before", "after"], check: ["check"] };
const WITH_FORM = new Set(["verify", "hand_back", "self_handle"]);

export function act(app, [number, verb, outcome = ""]) {
  const t = find(app, number);
  const step = t?.can.find((c) => c.verb === verb && c.outcome === outcome);
  if (!step) return gone(number);
  const type = typeOf(app, t);
  const wanted = step.evidence ? { before: type.evidence[0], after: type.evidence[1] } : {};
  const have = { before: t.photographs[0], after: t.photographs[1] };
  const stages = (PHOTOS[verb] ?? []).filter((s) => s !== "before" || (wanted.before ?? 0) > have.before);
  const taken = [];
  let note = null;
  const ghosts = t.pictures.filter((p) => ["report", "verify", "before"].includes(p.stage));
  const schema = WITH_FORM.has(verb) && type.form ? app.bundle.forms[type.form] : null;
  const form = schema ? filled(schema) : null;
  const reason = h("textarea", { id: "reason", rows: "3", lang: "zh" });
  const error = h("p", { class: "error", role: "alert" });
  const missing = () => ["before", "after"].map((s) => [s, Math.max(0, (wanted[s] ?? 0) - have[s] - taken.filter((x) => x.stage === s).length)]).filter(([, n]) => n > 0);

  const strip = (stage) => {
    const box = h("div", { class: "pictures" });
    const count = h("p", { class: "hint" });
    const update = () => {
      const mine = taken.filter((x) => x.stage === stage);
      box.replaceChildren(
        ...mine.map((x) => h("figure", {}, h("img", { src: x.url, alt: say("刚拍的照片", "The photograph just taken"), width: 160, height: 120 }), h("button", { type: "button", class: "button small", onclick: () => (taken.splice(taken.indexOf(x), 1), URL.revokeObjectURL(x.url), update()) }, icon("trash-2"), say("删去", "Remove")))),
      );
      const need = Math.max(0, (wanted[stage] ?? 0) - have[stage] - mine.length);
      count.textContent = need ? say("还要{n}张", "{n} more needed", { n: need }) : wanted[stage] ? say("够了", "that is enough") : say("可不拍", "optional");
    };
    update();
    const shoot = async () => {
      const ghost = ["after", "check"].includes(stage) && ghosts.length ? await app.picture(ghosts[0].id, { large: true }) : null;
      const blob = await photograph({ ghost });
      if (!blob) return;
      taken.push({ stage, blob, url: URL.createObjectURL(blob) });
      update();
    };
    return h("section", { class: "card stack tight", "aria-label": STAGE[stage]() }, h("h2", {}, icon("camera"), " ", say("照片：", "Photograph: "), STAGE[stage]()), count, box, h("button", { type: "button", class: "button big", onclick: shoot }, icon("camera"), ["after", "check"].includes(stage) && ghosts.length ? say("拍照（叠上处置前画面）", "Photograph over the view from before") : say("拍照", "Take a photograph")));
  };

  const submit = async (event) => {
    event.preventDefault();
    const said = form ? (verb === "hand_back" && !form.touched() ? { answers: null } : form.read()) : { answers: null };
    if (said.mistakes) {
      said.mistakes[0][2].scrollIntoView({ block: "center" });
      error.textContent = say("有{n}处要改。", "{n} things to correct.", { n: said.mistakes.length });
      return;
    }
    if (step.reason && reason.value.trim().length < 2) {
      error.textContent = say("请写明理由。", "Give a reason.");
      reason.focus();
      return;
    }
    const lack = missing();
    if (lack.length) {
      error.textContent = lack.map(([s, n]) => say("{s}照片还差{n}张。", "{n} photograph(s) missing: {s}.", { s: STAGE[s](), n })).join(" ");
      return;
    }
    event.submitter?.setAttribute("disabled", "");
    const body = { case: t.number, verb, outcome, version: t.version, reason: reason.value.trim() };
    if (said.answers) body.answers = said.answers;
    if (verb === "co_hand_back" && t.part) body.unit_id = t.part.unit_id;
    const files = taken.map(({ stage, blob }) => ({ stage, blob }));
    if (note) files.push({ stage: "note", blob: note });
    await app.outbox.add({ kind: "move", title: step.name, body, files, seen: { state_name: t.state_name, version: t.version } });
    for (const x of taken) URL.revokeObjectURL(x.url);
    toast(app.online ? say("已保存，正在发送。", "Kept; it is being sent.") : say("已保存在本机，有网时自动发出。", "Kept on this telephone; it is sent when there is a link."), "good");
    app.go("/tasks");
  };

  return h(
    "form",
    { class: "stack act", onsubmit: submit },
    h("a", { class: "button quiet back", href: `#/task/${t.number}` }, icon("arrow-left"), told(type.name)),
    h("h1", {}, told(step.name)),
    h("p", { class: "muted" }, data(t.address || t.region_name), " ", due(t, app.clock())),
    stages.map(strip),
    verb === "check" && ghosts.length ? h("div", { class: "pictures" }, ghosts.slice(0, 2).map((p) => shot(app, p))) : null,
    form ? h("section", { class: "card stack tight" }, h("h2", {}, say("现场情况", "What it is like")), form.element) : null,
    h("div", { class: "field" }, h("label", { for: "reason" }, step.reason ? say("理由", "Reason") : say("说明（可不填）", "Remark (optional)")), reason),
    verb === "start" ? null : recorder((blob) => (note = blob)),
    error,
    h("button", { class: "button big primary submit" }, icon(SIGN[verb] ?? "check"), told(step.name)),
  );
}
