// A rectangle or a polygon drawn by hand, to narrow what is looked at. With keys: the view itself is the area.
import { say } from "../shell/say.js";

/** The list takes no more (search.MOST_CORNERS). */
const CORNERS = 24;
const EMPTY = { type: "FeatureCollection", features: [] };
const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Draw {
  active = false;

  constructor(city, done) {
    this.city = city;
    this.done = done;
  }

  get map() {
    return this.city.map;
  }

  start(form) {
    this.stop();
    this.form = form;
    this.active = true;
    this.points = [];
    this._layers();
    this.map.getCanvas().style.cursor = "crosshair";
    this.map.doubleClickZoom.disable();
    if (form === "box") this.map.dragPan.disable();
    this._on = {
      mousedown: (e) => form === "box" && (this.points = [e.lngLat.toArray()]),
      touchstart: (e) => form === "box" && e.points.length === 1 && (this.points = [e.lngLat.toArray()]),
      mousemove: (e) => this._move(e.lngLat.toArray()),
      touchmove: (e) => this._move(e.lngLat.toArray()),
      mouseup: (e) => form === "box" && this._end(e.lngLat.toArray()),
      touchend: (e) => form === "box" && this._end(e.lngLat.toArray()),
      click: (e) => form === "polygon" && this._corner(e.lngLat.toArray()),
      dblclick: () => form === "polygon" && this._finish(),
    };
    for (const [name, act] of Object.entries(this._on)) this.map.on(name, act);
    this._keys = (event) => {
      if (event.key === "Escape") this.clear();
      else if (event.key === "Enter" && form === "polygon") this._finish();
    };
    document.addEventListener("keydown", this._keys);
    this.city._say.textContent =
      form === "box" ? say("按住拖出一个矩形，Esc 取消", "Drag a rectangle; Esc cancels") : say("逐点单击，双击或回车完成，Esc 取消", "Click each corner; double click or Enter ends, Esc cancels");
    return this.city._say.textContent;
  }

  stop() {
    for (const [name, act] of Object.entries(this._on ?? {})) this.map.off(name, act);
    document.removeEventListener("keydown", this._keys);
    this._on = null;
    if (!this.map) return;
    this.map.getCanvas().style.cursor = "";
    this.map.dragPan.enable();
    setTimeout(() => {
      this.active = false;
      this.map?.doubleClickZoom.enable();
    }, 0);
  }

  clear() {
    this.stop();
    this.map?.getSource("drawn")?.setData(EMPTY);
    this.done(null);
  }

  /** The view itself. */
  whole() {
    const b = this.map.getBounds();
    this._tell([[b.getWest(), b.getSouth()], [b.getEast(), b.getNorth()]], true);
  }

  _move(at) {
    if (!this.points.length) return;
    this._show(this.form === "box" ? rectangle(this.points[0], at) : [...this.points, at]);
  }

  _corner(at) {
    if (this.points.length < CORNERS) this.points.push(at);
    this._show(this.points);
  }

  _end(at) {
    const [from] = this.points;
    if (!from) return;
    const [a, b] = [this.map.project(from), this.map.project(at)];
    if (Math.abs(a.x - b.x) < 6 || Math.abs(a.y - b.y) < 6) return;
    this._tell([from, at], true);
    this.stop();
  }

  _finish() {
    if (this.points.length < 3) return;
    this._tell(this.points, false);
    this.stop();
  }

  _tell(points, box) {
    const lons = points.map((p) => p[0]);
    const lats = points.map((p) => p[1]);
    const bbox = [Math.min(...lons), Math.min(...lats), Math.max(...lons), Math.max(...lats)].map((v) => Number(v.toFixed(6)));
    const polygon = box ? null : points.map((p) => p.map((v) => Number(v.toFixed(6))));
    this._layers();
    this._show(box ? rectangle([bbox[0], bbox[1]], [bbox[2], bbox[3]]) : points);
    this.done({ bbox, polygon, query: `area=${(polygon ?? [bbox]).flat().join(",")}` });
  }

  _show(ring) {
    const closed = [...ring, ring[0]];
    const geometry = ring.length < 3 ? { type: "LineString", coordinates: ring } : { type: "Polygon", coordinates: [closed] };
    this.map.getSource("drawn").setData({ type: "Feature", properties: {}, geometry });
  }

  _layers() {
    if (this.map.getSource("drawn")) return;
    this.map.addSource("drawn", { type: "geojson", data: EMPTY });
    this.map.addLayer({ id: "drawn-area", type: "fill", source: "drawn", paint: { "fill-color": token("--accent"), "fill-opacity": 0.12 } });
    this.map.addLayer({ id: "drawn-line", type: "line", source: "drawn", paint: { "line-color": token("--accent"), "line-width": 2.5, "line-dasharray": [2, 1] } });
  }
}

const rectangle = ([a, b], [c, d]) => [[a, b], [c, b], [c, d], [a, d]]; // prettier-ignore
