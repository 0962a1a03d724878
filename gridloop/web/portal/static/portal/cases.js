// The map of the public's cases, when somebody asks for it.
import { say } from "../shell/say.js";
import { toast } from "../shell/shell.js";
import { cityMap } from "./map.js";

for (const element of document.querySelectorAll(".by-script")) element.hidden = false;
const button = document.getElementById("show-map");
const holder = document.getElementById("cases-map");
button.addEventListener("click", async () => {
  if (holder.firstChild) {
    holder.replaceChildren();
    button.setAttribute("aria-expanded", "false");
    return;
  }
  try {
    const map = await cityMap();
    map.setAttribute("data-src", button.dataset.url);
    map.setAttribute("tools", "search list");
    map.setAttribute("colour", "state");
    map.setAttribute("label", say("公开案件，每点约100米", "Public cases, each point about 100 m wide"));
    const signs = document.createElement("p");
    signs.className = "hint";
    signs.textContent = say(
      "圆点：办理中；对勾：已解决；菱形：暂不能办。每个点代表约100米见方。",
      "Dot: in progress; tick: solved; diamond: cannot be done for now. Each stands for about 100 m square.",
    );
    holder.replaceChildren(map, signs);
    button.setAttribute("aria-expanded", "true");
  } catch {
    toast(say("地图打不开，请看列表。", "The map cannot be opened; the list has all of it."), "bad");
  }
});
