// The map is heavy: its element and its sheet come only when somebody asks for it.
export async function cityMap() {
  await import("../map/city-map.js");
  if (!document.querySelector("link[data-portal-map]")) {
    const sheet = document.createElement("link");
    Object.assign(sheet, { rel: "stylesheet", href: new URL("../map/city-map.css", import.meta.url).href });
    sheet.dataset.portalMap = "";
    document.head.append(sheet);
  }
  return document.createElement("city-map");
}
