"""Whether an image looks unlike what a network was trained on, by its energy (Liu et al. 2020, Energy-based
Out-of-distribution Detection).

A network that knows an image answers with large logits, whatever the class; their log-sum-exp is the energy output.
(Liu et al. give it the other sign.)
"""

from __future__ import annotations

from artifact.card import ModelCard
from artifact.figures.evaluation import UNFAMILIAR_SHARE


def find_least_energy(card: ModelCard) -> float | None:
    """The energy below which an image is strange; None where the card has no figures."""
    return card.distribution.least_energy if card.distribution is not None else None


def explain_unfamiliar(card: ModelCard, energy: float | None) -> str | None:
    """A warning in words for an energy lower than all but 1 % of the validation images'; None where there is none."""
    least = find_least_energy(card)
    if energy is None or least is None or energy >= least:
        return None
    return (
        f"the image looks unlike those that {card.name} was trained on: its energy is {energy:.2f}, "
        f"{1 - UNFAMILIAR_SHARE:.0%} of the validation images have more than {least:.2f}"
    )
