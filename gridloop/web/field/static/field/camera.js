// Taking a photograph, with the picture from before the work as a ghost over it, so that both show the same view.
import { say } from "../shell/say.js";
import { h, icon } from "./dom.js";

/** A file that the telephone's own camera or gallery gives. */
export function fromFile() {
  return new Promise((resolve) => {
    const input = h("input", { type: "file", accept: "image/jpeg,image/png,image/webp", capture: "environment" });
    input.addEventListener("change", () => resolve(input.files[0] ?? null));
    input.addEventListener("cancel", () => resolve(null));
    input.click();
  });
}

/** Take a photograph; null if the person went back. `ghost`: a Blob of the picture to match. */
export async function photograph({ ghost = null } = {}) {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1920 }, height: { ideal: 1440 } } });
  } catch {
    return fromFile(); // no camera for the page, or it was not allowed
  }
  const video = h("video", { autoplay: true, muted: true, playsInline: true, class: "camera-live" });
  video.srcObject = stream;
  const over = ghost ? URL.createObjectURL(ghost) : null;
  return new Promise((resolve) => {
    const layer = over ? h("img", { src: over, class: "camera-ghost", alt: say("处置前的照片，半透明", "The picture from before, half transparent") }) : null;
    const slider = layer
      ? h("input", { type: "range", min: "0", max: "100", value: "40", "aria-label": say("重影浓度", "Strength of the ghost"), oninput: (event) => (layer.style.opacity = event.target.value / 100) })
      : null;
    if (layer) layer.style.opacity = 0.4;
    let taken = null;
    const box = h(
      "dialog",
      { class: "camera", "aria-label": say("拍照", "Take a photograph") },
      h("div", { class: "camera-view" }, video, layer),
      slider ? h("label", { class: "camera-slider" }, say("对准处置前的画面", "Match the view from before"), slider) : null,
      h(
        "div",
        { class: "camera-foot" },
        h("button", { type: "button", class: "button big", onclick: () => box.close() }, icon("x"), say("返回", "Back")),
        h("button", {
          type: "button", class: "shutter", "aria-label": say("拍照", "Take the photograph"),
          onclick: async () => {
            const canvas = h("canvas", { width: video.videoWidth || 640, height: video.videoHeight || 480 });
            canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
            taken = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.9));
            box.close();
          },
        }),
        h("button", { type: "button", class: "button big", onclick: async () => ((taken = await fromFile()), taken && box.close()) }, icon("image"), say("相册", "Gallery")),
      ),
    );
    box.addEventListener("close", () => {
      for (const track of stream.getTracks()) track.stop();
      if (over) URL.revokeObjectURL(over);
      box.remove();
      resolve(taken);
    });
    document.body.append(box);
    box.showModal();
  });
}

/** Read a code with the camera, where the browser can; null if it cannot or the person went back. */
export async function scan() {
  if (!("BarcodeDetector" in globalThis) || !navigator.mediaDevices) return null;
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch {
    return null;
  }
  const detector = new globalThis.BarcodeDetector({ formats: ["qr_code", "code_128"] });
  const video = h("video", { autoplay: true, muted: true, playsInline: true, class: "camera-live" });
  video.srcObject = stream;
  return new Promise((resolve) => {
    let found = null;
    const box = h(
      "dialog",
      { class: "camera", "aria-label": say("扫码", "Scan a code") },
      h("div", { class: "camera-view" }, video),
      h("div", { class: "camera-foot" }, h("button", { type: "button", class: "button big", onclick: () => box.close() }, say("手动输入", "Type it"))),
    );
    const timer = setInterval(async () => {
      const codes = await detector.detect(video).catch(() => []);
      if (codes.length) {
        found = codes[0].rawValue;
        box.close();
      }
    }, 250);
    box.addEventListener("close", () => {
      clearInterval(timer);
      for (const track of stream.getTracks()) track.stop();
      box.remove();
      resolve(found);
    });
    document.body.append(box);
    box.showModal();
  });
}
