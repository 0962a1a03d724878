// Followed areas: kept in this browser, nowhere else.
import { say } from "../shell/say.js";
import { toast } from "../shell/shell.js";

const KEY = "gridloop-followed";
for (const element of document.querySelectorAll(".by-script")) element.hidden = false;
const read = () => {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "[]").filter((one) => one.query && one.name);
  } catch {
    return [];
  }
};
const write = (kept) => localStorage.setItem(KEY, JSON.stringify(kept.slice(0, 30)));

function show() {
  const kept = read();
  document.getElementById("kept-none").hidden = kept.length > 0;
  document.getElementById("kept").replaceChildren(
    ...kept.map((one) => {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = `/portal/cases?${new URLSearchParams(one.query)}`;
      link.textContent = one.name;
      link.lang = "zh";
      const drop = document.createElement("button");
      drop.type = "button";
      drop.className = "button";
      drop.textContent = say("不再关注", "Stop");
      drop.setAttribute("aria-label", say("不再关注{n}", "Stop following {n}", { n: one.name }));
      drop.addEventListener("click", () => {
        write(read().filter((other) => other.query !== one.query));
        show();
      });
      item.append(link, drop);
      return item;
    }),
  );
}
show();
document.getElementById("keep")?.addEventListener("click", () => {
  const { query, name } = document.getElementById("chosen").dataset;
  write([{ query, name }, ...read().filter((one) => one.query !== query)]);
  show();
  toast(say("记下了", "Kept"), "good");
});
document.getElementById("around-me")?.addEventListener("click", () => {
  navigator.geolocation?.getCurrentPosition(
    ({ coords }) => {
      const metres = document.getElementById("metres").value;
      document.getElementById("around-near").value = `${coords.longitude.toFixed(3)},${coords.latitude.toFixed(3)},${metres}`;
      document.getElementById("around").submit();
    },
    () => toast(say("没有取到位置，请选社区。", "No location: please choose a community."), "warn"),
  );
});
