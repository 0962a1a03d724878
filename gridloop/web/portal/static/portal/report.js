// The report form works without this. It adds: warnings while one writes, previews, the location, the map, near cases.
import { say } from "../shell/say.js";
import { getJSON } from "../shell/http.js";
import { cityMap } from "./map.js";

const form = document.getElementById("report-form");
const what = document.getElementById("what");
const field = (name) => form.elements.namedItem(name);
for (const element of document.querySelectorAll(".by-script")) element.hidden = false;

function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

// --- danger: said at once, never in the way of sending ---
const dangers = JSON.parse(document.getElementById("dangers").textContent);
const box = document.getElementById("danger");
let told = "";
function warn() {
  const words = what.value.toLowerCase();
  const found = dangers.filter((danger) => danger.words.some((word) => words.includes(word)));
  const key = found.map((danger) => danger.do).join();
  if (key === told) return;
  told = key;
  box.replaceChildren(
    ...found.map((danger) => {
      const notice = make("div", "notice bad danger");
      const stack = make("div", "stack tight");
      stack.append(make("strong", "", danger.do));
      const calls = make("p", "calls");
      for (const [number, name] of danger.calls) {
        const call = make("a", "button danger big");
        call.href = `tel:${number}`;
        call.append(make("span", "number", number), ` ${name}`);
        calls.append(call);
      }
      stack.append(calls);
      notice.append(stack);
      return notice;
    }),
  );
}
what.addEventListener("input", warn);

// --- photographs: seen before they are sent ---
const photo = field("photo");
const previews = document.getElementById("previews");
photo.addEventListener("change", () => {
  for (const image of previews.querySelectorAll("img")) URL.revokeObjectURL(image.src);
  previews.replaceChildren(
    ...[...photo.files].slice(0, 3).map((file) => {
      const image = make("img");
      image.alt = file.name;
      image.src = URL.createObjectURL(file);
      return image;
    }),
  );
});

// --- the place ---
const located = document.getElementById("located");
function place(lon, lat, words) {
  field("lon").value = lon.toFixed(6);
  field("lat").value = lat.toFixed(6);
  located.textContent = words;
  near(lon, lat);
}
document.getElementById("locate")?.addEventListener("click", () => {
  located.textContent = say("正在取位置……", "Looking for your location …");
  if (!navigator.geolocation) {
    located.textContent = say("这台设备没有定位，请写地点。", "This device has no location: please write the place.");
    return;
  }
  navigator.geolocation.getCurrentPosition(
    ({ coords }) =>
      place(
        coords.longitude,
        coords.latitude,
        say("已记下您的位置（误差约{m}米）。", "Your location is noted (to about {m} m).", { m: Math.round(coords.accuracy) }),
      ),
    () => (located.textContent = say("没有取到位置，请写地点或选社区。", "No location: please write the place or choose a community.")),
    { enableHighAccuracy: true, timeout: 15000, maximumAge: 60000 },
  );
});

// The map is heavy: it comes only when somebody asks for it.
document.getElementById("pick")?.addEventListener("click", async (event) => {
  const holder = document.getElementById("map-place");
  if (holder.firstChild) return holder.replaceChildren();
  event.target.setAttribute("aria-busy", "true");
  try {
    const map = await cityMap();
    map.setAttribute("pick", "");
    map.setAttribute("tools", "search");
    map.setAttribute("label", say("在地图上点出地点", "Point at the place on the map"));
    if (field("lon").value) map.setAttribute("value", `${field("lon").value},${field("lat").value}`);
    map.addEventListener("place", ({ detail }) => place(detail.lon, detail.lat, say("已记下地图上的位置。", "The place on the map is noted.")));
    holder.replaceChildren(map);
  } catch {
    located.textContent = say("地图打不开，请写地点或选社区。", "The map cannot be opened: please write the place or choose a community.");
  } finally {
    event.target.removeAttribute("aria-busy");
  }
});

// --- others have reported it already? ---
const list = document.getElementById("near");
async function near(lon, lat) {
  const query = new URLSearchParams({ lon, lat });
  const { cases } = await getJSON(`${form.dataset.near}?${query}`).catch(() => ({ cases: [] }));
  list.replaceChildren();
  if (!cases.length) return;
  list.append(make("p", "hint", say("附近已有人反映：", "Others near by have reported:")));
  const items = make("ul", "near-list");
  for (const one of cases) {
    const item = make("li");
    const join = make("button", "button", say("就是这件，算我一个", "The same: me too"));
    join.type = "button";
    join.addEventListener("click", () => {
      field("same").value = one.number; // what was written goes along
      form.requestSubmit(form.querySelector("button[value=review]"));
    });
    const words = make("div");
    words.append(make("strong", "", one.name), " ", make("span", "data", one.place), ` · ${one.word}`);
    item.append(words, join);
    items.append(item);
  }
  list.append(items);
}
