// What the map looks like: one table of colours for each theme, one list of layers.
import { language } from "../shell/say.js";

export const LOOKS = {
  light: {
    land: "#f4f2ec", outside: "#e9e7e1", water: "#b3d3e6", green: "#d3e5c6", building: "#e3ddd2", edge: "#d3cabb",
    main: "#ffffff", side: "#ffffff", casing: "#d8d0c3", lane: "#e9e4da", grid: "#7b8c9c", community: "#5f7487",
    street: "#2f4a63", district: "#17324b", ink: "#26323d", faint: "#5b6a78", water_ink: "#2c6488", green_ink: "#3f6b35",
    halo: "#ffffff", accent: "#0d6860", cell: "#b09565", component: "#6a5a8c",
  },
  dark: {
    land: "#171d21", outside: "#101518", water: "#173a52", green: "#1b3527", building: "#262e33", edge: "#313b41",
    main: "#47545c", side: "#39444b", casing: "#12171a", lane: "#2a3439", grid: "#6a7f8f", community: "#8499a9",
    street: "#a9c1d4", district: "#d3e3ef", ink: "#e3eaee", faint: "#a3b1ba", water_ink: "#8cc0e0", green_ink: "#93c79b",
    halo: "#11171a", accent: "#6fd0c2", cell: "#8f7b52", component: "#b9a7e6",
  },
  contrast: {
    land: "#ffffff", outside: "#ffffff", water: "#b9d9ff", green: "#d9f2d0", building: "#e6e6e6", edge: "#767676",
    main: "#d0d0d0", side: "#dddddd", casing: "#000000", lane: "#c8c8c8", grid: "#3a3a3a", community: "#1a1a1a",
    street: "#000000", district: "#000000", ink: "#000000", faint: "#000000", water_ink: "#00286b", green_ink: "#004d22",
    halo: "#ffffff", accent: "#00332e", cell: "#5c4300", component: "#2e0f7a",
  },
}; // prettier-ignore

/** The theme of the page, once "as the system" is decided. */
export const theme = () => {
  const named = document.documentElement.dataset.theme;
  return named in LOOKS ? named : matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
};

/** Without glyph files letters are drawn from these fonts of the machine. The second list is for a machine that had
    no Chinese font when it was first asked: a list that was tried keeps its empty boxes. */
export const FONTS = ["system-ui", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "WenQuanYi Micro Hei", "Noto Sans SC"];
export const FETCHED = ["Noto Sans SC"];

const wide = (...stops) => ["interpolate", ["exponential", 1.6], ["zoom"], ...stops];
const name = language === "en" ? ["coalesce", ["get", "name_en"], ["get", "name"]] : ["get", "name"];

/** The layers that a person can switch, and the style layers that belong to each. */
export const SWITCHES = {
  grids: ["grid-line", "micro-line"],
  labels: ["label-street", "label-community", "label-grid", "label-micro", "label-road", "label-water", "label-green"],
  cells: ["cell-line"],
  components: ["component", "component-label"],
  scenery: ["water", "green", "building", "lane-casing", "lane", "side-casing", "side", "main-casing", "main"],
};

export function style(settings, shown, fonts = FONTS) {
  const look = LOOKS[theme()];
  const tiles = new URL(`/map/tiles/${settings.edition || "none"}/`, location.href).href;
  const base = settings.basemap;
  const sources = {
    city: { type: "vector", tiles: [`${tiles}{z}/{x}/{y}.mvt`], minzoom: 0, maxzoom: settings.maxzoom, bounds: settings.bounds ?? undefined },
  };
  const layers = [{ id: "land", type: "background", paint: { "background-color": base ? look.outside : look.land } }];
  if (base) layers.push(...under(base, sources, look));
  const city = (id, type, layer, rest) => ({ id, type, source: "city", "source-layer": layer, ...rest });
  const line = (id, layer, colour, width, rest = {}, paint = {}) =>
    city(id, "line", layer, { layout: { "line-cap": "round", "line-join": "round" }, paint: { "line-color": colour, "line-width": width, ...paint }, ...rest });
  const road = (rank) => ({ filter: ["==", ["get", "rank"], rank] });
  const text = (id, layer, size, colour, rest = {}) =>
    city(id, "symbol", layer, {
      layout: { "text-field": name, "text-font": fonts, "text-size": size, "text-max-width": 8, "text-padding": 6, ...rest.layout },
      paint: { "text-color": colour, "text-halo-color": look.halo, "text-halo-width": 1.6, ...rest.paint },
      ...(rest.filter ? { filter: rest.filter } : {}),
      ...(rest.minzoom ? { minzoom: rest.minzoom } : {}),
    });
  const level = (word) => ["==", ["get", "level"], word];
  if (!base) {
    layers.push(
      city("water", "fill", "water", { paint: { "fill-color": look.water } }),
      city("green", "fill", "green", { paint: { "fill-color": look.green } }),
      city("building", "fill", "building", { minzoom: 14, paint: { "fill-color": look.building, "fill-outline-color": look.edge } }),
      line("lane-casing", "road", look.edge, wide(14, 0.8, 17, 7), { ...road(3), minzoom: 14 }, { "line-opacity": 0.5 }),
      line("lane", "road", look.lane, wide(14, 0.5, 17, 5.5), { ...road(3), minzoom: 14 }),
      line("side-casing", "road", look.casing, wide(12, 1.6, 17, 15), { ...road(2), minzoom: 12 }),
      line("main-casing", "road", look.casing, wide(9, 1, 12, 4, 17, 24), road(1)),
      line("side", "road", look.side, wide(12, 0.9, 17, 12.5), { ...road(2), minzoom: 12 }),
      line("main", "road", look.main, wide(9, 0.6, 12, 2.8, 17, 21), road(1)),
    );
  }
  layers.push(
    line("cell-line", "unit_cell", look.cell, 0.8, { minzoom: 14 }, { "line-dasharray": [2, 2] }),
    line("micro-line", "micro_grid", look.grid, 0.7, { minzoom: 15 }, { "line-opacity": 0.55, "line-dasharray": [3, 3] }),
    line("grid-line", "grid", look.grid, wide(12, 0.5, 16, 2), { minzoom: 12 }, { "line-opacity": 0.85 }),
    line("community-line", "community", look.community, wide(11, 0.6, 16, 2.6), { minzoom: 11 }, { "line-dasharray": [5, 2.5] }),
    line("street-line", "street", look.street, wide(8, 0.7, 12, 1.6, 16, 2.6), {}, { "line-opacity": 0.85 }),
    line("district-line", "district", look.district, wide(6, 1.2, 12, 2.6, 16, 4)),
    ...["grid", "community", "street", "district", "micro_grid"].map((one) =>
      line(`chosen-${one}`, one, look.accent, 4, { filter: ["==", ["get", "code"], ""] }),
    ),
    city("component", "circle", "component", {
      minzoom: 15.5,
      paint: { "circle-radius": wide(15.5, 2, 18, 6), "circle-color": look.component, "circle-stroke-color": look.halo, "circle-stroke-width": 1 },
    }),
  );
  if (!base) {
    layers.push(
      text("label-water", "water", 12, look.water_ink, { layout: { "symbol-placement": "point" }, minzoom: 12.5 }),
      text("label-green", "green", 11, look.green_ink, { minzoom: 14.5 }),
      text("label-road", "road", wide(12, 10.5, 17, 14), look.faint, {
        layout: { "symbol-placement": "line", "symbol-spacing": 320, "text-letter-spacing": 0.12 }, filter: ["has", "name"], minzoom: 12,
      }), // prettier-ignore
    );
  }
  layers.push(
    text("label-micro", "label", 11, look.faint, { filter: level("micro_grid"), minzoom: 16.2, layout: { "text-field": ["get", "short"] } }),
    text("label-grid", "label", 12, look.faint, { filter: level("grid"), minzoom: 14.2, layout: { "text-field": ["get", "short"] } }),
    text("label-community", "label", wide(12, 11, 16, 15), look.ink, { filter: level("community"), minzoom: 12.3 }),
    text("label-street", "label", wide(9, 11, 12, 15, 16, 20), look.street, { filter: level("street"), paint: { "text-halo-width": 2.2 }, layout: { "text-letter-spacing": 0.08 } }),
    text("component-label", "component", 10, look.component, { minzoom: 17.6, layout: { "text-offset": [0, 1.1], "text-anchor": "top" } }),
  );
  for (const [part, ids] of Object.entries(SWITCHES)) {
    if (shown.has(part)) continue;
    for (const layer of layers) if (ids.includes(layer.id)) layer.layout = { ...layer.layout, visibility: "none" };
  }
  return { version: 8, name: "city", sources, layers };
}

/** The layers of the configured base map. */
function under(base, sources, look) {
  const dim = theme() === "dark" ? { "raster-brightness-max": 0.65, "raster-saturation": -0.4 } : {};
  const rest = { maxzoom: base.maxzoom || 18, attribution: base.attribution };
  const archive = `pmtiles://${new URL("/map/base.pmtiles", location.href).href}`;
  if (base.kind === "pmtiles" && base.tiles === "vector") {
    // The layers that Protomaps' archives have; of others nothing is drawn.
    sources.base = { type: "vector", url: archive };
    const from = (id, type, layer, paint, more = {}) => ({ id, type, source: "base", "source-layer": layer, paint, ...more });
    return [
      from("base-land", "fill", "earth", { "fill-color": look.land }),
      from("base-green", "fill", "landuse", { "fill-color": look.green }, { filter: ["in", ["get", "kind"], ["literal", ["park", "forest", "grass", "cemetery"]]] }),
      from("base-water", "fill", "water", { "fill-color": look.water }),
      from("base-building", "fill", "buildings", { "fill-color": look.building }, { minzoom: 14 }),
      from("base-road", "line", "roads", { "line-color": look.main, "line-width": wide(10, 0.5, 17, 10) }),
    ];
  }
  const sets = base.kind === "pmtiles" ? [null] : base.layers;
  return sets.map((tiles, n) => {
    sources[`base-${n}`] = tiles ? { type: "raster", tiles, tileSize: 256, ...rest } : { type: "raster", url: archive, tileSize: 256 };
    return { id: `base-${n}`, type: "raster", source: `base-${n}`, paint: dim };
  });
}
