// Cases on the map: counted by the server for staff, or points of another face, bundled here.
import { getJSON } from "../shell/http.js";
import { language, say } from "../shell/say.js";
import { h, maplibre } from "./city-map.js";
import { KINDS, twelfths } from "./signs.js";
import { FONTS } from "./style.js";

const EMPTY = { type: "FeatureCollection", features: [] };
const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const point = (lon, lat, properties) => ({ type: "Feature", geometry: { type: "Point", coordinates: [lon, lat] }, properties });
const short = (n) => {
  if (n < 10000) return String(n);
  const [unit, digits] = language === "en" ? [1000, 0] : [10000, n < 100000 ? 1 : 0];
  return say("{n}万", "{n}k", { n: (n / unit).toFixed(digits) });
};

export class Cases {
  constructor(city) {
    this.city = city;
    this.found = { total: 0, bundles: [], cases: [] };
  }

  get map() {
    return this.city.map;
  }

  /** The address of the view, for any of the map's readings. */
  address(what, more = {}) {
    const b = this.map.getBounds();
    const query = new URLSearchParams(this.city.getAttribute("cases") ?? "");
    const box = [b.getWest(), b.getSouth(), b.getEast(), b.getNorth()].map((v) => v.toFixed(5));
    const [since, until] = (this.city.getAttribute("period") ?? "").split("/");
    if (since) query.set("since", since);
    if (until) query.set("until", until);
    query.set("bbox", box.join(","));
    query.set("zoom", this.map.getZoom().toFixed(2));
    for (const [name, value] of Object.entries(more)) query.set(name, value);
    return `/map/${what}?${query}`;
  }

  async show() {
    if (!this.map) return this._plain();
    if (!this.city.styled) return undefined; // the new style asks again
    if (!this.map.getSource("cases")) this.add();
    this._asked?.abort();
    const asked = (this._asked = new AbortController());
    try {
      if (this.city.hasAttribute("data-src")) await this._points(asked.signal);
      else if (!this.city.warm) {
        this.found = await getJSON(this.address("cases"), { signal: asked.signal });
        this.draw();
      }
      this.city.dispatchEvent(new CustomEvent("counted", { detail: this.found }));
    } catch (problem) {
      // A view that was left behind, or a moment without a connection: what is shown stays, and says so.
      if (!asked.signal.aborted) this.city._bar?.note(problem.sentence ?? problem.message);
    }
  }

  async _points(signal) {
    const source = this.city.getAttribute("data-src");
    const data = await getJSON(source, { signal });
    const by = this.city.colour;
    for (const feature of data.features) feature.properties.image = `pin|${by}|${feature.properties.kind ?? Object.keys(KINDS[by])[0]}`;
    this.map?.getSource("points").setData(data);
    this.found = { total: data.features.length, bundles: [], cases: [], points: data.features };
  }

  async _plain() {
    const source = this.city.getAttribute("data-src");
    if (!source) return;
    const data = await getJSON(source);
    this.found = { total: data.features.length, bundles: [], cases: [], points: data.features };
    this.city.marks = data.features.slice(0, 500).map((f) => f.geometry.coordinates);
  }

  add() {
    const { map } = this;
    if (map.getSource("cases")) return;
    const fonts = this.city._fonts ?? FONTS;
    const ink = token("--ink");
    const paper = token("--surface");
    map.addSource("warm", { type: "geojson", data: EMPTY });
    map.addLayer({
      id: "warmth", type: "heatmap", source: "warm",
      paint: {
        "heatmap-weight": ["interpolate", ["linear"], ["get", "n"], 0, 0, 1, 0.25, 20, 1],
        "heatmap-radius": ["interpolate", ["exponential", 1.4], ["zoom"], 9, 10, 13, 28, 17, 70],
        "heatmap-intensity": ["interpolate", ["linear"], ["zoom"], 9, 0.5, 15, 1.4],
        "heatmap-opacity": 0.8,
        "heatmap-color": ["interpolate", ["linear"], ["heatmap-density"], 0, "rgba(0,0,0,0)", 0.15, "#3d7dca88", 0.4, "#3fa796", 0.65, "#f0c419", 0.85, "#e0681a", 1, "#b8231c"],
      },
    }); // prettier-ignore
    map.addSource("cases", { type: "geojson", data: EMPTY });
    map.addLayer({
      id: "bundle", type: "symbol", source: "cases", filter: ["has", "n"],
      layout: {
        "icon-image": ["get", "image"],
        "icon-size": ["interpolate", ["linear"], ["ln", ["get", "n"]], 0, 0.85, 4, 1.1, 9, 1.7],
        "icon-allow-overlap": true, "text-allow-overlap": true, "icon-ignore-placement": true, "text-ignore-placement": true,
        "text-field": ["get", "words"], "text-font": fonts, "text-size": 12,
      },
      paint: { "text-color": ink },
    }); // prettier-ignore
    map.addLayer({
      id: "single", type: "symbol", source: "cases", filter: ["!", ["has", "n"]],
      layout: { "icon-image": ["get", "image"], "icon-size": 0.8, "icon-allow-overlap": true, "icon-ignore-placement": true },
    }); // prettier-ignore
    if (this.city.hasAttribute("data-src")) {
      map.addSource("points", { type: "geojson", data: EMPTY, cluster: true, clusterRadius: 44, clusterMaxZoom: 16 });
      map.addLayer({
        id: "points-bundle", type: "circle", source: "points", filter: ["has", "point_count"],
        paint: {
          "circle-radius": ["interpolate", ["linear"], ["get", "point_count"], 2, 14, 200, 26],
          "circle-color": paper, "circle-stroke-width": 5, "circle-stroke-color": token("--accent"),
        },
      }); // prettier-ignore
      map.addLayer({
        id: "points-count", type: "symbol", source: "points", filter: ["has", "point_count"],
        layout: { "text-field": ["to-string", ["get", "point_count"]], "text-font": fonts, "text-size": 12, "text-allow-overlap": true },
        paint: { "text-color": ink },
      }); // prettier-ignore
      map.addLayer({
        id: "points-single", type: "symbol", source: "points", filter: ["!", ["has", "point_count"]],
        layout: { "icon-image": ["get", "image"], "icon-size": 0.8, "icon-allow-overlap": true, "icon-ignore-placement": true },
      }); // prettier-ignore
    }
    for (const id of ["bundle", "single", "points-bundle", "points-single"]) {
      if (!map.getLayer(id)) continue;
      map.on("mouseenter", id, () => (map.getCanvas().style.cursor = "pointer"));
      map.on("mouseleave", id, () => (map.getCanvas().style.cursor = ""));
    }
  }

  draw() {
    const by = this.city.colour;
    const heat = this.city.hasAttribute("heat");
    const features = this.found.bundles.map(([lon, lat, n, state, clock, box]) =>
      point(lon, lat, { n, words: short(n), box: JSON.stringify(box), image: `ring|${by}|${twelfths(by === "state" ? state : clock, by)}` }),
    );
    for (const one of this.found.cases) features.push(point(one.lon, one.lat, { ...one, image: `pin|${by}|${one[by]}` }));
    this.map?.getSource("cases")?.setData({ type: "FeatureCollection", features: heat ? [] : features });
    const warm = heat ? [...this.found.bundles.map(([lon, lat, n]) => point(lon, lat, { n })), ...this.found.cases.map((c) => point(c.lon, c.lat, { n: 1 }))] : [];
    if (!this.city.warm) this.warm(warm);
  }

  /** Show squares as warmth. */
  warm(features) {
    this.map?.getSource("warm")?.setData({ type: "FeatureCollection", features });
  }

  hide() {
    this.map?.getSource("cases")?.setData(EMPTY);
  }

  /** A click on a bundle goes nearer, one on a case opens it. Returns whether the click was for us. */
  clicked(event) {
    const layers = ["single", "bundle", "points-single", "points-bundle"].filter((id) => this.map.getLayer(id));
    const [hit] = this.map.queryRenderedFeatures(event.point, { layers });
    if (!hit) return false;
    const at = hit.geometry.coordinates;
    if (hit.layer.id === "bundle") {
      const box = JSON.parse(hit.properties.box);
      this.map.fitBounds(box, { padding: 40, maxZoom: this.map.getZoom() + 3 });
    } else if (hit.layer.id === "points-bundle") {
      this.map.easeTo({ center: at, zoom: this.map.getZoom() + 2 });
    } else this._open(hit.properties, at);
    return true;
  }

  async _open(one, at) {
    const href = one.href ?? (one.number ? `/console/cases/${one.number}` : "");
    const { Popup } = await maplibre();
    const link = h("a", { href, class: "button" }, say("打开", "Open"));
    link.addEventListener("click", (event) => {
      if (!this.city._tell("open", { number: one.number ?? one.id, href })) event.preventDefault();
    });
    const content = one.number
      ? h("div", { class: "cm-popup" }, h("strong", { class: "data" }, one.type), h("p", {}, one.state_name, " · ", h("span", { class: "data" }, one.address)), h("p", { class: "small muted data" }, one.number), link)
      : h("div", { class: "cm-popup" }, h("p", { class: "data" }, one.label ?? ""), href ? link : null);
    this._popup?.remove();
    this._popup = new Popup({ offset: 16, maxWidth: "18rem", focusAfterOpen: true }).setLngLat(at).setDOMContent(content).addTo(this.map);
  }
}
