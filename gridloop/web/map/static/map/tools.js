// What stands on the map: search, layers, colours, time, an area, the list, coordinates, the legend.
import { getJSON } from "../shell/http.js";
import { say } from "../shell/say.js";
import { DATUMS, datumHint, h, icon } from "./city-map.js";
import { Draw } from "./draw.js";
import { KINDS } from "./signs.js";

const day = (at) => new Date(at.getTime() - at.getTimezoneOffset() * 60000).toISOString().slice(0, 10);
const PARTS = {
  grids: () => say("网格界线", "grid borders"),
  labels: () => say("名称", "names"),
  cells: () => say("单元网格", "unit cells"),
  components: () => say("部件（放大后）", "components (near)"),
  scenery: () => say("街道、水面、房屋", "streets, water, houses"),
};

export class Tools {
  constructor(city) {
    this.city = city;
    this.bar = h("div", { class: "cm-tools", role: "group", "aria-label": say("地图工具", "Tools of the map") });
    this.panel = h("div", { class: "cm-panel", hidden: true });
    this.foot = h("div", { class: "cm-foot" });
    city._over.append(this.bar, this.panel, this.foot);
    const { tools } = city;
    if (tools.has("search")) this._search();
    const cases = city.hasAttribute("cases");
    if (tools.has("layers")) this._button("layers", "layers", say("图层", "Layers"), () => this._layers());
    if (tools.has("colour") && cases) this._button("colour", "tag", say("颜色", "Colours"), () => this._colours());
    if (tools.has("time") && cases && city.map) this._button("time", "history", say("时间与热力", "Time and heat"), () => this._time());
    if (tools.has("draw") && city.map) this._button("draw", "crosshair", say("框选", "Area"), () => this._draw());
    if (tools.has("list") && (cases || city.hasAttribute("data-src"))) this._button("list", "list", say("列表", "List"), () => this._list());
    if (tools.has("legend")) this._legend();
    if (tools.has("coords") && city.map) this._coords();
    if (cases && tools.size > 1) {
      this.total = h("p", { class: "cm-total", role: "status" });
      this.foot.prepend(this.total);
    }
    city.addEventListener("counted", ({ detail }) => this._counted(detail));
  }

  note(text) {
    if (this.total) this.total.textContent = text;
  }

  _button(name, sign, label, content) {
    const button = h("button", { type: "button", class: "button", "aria-expanded": "false", "aria-label": label, title: label, "data-tool": name }, icon(sign), h("span", { class: "wide" }, label));
    button.addEventListener("click", () => (button.getAttribute("aria-expanded") === "true" ? this.close() : this.open(button, content)));
    this.bar.append(button);
  }

  open(button, content) {
    this.close();
    button.setAttribute("aria-expanded", "true");
    this.opened = button;
    this.panel.hidden = false;
    this.panel.replaceChildren(content());
    this.panel.setAttribute("role", "region");
    this.panel.setAttribute("aria-label", button.getAttribute("aria-label"));
    this.panel.onkeydown = (event) => {
      if (event.key !== "Escape") return;
      this.close();
      button.focus();
    };
  }

  close() {
    this.opened?.setAttribute("aria-expanded", "false");
    this.opened = null;
    this.panel.hidden = true;
    this.panel.replaceChildren();
  }

  // --- search ---

  _search() {
    const input = h("input", { type: "search", placeholder: say("找地点：路、小区、社区", "Find a road, compound, community"), "aria-label": say("找地点", "Find a place"), autocomplete: "off" });
    const list = h("ul", { class: "cm-found", hidden: true });
    const box = h("div", { class: "cm-search" }, icon("search"), input, list);
    const go = (place) => {
      list.hidden = true;
      input.value = place.name;
      this.city.marks = [[place.lon, place.lat, place.name]];
      this.city.go(place.lon, place.lat, 16);
      if (this.city.hasAttribute("pick")) this.city._picked(place.lon, place.lat);
    };
    let turn = 0;
    input.addEventListener("input", async () => {
      const mine = (turn += 1);
      if (input.value.trim().length < 2) return void (list.hidden = true);
      await new Promise((later) => setTimeout(later, 180));
      if (mine !== turn) return;
      const { places } = await getJSON(`/map/search?q=${encodeURIComponent(input.value.trim())}`);
      if (mine !== turn) return;
      list.replaceChildren(
        ...places.map((place) => h("li", {}, h("button", { type: "button", click: () => go(place) }, h("span", { class: "data", lang: "zh" }, place.name), h("span", { class: "small muted data", lang: "zh" }, place.in)))),
      );
      if (!places.length) list.append(h("li", { class: "muted" }, say("没有这个地点", "No such place")));
      list.hidden = false;
    });
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        list.querySelector("button")?.click();
      } else if (event.key === "ArrowDown") list.querySelector("button")?.focus();
      else if (event.key === "Escape") list.hidden = true;
    });
    list.addEventListener("keydown", (event) => {
      const at = event.target.closest("li");
      if (event.key === "ArrowDown") at?.nextElementSibling?.querySelector("button")?.focus();
      else if (event.key === "ArrowUp") (at?.previousElementSibling?.querySelector("button") ?? input).focus();
      else if (event.key === "Escape") {
        list.hidden = true;
        input.focus();
      }
    });
    this.bar.append(box);
  }

  // --- layers, colours ---

  _layers() {
    const box = h("fieldset", {}, h("legend", {}, say("图层", "Layers")));
    for (const [part, words] of Object.entries(PARTS)) {
      const tick = h("input", { type: "checkbox", checked: this.city.shown.has(part) });
      tick.addEventListener("change", () => {
        const parts = new Set(this.city.shown);
        if (tick.checked) parts.add(part);
        else parts.delete(part);
        this.city.setAttribute("layers", [...parts].join(" "));
      });
      box.append(h("label", { class: "cm-tick" }, tick, words()));
    }
    if (this.city.settings.synthetic) box.append(h("p", { class: "small muted" }, say("界线、街道和房屋均为虚构。", "Borders, streets and houses are invented.")));
    return box;
  }

  _colours() {
    const box = h("fieldset", {}, h("legend", {}, say("颜色表示", "Colour tells")));
    for (const [by, words] of [["clock", say("计时", "the clock")], ["state", say("环节", "the step")]]) {
      const dot = h("input", { type: "radio", name: "cm-colour", checked: this.city.colour === by });
      dot.addEventListener("change", () => {
        this.city.setAttribute("colour", by);
        this._legend();
      });
      box.append(h("label", { class: "cm-tick" }, dot, words));
    }
    const heat = h("input", { type: "checkbox", checked: this.city.hasAttribute("heat") });
    heat.addEventListener("change", () => this.city.toggleAttribute("heat", heat.checked));
    box.append(h("label", { class: "cm-tick" }, heat, say("显示为热力", "as warmth")));
    return box;
  }

  async _legend() {
    if (!this.city.tools.has("legend") || !(this.city.hasAttribute("cases") || this.city.hasAttribute("data-src"))) return;
    const { drawn } = await import("./signs.js");
    const by = this.city.colour;
    const list = h("ul", { class: "cm-legend", "aria-label": say("图例", "Legend") });
    for (const [kind, { label }] of Object.entries(KINDS[by])) {
      const image = drawn(`pin|${by}|${kind}`);
      const canvas = h("canvas", { width: image.width, height: image.height, "aria-hidden": "true" });
      canvas.getContext("2d").putImageData(image, 0, 0);
      list.append(h("li", {}, canvas, label));
    }
    this.legend?.remove();
    this.legend = list;
    this.foot.append(list);
  }

  // --- time ---

  _time() {
    const now = new Date();
    const back = (days) => day(new Date(now.getTime() - days * 86400000));
    const span = h("select", { "aria-label": say("时段", "Period") });
    for (const [days, words] of [[7, say("近7天", "last 7 days")], [30, say("近30天", "last 30 days")], [90, say("近90天", "last 90 days")]])
      span.append(h("option", { value: days }, words));
    const play = h("button", { type: "button", class: "button", "aria-pressed": "false", disabled: true }, icon("play"), say("播放", "Play"));
    const slider = h("input", { type: "range", min: 0, max: 0, value: 0, disabled: true, "aria-label": say("日期", "Day") });
    const words = h("output", { class: "cm-day" }, say("选择时段后读取", "Choose a period"));
    const stop = h("button", { type: "button", class: "button quiet" }, say("回到当前", "Back to now"));
    let days = [];
    let found = {};
    let timer = 0;
    const halt = () => {
      clearInterval(timer);
      timer = 0;
      play.setAttribute("aria-pressed", "false");
      play.replaceChildren(icon("play"), say("播放", "Play"));
    };
    const show = () => {
      const at = Number(slider.value);
      const chosen = at === 0 ? days : [days[at - 1]];
      const sum = new Map();
      for (const one of chosen) for (const [lon, lat, n] of found[one] ?? []) sum.set(`${lon},${lat}`, (sum.get(`${lon},${lat}`) ?? 0) + n);
      const features = [...sum].map(([place, n]) => ({ type: "Feature", properties: { n }, geometry: { type: "Point", coordinates: place.split(",").map(Number) } }));
      this.city._cases?.warm(features);
      const total = [...sum.values()].reduce((a, b) => a + b, 0);
      words.textContent = at === 0 ? say("整个时段：{n}件", "whole period: {n} cases", { n: total }) : say("{d}：{n}件", "{d}: {n} cases", { d: days[at - 1], n: total });
    };
    const read = async () => {
      halt();
      this.city.warm = true;
      this.city._cases?.hide();
      const since = back(Number(span.value) - 1);
      const answer = await getJSON(this.city._cases.address("heat", { since, until: day(now), open: "" }));
      found = answer.days;
      days = Array.from({ length: Number(span.value) }, (_, i) => back(Number(span.value) - 1 - i));
      Object.assign(slider, { max: days.length, value: 0, disabled: false });
      play.disabled = false;
      show();
    };
    this.readTime = () => this.city.warm && read();
    span.addEventListener("change", read);
    slider.addEventListener("input", () => {
      halt();
      show();
    });
    play.addEventListener("click", () => {
      if (timer) return halt();
      play.setAttribute("aria-pressed", "true");
      play.replaceChildren(icon("pause"), say("暂停", "Pause"));
      timer = setInterval(() => {
        slider.value = Number(slider.value) >= days.length ? 1 : Number(slider.value) + 1;
        show();
      }, 700);
    });
    stop.addEventListener("click", () => {
      halt();
      this.city.warm = false;
      this.city._cases?.warm([]);
      this.city.refresh();
      this.close();
    });
    read();
    return h("div", { class: "cm-time" }, h("div", { class: "row tight" }, span, play, stop), slider, words);
  }

  // --- area ---

  _draw() {
    const result = h("div", { class: "stack tight", "aria-live": "polite" });
    const hint = h("p", { class: "small muted" });
    const draw = (this.city._drawing ??= new Draw(this.city, (area) => this._area(area)));
    this._area = (area) => {
      hint.textContent = "";
      if (!area) return result.replaceChildren();
      const filter = new URLSearchParams(this.city.getAttribute("cases") ?? "");
      const address = `/console/cases?${filter}${filter.size ? "&" : ""}${area.query}`;
      result.replaceChildren(
        h("a", { class: "button primary", href: address }, icon("clipboard-list"), say("列出这些案件", "List these cases")),
        h("button", { type: "button", class: "button quiet", click: () => draw.clear() }, say("清除", "Clear")),
      );
      this.city._tell("area", area);
    };
    const start = (form) => () => (hint.textContent = draw.start(form));
    return h(
      "div",
      { class: "stack tight" },
      h(
        "div",
        { class: "row tight" },
        h("button", { type: "button", class: "button", click: start("box") }, say("矩形", "Rectangle")),
        h("button", { type: "button", class: "button", click: start("polygon") }, say("多边形", "Polygon")),
        h("button", { type: "button", class: "button", click: () => draw.whole() }, say("当前画面", "This view")),
      ),
      hint,
      result,
    );
  }

  // --- list ---

  _list() {
    const body = h("div", { class: "cm-table", tabindex: "0", role: "region", "aria-label": say("画面中的案件", "Cases in this view") });
    const fill = async () => {
      const { city } = this;
      if (city.hasAttribute("data-src")) {
        const points = city._cases?.found.points ?? [];
        const list = h("ul", { class: "cm-points" });
        for (const { properties } of points.slice(0, 100)) list.append(h("li", {}, properties.href ? h("a", { href: properties.href, class: "data" }, properties.label) : h("span", { class: "data" }, properties.label)));
        return body.replaceChildren(list);
      }
      const address = city.map ? city._cases.address("list") : `/map/list?${city.getAttribute("cases")}&bbox=${city.settings.bounds}`;
      const { cases } = await getJSON(address);
      if (!cases.length) return body.replaceChildren(h("p", { class: "muted" }, say("画面中没有案件。", "No case in this view.")));
      const rows = cases.map((one) => h("tr", {}, h("td", {}, h("a", { href: `/console/cases/${one.number}` }, h("span", { class: "data" }, one.type))), h("td", {}, one.state_name), h("td", {}, KINDS.clock[one.clock].label), h("td", { class: "data", lang: "zh" }, one.address)));
      body.replaceChildren(
        h(
          "table",
          { class: "data" },
          h("caption", { class: "visually-hidden" }, say("画面中最新的{n}件案件", "The newest {n} cases in this view", { n: cases.length })),
          h("thead", {}, h("tr", {}, ...[say("类型", "Type"), say("状态", "State"), say("计时", "Clock"), say("地点", "Place")].map((name) => h("th", { scope: "col" }, name)))),
          h("tbody", {}, ...rows),
        ),
      );
    };
    this.refill = fill;
    fill();
    return body;
  }

  _counted({ total, partly }) {
    if (this.total) {
      this.total.textContent = this.city.warm ? "" : partly ? say("画面中最新的{n}件", "the newest {n} in view", { n: total }) : say("画面中{n}件", "{n} in view", { n: total.toLocaleString() });
    }
    if (this.opened?.dataset.tool === "list") this.refill?.();
    if (this.opened?.dataset.tool === "time") this.readTime?.();
  }

  // --- coordinates ---

  _coords() {
    const choose = h("select", { "aria-label": say("坐标系", "Datum") });
    for (const [datum, name] of Object.entries(DATUMS)) choose.append(h("option", { value: datum, selected: datum === this.city.datum, title: datumHint(datum) }, name));
    choose.addEventListener("change", () => {
      localStorage.setItem("datum", choose.value);
      this.city.setAttribute("datum", choose.value);
    });
    this.place = h("output", { class: "cm-place" });
    const copy = h("button", { type: "button", class: "button quiet", "aria-label": say("复制坐标", "Copy the coordinates"), title: say("复制坐标", "Copy the coordinates") }, icon("copy"));
    copy.addEventListener("click", async () => {
      const at = this.city.value ?? { lon: this.city.map.getCenter().lng, lat: this.city.map.getCenter().lat };
      await navigator.clipboard.writeText(this.city.written(at.lon, at.lat));
      this.city._say.textContent = say("已复制", "Copied");
      copy.replaceChildren(icon("check"));
      setTimeout(() => copy.replaceChildren(icon("copy")), 1200);
    });
    this.foot.append(h("div", { class: "cm-coords" }, choose, this.place, copy));
  }

  coordinates(lon, lat) {
    if (this.place) this.place.textContent = this.city.written(lon, lat);
  }
}
