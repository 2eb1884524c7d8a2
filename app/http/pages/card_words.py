"""What a card's figures mean, in words: its data, how far to trust its numbers, and its limits. Shares are written with
the interval that their images allow (artifact/figures/interval.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath

from app.aliases import Cascade
from app.catalog.traffic.traffic import split_version
from app.observe.families import Labels
from app.observe.live_accuracy import ENOUGH_TOLD, LiveAccuracy
from artifact.card import Assumption, ModelCard
from artifact.figures.evaluation import CALIBRATION_BINS, UNFAMILIAR_SHARE
from artifact.figures.interval import describe_interval, describe_share

# A share from fewer images is said to be a rough one.
_FEW = 1000
# A warning that notices fewer foreign images is said to miss many.
_MOST_NOTICED = 0.95


def percent(share: float, digits: int = 1) -> str:
    """A share for people."""
    return f"{100 * share:.{digits}f} %"


def describe_data(card: ModelCard) -> Iterator[tuple[str, str]]:
    if (training := card.training) is None:
        yield "Trained on", f"not recorded here: the weights are {card.network.weights}"
        return
    # Cards of older versions have a folder's place, too: it is nobody's matter who reads the page.
    yield "Trained on", f"{training.images:,} images of {PurePath(training.dataset).name}"
    yield "Chosen on", f"{training.validation_images:,} validation images"
    yield "Training", f"{training.epochs} epochs, seed {training.seed}, {training.seconds:,.0f} s, {training.backend}"
    if training.recipe:
        yield "Recipe", "every setting is under training.recipe in card.json"


def describe_trust(card: ModelCard, live: LiveAccuracy | None) -> Iterator[tuple[str, str]]:
    if (evaluation := card.evaluation) is None:
        yield "Measured on", "nothing: its accuracy is unproven"
    else:
        yield "Measured on", f"{evaluation.images:,} images of {evaluation.dataset} ({evaluation.split})"
        yield "Top-1", describe_share(evaluation.top1, evaluation.images)
        if evaluation.top5 is not None and len(card.labels) > 5:  # of five classes all are among the best five
            yield "Top-5", describe_share(evaluation.top5, evaluation.images)
        for name, figure in (("Balanced accuracy", evaluation.balanced_accuracy), ("Macro F1", evaluation.macro_f1)):
            if figure is not None:  # means over classes: no share of images, so without an interval
                yield name, percent(figure)
        yield "Calibration error", f"{percent(evaluation.ece)} (ECE, {CALIBRATION_BINS} bins)"
    if live is not None:
        yield from _describe_live(live)
    if declared := [_declared(entry) for entry in card.assumptions if entry.standing == "declared"]:
        yield "Declared, not proved", "; ".join(declared)
    if (calibration := card.calibration) is not None:
        yield (
            "Calibrated on",
            f"{calibration.images:,} images of {calibration.dataset}, temperature {calibration.temperature:g}: "
            f"error {percent(calibration.ece_before)} before, {percent(calibration.ece_after)} after",
        )
    if (quantiles := card.score_quantiles) is not None:
        yield (
            "Label sets",
            f"for a coverage of {percent(quantiles.coverage[0], 0)} to {percent(quantiles.coverage[-1])}, "
            f"from {quantiles.images:,} validation images",
        )
    if card.energy and card.distribution is not None and (foreign := card.distribution.foreign) is not None:
        noticed = describe_interval(foreign.noticed, foreign.images)
        yield (
            "Warning of unfamiliar images",
            f"on {percent(UNFAMILIAR_SHARE, 0)} of validation images and {noticed} of {foreign.images:,} foreign ones "
            f"({foreign.source})",
        )


def _describe_live(live: LiveAccuracy) -> Iterator[tuple[str, str]]:
    yield (
        "Live, by feedback",
        f"{describe_share(live.top1, live.images)} whose true label was told since the service started",
    )
    if live.images >= ENOUGH_TOLD:
        yield "Live calibration error", f"{percent(live.calibration_error)} (ECE, {CALIBRATION_BINS} bins)"
    if live.sets:
        holding = describe_share(live.holding / live.sets, live.sets)
        yield "Live label sets", f"held the true label in {holding}; {percent(live.coverage)} was asked for"


def _declared(entry: Assumption) -> str:
    return f"{entry.what} {entry.value}" + (f" (but {entry.note})" if entry.note else "")


def describe_cascades(name: str, cascades: Mapping[str, Cascade], counted: Mapping[Labels, list[float]]) -> list[str]:
    """In which cascades a model takes part, and who of the two has answered how many images; `counted` is the counter's
    family.
    """
    return [
        _describe_cascade(alias, cascade, counted)
        for alias, cascade in cascades.items()
        if name in (split_version(cascade.first)[0], split_version(cascade.then)[0])
    ]


def _describe_cascade(alias: str, cascade: Cascade, counted: Mapping[Labels, list[float]]) -> str:
    unasked, answered, skipped = (int(sum(counted.get((alias, who), ()))) for who in ("unasked", "answered", "skipped"))
    if cascade.most_labels:
        doubt = f"its label set (coverage {percent(cascade.coverage)}) has more than {cascade.most_labels:,}"
    else:
        doubt = f"its largest probability is below {cascade.least_probability:g}"
    return (
        f"{alias}: {cascade.first} answers, and {cascade.then} where {doubt}. So far {cascade.first} has answered "
        f"{unasked + skipped:,} images and {cascade.then} {answered:,}; for {skipped:,} of these there was no place "
        f"or time for {cascade.then}."
    )


def describe_limits(card: ModelCard) -> list[str]:
    limits = [
        f"It answers with one of its {len(card.labels):,} labels, whatever the image shows."
        if not card.multilabel
        else "Its probabilities are one a label and don't sum to 1."
    ]
    if card.evaluation is None:
        limits.append("Its accuracy was never measured on labeled images.")
    elif card.evaluation.images < _FEW:
        share = describe_share(card.evaluation.top1, card.evaluation.images)
        limits.append(f"Its accuracy was measured on few images: {share}.")
    if card.robustness is None:
        limits.append("It was never tried on damaged images (blurred, noisy, dark, turned).")
    if card.calibration is None:
        limits.append("Its probabilities were not calibrated: read them as an order, not as frequencies.")
    elif card.calibration.images < _FEW:
        limits.append(f"Its calibration rests on only {card.calibration.images:,} images.")
    if card.score_quantiles is None:
        limits.append("It can't give label sets (coverage): it was exported without enough validation images.")
    if not (card.energy and card.distribution and card.distribution.energy):
        limits.append("It can't warn of images unlike its training set.")
    elif (foreign := card.distribution.foreign) is None:
        limits.append("How many foreign images its warning notices was never measured: don't rely on it.")
    elif foreign.noticed < _MOST_NOTICED:
        limits.append("Its warning misses many foreign images: an answer without one proves nothing.")
    if not card.features:
        limits.append("Its explanations take many runs (occlusion): it has no global pooling.")
    if card.proof.fitted_random_weights:
        limits.append("Its weights are random: it shows speed, not skill.")
    if card.precision != "fp32":
        limits.append(f"Its arithmetic is {_arithmetic(card)}: probabilities differ slightly from the fp32 model's.")
    return [*limits, *card.warnings]


def _arithmetic(card: ModelCard) -> str:
    if card.precision_report is None or (search := card.precision_report.int8) is None or not search.in_float:
        return card.precision
    return f"{card.precision}, that of {len(search.in_float)} of {search.layers} layers float32"
