// The page of second factors: a new passkey, codes to copy or to print.
import { say } from "../shell/say.js";
import { postJSON } from "../shell/http.js";
import { toast } from "../shell/shell.js";
import { make, possible, reason } from "./passkey.js";

for (const element of document.querySelectorAll("[data-passkey-possible]")) element.hidden = !possible();
for (const element of document.querySelectorAll("[data-passkey-impossible]")) element.hidden = possible();

const form = document.querySelector("[data-new-passkey]");
form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const problem = form.querySelector("[data-passkey-error]");
  const button = form.querySelector("button.primary");
  problem.textContent = "";
  button.disabled = true;
  try {
    const answer = await make(await postJSON(form.dataset.newPasskey, {}));
    const { next } = await postJSON(`${form.dataset.newPasskey}/answer`, { ...answer, name: form.elements.name.value });
    location.assign(next);
  } catch (error) {
    if (error.code === "stale") location.assign("/account/confirm?next=/account/second-factor");
    problem.textContent = reason(error);
    button.disabled = false;
  }
});

document.querySelector("[data-prints]")?.addEventListener("click", () => window.print());
for (const button of document.querySelectorAll("[data-copies]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    const lines = [...document.getElementById(button.dataset.copies).children].map((line) => line.textContent.trim());
    await navigator.clipboard.writeText(lines.join("\n"));
    toast(say("已复制。", "Copied."));
  });
}
