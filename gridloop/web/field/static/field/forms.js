// The pack's forms: JSON Schema to large fields, and back to an object, with every mistake named at its field.
import { language, say } from "../shell/say.js";
import { h } from "./dom.js";

export const title = (schema) => (language === "en" ? schema["x-title-en"] || schema.title : schema.title) || "";

function choicesOf(schema) {
  if (schema.oneOf) return schema.oneOf.map((one) => [one.const, title(one) || String(one.const)]);
  if (schema.enum) return schema.enum.map((one) => [one, String(one)]);
  return null;
}

function control(name, schema, id) {
  const choices = choicesOf(schema);
  if (choices || schema.type === "boolean") {
    const list = choices ?? [[true, say("是", "Yes")], [false, say("否", "No")]];
    const inputs = list.map(([value, words], n) => {
      const input = h("input", { type: "radio", name, id: `${id}-${n}` });
      return [input, value, h("label", { class: "choice big-choice" }, input, h("span", { lang: words.match(/[\u3400-\u9fff]/) && language === "en" ? "zh" : null }, words))];
    });
    return { element: h("div", { class: "choices" }, inputs.map((i) => i[2])), read: () => inputs.find(([i]) => i.checked)?.[1], group: true };
  }
  if (schema.type === "array") {
    const inputs = (choicesOf(schema.items ?? {}) ?? []).map(([value, words]) => {
      const input = h("input", { type: "checkbox" });
      return [input, value, h("label", { class: "choice big-choice" }, input, h("span", {}, words))];
    });
    const read = () => {
      const chosen = inputs.filter(([i]) => i.checked).map((i) => i[1]);
      return chosen.length ? chosen : undefined;
    };
    return { element: h("div", { class: "choices" }, inputs.map((i) => i[2])), read, group: true };
  }
  if (schema.type === "number" || schema.type === "integer") {
    const input = h("input", { type: "text", id, inputmode: schema.type === "integer" ? "numeric" : "decimal", autocomplete: "off" });
    const read = () => {
      const text = input.value.trim().replace(",", ".");
      return text === "" ? undefined : Number(text);
    };
    return { element: input, read };
  }
  const date = schema.format === "date";
  const long = !date && (schema.maxLength ?? 0) > 120;
  const input = long ? h("textarea", { id, rows: "3" }) : h("input", { type: date ? "date" : "text", id, autocomplete: "off" });
  return { element: input, read: () => input.value.trim() || undefined };
}

/** What is wrong with one value, in words; "" if nothing. */
export function wrong(schema, value, required) {
  if (value === undefined) return required ? say("请填写。", "Please fill this in.") : "";
  if (schema.type === "number" || schema.type === "integer") {
    if (!Number.isFinite(value)) return say("请填数字。", "Write a number.");
    if (schema.type === "integer" && !Number.isInteger(value)) return say("请填整数。", "Write a whole number.");
    if (schema.minimum !== undefined && value < schema.minimum) return say("不小于{n}。", "At least {n}.", { n: schema.minimum });
    if (schema.maximum !== undefined && value > schema.maximum) return say("不大于{n}。", "At most {n}.", { n: schema.maximum });
  }
  if (typeof value === "string") {
    if (schema.maxLength !== undefined && [...value].length > schema.maxLength) return say("最多{n}个字。", "At most {n} characters.", { n: schema.maxLength });
    if (schema.minLength !== undefined && [...value].length < schema.minLength) return say("至少{n}个字。", "At least {n} characters.", { n: schema.minLength });
    if (schema.pattern && !new RegExp(schema.pattern, "u").test(value)) return say("格式不对。", "The form of it is not right.");
  }
  return "";
}

/** A form: {element, read()}. `read()` gives {answers} or {mistakes}, and shows the mistakes at their fields. */
export function form(schema) {
  const required = new Set(schema.required ?? []);
  const fields = Object.entries(schema.properties ?? {}).map(([name, one]) => {
    const id = `form-${name}`;
    const { element, read, group } = control(name, one, id);
    const error = h("p", { class: "error", id: `${id}-error`, hidden: true });
    const star = required.has(name) ? "" : say("（可不填）", " (optional)");
    const words = `${title(one)}${star}`;
    const box = group
      ? h("fieldset", { class: "field" }, h("legend", {}, words), element, error)
      : h("div", { class: "field" }, h("label", { for: id }, words), element, error);
    element.setAttribute("aria-describedby", error.id);
    return { name, one, read, error, element, box };
  });
  return {
    element: h("div", { class: "stack" }, fields.map((f) => f.box)),
    read() {
      const answers = {};
      const mistakes = [];
      for (const { name, one, read, error, element } of fields) {
        const value = read();
        const what = wrong(one, value, required.has(name));
        error.textContent = what;
        error.hidden = !what;
        element.setAttribute("aria-invalid", what ? "true" : "false");
        if (what) mistakes.push([name, what, element]);
        else if (value !== undefined) answers[name] = value;
      }
      return mistakes.length ? { mistakes } : { answers };
    },
    touched: () => fields.some((f) => f.read() !== undefined),
  };
}
