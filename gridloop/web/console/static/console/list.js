// Lists: rows that the keyboard walks through, rows that are chosen, and the bar of what is done with them together.
import { keys } from "../shell/shell.js";

if (document.getElementById("dialogs")) import("./forms.js");

const rows = () => [...document.querySelectorAll("table.list tbody tr[data-href]")];
const boxes = () => [...document.querySelectorAll("table.list tbody .pick input")];
let here = -1;

function go(step) {
  const all = rows();
  if (!all.length) return;
  // The row in which the focus is, wherever it came from; else the one that was looked at last.
  const focused = all.findIndex((row) => row.contains(document.activeElement));
  here = Math.min(all.length - 1, Math.max(0, (focused >= 0 ? focused : here) + step));
  for (const row of all) row.classList.toggle("here", row === all[here]);
  const link = all[here].querySelector("a");
  link?.focus();
  all[here].scrollIntoView({ block: "nearest" });
}

function pick() {
  const row = rows()[here] ?? document.activeElement?.closest?.("tr[data-href]");
  const box = row?.querySelector(".pick input");
  if (!box) return;
  box.checked = !box.checked;
  count();
}

function count() {
  const bar = document.querySelector(".bulk-bar");
  if (!bar) return;
  const all = boxes();
  const picked = all.filter((box) => box.checked).length;
  bar.hidden = !picked;
  bar.querySelector("[data-picked]").textContent = picked;
  for (const box of all) box.closest("tr").classList.toggle("picked", box.checked);
  const every = document.getElementById("pick-all");
  every.checked = picked > 0 && picked === all.length;
  every.indeterminate = picked > 0 && picked < all.length;
}

const open = (event) => {
  if (event.target.closest?.("a, button, summary, input")) event.target.click();
  else rows()[here]?.querySelector("a")?.click();
};
const walk = (step) => () => go(step);
const together = () => document.querySelector(".bulk-bar:not([hidden]) .button.primary")?.click();
const press = (what) => () => document.querySelector(what)?.click();
const type = (id) => () => document.getElementById(id)?.focus();

if (document.getElementById("work"))
  keys({
    j: [walk(1), "下一件", "next case"],
    k: [walk(-1), "上一件", "case before"],
    Enter: [open, "打开案件", "open the case"],
    x: [pick, "选择或取消", "choose it or not"],
    a: [together, "一起办理所选", "do the chosen ones together"],
    n: [press("#more a"), "再显示一些", "show more"],
    "/": [type("q"), "查找", "search"],
  });
else keys({ "/": [type("find"), "查找", "search"] });

document.addEventListener("change", (event) => {
  if (event.target.id === "pick-all") for (const box of boxes()) box.checked = event.target.checked;
  if (event.target.matches?.(".pick input")) count();
});

document.addEventListener("click", (event) => {
  if (event.target.closest?.("[data-unpick]")) {
    for (const box of boxes()) box.checked = false;
    count();
  }
  if (event.target.closest?.("[data-prints]")) print();
  // Anywhere in a row opens it, but not where something else is to be pressed, or text is being marked.
  const row = event.target.closest?.("tr[data-href]");
  if (row && !event.target.closest("a, button, input, label") && !String(getSelection())) row.querySelector("a").click();
});

document.body.addEventListener("htmx:afterSettle", (event) => {
  if (!event.detail.target) return;
  if (event.detail.target.id === "list" || event.detail.target.id === "work") here = -1;
  count();
});
// A list that was kept: its menu has done its work.
document.body.addEventListener("toast", () => {
  for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
});
count();
