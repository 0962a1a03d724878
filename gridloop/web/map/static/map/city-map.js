/* <city-map>: the one map of all faces. Load it with
     <link rel="stylesheet" href="{% asset 'map/city-map.css' %}">
     <script type="module" src="{% asset 'map/city-map.js' %}"></script>
   and give the element a height (or class="small" / "tall"). MapLibre is fetched only when an element is in the page;
   without WebGL a sketch of the grids and the list stand in its place.

   Attributes (all may change later):
     center="lon,lat" zoom="14"     first view (WGS-84); without it the whole district, or
     bounds="w,s,e,n"
     region="410104001"             shows and outlines this region
     layers="grids labels scenery"  of: grids labels cells components scenery (default "grids labels scenery")
     marks='[[113.7,34.7,"text"]]'  fixed marks; the property .marks takes the same
     pick                           a click, Enter on the map's middle, or dragging the mark chooses a place
     value="lon,lat"                the chosen place; property .value = {lon, lat} | null
     data-src="/portal/points"      GeoJSON points of any face, bundled in the browser. Properties that are used:
                                    id, label, href (optional), kind (a key of KINDS[colour] in signs.js; optional)
     cases                          staff: cases from the server, counted there. cases="state=open&type=E0506" filters
     colour="clock|state"           what the colour of cases tells (default clock)
     heat                           cases as warmth instead of rings
     period="2026-11-01/2026-11-22" only cases opened then (days of the district, both included)
     tools="search layers colour time draw list coords legend"   which tools are shown (default none; "all" = all)
     card                           a click on a grid opens its card (staff)
     datum="gcj02"                  how coordinates are shown and copied
     label="…"                      name for those who cannot see it
     still                          no interaction (thumbnails)

   Events (bubble):
     ready  {}                      first picture is drawn
     place  {lon, lat, region, path:[{code, level, name, name_en}], cell}   in pick mode
     area   {bbox:[w,s,e,n], polygon:[[lon,lat]…] | null, query}            drawn; detail.query fits the work list
     open   {number, href}          a case or point was opened; preventDefault() keeps the page
     region {code, name}            a grid was clicked (with card); preventDefault() opens no card
     view   {center, zoom, bounds}  after every move

   Methods: go(lon, lat, zoom) · fit(w, s, e, n) · refresh() · resize() · pickMiddle()
*/
import "../shell/font.js";
import { getJSON } from "../shell/http.js";
import { language, say } from "../shell/say.js";
import { DATUMS, datumHint, written } from "./datum.js";
import { FETCHED, FONTS, LOOKS, SWITCHES, style, theme } from "./style.js";

const VENDOR = new URL("../vendor/", import.meta.url);
const ICONS = new URL("icons.svg", VENDOR).href;
const TOOLS = ["search", "layers", "colour", "time", "draw", "list", "coords", "legend"];
const numbers = (text) => (text ?? "").split(",").map(Number).filter(Number.isFinite);

let library = null;
/** MapLibre, once for the page. */
function maplibre() {
  library ??= import(new URL("maplibre-gl.mjs", VENDOR).href).then((module) => {
    module.setWorkerUrl(new URL("maplibre-gl-worker.mjs", VENDOR).href);
    return module;
  });
  if (!document.querySelector("link[data-city-map]")) {
    const sheet = document.createElement("link");
    Object.assign(sheet, { rel: "stylesheet", href: new URL("maplibre-gl.css", VENDOR).href });
    sheet.dataset.cityMap = "";
    document.head.prepend(sheet);
  }
  return library;
}

let told = null;
/** Where the map lies and what base map there is; asked once for the page. */
const settings = () => (told ??= getJSON("/map/settings"));

const webgl = () => {
  const canvas = document.createElement("canvas");
  return Boolean(canvas.getContext("webgl2"));
};

/** h("button", {class: "button"}, "text", child) */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${ICONS}#${name}`);
  svg.append(use);
  return svg;
}

export class CityMap extends HTMLElement {
  static observedAttributes = ["center", "zoom", "bounds", "region", "layers", "marks", "value", "cases", "colour", "heat", "period", "datum", "data-src", "pick"];

  map = null;
  _fonts = FONTS;
  /** Resolves when the map (or what stands in its place) is there. */
  ready = new Promise((resolve) => (this._isReady = resolve));

  connectedCallback() {
    if (this._built) return this.resize();
    this._built = true;
    this.shown = new Set((this.getAttribute("layers") ?? "grids labels scenery").split(/\s+/));
    this._canvas = h("div", { class: "cm-canvas" });
    this._over = h("div", { class: "cm-over" });
    this._say = h("p", { class: "visually-hidden", role: "status" });
    this.append(this._canvas, this._over, this._say);
    this._start().catch((problem) => this._failed(problem));
  }

  disconnectedCallback() {
    if (this.isConnected) return;
    this._watch?.disconnect();
    this.map?.remove();
    this.map = null;
    this._built = false;
    this.replaceChildren();
  }

  attributeChangedCallback(name, before, now) {
    if (!this._built || before === now) return;
    if (name === "value") this._mark(this.value);
    else if (name === "marks") this._showMarks();
    else if (name === "layers") this._show((now ?? "").split(/\s+/));
    else if (name === "region") this._region(now);
    else if (name === "datum") this._coordinates();
    else if (name === "center" || name === "zoom") this._center(true);
    else if (name === "bounds") numbers(now).length === 4 && this.fit(...numbers(now));
    else if (name === "pick") this.toggleAttribute("data-picking", now !== null);
    else if (this.map) this._data();
  }

  // --- what a page may ask ---

  get value() {
    const [lon, lat] = numbers(this.getAttribute("value"));
    return lat === undefined ? null : { lon, lat };
  }

  set value(place) {
    if (place) this.setAttribute("value", `${place.lon},${place.lat}`);
    else this.removeAttribute("value");
  }

  set marks(list) {
    this.setAttribute("marks", JSON.stringify(list));
  }

  get datum() {
    const named = this.getAttribute("datum") ?? localStorage.getItem("datum");
    return named in DATUMS ? named : "wgs84";
  }

  get colour() {
    return this.getAttribute("colour") === "state" ? "state" : "clock";
  }

  go(lon, lat, zoom = 16) {
    this.map?.easeTo({ center: [lon, lat], zoom: Math.max(zoom, this.map.getZoom()) });
  }

  fit(west, south, east, north) {
    this.map?.fitBounds([west, south, east, north], { padding: 24, maxZoom: 17 });
  }

  resize() {
    this.map?.resize();
  }

  async refresh() {
    await this._data();
  }

  /** Choose what lies under the cross in the middle: the way without a pointer. */
  pickMiddle() {
    const at = this.map?.getCenter();
    if (at) this._picked(at.lng, at.lat);
  }

  // --- beginning ---

  async _start() {
    this.settings = await settings();
    if (!this.isConnected) return;
    if (this.settings.synthetic) this._over.append(h("span", { class: "cm-synthetic" }, say("虚构地图", "invented map")));
    if (this.settings.basemap && this.settings.datum === "gcj02")
      this._over.append(h("span", { class: "cm-synthetic" }, say("底图为 GCJ-02，与网格相差约数百米", "base map in GCJ-02: some hundred metres off the grids")));
    this.toggleAttribute("data-picking", this.hasAttribute("pick"));
    if (!webgl()) return this._sketch();
    const { Map, NavigationControl, ScaleControl, AttributionControl } = await maplibre();
    if (!this.isConnected) return;
    const still = this.hasAttribute("still");
    if (this.settings.basemap?.kind === "pmtiles") await this._archive();
    this.map = new Map({
      container: this._canvas,
      style: style(this.settings, this.shown),
      ...this._firstView(),
      localIdeographFontFamily: "", // the fonts of each text come first
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      maxPitch: 0,
      maxZoom: 19,
      minZoom: 8,
      interactive: !still,
      fadeDuration: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 150,
      cooperativeGestures: this.hasAttribute("cooperative"),
      locale: LOCALE,
    });
    this.map.touchZoomRotate?.disableRotation();
    this.map.keyboard?.disableRotation();
    if (!still) {
      this.map.addControl(new NavigationControl({ showCompass: false }), "bottom-right");
      this.map.addControl(new ScaleControl({ maxWidth: 90 }), "bottom-right");
    }
    if (this.settings.basemap?.attribution) this.map.addControl(new AttributionControl({ compact: true }));
    const canvas = this.map.getCanvas();
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", this.getAttribute("label") ?? say("地图：方向键移动，加减号缩放，回车选择中心", "Map: arrows move it, plus and minus zoom, Enter chooses its middle"));
    if (still) canvas.setAttribute("tabindex", "-1");
    this._listen();
    await new Promise((done) => this.map.once("load", done));
    this.styled = true;
    this._region(this.getAttribute("region"));
    this._mark(this.value);
    this._showMarks();
    await this._tools();
    this._data();
    this._announceReady();
  }

  _announceReady() {
    this.dataset.ready = "map";
    performance.mark("city-map-ready");
    this._isReady(this);
    this._tell("ready", {});
  }

  _firstView() {
    const [lon, lat] = numbers(this.getAttribute("center"));
    const place = lat === undefined ? this.value : { lon, lat };
    if (place) return { center: [place.lon, place.lat], zoom: Number(this.getAttribute("zoom") ?? 16) };
    const box = numbers(this.getAttribute("bounds"));
    const bounds = box.length === 4 ? box : this.settings.bounds;
    return bounds ? { bounds, fitBoundsOptions: { padding: 16 } } : { center: [113.7, 34.7], zoom: 11 };
  }

  _center(moved) {
    const [lon, lat] = numbers(this.getAttribute("center"));
    if (lat !== undefined && moved) this.map?.easeTo({ center: [lon, lat], zoom: Number(this.getAttribute("zoom") ?? this.map.getZoom()) });
  }

  async _archive() {
    // The library that reads such archives is a plain script and leaves `pmtiles` behind.
    await new Promise((done, failed) => document.head.append(h("script", { src: new URL("pmtiles.js", VENDOR).href, load: done, error: failed })));
    const { addProtocol } = await maplibre();
    addProtocol("pmtiles", new window.pmtiles.Protocol().tile);
  }

  async _sketch() {
    const { sketch } = await import("./sketch.js");
    this._canvas.classList.add("cm-plain");
    const draw = () =>
      sketch(this._canvas, {
        bounds: this.settings.bounds,
        region: this.getAttribute("region") ?? "",
        points: [...this._fixed(), ...(this.value ? [[this.value.lon, this.value.lat]] : [])],
        chosen: (code) => this.hasAttribute("card") && this._card(code),
        picked: (lon, lat) => this.hasAttribute("pick") && this._picked(lon, lat),
      });
    await draw();
    this._redraw = draw;
    this._over.append(h("p", { class: "cm-note" }, say("此浏览器不能显示地图（没有 WebGL），下面是示意图和列表。", "This browser cannot show the map (no WebGL): here are a sketch and the list.")));
    await this._tools();
    this.dataset.ready = "sketch";
    this._isReady(this);
    this._tell("ready", {});
  }

  _failed(problem) {
    this._over.append(h("p", { class: "notice bad", role: "alert" }, problem.sentence ?? say("地图没有加载成功，请刷新页面。", "The map did not load. Reload the page.")));
    this._isReady(this);
    console.warn(problem.message);
  }

  _tell(name, detail) {
    return this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, cancelable: true }));
  }

  // --- looks ---

  _listen() {
    const { map } = this;
    map.on("click", (event) => this._click(event));
    map.on("moveend", () => {
      const b = map.getBounds();
      const c = map.getCenter();
      this._coordinates();
      this._tell("view", { center: [c.lng, c.lat], zoom: map.getZoom(), bounds: [b.getWest(), b.getSouth(), b.getEast(), b.getNorth()] });
      this._data();
    });
    map.on("mousemove", (event) => this._coordinates(event.lngLat));
    map.on("mouseout", () => this._coordinates());
    map.setMissingStyleImageResolver(async (id) => {
      const { drawn } = await import("./signs.js");
      const image = drawn(id);
      if (image && !map.hasImage(id)) map.addImage(id, image, { pixelRatio: 2 });
    });
    map.getCanvas().addEventListener("keydown", (event) => {
      if (event.key === "Enter" && this.hasAttribute("pick")) this.pickMiddle();
      else if (event.key === "Enter" && this.hasAttribute("card")) this._click({ point: map.project(map.getCenter()), lngLat: map.getCenter() });
    });
    if (document.querySelector('link[href$="noto/noto.css"]')) map.on("idle", () => this._letters());
    this._watch = new MutationObserver(() => this._restyle());
    this._watch.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  }

  /** On a machine without a Chinese font: fetch the slices that the names in view need, then draw them again. */
  async _letters() {
    const labels = this.map.queryRenderedFeatures().filter((f) => f.layer.type === "symbol");
    const text = [...new Set(labels.flatMap((f) => [...`${f.properties.name ?? ""}${f.properties.short ?? ""}`]))];
    const fresh = text.filter((letter) => letter > "\u2fff" && !this._lettered?.has(letter));
    if (!fresh.length) return;
    this._lettered = new Set([...(this._lettered ?? []), ...fresh]);
    await document.fonts.load("16px 'Noto Sans SC'", fresh.join(""));
    this._fonts = FETCHED;
    if (this.map) this._restyle();
  }

  _restyle() {
    this.map.setStyle(style(this.settings, this.shown, this._fonts), { diff: false });
    this.styled = false;
    this.map.once("style.load", () => {
      this.styled = true;
      this._region(this.getAttribute("region"));
      this._cases?.add();
      this._data();
    });
  }

  _show(parts) {
    this.shown = new Set(parts);
    for (const [part, ids] of Object.entries(SWITCHES)) {
      for (const id of ids) if (this.map?.getLayer(id)) this.map.setLayoutProperty(id, "visibility", this.shown.has(part) ? "visible" : "none");
    }
  }

  async _region(code) {
    if (!this.map) return this._redraw?.();
    for (const level of ["district", "street", "community", "grid", "micro_grid"]) {
      if (this.map.getLayer(`chosen-${level}`)) this.map.setFilter(`chosen-${level}`, ["==", ["get", "code"], code ?? ""]);
    }
    if (!code || this._fitted === code || this.hasAttribute("center") || this.value) return;
    this._fitted = code;
    const found = await getJSON(`/map/extent?region=${encodeURIComponent(code)}`);
    if (found.bounds) this.map?.fitBounds(found.bounds, { padding: 24, animate: false });
  }

  // --- marks and choosing a place ---

  _fixed() {
    try {
      return JSON.parse(this.getAttribute("marks") ?? "[]");
    } catch {
      return [];
    }
  }

  async _showMarks() {
    if (!this.map) return this._redraw?.();
    const { Marker, Popup } = await maplibre();
    for (const marker of this._marks ?? []) marker.remove();
    this._marks = this._fixed().map(([lon, lat, text]) => {
      const marker = new Marker({ element: h("div", { class: "cm-mark", title: text ?? "" }, icon("map-pin")), anchor: "bottom" }).setLngLat([lon, lat]);
      if (text) marker.setPopup(new Popup({ offset: 28 }).setText(text));
      return marker.addTo(this.map);
    });
  }

  async _mark(place) {
    if (!this.map) return this._redraw?.();
    if (!place) {
      this._chosen?.remove();
      this._chosen = null;
      return;
    }
    if (!this._chosen) {
      const { Marker } = await maplibre();
      const draggable = this.hasAttribute("pick") && !this.hasAttribute("still");
      this._chosen = new Marker({ element: h("div", { class: "cm-mark chosen" }, icon("map-pin")), anchor: "bottom", draggable });
      this._chosen.setLngLat([place.lon, place.lat]).addTo(this.map);
      this._chosen.on("dragend", () => {
        const at = this._chosen.getLngLat();
        this._picked(at.lng, at.lat);
      });
    } else this._chosen.setLngLat([place.lon, place.lat]);
    if (!this.map.getBounds().contains([place.lon, place.lat])) this.go(place.lon, place.lat);
  }

  async _picked(lon, lat) {
    const at = { lon: Number(lon.toFixed(6)), lat: Number(lat.toFixed(6)) };
    this.value = at;
    const found = await getJSON(`/map/where?lon=${at.lon}&lat=${at.lat}`);
    const last = found.path.at(-1);
    this._say.textContent = last ? say("已选：{n}", "Chosen: {n}", { n: last.name }) : say("不在本区内", "Outside of the district");
    this._tell("place", { ...at, region: found.region, path: found.path, cell: found.cell });
  }

  _click(event) {
    if (this._drawing?.active) return;
    if (this._cases?.clicked(event)) return;
    if (this.hasAttribute("pick")) return void this._picked(event.lngLat.lng, event.lngLat.lat);
    if (this.hasAttribute("card")) this._grid(event.lngLat);
  }

  /** The region that a click means at this zoom: streets from afar, grids from near. */
  async _grid({ lng, lat }) {
    const zoom = this.map.getZoom();
    const level = zoom >= 13 ? "grid" : zoom >= 11.5 ? "community" : "street";
    const { path } = await getJSON(`/map/where?lon=${lng.toFixed(6)}&lat=${lat.toFixed(6)}`);
    const found = path.find((step) => step.level === level) ?? path.at(-1);
    if (found && this._tell("region", { code: found.code, name: found.name })) this._card(found.code);
  }

  async _card(code) {
    const { card } = await import("./card.js");
    card(this, code);
  }

  // --- cases, tools ---

  async _data() {
    if (!this.hasAttribute("cases") && !this.hasAttribute("data-src")) return;
    const { Cases } = await import("./cases.js");
    this._cases ??= new Cases(this);
    await this._cases.show();
  }

  get tools() {
    const named = (this.getAttribute("tools") ?? "").split(/\s+/).filter(Boolean);
    return new Set(named.includes("all") ? TOOLS : named);
  }

  async _tools() {
    if (!this.tools.size) return;
    const { Tools } = await import("./tools.js");
    this._bar = new Tools(this);
    this._coordinates();
  }

  _coordinates(at = this.map?.getCenter()) {
    if (at) this._bar?.coordinates(at.lng, at.lat);
  }

  /** The place as it is written in the chosen datum. */
  written(lon, lat) {
    return written(lon, lat, this.datum);
  }
}

const LOCALE = {
  "NavigationControl.ZoomIn": say("放大", "Zoom in"),
  "NavigationControl.ZoomOut": say("缩小", "Zoom out"),
  "Map.Title": say("地图", "Map"),
  "Marker.Title": say("标记", "Mark"),
  "Popup.Close": say("关闭", "Close"),
  "ScaleControl.Meters": say("米", "m"),
  "ScaleControl.Kilometers": say("公里", "km"),
  "AttributionControl.ToggleAttribution": say("来源", "Attribution"),
  "CooperativeGesturesHandler.WindowsHelpText": say("按住 Ctrl 滚动以缩放", "Use Ctrl + scroll to zoom the map"),
  "CooperativeGesturesHandler.MacHelpText": say("按住 ⌘ 滚动以缩放", "Use ⌘ + scroll to zoom the map"),
  "CooperativeGesturesHandler.MobileHelpText": say("用两个手指移动地图", "Use two fingers to move the map"),
};

export { DATUMS, LOOKS, datumHint, language, maplibre, theme };
customElements.define("city-map", CityMap);
