// The map's own page: filters without a reload, and an address that keeps the view.
const map = document.getElementById("city");
const form = document.getElementById("map-filter");
const list = document.getElementById("map-list");

const [center, zoom] = [new URLSearchParams(location.search).get("center"), new URLSearchParams(location.search).get("zoom")];
if (center) {
  map.setAttribute("center", center);
  if (zoom) map.setAttribute("zoom", zoom);
}

/** What the list and the map are narrowed to: the address as it came, changed by the two fields. */
function filters() {
  const query = new URLSearchParams(map.getAttribute("cases"));
  for (const field of form.elements) {
    if (!field.name) continue;
    if (field.value) query.set(field.name, field.value);
    else query.delete(field.name);
  }
  return query;
}

function keep() {
  const query = filters();
  list.href = `/console/cases?${query}`;
  const view = map.map;
  if (view) {
    const { lng, lat } = view.getCenter();
    query.set("center", `${lng.toFixed(5)},${lat.toFixed(5)}`);
    query.set("zoom", view.getZoom().toFixed(2));
  }
  history.replaceState(null, "", `?${query}`);
}

form.addEventListener("change", () => {
  map.setAttribute("cases", filters().toString());
  keep();
});
form.addEventListener("submit", (event) => event.preventDefault());
map.addEventListener("view", keep);
