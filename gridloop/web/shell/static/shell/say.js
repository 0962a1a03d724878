// One sentence in two languages, where it is said.
export const language = document.documentElement.lang.startsWith("en") ? "en" : "zh";

/** say("共{n}件", "{n} cases", {n: 3}) */
export function say(zh, en, values = {}) {
  return (language === "en" ? en : zh).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}
