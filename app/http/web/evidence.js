// An evidence map as a picture: the colors and the opacity that the service's own PNG has (app/explain/overlay.py).

const COLORS = [[20, 11, 52], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];
const FINENESS = 224; // pixels of the canvas, whatever the map has; the page scales it to the image

/** Paint `map` (rows of 0..1) on `canvas`; how opaque it is as a whole is the page's affair. */
export function paintEvidence(canvas, map) {
  canvas.width = canvas.height = FINENESS;
  const paint = canvas.getContext("2d");
  const image = paint.createImageData(FINENESS, FINENESS);
  for (let y = 0, at = 0; y < FINENESS; y += 1) {
    for (let x = 0; x < FINENESS; x += 1, at += 4) {
      const level = sample(map, (x + 0.5) / FINENESS, (y + 0.5) / FINENESS);
      image.data.set(colorize(level), at);
      image.data[at + 3] = 255 * Math.sqrt(level);
    }
  }
  paint.putImageData(image, 0, 0);
}

/** Put `frame` over the rectangle (shares of width and height) that the network saw of the image. */
export function placeFrame(frame, { left, top, right, bottom }) {
  const percent = (share) => `${share * 100}%`;
  Object.assign(frame.style, {
    left: percent(left), top: percent(top), width: percent(right - left), height: percent(bottom - top),
  });
}

function sample(map, across, down) {
  const cubic = (values, place) => {
    const first = Math.floor(place);
    const t = place - first;
    const [a, b, c, d] = [-1, 0, 1, 2].map((step) => values(first + step));
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))); // Catmull-Rom
  };
  const clamp = (index, count) => Math.min(count - 1, Math.max(0, index));
  const row = (y) => {
    const values = map[clamp(y, map.length)];
    return cubic((x) => values[clamp(x, values.length)], across * values.length - 0.5);
  };
  return Math.min(1, Math.max(0, cubic(row, down * map.length - 0.5)));
}

function colorize(level) {
  const place = level * (COLORS.length - 1);
  const first = Math.min(COLORS.length - 2, Math.floor(place));
  return COLORS[first].map((low, channel) => low + (COLORS[first + 1][channel] - low) * (place - first));
}
