// Taking a call by the keyboard alone: Alt with a digit chooses a type, Alt+P the place, Alt+J joins a near case.
import { say } from "../shell/say.js";
import "./forms.js";

const form = document.getElementById("intake");
const text = form.elements.text;
const begun = Date.now();
const shown = document.querySelector("[data-clock]");
setInterval(() => {
  const s = Math.floor((Date.now() - begun) / 1000);
  shown.textContent = `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
}, 1000);

/** One sentence that says what saving will do. */
function fate() {
  const join = document.querySelector("input[name=join]:checked");
  const type = document.querySelector("input[name=case_type]:checked");
  const box = document.getElementById("fate");
  if (join) box.textContent = say("保存后并入案件 {n}。", "Saving joins case {n}.", { n: join.dataset.number });
  else if (type && form.elements.lon.value) box.textContent = say("保存后直接建案。", "Saving opens a case at once.");
  else box.textContent = say("保存后由系统分拣；选好类型和地点则直接建案。", "Saving leaves it to be sorted; with a type and a place it opens a case at once.");
}

function placed() {
  const { lon, lat, address } = form.elements;
  const line = document.getElementById("chosen-place");
  line.replaceChildren();
  const words = document.createElement("span");
  if (lon.value) {
    words.className = "number";
    words.textContent = `${say("已定点", "point set")} ${Number(lon.value).toFixed(5)}, ${Number(lat.value).toFixed(5)}`;
    const away = document.createElement("button");
    Object.assign(away, { type: "button", className: "button quiet small", textContent: say("去掉", "Remove") });
    away.addEventListener("click", () => {
      lon.value = lat.value = "";
      form.dispatchEvent(new CustomEvent("place-chosen"));
      address.focus();
    });
    line.append(words, away);
  } else {
    words.className = "muted";
    words.textContent = say("还没有定点", "no point yet");
    line.append(words);
  }
  fate();
}

form.addEventListener("place-chosen", placed);
document.addEventListener("change", (event) => {
  if (event.target.name === "join" && event.target.checked)
    for (const other of document.querySelectorAll("input[name=join]:checked")) if (other !== event.target) other.checked = false;
  if (event.target.name === "case_type") form.dispatchEvent(new CustomEvent("type-chosen"));
  fate();
});
document.body.addEventListener("htmx:afterSwap", fate);

document.addEventListener("keydown", (event) => {
  if (!event.altKey || event.ctrlKey || event.metaKey) return;
  const nth = /^Digit([1-5])$/.exec(event.code)?.[1];
  const target = nth
    ? document.querySelector(`input[name=case_type][data-nth="${nth}"]`)
    : event.code === "KeyP"
      ? document.querySelector("#suggested [data-place]")
      : event.code === "KeyJ"
        ? document.querySelector("input[name=join]")
        : null;
  if (!target) return;
  event.preventDefault();
  target.click();
});

// The map is fetched only when somebody asks for it.
document.querySelector(".map-pick").addEventListener("toggle", () => import("../map/city-map.js"), { once: true });
form.addEventListener("place", (event) => {
  form.elements.lon.value = event.detail.lon.toFixed(6);
  form.elements.lat.value = event.detail.lat.toFixed(6);
  form.dispatchEvent(new CustomEvent("place-chosen"));
});
form.addEventListener("submit", () => sessionStorage.removeItem("draft:intake"));
placed();
if (text.value) text.dispatchEvent(new Event("input", { bubbles: true }));
