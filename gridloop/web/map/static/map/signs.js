// Signs drawn on the spot: rings that tell the make-up of a bundle, pins whose form tells what their colour tells.
import { say } from "../shell/say.js";

const SIDE = 64;

/** What a case is, by clock and by state: word, colour token of the page, form of the pin. */
export const KINDS = {
  clock: {
    red: { token: "--red", form: "bang", label: say("已超时", "overdue") },
    yellow: { token: "--yellow", form: "tick", label: say("快到期", "due soon") },
    green: { token: "--green", form: "dot", label: say("时限内", "in time") },
    paused: { token: "--line-strong", form: "bars", label: say("暂停计时", "clock stopped") },
    none: { token: "--blue", form: "ring", label: say("不计时", "no clock") },
    done: { token: "--ink-3", form: "check", label: say("已办结", "ended") },
  },
  state: {
    wait: { token: "--blue", form: "ring", label: say("待立案、待派遣", "to be accepted or sent") },
    work: { token: "--accent", form: "dot", label: say("处置中", "being handled") },
    halt: { token: "--orange", form: "bars", label: say("退单、挂账、返工", "returned, paused, rework") },
    look: { token: "--green", form: "tick", label: say("待核查、待结案", "to be checked or closed") },
    end: { token: "--ink-3", form: "check", label: say("已办结", "ended") },
  },
};

const colour = (token) => getComputedStyle(document.documentElement).getPropertyValue(token).trim();

function canvas() {
  const element = document.createElement("canvas");
  element.width = element.height = SIDE;
  return element.getContext("2d", { willReadFrequently: true });
}

/** The image that the map asks for by name: "ring|clock|red:3,green:9" (twelfths) or "pin|state|work". */
export function drawn(name) {
  const [what, by, rest] = name.split("|");
  if (!(by in KINDS)) return null;
  const at = canvas();
  if (what === "ring") ring(at, by, rest);
  else pin(at, KINDS[by][rest] ?? KINDS[by].none ?? KINDS[by].wait);
  return at.getImageData(0, 0, SIDE, SIDE);
}

function ring(at, by, rest) {
  const middle = SIDE / 2;
  at.fillStyle = colour("--surface");
  at.beginPath();
  at.arc(middle, middle, middle - 2, 0, 7);
  at.fill();
  let turn = -Math.PI / 2;
  for (const part of rest.split(",").filter(Boolean)) {
    const [kind, twelfths] = part.split(":");
    const end = turn + (Number(twelfths) / 12) * 2 * Math.PI;
    at.beginPath();
    at.arc(middle, middle, middle - 8, turn, end);
    at.lineWidth = 11;
    at.strokeStyle = colour(KINDS[by][kind]?.token ?? "--ink-3");
    at.stroke();
    turn = end;
  }
  at.strokeStyle = colour("--line-strong");
  at.lineWidth = 1.5;
  at.beginPath();
  at.arc(middle, middle, middle - 1.5, 0, 7);
  at.stroke();
}

function pin(at, { token, form }) {
  const middle = SIDE / 2;
  const ink = colour("--surface");
  at.lineWidth = 5;
  at.lineJoin = at.lineCap = "round";
  at.fillStyle = colour(token);
  at.strokeStyle = ink;
  at.beginPath();
  if (form === "bang") {
    at.moveTo(middle, 7);
    at.lineTo(SIDE - 6, SIDE - 12);
    at.lineTo(6, SIDE - 12);
    at.closePath();
  } else if (form === "tick") at.roundRect(13, 13, SIDE - 26, SIDE - 26, 4);
  else if (form === "bars") {
    at.moveTo(middle, 8);
    at.lineTo(SIDE - 8, middle);
    at.lineTo(middle, SIDE - 8);
    at.lineTo(8, middle);
    at.closePath();
  } else at.arc(middle, middle, 19, 0, 7);
  at.fill();
  at.stroke();
  at.lineWidth = 5;
  at.strokeStyle = at.fillStyle = token === "--yellow" ? colour("--yellow-ink") : ink;
  at.beginPath();
  if (form === "bang") {
    at.moveTo(middle, 24);
    at.lineTo(middle, 36);
    at.moveTo(middle, 45);
    at.lineTo(middle, 45.5);
    at.stroke();
  } else if (form === "bars") {
    at.moveTo(middle - 5, 25);
    at.lineTo(middle - 5, 39);
    at.moveTo(middle + 5, 25);
    at.lineTo(middle + 5, 39);
    at.stroke();
  } else if (form === "check") {
    at.moveTo(middle - 8, middle);
    at.lineTo(middle - 2, middle + 7);
    at.lineTo(middle + 9, middle - 7);
    at.stroke();
  } else if (form === "tick") {
    at.moveTo(middle, 24);
    at.lineTo(middle, 33);
    at.lineTo(middle + 7, 37);
    at.stroke();
  } else if (form === "ring") {
    at.arc(middle, middle, 8, 0, 7);
    at.fill();
  }
}

/** Shares of a bundle in whole twelfths, the gravest first; whatever is there shows, be it one of a thousand. */
export function twelfths(counts, by) {
  const kinds = Object.keys(KINDS[by]).filter((kind) => counts[kind] > 0);
  const total = kinds.reduce((sum, kind) => sum + counts[kind], 0);
  const parts = kinds.map((kind) => [kind, Math.max(1, Math.round((12 * counts[kind]) / total))]);
  const over = parts.reduce((sum, [, n]) => sum + n, 0) - 12;
  const largest = parts.reduce((a, b) => (b[1] > a[1] ? b : a), parts[0]);
  if (largest) largest[1] -= over;
  return parts.map(([kind, n]) => `${kind}:${n}`).join(",");
}
