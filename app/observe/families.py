"""Every metric of the service: a table by name, each with its kind, labels and one-line help."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Labels = tuple[str, ...]

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_TENTHS = tuple(tenth / 10 for tenth in range(1, 10))


ALIAS_SECONDS, ALIAS_FAULTS = "convserve_alias_request_seconds", "convserve_alias_faults_total"


@dataclass(frozen=True)
class Family:
    """One metric."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Labels
    bounds: tuple[float, ...] = ()
    """Upper edges of a histogram's buckets; above the last is one more."""
    merge: Callable[[float, float], float] = operator.add
    """What two processes count, as one."""
    internal: bool = False
    """Not shown: statistics, comparisons and drift are computed from it."""

    def zeros(self, width: int = 1) -> list[float]:
        """A series that never counted anything: a histogram's counts and sum, otherwise `width` numbers."""
        return [0.0] * (len(self.bounds) + 2 if self.kind == "histogram" else width)


_VERSION = ("model", "version")
_SHADOW = ("shadow", "of", "run")
FAMILIES: dict[str, Family] = {
    "convserve_requests_total": Family(
        "counter", "Answers by status; model is empty where the address names none.", ("model", "status")
    ),
    "convserve_request_seconds": Family("histogram", "Whole time of requests to a model.", _VERSION, _SECONDS),
    "convserve_rejections_total": Family(
        "counter", "Requests answered with an error, by its code.", ("model", "reason")
    ),
    "convserve_stage_seconds": Family(
        "histogram", "Time of one image in a stage: decode, queue, infer.", (*_VERSION, "stage"), _SECONDS
    ),
    "convserve_images_total": Family("counter", "Images predicted.", _VERSION),
    "convserve_alias_withdrawals_total": Family(
        "counter", "Models whose weight a guard took away, by the bound that they broke.", ("alias", "to", "bound")
    ),
    "convserve_cascade_images_total": Family(
        "counter",
        "Images by what the second model of a cascade did: unasked, answered, or skipped for lack of a place or time.",
        ("alias", "second"),
    ),
    "convserve_alias_request_seconds": Family(
        "histogram",
        "Whole time of answered requests, by the model that a weighted alias chose.",
        ("alias", "to"),
        _SECONDS,
    ),
    "convserve_alias_faults_total": Family(
        "counter",
        "Requests through a weighted alias that failed on the server's side, by the model that it chose.",
        ("alias", "to"),
    ),
    "convserve_feedback_images_total": Family(
        "counter",
        "Images with feedback: by the largest probability (bin, its upper edge), and whether the most "
        "probable class was the true one (answer: right, wrong).",
        (*_VERSION, "bin", "answer"),
    ),
    "convserve_feedback_confidence_total": Family(
        "counter", "Sum of the largest probabilities of these images, by the same bins.", (*_VERSION, "bin")
    ),
    "convserve_feedback_sets_total": Family(
        "counter", "Label sets of such images, by whether they contain the true label: yes, no.", (*_VERSION, "holds")
    ),
    "convserve_feedback_coverage_total": Family(
        "counter", "Sum of the coverages that these label sets were asked for.", _VERSION
    ),
    "convserve_shadow_images_total": Family(
        "counter",
        "Images shown to a shadow, by what came of them: agreed or disagreed in the top class, failed, or dropped.",
        (*_SHADOW, "result"),
    ),
    "convserve_shadow_difference": Family(
        "histogram",
        "How far apart a shadow and its model put the probability of the class that the caller was told.",
        _SHADOW,
        (0.001, 0.01, 0.03, 0.1, 0.3),
    ),
    "convserve_shadow_infer_seconds": Family(
        "histogram",
        "Time of the batch that a compared image was in, by the model that ran it: of or run.",
        (*_SHADOW, "by"),
        _SECONDS,
    ),
    "convserve_unfamiliar_images_total": Family(
        "counter", "Images with less energy than 99 % of the validation images.", _VERSION
    ),
    "convserve_batch_rows": Family("histogram", "Rows in a batch.", _VERSION, (1, 2, 4, 8, 16, 32, 64, 128)),
    "convserve_busy_seconds_total": Family("counter", "Time that sessions spent running batches.", _VERSION),
    "convserve_queue_rows": Family(
        "gauge", "Rows that wait, those of all senders (API keys) together, decoding included.", _VERSION
    ),
    "convserve_queue_limit_rows": Family(
        "gauge",
        "max_queue_rows of all processes together: the rows that one sender may have waiting in one priority class.",
        _VERSION,
    ),
    "convserve_predictions_total": Family("counter", "Images by their most probable class.", (*_VERSION, "label")),
    "convserve_confidence": Family("histogram", "Largest probability of an image.", _VERSION, _TENTHS),
    "convserve_sessions": Family(
        "gauge", "Sessions that serve a model, by device.", (*_VERSION, "device", "precision", "network")
    ),
    "convserve_model_memory_bytes": Family("gauge", "Memory measured while the model was loaded.", _VERSION),
    "convserve_loads_total": Family("counter", "Loads of a version by result: loaded, refused.", ("model", "result")),
    "convserve_process_resident_bytes": Family("gauge", "Resident memory, over all processes.", ()),
    "convserve_process_cpu_seconds_total": Family("counter", "Processor time, over all processes.", ()),
    "convserve_workers": Family("gauge", "Processes that serve.", ()),
    "convserve_worker_restarts_total": Family("counter", "Workers that ended unexpectedly and were replaced.", ()),
    "convserve_ready": Family("gauge", "1 where every process is ready.", ()),
    "convserve_class_drift": Family(
        "gauge", "Distance (0 to 1) of the last predicted classes from those on validation images.", _VERSION
    ),
    "convserve_confidence_drift": Family(
        "gauge", "Distance (0 to 1) of the last confidence from those on validation images.", _VERSION
    ),
    # What isn't shown.
    "last_inference_ms": Family("counter", "Unix time of the last prediction.", _VERSION, merge=max, internal=True),
    "failures": Family("counter", "Failed requests and their seconds.", _VERSION, internal=True),
    "batches": Family("counter", "Batches and their seconds.", (*_VERSION, "rows"), internal=True),
    "shadow_rows": Family(
        "counter", "Rows of the batches that compared images were in, of both models.", _SHADOW, internal=True
    ),
    "shadow_confusion": Family(
        "counter",
        "Images that a shadow disagrees on, by both labels.",
        (*_SHADOW, "of_label", "run_label"),
        internal=True,
    ),
    "recent_classes": Family("gauge", "The last images by class.", _VERSION, internal=True),
    "recent_confidence": Family("gauge", "The last images by tenth of their confidence.", _VERSION, internal=True),
    "expected_classes": Family("gauge", "The card's share of each class.", _VERSION, internal=True),
    "expected_confidence": Family("gauge", "The card's share of each tenth of confidence.", _VERSION, internal=True),
}
