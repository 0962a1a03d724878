// Copy and print; the page works without them.
import { say } from "../shell/say.js";
import { toast } from "../shell/shell.js";

for (const element of document.querySelectorAll(".by-script")) element.hidden = false;
document.querySelector("[data-print]")?.addEventListener("click", () => print());
document.querySelector("[data-copy]")?.addEventListener("click", async ({ currentTarget }) => {
  try {
    await navigator.clipboard.writeText(currentTarget.dataset.copy);
    toast(say("已复制", "Copied"), "good");
  } catch {
    toast(say("请长按链接复制", "Press and hold the link to copy it"), "warn");
  }
});
