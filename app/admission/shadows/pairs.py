"""Pairs: the two models of each shadow as they are now, and the metrics of their comparison."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from app.admission.cascade import check_labels
from app.aliases import Shadow
from app.catalog.catalog import Catalog
from app.catalog.traffic.traffic import split_version
from app.errors import ModelRefused
from app.inference.model import LoadedModel
from app.observe.comparison import ShadowMeters
from artifact.errors import ConvserveError

# Until shadows whose models weren't there are looked at again.
_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Pair:
    """The two models of a shadow, and the metrics of their comparison."""

    shadow: Shadow
    of: LoadedModel
    run: LoadedModel
    takes_pixels: bool
    """Whether `run` takes the pixels that `of` was given: both cards treat images alike."""
    meters: ShadowMeters


class Pairs:
    """The shadows of one process: for each the version that answers and the one that runs beside it."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._found: dict[str, Pair] = {}
        self._absent: dict[str, tuple[Shadow, float]] = {}  # whose models weren't there, and until when that holds

    def find_for(self, name: str, shadow: Shadow, model: LoadedModel) -> Pair | None:
        """The pair of a shadow where `model` is what it compares; every request asks."""
        pair = self._found.get(name)
        if pair is not None and pair.of is model and pair.shadow is shadow:
            return pair
        if shadow.of != model.name and shadow.of != write_version(model):
            return None  # most requests may be for other models
        pair = self.find(name, shadow)
        return pair if pair is not None and pair.of is model else None

    def forget_gone(self) -> None:
        """Drop the pairs of shadows that hold no longer and of models that serve no longer, which stay in memory as
        long as they are kept.
        """
        shadows, loaded = self._catalog.traffic.shadows, set(self._catalog.loaded())
        self._found = {
            name: pair
            for name, pair in self._found.items()
            if pair.shadow is shadows.get(name) and {pair.of, pair.run} <= loaded
        }
        self._absent = {name: known for name, known in self._absent.items() if known[0] is shadows.get(name)}

    def find(self, name: str, shadow: Shadow) -> Pair | None:
        """The models of a shadow as they are now; None where one isn't there or they don't go together."""
        before, until = self._absent.get(name, (None, 0.0))
        now = asyncio.get_running_loop().time()
        if before is shadow and now < until:
            return None
        try:
            of, run = find_models(self._catalog, name, shadow)
        except ConvserveError:
            self._absent[name] = shadow, now + _AGAIN_S
            return None
        pair = self._found.get(name)
        if pair is None or not (pair.shadow is shadow and pair.of is of and pair.run is run):
            meters = ShadowMeters(self._catalog.metrics, name, write_version(of), write_version(run))
            pair = self._found[name] = Pair(shadow, of, run, of.card.image == run.card.image, meters)
        return pair


def find_models(catalog: Catalog, name: str, shadow: Shadow) -> tuple[LoadedModel, LoadedModel]:
    """The model whose answers a shadow called `name` compares, and the one that it runs. Raises what Catalog.find
    raises, and ModelRefused where they are the same or have different labels.
    """
    of, run = (catalog.find(*split_version(target)) for target in (shadow.of, shadow.run))
    if of is run:
        raise ModelRefused(f"{name} is refused: of and run are both {write_version(of)}: name two versions")
    check_labels(name, of, run)
    return of, run


def write_version(model: LoadedModel) -> str:
    """As an alias names it."""
    return f"{model.name}/{model.version}"
