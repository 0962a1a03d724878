// The own grid with the tasks in it. The position is shown while the page is open and kept nowhere.
import { say } from "../shell/say.js";
import { h, icon, toast } from "./dom.js";
import { Map as Ground } from "./map.js";
import { whereAmI } from "./route.js";

export function map(app) {
  const title = h("h1", { class: "visually-hidden" }, say("我的网格", "My grid"));
  if (!app.ground || !app.ground.regions.length) return h("div", {}, title, h("p", { class: "empty" }, icon("map"), say("本机还没有地图，请联网更新。", "No map on this telephone yet: connect to fetch it.")));
  const view = new Ground(app.ground, { label: say("我的网格和其中{n}件任务；列表见“任务”", "My grid with {n} tasks; as a list under Tasks", { n: app.bundle?.tasks.length ?? 0 }) });
  const marks = () => [
    ...(app.bundle?.tasks ?? [])
      .filter((t) => t.lon !== null)
      .map((t) => ({
        at: [t.lon, t.lat],
        kind: t.due_at && new Date(t.due_at) < app.clock() ? "task late" : t.urgent ? "task urgent" : "task",
        text: t.urgent ? "!" : "",
        act: () => app.go(`/task/${t.number}`),
      })),
    ...(app.here ? [{ at: app.here, kind: "me" }] : []),
  ];
  view.mark(marks());
  view.element.classList.add("whole");
  const find = async () => {
    try {
      app.here = await whereAmI();
      view.mark(marks());
      view.go(app.here, 300);
    } catch (error) {
      toast(error.message, "bad");
    }
  };
  const names = app.ground.regions.filter((r) => r.kind !== "micro_grid").slice(0, 1).map((r) => r.name);
  return h("div", { class: "map-page" }, title, view.element, h("div", { class: "map-foot row tight apart" }, h("span", { lang: "zh", class: "data" }, ...names), h("button", { type: "button", class: "button big", onclick: find }, icon("crosshair"), say("我在哪里", "Where am I"))));
}
