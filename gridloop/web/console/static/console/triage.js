// One report after the other by single keys. A key never does what cannot be seen on its button.
import { say } from "../shell/say.js";
import { keys } from "../shell/shell.js";
import "./forms.js";

const form = document.getElementById("triage");
if (form) {
  const focus = (id) => () => document.getElementById(id)?.focus();
  const go = (step) => () => {
    const links = [...document.querySelectorAll(".queue a")];
    links[links.findIndex((a) => a.hasAttribute("aria-current")) + step]?.click();
  };
  const accept = (event) => {
    if (event.key === "Enter" && event.target.closest?.("a, button, summary, label")) return event.target.click();
    document.getElementById("accept").click();
  };
  const type = (n) => () => document.querySelector(`input[name=case_type][data-nth="${n}"]`)?.click();
  const join = () => document.querySelector("input[name=join]")?.click();
  const refuse = () => {
    document.getElementById("refuse").showModal();
    focus("refuse-reason")();
  };
  keys({
    a: [accept, "接受", "accept"],
    Enter: [accept, "接受", "accept"],
    t: [focus("type-search"), "换类型", "another type"],
    p: [focus("address"), "定地点", "set the place"],
    d: [join, "并入附近案件", "join the near case"],
    r: [refuse, "不予受理", "refuse"],
    j: [go(1), "下一件", "next"],
    k: [go(-1), "上一件", "previous"],
    1: [type(1), "第一个类型", "first type"],
    2: [type(2), "第二个类型", "second type"],
    3: [type(3), "第三个类型", "third type"],
    4: [type(4), "第四个类型", "fourth type"],
  });
  form.addEventListener("change", (event) => {
    if (event.target.name === "join" && event.target.checked)
      for (const other of form.querySelectorAll("input[name=join]:checked")) if (other !== event.target) other.checked = false;
    const joins = form.querySelector("input[name=join]:checked");
    document.querySelector("[data-accept]").textContent = joins
      ? say("并入所选案件", "Join the chosen case")
      : say("接受并建案", "Accept: open a case");
    // Whoever has chosen a type goes on with the keys.
    if (event.target.name === "case_type") event.target.blur();
  });
  form.addEventListener("place-chosen", () => {
    const line = document.getElementById("chosen-place");
    line.textContent = `${say("已定点", "point set")} ${form.elements.address.value}`;
    line.classList.add("data");
    document.activeElement?.blur();
  });
  form.addEventListener("place", (event) => {
    form.elements.lon.value = event.detail.lon.toFixed(6);
    form.elements.lat.value = event.detail.lat.toFixed(6);
    document.getElementById("chosen-place").textContent =
      `${say("已定点", "point set")} ${event.detail.lon.toFixed(5)}, ${event.detail.lat.toFixed(5)}`;
  });
  form.querySelector(".map-pick").addEventListener("toggle", () => import("../map/city-map.js"), { once: true });
}
