// The first page: an image in, classes as bars out. Plain modules, no outside address.

const model = document.querySelector("#model");
const drop = document.querySelector("#drop");
const file = document.querySelector("#file");
const preview = document.querySelector("#preview");
const hint = document.querySelector("#hint");
const status = document.querySelector("#status");
const classes = document.querySelector("#classes");
const timing = document.querySelector("#timing");

let image = null; // the last image given, asked again when the model changes
let asked = 0; // the newest request: an older one's late answer is dropped

function say(text, bad = false) {
  status.textContent = text;
  status.classList.toggle("bad", bad);
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The server can't be reached. Is it still running?");
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.detail ?? `The server answered ${response.status}.`);
  return body;
}

async function listModels() {
  const { models } = await request("models");
  const loaded = models.filter((entry) => entry.state === "loaded");
  model.replaceChildren(...loaded.map((entry) => new Option(entry.name, entry.name)));
  const refused = models.filter((entry) => entry.state === "refused").map((entry) => entry.name);
  const loading = models.some((entry) => entry.state === "loading");
  if (loading) setTimeout(() => listModels().catch(fail), 1000);
  if (loaded.length) say(refused.length ? `Ready. Refused: ${refused.join(", ")} (see models).` : "Ready.");
  else say(loading ? "Models are loading…" : "No model is loaded: see models for the reasons.", !loading);
}

async function classify() {
  if (!image || !model.value) return;
  const number = ++asked;
  say("Looking…");
  const answer = await request(`predict/${encodeURIComponent(model.value)}`, {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream" },
    body: image,
  });
  if (number !== asked) return;
  say(`${answer.model}, version ${answer.version}`);
  show(answer);
}

function show({ predictions, timing: spent }) {
  classes.replaceChildren(...predictions[0].classes.map(({ label, probability }) => {
    const item = document.createElement("li");
    const [bar, name, share] = ["bar", "name", "share"].map((kind) => {
      const span = document.createElement("span");
      span.className = kind;
      return span;
    });
    bar.style.width = `${probability * 100}%`;
    name.textContent = label;
    share.textContent = `${(probability * 100).toFixed(1)} %`;
    item.append(bar, name, share);
    return item;
  }));
  timing.textContent =
    `decode ${spent.decode_ms.toFixed(1)} ms · queue ${spent.queue_ms.toFixed(1)} ms · network ${spent.infer_ms.toFixed(1)} ms`;
}

function fail(error) {
  classes.replaceChildren();
  timing.textContent = "";
  say(error.message, true);
}

function take(given) {
  if (!given) return;
  image = given;
  URL.revokeObjectURL(preview.src);
  preview.src = URL.createObjectURL(given);
  preview.hidden = false;
  hint.hidden = true;
  classify().catch(fail);
}

preview.addEventListener("load", () => preview.classList.toggle("tiny", preview.naturalWidth < 100));
preview.addEventListener("error", () => { preview.hidden = true; hint.hidden = false; });
file.addEventListener("change", () => take(file.files[0]));
model.addEventListener("change", () => classify().catch(fail));
drop.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") file.click(); });
for (const kind of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
  });
}
drop.addEventListener("drop", (event) => take(event.dataTransfer.files[0]));
document.addEventListener("paste", (event) => take(event.clipboardData.files[0]));

listModels().catch(fail);
