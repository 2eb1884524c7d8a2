// Where the time of a request went: one row a stage, each bar beginning where the one before it ended.

import { element, milliseconds } from "./format.js";

export function showWaterfall(body, { timing, served, roundTrip }) {
  const inside = timing.decode_ms + timing.queue_ms + timing.infer_ms;
  const whole = Math.max(roundTrip, inside);
  const http = Math.max(0, (served ?? inside) - inside);
  const stages = [
    ["decode", timing.decode_ms],
    ["queue", timing.queue_ms],
    [timing.batch_size > 1 ? `network (batch of ${timing.batch_size})` : "network", timing.infer_ms],
    ["HTTP", http],
    ["transfer", Math.max(0, whole - inside - http)],
  ];
  let begin = 0;
  body.replaceChildren(...stages.map(([name, ms]) => {
    const bar = element("span", "span");
    bar.style.marginLeft = `${(begin / whole) * 100}%`;
    bar.style.width = `${(ms / whole) * 100}%`;
    begin += ms;
    const title = element("th", "", name);
    title.scope = "row";
    return element("tr", "", [title, element("td", "track", bar), element("td", "ms", milliseconds(ms))]);
  }));
}
