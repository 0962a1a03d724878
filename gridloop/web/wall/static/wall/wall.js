// The wall looks after itself: it shows how old its figures are, says so loudly when they grow old, and wakes the map.
import { say } from "../shell/say.js";

const LATE = 60;
const STALE = 180;
const age = document.getElementById("age");
const clock = document.getElementById("clock");
let offset = Date.parse(document.getElementById("board").dataset.at) - Date.now();

function words(seconds) {
  if (seconds < 60) return say("数据 {n} 秒前", "data {n} s old", { n: seconds });
  return say("数据 {n} 分钟前", "data {n} min old", { n: Math.floor(seconds / 60) });
}

function tick() {
  const board = document.getElementById("board");
  const seconds = Math.max(0, Math.round((Date.now() + offset - Date.parse(board.dataset.at)) / 1000));
  const worn = seconds >= STALE ? "stale" : seconds >= LATE ? "late" : "fresh";
  if (age.dataset.worn !== worn) age.dataset.worn = document.body.dataset.worn = worn;
  const text = worn === "stale" ? say("连接中断，{old}", "connection lost, {old}", { old: words(seconds) }) : words(seconds);
  age.lastElementChild.textContent = text;
  clock.textContent = new Date().toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit" });
}

// The parts come with the moment at which they were true; the clocks of server and wall may differ.
document.body.addEventListener("htmx:afterSwap", (event) => {
  const board = document.getElementById("board");
  if (event.detail.target?.id !== "board" && !board) return;
  offset = Date.parse(board.dataset.at) - Date.now();
  tick();
  document.querySelector("city-map")?.refresh?.();
});
addEventListener("online", () => window.htmx?.trigger("#board", "refresh"));
document.getElementById("full").addEventListener("click", () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen();
});
tick();
setInterval(tick, 1000);
