// Parts of a picture that must not be seen: drawn with a pointer, or filled in as numbers; both are the same rows.
const cover = document.getElementById("cover");
const list = document.getElementById("parts");
const sides = ["left", "top", "right", "bottom"];

if (cover) {
  const drawing = cover.querySelector("svg");
  const values = (row) => sides.map((side) => Number(row.querySelector(`[name=${side}]`).value));

  function draw() {
    drawing.replaceChildren(
      ...[...list.children].map((row) => {
        const [left, top, right, bottom] = values(row);
        const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
        for (const [name, value] of Object.entries({ x: left, y: top, width: right - left, height: bottom - top }))
          rect.setAttribute(name, String(Math.max(0, value)));
        return rect;
      }),
    );
  }

  function add([left, top, right, bottom]) {
    const row = document.getElementById("part").content.firstElementChild.cloneNode(true);
    list.append(row);
    [left, top, right, bottom].forEach((value, n) => (row.querySelector(`[name=${sides[n]}]`).value = Math.round(value)));
    draw();
    return row;
  }

  document.getElementById("add").addEventListener("click", () => add([40, 40, 60, 60]).querySelector("input").focus());
  list.addEventListener("input", draw);
  list.addEventListener("click", (event) => {
    const button = event.target.closest("[data-drop]");
    if (!button) return;
    button.closest("li").remove();
    draw();
    document.getElementById("add").focus();
  });

  let start = null;
  let row = null;
  const at = (event) => {
    const box = cover.getBoundingClientRect();
    const share = (value, from, size) => Math.min(100, Math.max(0, (100 * (value - from)) / size));
    return [share(event.clientX, box.left, box.width), share(event.clientY, box.top, box.height)];
  };
  cover.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    cover.setPointerCapture(event.pointerId);
    start = at(event);
    row = null;
  });
  cover.addEventListener("pointermove", (event) => {
    if (!start) return;
    const [x, y] = at(event);
    if (!row && Math.abs(x - start[0]) + Math.abs(y - start[1]) < 2) return;
    row ??= add([...start, x, y]);
    const box = [Math.min(start[0], x), Math.min(start[1], y), Math.max(start[0], x), Math.max(start[1], y)];
    box.forEach((value, n) => (row.querySelector(`[name=${sides[n]}]`).value = Math.round(value)));
    draw();
  });
  for (const name of ["pointerup", "pointercancel"]) cover.addEventListener(name, () => (start = null));
  draw();
}
