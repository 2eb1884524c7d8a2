// Requests to the service. Every failure becomes a Failure whose message is for people.

export class Failure extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

let key = "";

export function useKey(given) {
  key = given;
}

/** The Authorization header for the key in use; none without one. */
export const authorization = () => (key ? { Authorization: `Bearer ${key}` } : {});

/** { models, aliases } of the service. */
export const listModels = () => readJson("models");
export const readModel = (name) => readJson(`models/${encodeURIComponent(name)}`);
export const listSamples = (name) => readJson(`models/${encodeURIComponent(name)}/golden`).then((body) => body.files);
export const readSample = (name, file) =>
  send(`models/${encodeURIComponent(name)}/golden/${encodeURIComponent(file)}`, {}).then((response) => response.blob());
export const reportAddress = (name, file) => `models/${encodeURIComponent(name)}/report/${encodeURIComponent(file)}`;

/** The files of a model's report, and its metrics.json or null. */
export async function readReport(name) {
  const { files } = await readJson(`models/${encodeURIComponent(name)}/report`);
  return { files, metrics: files.includes("metrics.json") ? await readJson(reportAddress(name, "metrics.json")) : null };
}

export function predictAddress(name, coverage) {
  return `predict/${encodeURIComponent(name)}${coverage ? `?coverage=${coverage}` : ""}`;
}

export function explainAddress(name, index) {
  return `explain/${encodeURIComponent(name)}${index === null ? "" : `?class=${index}`}`;
}

/** The answer to one image, and what the round trip cost in milliseconds. */
export async function predict(name, image, coverage, signal) {
  const start = performance.now();
  const response = await post(predictAddress(name, coverage), image, signal);
  const body = await response.json();
  const served = /total;dur=([\d.]+)/.exec(response.headers.get("Server-Timing") ?? "");
  return { ...body, roundTrip: performance.now() - start, served: served ? Number(served[1]) : null };
}

export async function explain(name, image, index, signal) {
  return (await post(explainAddress(name, index), image, signal)).json();
}

/** A PNG of the pixels that the network reads. */
export async function viewInput(name, image, signal) {
  return (await post(`explain/${encodeURIComponent(name)}/input`, image, signal)).blob();
}

async function readJson(path) {
  return (await send(path, {})).json();
}

function post(path, image, signal) {
  return send(path, { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: image, signal });
}

async function send(path, options) {
  if (/[^\x21-\x7e]/.test(key)) throw new Failure(explainKey(), 401); // no header can hold it
  const headers = { ...options.headers, ...authorization() };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(await explainSilence());
  }
  if (response.ok) return response;
  if (response.status === 401) throw new Failure(explainKey(), 401);
  const body = await response.json().catch(() => ({}));
  throw new Failure(body.detail ?? `The server answered with status ${response.status} and no explanation.`, response.status);
}

function explainKey() {
  return key
    ? "This API key is not valid: type another into “API key”, below the image."
    : "The service needs an API key: type yours into “API key”, below the image.";
}

/** A server that refuses a large body may close the connection before the browser has sent it all. */
async function explainSilence() {
  const alive = await fetch("health/live").then((response) => response.ok, () => false);
  return alive
    ? "The server closed the connection while the image was being sent: it is probably larger than the server takes."
    : "The server can't be reached. Is it still running?";
}
