// How far to trust an answer, in sentences: measured reliability, the conformal set, the card in short.

import { count, element, percent, share } from "./format.js";

const FEW = 20; // images of which no share is worth saying

/** What happened on the test set when the network was as sure as this. `metrics` is report/metrics.json or null. */
export function describeReliability(probability, metrics) {
  if (!metrics?.reliability) return "How often it is right when it is this sure was never measured.";
  const bins = metrics.reliability;
  const bin = bins.findLast((candidate) => probability >= candidate.from - 1e-9);
  const width = 1 / 15; // as Guo et al. 2017 and the export stage have it
  if (!bin || probability > bin.from + width + 1e-9) return "On no test image was it as sure as this.";
  const images = Math.round(bin.share * metrics.evaluation.images);
  const range = `${(bin.from * 100).toFixed(0)} to ${((bin.from + width) * 100).toFixed(0)} %`;
  const all = count(metrics.evaluation.images);
  if (images < FEW) return `Only ${count(images)} of ${all} test images ${images === 1 ? "was" : "were"} this sure (${range}): too few to say how often it is right then.`;
  return `When it was this sure (${range}) it was right ${share(bin.accuracy, images)} of the time, on ${count(images)} of ${all} test images.`;
}

export function describeSet(set, coverage) {
  const times = Math.round(coverage * 100);
  if (!set.length) return `No class is probable enough to belong to a set that is right ${times} times in 100: doubt this answer.`;
  const shown = set.slice(0, 12).map((entry) => entry.label).join(", ");
  const more = set.length > 12 ? ` and ${set.length - 12} more` : "";
  return `Right ${times} times in 100: ${shown}${more}.`;
}

/** The largest coverage of a model's label sets, or 0 and the reason; a cascade has no card of its own. */
export function describeSets(name, card) {
  if (!card) return { largest: 0, reason: `${name} is a cascade: pick one of its models for label sets.` };
  if (card.score_quantiles) return { largest: card.score_quantiles.coverage.at(-1), reason: "" };
  return { largest: 0, reason: `${name} gives no label sets: it was exported without validation images to make them from.` };
}

/** Of a cascade: which of its two models answered; nothing of a model alone. */
export function describeSpeaker({ model, version, second }) {
  if (!model) return "";
  const busy = second ? ", which isn’t sure: the second model had no place or time for it" : "";
  return `Answered by ${model} version ${version}${busy}.`;
}

/** One line about a loaded version, and the rows of its summary. */
export function describeModel({ device, card, live }) {
  const { evaluation, network, image, calibration, proof, license, labels } = card;
  const kind = image.channels === 1 ? "gray" : "color";
  const line = [
    network.name,
    evaluation ? `${share(evaluation.top1, evaluation.images)} right on ${count(evaluation.images)} images of ${evaluation.dataset}` : "accuracy unproven",
    `${image.width}\u00a0×\u00a0${image.height} ${kind}`, // a line ends elsewhere
    device,
  ].join(" · ");
  const rows = [
    ["Paper", network.paper],
    ["Parameters", count(network.parameters)],
    ["Input", `${image.width} × ${image.height} ${kind}, ${image.fit}, ${image.resize}`],
    ["Top-1", evaluation && share(evaluation.top1, evaluation.images)],
    ["Top-5", evaluation?.top5 != null && labels.length > 5 && share(evaluation.top5, evaluation.images)],
    ["Balanced accuracy", evaluation?.balanced_accuracy != null && percent(evaluation.balanced_accuracy)],
    ["Live, by feedback", live && `${share(live.right / live.images, live.images)} right of ${count(live.images)} images`],
    ["Calibration error", evaluation && `${percent(evaluation.ece)}${calibration ? `, temperature ${calibration.temperature}` : ""}`],
    ["Equal to Keras", `${proof.max_abs_difference ? `within ${proof.max_abs_difference.toExponential(1)}` : "exactly"} on ${count(proof.images)} images`],
    ["License", license],
  ];
  return { line, rows: rows.filter(([, value]) => value).flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value)]) };
}
