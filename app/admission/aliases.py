"""Whether the models that an alias means can be served, and how an alias is described."""

from __future__ import annotations

from typing import Any

from app.admission.cascade import check_cascade, check_labels
from app.aliases import Cascade, Meaning, write_target
from app.catalog.catalog import Catalog
from app.catalog.traffic.traffic import split_version
from artifact.errors import ConvserveError


def check_alias(catalog: Catalog, name: str, target: Meaning) -> None:
    """Raises what a request would be refused with, were `target` the meaning of `name`: what Catalog.find raises for a
    model that gets requests, and ModelRefused for models that don't go together.
    """
    if isinstance(target, str):
        catalog.find(*split_version(target))
    elif isinstance(target, Cascade):
        check_cascade(catalog, name, target)
    else:
        first, *others = (catalog.find(*split_version(to)) for to, weight in target.to.items() if weight)
        for other in others:
            check_labels(name, first, other)


def describe_alias(catalog: Catalog, name: str, target: Meaning) -> Any:
    """An alias as the settings have it and, where it means several models that can't be asked, the reason."""
    described = write_target(target)
    if isinstance(described, str):
        return described
    try:
        check_alias(catalog, name, target)
    except ConvserveError as error:
        described["reason"] = error.detail
    return described
