// "As the system" is decided before the first paint.
const root = document.documentElement;
if (root.dataset.theme === "auto") {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const contrast = matchMedia("(prefers-contrast: more)");
  const choose = () => (root.dataset.theme = contrast.matches ? "contrast" : dark.matches ? "dark" : "light");
  choose();
  dark.addEventListener("change", choose);
  contrast.addEventListener("change", choose);
}
