// A machine without any Chinese font shows the same box for every character: then, and only then, ours is fetched.
const canvas = document.createElement("canvas");
canvas.width = canvas.height = 24;
const brush = canvas.getContext("2d", { willReadFrequently: true });

function drawn(character) {
  brush.clearRect(0, 0, 24, 24);
  brush.font = "20px sans-serif";
  brush.fillText(character, 1, 20);
  return brush.getImageData(0, 0, 24, 24).data.join();
}

if (drawn("\u56fd") === drawn("\u8857")) {
  const sheet = document.createElement("link");
  sheet.rel = "stylesheet";
  sheet.href = new URL("../vendor/noto/noto.css", import.meta.url).href;
  // With our font first in the list, what was already drawn as boxes is drawn anew.
  sheet.addEventListener("load", () => document.documentElement.classList.add("own-font"));
  document.head.append(sheet);
}
