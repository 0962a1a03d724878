// The page of one case: its keys, revealing a caller, its small map.
import { keys } from "../shell/shell.js";
import "./forms.js";

const main = () => document.querySelector(".verbs .button.primary");
const press = (verb) => () => document.querySelector(`.verbs [data-verb="${verb}"]`)?.click();

const most = (event) => {
  // Enter on a button or a link is that button's.
  if (event.target.closest?.("a, button, summary")) event.target.click();
  else main()?.click();
};
const back = () => document.querySelector(".case-title a")?.click();

keys({
  Enter: [most, "办理最可能的一步", "do what is most likely next"],
  d: [press("dispatch"), "派遣", "dispatch"],
  s: [press("start"), "签收", "start"],
  h: [press("hand_back"), "处置完成", "hand back"],
  c: [press("check"), "核查", "check"],
  b: [back, "回到列表", "back to the list"],
});

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-reveals]");
  if (!button) return;
  const dialog = document.getElementById("reveal");
  dialog.querySelector("[name=contact]").value = button.dataset.reveals;
  dialog.showModal();
});
// What was revealed is gone when it is closed: the page is asked for again, without it.
document.getElementById("reveal")?.addEventListener("close", (event) => {
  if (event.target.querySelector(".revealed")) location.reload();
});

// The map is fetched when it comes into sight, and never for a case without a place.
const map = document.querySelector("city-map");
if (map) {
  const watch = new IntersectionObserver((seen) => {
    if (!seen.some((one) => one.isIntersecting)) return;
    watch.disconnect();
    import("../map/city-map.js");
  });
  watch.observe(map);
}
