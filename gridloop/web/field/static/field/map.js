// A light map of the own grid, drawn from what the telephone keeps, so that it is there without a link. One finger
// moves it, two fingers or the buttons make it larger.
import { say } from "../shell/say.js";
import { h, icon, s } from "./dom.js";

const K = Math.PI / 180;

export class Map {
  /** `ground`: what the server gave. `centre`: [lon, lat]; `span`: metres that the shorter side shows. */
  constructor(ground, { centre = null, span = 0, label = say("地图", "Map") } = {}) {
    const places = ground.regions.flatMap((r) => r.rings.flat());
    const all = places.length ? places : [[113.71, 34.71], [113.72, 34.72]];
    const box = all.reduce(([w, so, e, n], [x, y]) => [Math.min(w, x), Math.min(so, y), Math.max(e, x), Math.max(n, y)], [180, 90, -180, -90]);
    this.mid = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
    this.scale = [111320 * Math.cos(this.mid[1] * K), 110574];
    const size = Math.max((box[2] - box[0]) * this.scale[0], (box[3] - box[1]) * this.scale[1]) || 500;
    this.home = { at: this.mid, span: size * 1.08 };
    this.view = { at: centre ?? this.mid, span: span || size * 1.08 };
    this.marks = s("g", {});
    this.svg = s("svg", { class: "field-map", role: "img", "aria-label": label, preserveAspectRatio: "xMidYMid slice" }, this._ground(ground), this.marks);
    const button = (name, words, act) => h("button", { type: "button", class: "button icon-only map-button", "aria-label": words, onclick: act }, icon(name));
    this.element = h(
      "div",
      { class: "field-map-box" },
      this.svg,
      h(
        "div",
        { class: "map-buttons" },
        button("plus", say("放大", "Larger"), () => this.zoom(0.6)),
        button("minus", say("缩小", "Smaller"), () => this.zoom(1 / 0.6)),
        button("grid-3x3", say("看全部", "Show all"), () => ((this.view = { ...this.home }), this._show())),
      ),
      ground.synthetic ? h("p", { class: "map-invented" }, say("示意图：街道与边界均为虚构", "Invented streets and borders")) : null,
    );
    this._pointers();
    this._show();
    new ResizeObserver(() => this._show()).observe(this.svg);
  }

  _xy([lon, lat]) {
    return [(lon - this.mid[0]) * this.scale[0], (this.mid[1] - lat) * this.scale[1]];
  }

  _path(rings, close) {
    return rings.map((ring) => `M${ring.map((p) => this._xy(p).map((v) => v.toFixed(1)).join(" ")).join("L")}${close ? "Z" : ""}`).join("");
  }

  _ground({ regions, ground }) {
    const layer = { water: [], green: [], building: [], road: [] };
    for (const g of ground) layer[g.kind]?.push(g);
    const group = s("g", {});
    for (const kind of ["green", "water", "building"]) {
      if (layer[kind].length) group.append(s("path", { class: `map-${kind}`, d: layer[kind].map((g) => this._path(g.rings, true)).join(""), "fill-rule": "evenodd" }));
    }
    for (const rank of [3, 2, 1]) {
      const roads = layer.road.filter((g) => g.rank === rank);
      if (roads.length) group.append(s("path", { class: `map-road rank-${rank}`, d: roads.map((g) => this._path(g.rings, false)).join("") }));
    }
    for (const kind of ["micro_grid", "grid", "community", "street", "district"]) {
      const borders = regions.filter((r) => r.kind === kind);
      if (borders.length) group.append(s("path", { class: `map-border ${kind}`, d: borders.map((r) => this._path(r.rings, true)).join("") }));
    }
    const named = new Set();
    for (const road of layer.road.filter((g) => g.name && g.rank < 3)) {
      if (named.has(road.name)) continue;
      named.add(road.name);
      const ring = road.rings[0];
      const [x, y] = this._xy(ring[Math.floor(ring.length / 2)]);
      group.append(s("text", { class: "map-name data", lang: "zh", x: x.toFixed(0), y: y.toFixed(0) }, road.name));
    }
    return group;
  }

  /** Show what is at places: [{at: [lon, lat], kind, label, act}]. */
  mark(list) {
    this.list = list;
    this.marks.replaceChildren();
    for (const one of list) {
      const [x, y] = this._xy(one.at);
      const node = s("g", { class: `map-mark ${one.kind}`, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` }, s("g", { class: "map-pin" }, s("circle", { r: 11 }), one.text ? s("text", { y: 4 }, one.text) : ""));
      // For fingers and mice; whoever uses a keyboard or a reader has the same tasks as a list, in the same order.
      if (one.act) node.addEventListener("click", one.act);
      this.marks.append(node);
    }
    this._show();
  }

  get centre() {
    return this.view.at;
  }

  go(at, span = this.view.span) {
    this.view = { at, span };
    this._show();
  }

  zoom(by) {
    this.view.span = Math.min(Math.max(this.view.span * by, 60), this.home.span * 3);
    this._show();
  }

  _show() {
    const width = this.svg.clientWidth || 360;
    const height = this.svg.clientHeight || 360;
    this.unit = this.view.span / Math.min(width, height);
    const [x, y] = this._xy(this.view.at);
    this.svg.setAttribute("viewBox", [x - (width * this.unit) / 2, y - (height * this.unit) / 2, width * this.unit, height * this.unit].map((v) => v.toFixed(1)).join(" "));
    // Signs, lines and names keep their size on the screen.
    this.svg.style.setProperty("--unit", String(this.unit));
    for (const pin of this.marks.querySelectorAll(".map-pin")) pin.setAttribute("transform", `scale(${this.unit.toFixed(3)})`);
    for (const text of this.svg.querySelectorAll(".map-name")) text.setAttribute("font-size", (12 * this.unit).toFixed(1));
    this.svg.classList.toggle("far", this.unit > 3.5);
    this.moved?.(this.view.at);
  }

  _pointers() {
    const down = new globalThis.Map();
    const spread = () => {
      const [a, b] = [...down.values()];
      return Math.hypot(a[0] - b[0], a[1] - b[1]);
    };
    this.svg.addEventListener("pointerdown", (event) => {
      down.set(event.pointerId, [event.clientX, event.clientY]);
      if (down.size === 2) this.pinch = [spread(), this.view.span];
    });
    this.svg.addEventListener("pointermove", (event) => {
      const from = down.get(event.pointerId);
      if (!from) return;
      const to = [event.clientX, event.clientY];
      down.set(event.pointerId, to);
      if (down.size === 2) {
        this.view.span = this.pinch[1];
        this.zoom(this.pinch[0] / Math.max(spread(), 1));
      } else {
        const [lon, lat] = this.view.at;
        this.view.at = [lon - ((to[0] - from[0]) * this.unit) / this.scale[0], lat + ((to[1] - from[1]) * this.unit) / this.scale[1]];
        this._show();
      }
    });
    for (const name of ["pointerup", "pointercancel", "pointerleave"]) this.svg.addEventListener(name, (event) => down.delete(event.pointerId));
    this.svg.addEventListener("wheel", (event) => (event.preventDefault(), this.zoom(event.deltaY > 0 ? 1.2 : 1 / 1.2)), { passive: false });
  }
}
