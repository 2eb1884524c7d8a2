// The drawing pad, for models that read digits: dark ink on white, by pointer or by arrow keys.

const pad = document.querySelector("#pad");
const STEP = 14; // of an arrow key, in pixels of the pad
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Calls `onImage(blob, name)` after each stroke. */
export function watchDrawing(onImage) {
  const ink = pad.getContext("2d");
  let pen = [pad.width / 2, pad.height / 4];
  let drawing = false;

  const clear = () => {
    ink.fillStyle = "#fff";
    ink.fillRect(0, 0, pad.width, pad.height);
    pen = [pad.width / 2, pad.height / 4];
  };
  const drawTo = (point) => {
    ink.beginPath();
    ink.moveTo(...pen);
    ink.lineTo(...point);
    ink.stroke();
    pen = point;
  };
  const give = () => pad.toBlob((blob) => onImage(blob, "drawing.png"));
  const place = (event) => {
    const box = pad.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * pad.width, ((event.clientY - box.top) / box.height) * pad.height];
  };

  clear();
  Object.assign(ink, { lineWidth: 22, lineCap: "round", lineJoin: "round", strokeStyle: "#111" });
  document.querySelector("#clear").addEventListener("click", clear);
  pad.addEventListener("pointerdown", (event) => {
    drawing = true;
    pad.setPointerCapture(event.pointerId);
    pen = place(event);
    drawTo(pen);
  });
  pad.addEventListener("pointermove", (event) => { if (drawing) drawTo(place(event)); });
  for (const kind of ["pointerup", "pointercancel"]) {
    pad.addEventListener(kind, () => {
      if (drawing) give();
      drawing = false;
    });
  }
  pad.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (!arrow) return;
    event.preventDefault();
    const clamp = (value, side) => Math.min(side, Math.max(0, value));
    const point = [clamp(pen[0] + arrow[0] * STEP, pad.width), clamp(pen[1] + arrow[1] * STEP, pad.height)];
    if (event.shiftKey) pen = point;
    else drawTo(point);
  });
  pad.addEventListener("keyup", (event) => { if (ARROWS[event.key] && !event.shiftKey) give(); });
}
