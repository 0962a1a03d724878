// The dispatcher's desk by the keyboard: rows up and down, choose, send, change.
import { keys } from "../shell/shell.js";
import "./forms.js";

const rows = [...document.querySelectorAll("[data-row]")];
let here = -1;
const go = (step) => () => {
  here = Math.min(Math.max(here + step, 0), rows.length - 1);
  rows[here]?.focus();
};
const press = (selector) => () => rows[here < 0 ? 0 : here]?.querySelector(selector)?.click();
rows.forEach((row, n) => row.addEventListener("focusin", () => (here = n)));

keys({
  j: [go(1), "下一件", "next"],
  k: [go(-1), "上一件", "previous"],
  x: [press("input[name=case]"), "选中", "choose"],
  a: [press("[data-one]"), "按规则派遣，或批准", "send as proposed, or grant"],
  u: [press("[data-change]"), "换单位，或驳回", "another unit, or refuse"],
  o: [press("[data-open]"), "打开案件", "open the case"],
});

const all = document.getElementById("all");
all?.addEventListener("change", () => {
  for (const box of document.querySelectorAll("input[name=case]")) box.checked = all.checked;
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.target.closest?.("dialog")) {
    event.preventDefault();
    document.getElementById("send")?.click();
  }
});
