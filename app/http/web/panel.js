// One model's answer: the class Panel owns an <article> and everything in it.

import * as api from "./api.js";
import { showClasses } from "./bars.js";
import { showCalls } from "./calls.js";
import { paintEvidence, placeFrame } from "./evidence.js";
import { beginSentence, count, element } from "./format.js";
import { askForKey } from "./key.js";
import { describeModel, describeReliability, describeSet, describeSets, describeSpeaker } from "./trust.js";
import { showWaterfall } from "./waterfall.js";

const MOST_LABELS = 60; // shown before there is an image
const TINY = 100; // pixels: such an image is enlarged, with its pixels to be seen
const template = document.querySelector("#panel");
const readReport = (name) => api.readReport(name).catch(() => ({ files: [], metrics: null }));

export class Panel {
  #find;
  #options;
  #onChoose;
  #onCard;
  #given = null; // { blob, name, address } of the image
  #answer = null;
  #index = null; // of the class to explain; null for the most probable
  #report = Promise.resolve({ files: [], metrics: null });
  #running = new AbortController();
  #looking = new AbortController(); // of the evidence alone: it can be asked for while an answer is on its way

  /** `options()` gives the page's { evidence, strength, coverage }; `onChoose()` is told when a class was pressed,
   *  `onCard()` when the card of the model is known. */
  constructor(options, { onModel, onRemove, onChoose, onCard }) {
    this.article = template.content.cloneNode(true).firstElementChild;
    this.#find = (selector) => this.article.querySelector(selector);
    this.#options = options;
    this.#onChoose = onChoose;
    this.#onCard = onCard;
    this.sets = null; // { largest, reason }: the largest coverage of label sets, or 0 and why; null while unknown
    this.picker = this.#find(".model");
    this.picker.addEventListener("change", () => { this.#readCard(); onModel(); this.#restart(); });
    this.#find(".remove").addEventListener("click", () => onRemove(this));
    const shown = this.#find(".looked img");
    shown.addEventListener("load", () => shown.classList.toggle("tiny", shown.naturalWidth < TINY));
    shown.addEventListener("error", () => { this.#find(".looked").hidden = true; }); // a type that browsers can't show
  }

  get model() {
    return this.picker.value;
  }

  set removable(can) {
    this.#find(".remove").hidden = !can;
  }

  offer(names, chosen) {
    const before = this.model;
    this.picker.replaceChildren(...names.map((name) => new Option(name, name)));
    this.picker.value = names.includes(chosen) ? chosen : names[0];
    this.article.setAttribute("aria-label", `Answer of ${this.model}`);
    if (this.model !== before) this.#readCard();
  }

  /** Classify an image, given as { blob, name, address }. */
  take(given) {
    if (!this.#given) this.#find(".card-summary").open = false; // the answer is what there is to look at now
    this.#given = given;
    this.#restart();
  }

  #restart() {
    this.#index = null;
    return this.refresh();
  }

  /** Ask everything again, with the page's options as they are now. */
  async refresh() {
    this.article.setAttribute("aria-label", `Answer of ${this.model}`);
    if (!this.#given || !this.model) return;
    const signal = this.#begin();
    const { coverage } = this.#options();
    this.#say("Looking…");
    try {
      const asked = Number(coverage) <= (this.sets?.largest ?? 0) ? coverage : "";
      this.#answer = { ...(await api.predict(this.model, this.#given.blob, asked, signal)), coverage: asked };
      this.#say(describeSpeaker(this.#answer.predictions[0]));
      await this.#showAnswer();
      await Promise.all([this.#showInput(signal), this.refreshEvidence()]);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Show or hide where the network looked. */
  async refreshEvidence() {
    this.#looking.abort();
    this.#looking = new AbortController();
    const { signal } = this.#looking;
    if (!this.#answer) return;
    const { evidence, strength } = this.#options();
    const [{ classes }] = this.#answer.predictions;
    const frame = this.#find(".frame");
    const chosen = evidence ? this.#index ?? classes[0].index : null;
    showClasses(this.#find(".classes"), classes, chosen, (index) => { this.#index = index; this.#onChoose(this); });
    this.#showCalls();
    frame.hidden = this.#find(".legend").hidden = !evidence;
    this.#find(".cell").hidden = true;
    frame.firstElementChild.style.opacity = strength;
    this.#find(".looked figcaption").textContent = "Your image";
    if (!evidence) return;
    try {
      this.#find(".looked figcaption").textContent = "Looking for the evidence…";
      const found = await api.explain(this.#speaker, this.#given.blob, chosen, signal);
      placeFrame(frame, found.rectangle);
      paintEvidence(frame.firstElementChild, found.map);
      this.#find(".looked figcaption").textContent = `Evidence for ${found.class.label} (${found.method})`;
      this.#sayCell(found.map);
    } catch (error) {
      if (error.name === "AbortError") return; // a newer request took over
      frame.hidden = this.#find(".legend").hidden = true;
      this.#find(".looked figcaption").textContent = beginSentence(error.message);
    }
  }

  /** A network may end in so small a map that it can't say where. */
  #sayCell(map) {
    const cell = this.#find(".cell");
    cell.hidden = map.length > 1 || map[0].length > 1;
    cell.textContent = "This network’s last map is a single cell: it says how much, not where.";
  }

  setStrength(strength) {
    this.#find(".frame").firstElementChild.style.opacity = strength;
  }

  /** The model that gave the answer: of a cascade one of its two. */
  get #speaker() {
    return this.#answer.predictions[0].model ?? this.model;
  }

  #begin() {
    this.#running.abort();
    this.#looking.abort();
    this.#running = new AbortController();
    return this.#running.signal;
  }

  async #showAnswer() {
    const [prediction] = this.#answer.predictions;
    const warning = this.#find(".warning");
    warning.hidden = !prediction.warning;
    warning.textContent = beginSentence(prediction.warning ?? "");
    showClasses(this.#find(".classes"), prediction.classes, null, (index) => { this.#index = index; this.#onChoose(this); });
    const set = this.#find(".set");
    const { coverage } = this.#options();
    set.hidden = !prediction.set && !coverage;
    if (prediction.set) set.textContent = describeSet(prediction.set, Number(this.#answer.coverage));
    else if (coverage) set.textContent = this.sets?.reason || `This model’s label sets end at ${100 * this.sets?.largest} %.`;
    showWaterfall(this.#find(".waterfall"), this.#answer);
    this.#showCalls();
    this.#find(".looked").hidden = false;
    this.#find(".looked img").src = this.#given.address;
    this.#find(".answer").hidden = false;
    this.#find(".empty").hidden = true;
    const { metrics } = prediction.model ? await readReport(prediction.model) : await this.#report;
    this.#find(".trust").textContent = describeReliability(prediction.classes[0].probability, metrics);
  }

  async #showInput(signal) {
    const image = this.#find(".seen img");
    const blob = await api.viewInput(this.#speaker, this.#given.blob, signal);
    URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(blob);
    await image.decode().catch(() => {});
    image.classList.toggle("tiny", image.naturalWidth < TINY);
  }

  #showCalls() {
    const { evidence } = this.#options();
    showCalls(this.#find(".calls"), {
      model: this.model, fileName: this.#given.name, coverage: this.#answer.coverage, index: this.#index, explained: evidence,
    });
  }

  async #readCard() {
    const name = this.model;
    this.sets = null;
    this.#report = readReport(name);
    try {
      const [{ versions }, { files }] = await Promise.all([api.readModel(name), this.#report]);
      const loaded = versions.find((version) => version.card);
      if (name !== this.model) return;
      this.sets = describeSets(name, loaded?.card);
      this.#onCard();
      if (!loaded) return;
      const { line, rows } = describeModel(loaded);
      this.#showLabels(loaded.card);
      this.#find(".about").textContent = line;
      this.#find(".card-summary dl").replaceChildren(...rows);
      this.#find(".card-link").href = `models/${encodeURIComponent(name)}/card`;
      const confusion = this.#find(".confusion");
      confusion.hidden = !files.includes("confusion.png");
      if (!confusion.hidden) confusion.href = confusion.firstChild.src = api.reportAddress(name, "confusion.png");
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Something to look at before there is an image: what the model can answer. */
  #showLabels({ labels, head }) {
    const one = head === "multilabel" ? "any of its" : "one of its";
    this.#find(".empty h3").textContent = `Give it an image: it answers with ${one} ${count(labels.length)} labels`;
    const more = labels.length > MOST_LABELS ? [`and ${count(labels.length - MOST_LABELS)} more`] : [];
    this.#find(".labels").replaceChildren(...[...labels.slice(0, MOST_LABELS), ...more].map((label) => element("li", "", label)));
  }

  #say(text, bad = false) {
    const status = this.#find(".head ~ .status");
    status.textContent = text;
    status.classList.toggle("bad", bad);
  }

  #fail(error) {
    if (error.name === "AbortError") return; // a newer request took over
    this.#answer = null;
    this.#find(".answer").hidden = true;
    this.#say(beginSentence(error.message), true);
    if (error.status === 401) askForKey(true);
  }
}
