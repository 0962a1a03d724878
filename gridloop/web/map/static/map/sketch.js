// The grids as a plain drawing, for a browser without WebGL: borders, names and points, no zoom, no tiles.
import { getJSON } from "../shell/http.js";
import { say } from "../shell/say.js";

const NS = "http://www.w3.org/2000/svg";
const make = (name, attributes = {}, ...children) => {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};

/** Draw the regions of a level below `region` into `host`; clicking one calls `chosen(code)`, anywhere `picked(lon, lat)`. */
export async function sketch(host, { bounds, region = "", points = [], chosen, picked }) {
  const level = region.length >= 12 ? "grid" : region.length >= 9 ? "community" : "street";
  const { features } = await getJSON(`/map/outline?region=${encodeURIComponent(region)}&level=${level}`);
  if (!features.length && !bounds) return null;
  const all = features.flatMap((f) => f.geometry.coordinates.flat(f.geometry.type === "MultiPolygon" ? 2 : 1));
  const [west, south, east, north] = all.length
    ? [Math.min(...all.map((p) => p[0])), Math.min(...all.map((p) => p[1])), Math.max(...all.map((p) => p[0])), Math.max(...all.map((p) => p[1]))]
    : bounds;
  const squeeze = Math.cos((((south + north) / 2) * Math.PI) / 180);
  const width = 1000;
  const scale = width / ((east - west) * squeeze);
  const height = (north - south) * scale;
  const x = (lon) => (lon - west) * squeeze * scale;
  const y = (lat) => (north - lat) * scale;
  const svg = make("svg", { viewBox: `-10 -10 ${width + 20} ${height + 20}`, class: "cm-sketch", role: "img", "aria-label": say("网格示意图", "A sketch of the grids") });
  for (const feature of features) {
    const polygons = feature.geometry.type === "MultiPolygon" ? feature.geometry.coordinates : [feature.geometry.coordinates];
    const d = polygons.flat().map((ring) => `M${ring.map((p) => `${x(p[0]).toFixed(1)} ${y(p[1]).toFixed(1)}`).join("L")}Z`).join("");
    const path = make("path", { d, "data-code": feature.properties.code }, make("title", {}, feature.properties.name));
    path.addEventListener("click", () => chosen?.(feature.properties.code));
    svg.append(path);
    const at = feature.properties.at;
    svg.append(make("text", { x: x(at[0]).toFixed(0), y: y(at[1]).toFixed(0), lang: "zh", class: "data" }, feature.properties.name));
  }
  for (const point of points) svg.append(make("circle", { cx: x(point[0]).toFixed(1), cy: y(point[1]).toFixed(1), r: 7 }));
  svg.addEventListener("click", (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    picked?.(west + at.x / scale / squeeze, north - at.y / scale);
  });
  host.replaceChildren(svg);
  return svg;
}
