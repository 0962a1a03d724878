// Reporting in three taps: the photograph, the place, the type that was guessed. Everything else is optional.
import { language, say } from "../shell/say.js";
import { photograph, scan } from "./camera.js";
import { data, h, icon, metres, toast, told } from "./dom.js";
import { form as filled } from "./forms.js";
import { Map as Ground } from "./map.js";
import { call } from "./net.js";
import { distance, whereAmI } from "./route.js";
import { recorder } from "./voice.js";

const UNDO = 6000;
let draft = null;
const fresh = () => ({ step: "photo", photos: [], place: null, accuracy: null, address: "", component: null, text: "", note: null, type: null, answers: null, fixed: [] });

export function report(app, _rest, query) {
  if (!app.standard) return h("div", {}, h("h1", {}, say("上报", "Report")), h("p", { class: "empty" }, say("请先联网一次，取得案件类型。", "Connect once, to fetch the kinds of problems.")));
  if (query.get("code") && !draft) {
    draft = fresh();
    lookUp(app, query.get("code"));
  }
  draft ??= fresh();
  return { photo, place, type, more }[draft.step](app);
}

const to = (app, step) => {
  draft.step = step;
  app.render();
};

const head = (app, n, words) =>
  h(
    "header",
    { class: "report-head" },
    draft.step === "photo" ? null : h("button", { type: "button", class: "button quiet icon-only", "aria-label": say("上一步", "Back"), onclick: () => to(app, { place: "photo", type: "place", more: "type" }[draft.step]) }, icon("arrow-left")),
    h("h1", {}, words),
    h("span", { class: "muted number" }, `${n}/3`),
  );

function photo(app) {
  const shoot = async () => {
    const blob = await photograph();
    if (!blob) return;
    draft.photos.push({ blob, url: URL.createObjectURL(blob) });
    locate(app);
    to(app, "place");
  };
  return h(
    "div",
    { class: "stack" },
    head(app, 1, say("拍一张", "Take a photograph")),
    pictures(app, draft.photos),
    h("button", { type: "button", class: "shoot", onclick: shoot }, icon("camera"), h("span", {}, draft.photos.length ? say("再拍一张", "One more") : say("拍照", "Photograph"))),
    draft.photos.length ? h("button", { type: "button", class: "button big primary", onclick: () => to(app, "place") }, say("下一步：地点", "Next: the place")) : null,
    h("button", { type: "button", class: "button big", onclick: () => (locate(app), to(app, "place")) }, say("不拍照，直接上报", "Without a photograph")),
    h("button", { type: "button", class: "button big", onclick: () => code(app) }, icon("qr-code"), say("扫部件编码", "Scan the code of a thing")),
  );
}

const pictures = (app, list) =>
  list.length
    ? h("div", { class: "pictures" }, list.map((x) => h("figure", {}, h("img", { src: x.url, alt: say("刚拍的照片", "The photograph just taken"), width: 160, height: 120 }), h("button", { type: "button", class: "button small", onclick: () => (list.splice(list.indexOf(x), 1), app.render()) }, icon("trash-2"), say("删去", "Remove")))))
    : null;

async function code(app) {
  let text = await scan();
  if (!text) text = await typed();
  if (!text) return;
  const found = text.match(/[\w-]{1,24}$/);
  if (found) await lookUp(app, found[0]);
}

function typed() {
  return new Promise((resolve) => {
    const input = h("input", { type: "text", id: "code", inputmode: "numeric", autocomplete: "off" });
    const box = h(
      "dialog",
      { class: "field-dialog", "aria-label": say("部件编码", "Code of the thing") },
      h("form", { method: "dialog", class: "stack tight" }, h("div", { class: "field" }, h("label", { for: "code" }, say("牌上的编码（16位）", "The code on its plate (16 digits)")), input), h("button", { class: "button big primary", value: "yes" }, say("查找", "Look up")), h("button", { class: "button big", value: "no", formNoValidate: true }, say("返回", "Back"))),
    );
    box.addEventListener("close", () => (box.remove(), resolve(box.returnValue === "yes" ? input.value.trim() : null)));
    document.body.append(box);
    box.showModal();
  });
}

async function lookUp(app, text) {
  try {
    const found = await call("GET", `components/${encodeURIComponent(text)}`);
    draft.component = found;
    draft.place = [found.lon, found.lat];
    toast(say("找到：{n}", "Found: {n}", { n: found.name }), "good");
  } catch {
    // Without a link the code itself is told; the place is where the person stands.
    draft.component = { code: text, name: text, types: [] };
    locate(app);
    toast(say("编码已记下，联网后核对。", "The code is noted and looked up later."));
  }
  to(app, draft.photos.length ? "type" : "photo");
}

async function locate(app) {
  try {
    const [lon, lat, accuracy] = await whereAmI();
    app.here = [lon, lat];
    if (draft && !draft.place) Object.assign(draft, { place: [lon, lat], accuracy });
    if (draft?.step === "place") app.render();
  } catch {
    // The person moves the map instead.
  }
}

function place(app) {
  const ground = app.ground ?? { regions: [], ground: [] };
  const map = new Ground(ground, { centre: draft.place ?? app.here, span: draft.place || app.here ? 260 : 0, label: say("把问题所在的地方移到十字下", "Move the place under the cross") });
  if (app.here) map.mark([{ at: app.here, kind: "me" }]);
  map.element.classList.add("tall");
  map.element.append(h("div", { class: "cross", "aria-hidden": "true" }, icon("crosshair")));
  const address = h("input", { type: "text", id: "address", lang: "zh", value: draft.address, placeholder: say("例如：路口东北角（可不填）", "for example: north-east corner (optional)"), oninput: (event) => (draft.address = event.target.value) });
  return h(
    "div",
    { class: "stack" },
    head(app, 2, say("在这里吗？", "Is it here?")),
    map.element,
    draft.accuracy && draft.accuracy > 50 ? h("p", { class: "notice warn" }, say("定位误差约{d}，请移动地图对准。", "Your position is only known to {d}: move the map to the place.", { d: metres(draft.accuracy) })) : null,
    h("button", { type: "button", class: "button big primary submit", onclick: () => ((draft.place = map.centre), to(app, "type")) }, icon("map-pin"), say("就在十字这里", "Here, under the cross")),
    h("button", { type: "button", class: "button big", onclick: () => ((draft.place = null), locate(app)) }, icon("crosshair"), say("我的位置", "Where I am")),
    h("div", { class: "field" }, h("label", { for: "address" }, say("位置说明", "In words")), address),
  );
}

/** What it probably is: the thing's own types, what the text says (with a link), what is near, what is usual here. */
async function guesses(app) {
  const ranked = [...(draft.component?.types ?? [])];
  if (draft.text.trim() && app.online) {
    try {
      const { types } = await call("GET", `guess?text=${encodeURIComponent(draft.text)}`, { seconds: 4 });
      ranked.push(...types.map(([key]) => key));
    } catch {
      // Without a link the next two lists speak.
    }
  }
  const near = (app.bundle?.tasks ?? [])
    .filter((t) => draft.place && t.lon !== null && distance(draft.place, [t.lon, t.lat]) < 300)
    .map((t) => t.type);
  ranked.push(...words(app), ...near, ...app.standard.usual);
  const known = new globalThis.Map(app.standard.types.map((t) => [t.key, t]));
  return [...new Set(ranked)].map((key) => known.get(key)).filter(Boolean).slice(0, 6);
}

/** Types whose names share two characters or more with what was written. */
function words(app) {
  const text = draft.text.trim().toLowerCase();
  if (text.length < 2) return [];
  const pairs = new Set(Array.from({ length: text.length - 1 }, (_, n) => text.slice(n, n + 2)));
  const score = (t) => {
    const name = `${t.name.zh} ${t.name.en}`.toLowerCase();
    let n = 0;
    for (const pair of pairs) if (!/\s/.test(pair) && name.includes(pair)) n += 1;
    return n;
  };
  return app.standard.types.map((t) => [score(t), t.key]).filter(([n]) => n > 0).sort((a, b) => b[0] - a[0]).slice(0, 4).map(([, key]) => key);
}

function type(app) {
  const chips = h("div", { class: "type-list", "aria-live": "polite" });
  const fill = async () => {
    const found = await guesses(app);
    chips.replaceChildren(
      ...found.map((t, n) =>
        h("button", { type: "button", class: `type-button ${n === 0 ? "first" : ""}`, onclick: () => choose(app, t) }, h("strong", {}, told(t.name)), h("span", { class: "small muted" }, told(t.major), t.form ? say(" · 有表单", " · with a form") : "")),
      ),
    );
  };
  fill();
  let timer = 0;
  const text = h("textarea", {
    id: "text", rows: "2", lang: "zh", placeholder: say("说明（可不写）", "In words (optional)"),
    oninput: (event) => {
      draft.text = event.target.value;
      clearTimeout(timer);
      timer = setTimeout(fill, 400);
    },
  });
  text.value = draft.text;
  return h(
    "div",
    { class: "stack" },
    head(app, 3, say("是哪一类？点一下就上报", "What is it? One tap reports it")),
    draft.component ? h("p", { class: "notice info" }, icon("tag"), h("span", {}, data(draft.component.name), " ", h("span", { class: "number" }, draft.component.code))) : null,
    chips,
    h("button", { type: "button", class: "button big", onclick: () => to(app, "more") }, icon("search"), say("都不是，找别的类型", "None of these: search")),
    h("div", { class: "field" }, h("label", { for: "text" }, say("说明", "In words")), text),
    recorder((blob) => (draft.note = blob)),
  );
}

function more(app) {
  const list = h("ul", { class: "task-list" });
  const show = (word) => {
    const wanted = word.trim().toLowerCase();
    const found = app.standard.types.filter((t) => !wanted || `${t.name.zh}${t.name.en}${t.major.zh}${t.major.en}`.toLowerCase().includes(wanted));
    list.replaceChildren(...found.slice(0, 60).map((t) => h("li", {}, h("button", { type: "button", class: "type-button", onclick: () => choose(app, t) }, h("strong", {}, told(t.name)), h("span", { class: "small muted" }, told(t.major))))));
  };
  show("");
  return h("div", { class: "stack" }, head(app, 3, say("找类型", "Find the kind")), h("div", { class: "field" }, h("label", { for: "find" }, say("名称中的字", "Part of its name")), h("input", { type: "search", id: "find", autocomplete: "off", oninput: (event) => show(event.target.value) })), list);
}

/** A type was tapped. Without anything more to ask it is reported at once, with some seconds to take it back. */
function choose(app, t) {
  draft.type = t;
  const schema = t.form ? app.standard.forms[t.form] : null;
  if (!schema && !t.self_handle) return make(app, t, null, false);
  const form = schema ? filled(schema) : null;
  const fixed = h("input", { type: "checkbox", id: "fixed" });
  const after = h("div", { class: "stack tight" });
  const update = () => {
    after.replaceChildren(
      fixed.checked
        ? h("div", { class: "stack tight" }, h("p", { class: "hint" }, say("处置后的照片：还要{n}张", "Photographs after the work: {n} more", { n: Math.max(0, t.evidence[1] - draft.fixed.length) })), ...draft.fixed.map((x) => h("img", { src: x.url, alt: say("处置后", "after"), width: 160, height: 120 })), h("button", {
            type: "button", class: "button big",
            onclick: async () => {
              const blob = await photograph({ ghost: draft.photos[0]?.blob ?? null });
              if (blob) draft.fixed.push({ blob, url: URL.createObjectURL(blob) });
              update();
            },
          }, icon("camera"), say("拍处置后", "Photograph the result")))
        : h("span", {}),
    );
  };
  fixed.addEventListener("change", update);
  const error = h("p", { class: "error", role: "alert" });
  const submit = (event) => {
    event.preventDefault();
    const said = form && form.touched() ? form.read() : { answers: null };
    if (said.mistakes) return void (error.textContent = say("有{n}处要改，或全部留空。", "{n} things to correct, or leave all empty.", { n: said.mistakes.length }));
    if (fixed.checked && (draft.fixed.length < t.evidence[1] || draft.photos.length < t.evidence[0])) {
      return void (error.textContent = say("自行处置须有处置前{a}张、处置后{b}张照片。", "It takes {a} photograph(s) before and {b} after the work.", { a: t.evidence[0], b: t.evidence[1] }));
    }
    make(app, t, said.answers, fixed.checked);
  };
  const main = document.getElementById("main");
  main.replaceChildren(
    h(
      "form",
      { class: "stack", onsubmit: submit },
      head(app, 3, told(t.name)),
      h("button", { class: "button big primary submit" }, icon("send"), say("上报", "Report")),
      t.self_handle ? h("label", { class: "choice big-choice" }, fixed, h("span", {}, say("我已当场处理好（自行处置）", "I have put it right on the spot"))) : null,
      after,
      form ? h("section", { class: "card stack tight" }, h("h2", {}, say("现场情况（可不填）", "What it is like (optional)")), form.element) : null,
      error,
    ),
  );
}

async function make(app, t, answers, fixed) {
  const mine = draft;
  draft = null;
  const body = {
    text: mine.text.trim() || t.name[language === "en" ? "en" : "zh"], address: mine.address.trim(), case_type: t.key, made_at: new Date(app.clock()).toISOString(),
  };
  if (mine.place) [body.lon, body.lat] = mine.place.map((v) => Math.round(v * 1e6) / 1e6);
  if (mine.component) body.component = mine.component.code;
  if (answers) body.answers = answers;
  const files = mine.photos.map((x) => ({ stage: "report", blob: x.blob }));
  if (mine.note) files.push({ stage: "note", blob: mine.note });
  const entry = await app.outbox.add({ kind: "report", title: t.name, body, files, wait: UNDO });
  if (fixed) {
    await app.outbox.add({ kind: "move", title: app.standard.self_handle, body: { report: entry.id, verb: "self_handle" }, files: mine.fixed.map((x) => ({ stage: "after", blob: x.blob })), wait: UNDO });
  }
  for (const x of [...mine.photos, ...mine.fixed]) URL.revokeObjectURL(x.url);
  toast(say("已上报：{t}", "Reported: {t}", { t: told(t.name) }), "good", async () => {
    if (entry.state !== "waiting") return;
    await app.outbox.remove(entry);
    draft = Object.assign(mine, { step: "type" });
    for (const x of [...mine.photos, ...mine.fixed]) x.url = URL.createObjectURL(x.blob);
    app.go("/report");
    app.render();
  });
  app.go("/tasks");
}
