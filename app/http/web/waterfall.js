// Where the time of a request went: one row per stage, each bar beginning where the one before it ended, and the total.

import { element, milliseconds } from "./format.js";

/** Fill the rows of `table`, whose body and foot are there. */
export function showWaterfall(table, { timing, served, roundTrip }) {
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
  table.tBodies[0].replaceChildren(...stages.map(([name, ms]) => {
    const bar = element("span", "span");
    bar.style.marginLeft = `${(begin / whole) * 100}%`;
    bar.style.width = `${(ms / whole) * 100}%`;
    begin += ms;
    return row(name, bar, ms);
  }));
  table.tFoot.replaceChildren(row("total", "", whole));
}

function row(name, bar, ms) {
  const title = element("th", "", name);
  title.scope = "row";
  return element("tr", "", [title, element("td", "track", bar), element("td", "ms", milliseconds(ms))]);
}
