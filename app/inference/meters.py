"""ModelMeters: what is counted of one version of one model. Made once per version: a reload goes on counting."""

from __future__ import annotations

import time

from app.inference.scores import Scores
from app.observe.drift import RecentCounts
from app.observe.familiarity import find_least_energy
from app.observe.metrics import Histogram, Metrics
from artifact.card import ModelCard
from artifact.figures.evaluation import CONFIDENCE_BINS, bin_confidence


class ModelMeters:
    """Records batches, images and requests of one version in `metrics`."""

    def __init__(self, metrics: Metrics, card: ModelCard) -> None:
        name, version = labels = (card.name, str(card.version))
        self._metrics = metrics
        self._name, self._version = name, version
        self._labels = card.labels
        self._requests: Histogram = metrics.histogram("convserve_request_seconds", *labels)
        self._decode, self._queue, self._infer = (
            metrics.histogram("convserve_stage_seconds", *labels, stage) for stage in ("decode", "queue", "infer")
        )
        self._batch_rows = metrics.histogram("convserve_batch_rows", *labels)
        self._busy = metrics.series("convserve_busy_seconds_total", *labels)
        self._images = metrics.series("convserve_images_total", *labels)
        self._last = metrics.series("last_inference_ms", *labels)
        self._failures = metrics.series("failures", *labels, width=2)
        self._confidence = metrics.histogram("convserve_confidence", *labels)
        self._classes: dict[int, list[float]] = {}
        self._recent_classes = RecentCounts(metrics.series("recent_classes", *labels, width=len(card.labels)))
        self._recent_confidence = RecentCounts(metrics.series("recent_confidence", *labels, width=CONFIDENCE_BINS))
        self._least_energy = find_least_energy(card)
        if self._least_energy is not None:
            self._unfamiliar = metrics.series("convserve_unfamiliar_images_total", *labels)
        if (expected := card.distribution) is not None:
            metrics.series("expected_classes", *labels, width=len(card.labels))[:] = expected.classes
            metrics.series("expected_confidence", *labels, width=CONFIDENCE_BINS)[:] = expected.confidence

    def record_batch(self, rows: int, seconds: float) -> None:
        """One run of the session, of `rows` rows."""
        self._batch_rows.observe(rows)
        self._busy[0] += seconds
        batches = self._metrics.series("batches", self._name, self._version, str(rows), width=2)
        batches[0] += 1
        batches[1] += seconds

    def record_image(self, scores: Scores, decode_s: float, queue_s: float, infer_s: float) -> None:
        """One image that got its prediction, and its seconds in each stage."""
        self._decode.observe(decode_s)
        self._queue.observe(queue_s)
        self._infer.observe(infer_s)
        self._images[0] += 1
        self._last[0] = time.time() * 1e3
        top, confidence = scores.top[0]
        self._count_class(top)
        self._confidence.observe(confidence)
        self._recent_classes.add(top)
        self._recent_confidence.add(bin_confidence(confidence))
        if scores.energy is not None and self._least_energy is not None:
            self._unfamiliar[0] += scores.energy < self._least_energy

    def record_request(self, seconds: float, answered: bool) -> None:
        """One request to this version, which was answered or got an error."""
        if answered:
            self._requests.observe(seconds)
        else:
            self._failures[0] += 1
            self._failures[1] += seconds

    def _count_class(self, index: int) -> None:
        cell = self._classes.get(index)
        if cell is None:  # a series only once there is something to count: a thousand classes are common
            label = self._labels[index]
            cell = self._metrics.series("convserve_predictions_total", self._name, self._version, label)
            self._classes[index] = cell
        cell[0] += 1
