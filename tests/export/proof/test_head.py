"""Heads by their values: each is read rightly, or refused with the flags to choose from. Never guessed."""

from __future__ import annotations

import re

import numpy as np
import pytest

from artifact.card import Head
from export.errors import ProofError, UsageError
from export.proof.head import judge_head, measure
from export.proof.operations import ANY, Operations
from export.report.calibration import Floats, softmax

LABELS = ("cat", "dog", "bird", "fish")
GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(0, 3, (17, 4))


def sigmoid(values: Floats) -> Floats:
    return 1 / (1 + np.exp(-values))


def half(values: Floats) -> Floats:
    return values.astype(np.float16).astype(np.float64)


def rounded(values: Floats, step: float = 1 / 256) -> Floats:
    return np.float32(np.minimum(np.floor(values / step), 255) * step)


MANY = softmax(GENERATOR.normal(0, 3, (17, 300)))
UNIT = (0.0, 1.0)

READ: dict[str, tuple[Floats, Operations, Head, str]] = {
    "logits": (LOGITS, Operations("Gemm"), "logits", "logits of 4 classes"),
    "one logit": (LOGITS[:, :1], Operations("MatMul"), "logits", r"P\(dog\) = sigmoid\(z\)"),
    "clipped logits": (LOGITS, Operations("Gemm", (-50, 50)), "logits", "logits"),
    "softmax": (softmax(LOGITS), Operations("Softmax", UNIT), "softmax", "probabilities of 4 classes: served as they"),
    "softmax of an unknown making": (softmax(LOGITS), Operations("Div"), "softmax", "probabilities"),
    "saturated softmax": (np.eye(4)[LOGITS.argmax(axis=1)], Operations("Softmax", UNIT), "softmax", "probabilities"),
    "cool softmax": (softmax(LOGITS, 20), Operations("Softmax", UNIT), "softmax", "probabilities"),
    "softmax of a softmax": (softmax(softmax(LOGITS)), Operations("Softmax", UNIT), "softmax", "probabilities"),
    "quantized softmax": (rounded(softmax(LOGITS)), Operations("Softmax"), "softmax", "rounded in steps of 0.0039"),
    "quantized, its making unknown": (rounded(softmax(LOGITS)), Operations("none"), "softmax", "rounded"),
    "quantized softmax over 300 classes": (rounded(MANY), Operations("Softmax"), "softmax", "rounded"),
    "half-precision softmax": (half(softmax(LOGITS)), Operations("Softmax", UNIT), "softmax", "rounded"),
    "log-softmax": (np.log(softmax(LOGITS)), Operations("LogSoftmax", (-np.inf, 0)), "logits", "log-probabilities"),
    "one sigmoid": (
        sigmoid(LOGITS[:, :1]),
        Operations("Sigmoid", UNIT),
        "sigmoid",
        r"one sigmoid: P\(dog\), the second label; cat has the rest$",
    ),
    "hard sigmoid": (np.clip(LOGITS[:, :1], 0, 1), Operations("Relu", UNIT), "sigmoid", "one sigmoid"),
    "half-precision sigmoid": (half(sigmoid(LOGITS[:, :1])), Operations("Sigmoid", UNIT), "sigmoid", "one sigmoid"),
    "tags": (sigmoid(LOGITS), Operations("Sigmoid", UNIT), "multilabel", "4 tags, .* not summing to 1"),
    "a sigmoid over two": (sigmoid(LOGITS[:, :2]), Operations("Sigmoid", UNIT), "multilabel", "2 tags"),
    "averaged tags": (sigmoid(LOGITS), Operations("Mul", UNIT), "multilabel", "4 tags"),
    "rounded tags": (rounded(sigmoid(LOGITS)), Operations("Sigmoid", UNIT), "multilabel", "4 tags"),
}

PAIR = np.concatenate([sigmoid(LOGITS[:, :1]), sigmoid(-LOGITS[:, :1])], axis=1)
SMALL = GENERATOR.uniform(0.2, 0.8, (17, 4))

ASKED: dict[str, tuple[Floats, Operations, str]] = {
    "a logit that stays in 0..1": (SMALL[:, :1], Operations("MatMul"), "--head sigmoid or --head logits"),
    "logits that stay in 0..1": (SMALL, Operations("Gemm"), "--head multilabel or --head logits"),
    "two outputs in 0..1": (SMALL[:, :2], Operations("none"), "--head multilabel or --head logits"),
    "two sigmoids that sum to 1": (PAIR, Operations("Sigmoid", UNIT), "--head softmax or --head multilabel"),
    "probabilities from a product": (softmax(LOGITS), Operations("Gemm"), "--head softmax or --head multilabel"),
    "rounded outputs of 300 classes": (rounded(MANY), Operations("none"), "both rounded probabilities and tags fit"),
    "a softmax over another axis": (softmax(LOGITS.T).T[:, :4], Operations("Softmax", UNIT), "--head multilabel"),
    "tanh": (np.tanh(LOGITS), Operations("Tanh", (-1, 1)), "keep to -1..1"),
    "percentages": (100 * softmax(LOGITS), Operations("Mul", (0, 100)), "keep to 0..100"),
    "percentages of unknown making": (100 * softmax(LOGITS), Operations("none", ANY), "always have the same sum"),
    "what a ReLU left": (np.maximum(LOGITS, 0), Operations("Relu", (0, np.inf)), "keep to 0..inf"),
    "logarithms of tags": (np.log(sigmoid(LOGITS)), Operations("Log", (-np.inf, 0)), "keep to -inf..0"),
    "a softmax over one class": (np.ones((17, 1)), Operations("Softmax", UNIT), "1 for every image"),
}


@pytest.mark.parametrize("case", READ)
def test_a_head_is_read_by_its_values(case: str) -> None:
    values, operations, head, words = READ[case]
    reading = judge_head(measure(values), operations, None, LABELS[:2] if values.shape[1] == 1 else LABELS)
    assert reading.head == head
    assert re.search(words, reading.words)


@pytest.mark.parametrize("case", READ)
def test_saying_what_is_read_changes_nothing(case: str) -> None:
    values, operations, head, _ = READ[case]
    assert judge_head(measure(values), operations, head, LABELS).head == head


@pytest.mark.parametrize("case", ASKED)
def test_what_can_not_be_decided_is_refused_with_the_flags(case: str) -> None:
    values, operations, complaint = ASKED[case]
    with pytest.raises(UsageError, match=complaint):
        judge_head(measure(values), operations, None, LABELS)


@pytest.mark.parametrize("case", ASKED)
def test_the_flags_that_a_refusal_names_are_taken(case: str) -> None:
    values, operations, _ = ASKED[case]
    with pytest.raises(UsageError) as said:
        judge_head(measure(values), operations, None, LABELS)
    for head in ("softmax", "sigmoid", "multilabel", "logits"):
        if f"--head {head}" in str(said.value):
            assert judge_head(measure(values), operations, head, LABELS).head == head


@pytest.mark.parametrize(
    ("values", "operations", "said", "complaint"),
    [
        (
            softmax(LOGITS),
            Operations("Softmax", UNIT),
            "logits",
            "would change them.*use --head softmax",
        ),
        (softmax(LOGITS), Operations("none"), "logits", "a second softmax would change them"),
        (rounded(softmax(LOGITS)), Operations("none"), "logits", "a second softmax would change them"),
        (softmax(LOGITS), Operations("Softmax", UNIT), "multilabel", "one class an image.*use --head softmax"),
        (LOGITS, Operations("Gemm"), "softmax", "aren't probabilities that sum to 1.*use --head logits"),
        (LOGITS, Operations("Gemm"), "multilabel", "are not within 0..1.*use --head logits"),
        (LOGITS, Operations("Gemm"), "sigmoid", "one output.*use --head logits"),
        (LOGITS[:, :1], Operations("Gemm"), "sigmoid", "are not within 0..1.*use --head logits"),
        (LOGITS[:, :1], Operations("Gemm"), "multilabel", "tags are several outputs"),
        (sigmoid(LOGITS[:, :1]), Operations("Sigmoid", UNIT), "logits", "ends in Sigmoid.*use --head sigmoid"),
        (sigmoid(LOGITS[:, :1]), Operations("Sigmoid", UNIT), "softmax", "use --head sigmoid"),
        (sigmoid(LOGITS), Operations("Sigmoid", UNIT), "softmax", "use --head multilabel"),
        (sigmoid(LOGITS), Operations("Sigmoid", UNIT), "logits", "ends in Sigmoid.*use --head multilabel"),
        (np.ones((17, 1)), Operations("Softmax", UNIT), "sigmoid", "1 for every image.*no head fits"),
    ],
)
def test_a_head_that_the_values_contradict_is_refused(
    values: Floats, operations: Operations, said: Head, complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        judge_head(measure(values), operations, said, LABELS)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(ProofError, match="not finite"):
        measure(np.array([[bad, 0.75]]))
