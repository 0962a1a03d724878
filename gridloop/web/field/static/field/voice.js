// A spoken note: recorded here, sent like a photograph, kept as it was spoken. Nothing listens but the microphone.
import { say } from "../shell/say.js";
import { h, icon, toast } from "./dom.js";

const LONGEST = 180;
const KINDS = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];

/** A button that records, stops and plays. `done(blob|null)` is told what there is. */
export function recorder(done) {
  const box = h("div", { class: "voice" });
  let running = null;
  const idle = () =>
    box.replaceChildren(h("button", { type: "button", class: "button big", onclick: start }, icon("mic"), say("录一段语音（可不录）", "Add a spoken note (optional)")));
  const have = (blob) => {
    const url = URL.createObjectURL(blob);
    box.replaceChildren(
      h("audio", { src: url, controls: true }),
      h("button", { type: "button", class: "button", onclick: () => (URL.revokeObjectURL(url), done(null), idle()) }, icon("trash-2"), say("删去重录", "Remove")),
    );
  };
  async function start() {
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch {
      toast(say("不能使用麦克风。", "The microphone cannot be used."), "bad");
      return;
    }
    const kind = KINDS.find((k) => globalThis.MediaRecorder?.isTypeSupported(k));
    running = new MediaRecorder(stream, { mimeType: kind, audioBitsPerSecond: 32000 });
    const parts = [];
    running.ondataavailable = (event) => parts.push(event.data);
    const clock = setTimeout(() => running?.stop(), LONGEST * 1000);
    running.onstop = () => {
      clearTimeout(clock);
      for (const track of stream.getTracks()) track.stop();
      running = null;
      const blob = new Blob(parts, { type: (kind ?? "audio/webm").split(";")[0] });
      done(blob);
      have(blob);
    };
    running.start();
    box.replaceChildren(
      h("button", { type: "button", class: "button big danger", onclick: () => running?.stop() }, icon("circle"), say("停止录音（最长3分钟）", "Stop (3 minutes at most)")),
    );
  }
  idle();
  return box;
}
