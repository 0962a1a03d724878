// The brief of one grid, as the server writes it, in a panel beside the map.
import { say } from "../shell/say.js";
import { h, icon } from "./city-map.js";

export async function card(city, code) {
  let panel = city.querySelector(".cm-card");
  const close = () => {
    panel.remove();
    city.removeAttribute("region");
    (city.map?.getCanvas() ?? city).focus();
  };
  if (!panel) {
    panel = h("aside", { class: "cm-card", tabindex: "-1", "aria-label": say("网格简报", "Brief of the grid") });
    panel.addEventListener("keydown", (event) => event.key === "Escape" && close());
    panel.addEventListener("click", (event) => {
      const above = event.target.closest("[data-region]");
      if (above) card(city, above.dataset.region);
    });
    city._over.append(panel);
  }
  city.setAttribute("region", code);
  const body = h("div", { class: "cm-card-body" }, say("正在读取…", "Loading…"));
  panel.replaceChildren(h("button", { type: "button", class: "button quiet cm-close", "aria-label": say("关闭", "Close"), click: close }, icon("x")), body);
  const response = await fetch(`/map/card/${encodeURIComponent(code)}`, { credentials: "same-origin", headers: { "HX-Request": "true" } });
  if (response.ok) body.innerHTML = await response.text(); // the server's own template, escaped there
  else body.textContent = say("读不到这个网格（{n}）。", "This grid could not be read ({n}).", { n: response.status });
  panel.focus();
}
