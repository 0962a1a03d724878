// What the forms of the console have in common: dialogs from the server, drafts that survive, templates, choices.
import { say } from "../shell/say.js";
import { toast } from "../shell/shell.js";

// --- a dialog that the server sent is shown; the choice of the button that opened it gets the focus back ---
let opener = null;
document.body.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.target?.id === "dialogs" && event.detail.elt.matches("button")) opener = event.detail.elt;
});
document.body.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id !== "dialogs") return;
  const dialog = event.detail.target.querySelector("dialog");
  if (!dialog) return;
  dialog.addEventListener("close", () => {
    dialog.remove();
    opener?.focus();
  });
  dialog.showModal();
  dialog.querySelector("[role=alert]")?.scrollIntoView({ block: "nearest" });
  (dialog.querySelector("textarea[required]") ?? dialog.querySelector("input[type=search], textarea, select, [type=submit]"))?.focus();
});

document.addEventListener("keydown", (event) => {
  // Enter in a search field looks, it does not send the form; the arrow goes on to what was found.
  if (event.target.matches?.("form input[type=search]") && !event.isComposing) {
    if (event.key === "Enter") event.preventDefault();
    if (event.key === "Enter" || event.key === "ArrowDown") {
      const first = event.target.parentElement.querySelector(".found input, .found button, .answer-list button");
      if (first) {
        event.preventDefault();
        first.focus();
        if (event.key === "Enter" && first.matches("input")) first.click();
      }
    }
  }
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    const form = event.target.closest?.("form.verb-form, form[data-ctrl-enter]");
    if (form) {
      event.preventDefault();
      form.requestSubmit();
    }
  }
});

// --- drafts: what was half written is kept for this tab, until it is sent ---
const key = (form) => `draft:${form.dataset.draft}`;
const fields = (form) =>
  [...form.elements].filter((f) => f.name && !["hidden", "file", "password", "submit"].includes(f.type) && !("noDraft" in f.dataset));

function keep(form) {
  const kept = {};
  for (const f of fields(form)) {
    if (f.type === "checkbox" || f.type === "radio") {
      if (f.checked) kept[f.name] = [...(kept[f.name] ?? []), f.value];
    } else if (f.value) kept[f.name] = [f.value];
  }
  sessionStorage.setItem(key(form), JSON.stringify(kept));
}

function restore(form) {
  const text = sessionStorage.getItem(key(form));
  if (!text) return;
  let back = false;
  for (const [name, values] of Object.entries(JSON.parse(text))) {
    for (const f of fields(form).filter((one) => one.name === name)) {
      if (f.type === "checkbox" || f.type === "radio") f.checked = values.includes(f.value) || (f.checked && f.type === "checkbox");
      else if (!f.value && values[0]) {
        f.value = values[0];
        back = back || f.tagName === "TEXTAREA";
      }
    }
  }
  const note = form.querySelector("[data-draft-note]");
  if (note && back) note.hidden = false;
}

document.addEventListener("input", (event) => {
  const form = event.target.form;
  if (form?.dataset.draft) keep(form);
});
document.body.addEventListener("htmx:load", (event) => {
  const element = event.detail.elt;
  const forms = element.matches?.("form[data-draft]") ? [element] : [...element.querySelectorAll("form[data-draft]")];
  forms.forEach(restore);
});
document.body.addEventListener("htmx:afterRequest", (event) => {
  const form = event.detail.elt;
  if (form.matches?.("form[data-draft]") && event.detail.successful) sessionStorage.removeItem(key(form));
});

// --- templates, places and units that are chosen ---
document.addEventListener("click", (event) => {
  const answer = event.target.closest?.("[data-inserts]");
  if (answer) {
    const area = answer.closest("form").querySelector("textarea[name=reason], textarea");
    const [from, to] = [area.selectionStart, area.selectionEnd];
    area.setRangeText(answer.dataset.inserts, from, to, "end");
    area.dispatchEvent(new Event("input", { bubbles: true }));
    area.focus();
  }
  const place = event.target.closest?.("[data-place]");
  if (place) {
    const form = place.closest("form");
    form.elements.address.value = place.dataset.place;
    form.elements.lon.value = place.dataset.lon;
    form.elements.lat.value = place.dataset.lat;
    place.closest(".found")?.replaceChildren();
    form.dispatchEvent(new CustomEvent("place-chosen", { bubbles: true }));
    form.elements.address.focus();
  }
  const copies = event.target.closest?.("[data-copies]");
  if (copies) {
    navigator.clipboard?.writeText(copies.dataset.copies).then(() => toast(say("已复制", "Copied"), "good"));
  }
});
document.addEventListener("change", (event) => {
  const field = event.target;
  const form = field.form;
  if (!form) return;
  // What was chosen among the found stands with the other choices from now on: a late answer of the search takes nothing.
  const found = field.closest(".found");
  if (found && field.checked) {
    const choices = found.parentElement.querySelector(".choices");
    const same = [...(choices?.querySelectorAll("input") ?? [])].find((one) => one.value === field.value && one.name === field.name);
    if (same) same.checked = true;
    else choices?.append(field.closest("label"));
    found.replaceChildren();
    (same ?? field).focus();
  }
  if (field.name === "unit") form.dispatchEvent(new CustomEvent("unit-chosen"));
});
