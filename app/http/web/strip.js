// Several images given together: a strip of them, each under the class that the first model finds most probable.

import * as api from "./api.js";
import { beginSentence, count, element, percent } from "./format.js";

const MOST = 100; // more are left out: each is a request of its own
const place = document.querySelector("#strip");
const title = document.querySelector("#strip-title");
const list = place.querySelector("ol");

let images = []; // { blob, address, button, caption }
let running = new AbortController();

/** Show these files; `onChoose(file)` is called with the one that is pressed. One file alone is no strip. */
export function showStrip(files, onChoose) {
  running.abort();
  for (const { address } of images) URL.revokeObjectURL(address);
  images = files.length < 2 ? [] : files.slice(0, MOST).map((blob) => ({ blob, address: URL.createObjectURL(blob) }));
  place.hidden = !images.length;
  list.replaceChildren(...images.map((image) => {
    const picture = element("img");
    picture.src = image.address;
    picture.alt = "";
    picture.addEventListener("error", () => picture.replaceWith(element("span", "blank"))); // browsers can't show it
    image.caption = element("span", "caption", "…");
    image.button = element("button", "", [picture, element("span", "unseen", `${image.blob.name}: `), image.caption]);
    image.button.type = "button";
    image.button.title = image.blob.name;
    image.button.addEventListener("click", () => { press(image); onChoose(image.blob); });
    return element("li", "", image.button);
  }));
  if (!images.length) return;
  const all = files.length > MOST ? `${count(MOST)} of ${count(files.length)}` : count(files.length);
  title.textContent = `Your ${all} images`;
  press(images[0]);
}

function press(pressed) {
  for (const image of images) image.button.setAttribute("aria-pressed", String(image === pressed));
}

/** Write under each image what `model` finds in it, one after the other. */
export async function classifyStrip(model) {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  for (const { caption } of images) caption.textContent = "…";
  for (const { blob, button, caption } of images) {
    try {
      const [{ classes: [best] }] = (await api.predict(model, blob, "", signal)).predictions;
      caption.textContent = `${best.label}, ${percent(best.probability, 0)}`;
      button.title = `${blob.name}: ${best.label}`;
    } catch (error) {
      if (error.name === "AbortError") return;
      caption.textContent = "no answer";
      button.title = `${blob.name}: ${beginSentence(error.message)}`;
    }
  }
}
