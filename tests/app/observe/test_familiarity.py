import pytest

from app.observe.familiarity import explain_unfamiliar
from artifact.card import ModelCard
from artifact.figures.evaluation import Distribution
from tests.makers.artifacts import LABELS, make_card

QUANTILES = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)


def card_with(energy: tuple[float, ...]) -> ModelCard:
    distribution = Distribution(images=50, classes=(0.2,) * 5, confidence=(0.1,) * 10, energy=energy)
    given = {"name": "tiny", "version": 1, "labels": LABELS, "size": 8, "channels": 1}
    return make_card(**given, distribution=distribution)


def test_an_energy_below_all_but_one_percent_of_the_validation_images_is_a_warning() -> None:
    card = card_with(QUANTILES)
    assert explain_unfamiliar(card, 2.0) is None
    assert "99% of the validation images have more than 2.00" in str(explain_unfamiliar(card, 1.99))


@pytest.mark.parametrize("energy", [None, 0.0])
def test_without_figures_there_is_no_warning(energy: float | None) -> None:
    assert explain_unfamiliar(card_with(()), energy) is None
