// The page: one image, one to three models, and the options that all of them share.

import * as api from "./api.js";
import { watchDrawing } from "./draw.js";
import { beginSentence, element } from "./format.js";
import { showPreview, watchInput } from "./input.js";
import { askForKey, watchKey } from "./key.js";
import { Panel } from "./panel.js";
import { classifyStrip, showStrip } from "./strip.js";

const MOST_PANELS = 3;
const find = (selector) => document.querySelector(selector);
const service = find("#service");
const evidence = find("#evidence");
const strength = find("#strength");
const coverage = find("#coverage");
const compare = find("#compare");

// The models that the address names, as rememberModels wrote them.
const remembered = location.hash.slice(1).split(",").map(decodeURIComponent);
let panels = [];
let models = []; // loaded ones, as /models describes them
let cascades = []; // names
let given = null; // the image: { blob, name, address }

const options = () => ({ evidence: evidence.checked, strength: strength.value, coverage: coverage.value });
const names = () => [...new Set([...models.map((model) => model.name), ...cascades])];

function addPanel(chosen) {
  const panel = new Panel(options, { onModel: rememberModels, onRemove: removePanel, onChoose: chooseClass, onCard: offerCoverage });
  panels.push(panel);
  find("#panels").append(panel.article);
  panel.offer(names(), chosen);
  if (given) panel.take(given);
  arrangePanels();
  return panel;
}

function removePanel(panel) {
  panels = panels.filter((other) => other !== panel);
  panel.article.remove();
  arrangePanels();
  panels[0].picker.focus();
}

function arrangePanels() {
  find("#panels").dataset.count = panels.length;
  for (const panel of panels) panel.removable = panels.length > 1;
  compare.disabled = panels.length >= Math.min(MOST_PANELS, names().length);
  rememberModels();
  offerCoverage();
}

/** Label sets are offered where one of the models shown can give them, up to the coverage that it has figures for. */
function offerCoverage() {
  if (!panels.every((panel) => panel.sets)) return; // a card is still being read
  const largest = Math.max(...panels.map((panel) => panel.sets.largest));
  for (const option of coverage.options) option.disabled = Number(option.value) > largest;
  coverage.disabled = !largest;
  find("#coverage-reason").hidden = Boolean(largest);
  find("#coverage-reason").textContent = panels[0].sets.reason;
  if (coverage.selectedOptions[0]?.disabled) coverage.value = "";
}

/** The address says which models are compared, so that a bookmark or a link does too. */
function rememberModels() {
  history.replaceState(null, "", `#${panels.map((panel) => encodeURIComponent(panel.model)).join(",")}`);
  showSamples();
  if (panels[0].model !== classifiedBy) classifyAgain();
}

let classifiedBy = ""; // the model that wrote the captions of several images

function classifyAgain() {
  classifiedBy = panels[0]?.model ?? "";
  if (classifiedBy) classifyStrip(classifiedBy);
}

function chooseClass(panel) {
  evidence.checked = true;
  find("#strength-field").hidden = false;
  panel.refreshEvidence();
}

function takeImage(blob, name) {
  given = { blob, name: name || "image", address: showPreview(blob) };
  for (const panel of panels) panel.take(given);
}

/** Images given together: the first is answered in full, all of them in a word. */
function takePictures(files) {
  showStrip(files, (file) => takePicture(file, file.name));
  takePicture(files[0], files[0].name);
  classifyAgain();
}

function takeSample(blob, name) {
  showStrip([]);
  takePicture(blob, name);
}

function takePicture(blob, name) {
  showMode("picture");
  say("");
  takeImage(blob, name);
  if (matchMedia("(max-width: 55.9rem)").matches) { // where the answers stand below
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
    find(".answers").scrollIntoView({ behavior });
  }
}

let samplesOf = "";
let samples = []; // { file, blob, address } of each

async function showSamples() {
  const name = panels[0].model;
  if (!name || name === samplesOf) return;
  samplesOf = name;
  const read = await readSamples(name);
  if (samplesOf !== name) return; // another model was picked meanwhile
  for (const { address } of samples) URL.revokeObjectURL(address);
  samples = read.map((sample) => ({ ...sample, address: URL.createObjectURL(sample.blob) }));
  find("#samples").replaceChildren(...samples.map(({ file, blob, address }, place) => {
    const image = element("img");
    image.src = address;
    image.alt = `Sample ${place + 1}`;
    const button = element("button", "", image);
    button.type = "button";
    button.addEventListener("click", () => takeSample(blob, file));
    return button;
  }));
  find("#samples").hidden = find("#samples-title").hidden = !samples.length;
  find("#samples-title").textContent = `Samples of ${name}`;
}

/** The first pictures that the model was replayed with; none where the service doesn't show them. */
async function readSamples(name) {
  try {
    const files = (await api.listSamples(name)).slice(0, 8);
    return await Promise.all(files.map(async (file) => ({ file, blob: await api.readSample(name, file) })));
  } catch (error) {
    if (error.status === 401) askForKey(false);
    return [];
  }
}

function showMode(mode) {
  find(`#modes input[value=${mode}]`).checked = true;
  find("#drop").hidden = mode === "draw";
  find("#draw").hidden = mode !== "draw";
}

function say(text, bad = false) {
  service.textContent = beginSentence(text);
  service.classList.toggle("bad", bad);
}

async function readModels() {
  const { models: all, aliases } = await api.listModels();
  // A cascade is two models with one name; other aliases are names of what is in the list already.
  cascades = Object.keys(aliases).filter((name) => aliases[name].first && !aliases[name].reason);
  models = all.filter((model) => model.state === "loaded");
  const refused = all.filter((model) => model.state === "refused").map((model) => model.name);
  const loading = all.filter((model) => model.state === "loading").map((model) => model.name);
  find("#modes").hidden = !models.some((model) => model.versions.some((version) => version.input?.channels === 1));
  if (!models.length) {
    say(loading.length ? "Models are loading…" : "No model is loaded: see “Models” for the reasons.", !loading.length);
  } else {
    say([
      loading.length ? `Still loading: ${loading.join(", ")}.` : "",
      refused.length ? `Refused: ${refused.join(", ")} (see “Models” for the reasons).` : "",
    ].join(" ").trim());
    const there = remembered.filter((name) => names().includes(name));
    if (panels.length) {
      for (const panel of panels) panel.offer(names(), panel.model);
      arrangePanels();
    } else if (!remembered.some((name) => loading.includes(name))) {
      for (const name of (there.length ? there : names()).slice(0, there.length ? MOST_PANELS : 1)) addPanel(name);
    }
  }
  if (loading.length) setTimeout(start, 1000);
}

async function start() {
  try {
    await readModels();
  } catch (error) {
    say(error.message, true);
    if (error.status === 401) askForKey(true);
    else setTimeout(start, 2000); // a server that comes up later is found without a reload
  }
}

watchInput(takePictures, (words) => say(words, true));
watchDrawing((blob, name) => {
  showStrip([]);
  takeImage(blob, name);
});
find("#modes").addEventListener("change", (event) => showMode(event.target.value));
compare.addEventListener("click", () => {
  const unused = names().find((name) => !panels.some((panel) => panel.model === name));
  addPanel(unused).picker.focus();
});
evidence.addEventListener("change", () => {
  find("#strength-field").hidden = !evidence.checked;
  for (const panel of panels) panel.refreshEvidence();
});
strength.addEventListener("input", () => { for (const panel of panels) panel.setStrength(strength.value); });
coverage.addEventListener("change", () => { for (const panel of panels) panel.refresh(); });
watchKey(() => {
  samplesOf = "";
  start();
  for (const panel of panels) panel.refresh();
});
start();
