"""Aliases and shadows, in the form that settings and requests have: what another name for models may mean, and which
model is tried beside which. Doesn't know which models there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    model_validator,
)

from artifact.layout import NAME_FORM


def in_form(pattern: str, words: str) -> Callable[[str], str]:
    """A check for AfterValidator: a text that isn't in the form of `pattern` is refused in words, not with it."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(words)
        return text

    return check


Alias = Annotated[
    str,
    AfterValidator(
        in_form(
            r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(/[1-9]\d{0,17})?",
            f"give a model as NAME or NAME/VERSION; a name has {NAME_FORM}",
        )
    ),
]
Weight = Annotated[int | float, Field(ge=0, le=1_000_000)]
SLOTS = 10_000  # a share is a whole number of these
HeaderName = Annotated[
    str,
    AfterValidator(in_form(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}", "give a header's name, such as X-User")),
]
# Of a cascade: more labels in the label set than, or a largest probability below.
_WHEN = re.compile(r"set\s*>\s*(?P<labels>[1-9]\d{0,5})|p\s*<\s*(?P<probability>0?\.\d*[1-9]\d*|1(\.0+)?)")


def _check_when(when: str) -> str:
    if (said := _WHEN.fullmatch(when.strip())) is None:
        raise ValueError(
            "write 'set > N' (the label set of the first model has more than N labels, 1 or more) or 'p < X' (its "
            "largest probability is below X, above 0 and at most 1)"
        )
    return f"set > {said['labels']}" if said["labels"] else f"p < {said['probability']}"


class Cascade(BaseModel):
    """An alias that means two models: `then` is asked where the answer of `first` isn't sure enough."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first: Alias
    then: Alias
    when: Annotated[str, AfterValidator(_check_when)]
    coverage: float = Field(0.95, gt=0, lt=1)
    """Of the label set that `when` may speak of."""

    @model_validator(mode="after")
    def _names_two(self) -> Self:
        if self.first == self.then:
            raise ValueError(f"first and then are both {self.first}: name two models, or two versions (NAME/1, NAME/2)")
        return self

    @cached_property
    def most_labels(self) -> int:
        """A larger label set asks the second model; 0 where `when` speaks of the probability."""
        return int(self.when.partition(">")[2] or 0)

    @cached_property
    def least_probability(self) -> float:
        """A smaller largest probability asks the second model; 0 where `when` speaks of the label set."""
        return float(self.when.partition("<")[2] or 0)

    @property
    def targets(self) -> tuple[str, ...]:
        return self.first, self.then

    def __str__(self) -> str:
        return f"{self.first}, then {self.then} when {self.when}"


class Guard(BaseModel):
    """What the models of a weighted alias may not do, the first of them aside: which breaks a bound gets weight 0."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_error_rate: float | None = Field(None, gt=0, lt=1)
    """Faults, as convserve_alias_faults_total has them, in a model's requests."""
    max_p99_ratio: float | None = Field(None, ge=1)
    """99th percentile of its requests' time, over that of the first model's."""
    max_disagreement: float | None = Field(None, gt=0, lt=1)
    """Images on which it and the first model disagree, where one of them is the other's shadow."""
    min_requests: int = Field(100, ge=1)
    """Requests (or images) that a judgment takes."""

    @model_validator(mode="after")
    def _has_bound(self) -> Self:
        if self.max_error_rate is self.max_p99_ratio is self.max_disagreement is None:
            raise ValueError("guard sets no bound: give max_error_rate, max_p99_ratio or max_disagreement")
        return self


class Split(BaseModel):
    """An alias that means several models, each for its share of the requests. Weights alone may stand for the whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: dict[Alias, Weight] = Field(min_length=1)
    """Model or model/version -> weight, of any sum."""
    sticky: HeaderName | None = None
    """A header of requests: equal values of it get the same model."""
    guard: Guard | None = None

    @model_validator(mode="after")
    def _has_weight(self) -> Self:
        if not any(self.to.values()):
            raise ValueError("every weight is 0: at least one model must get requests")
        least = sum(self.to.values()) / SLOTS
        for target, weight in self.to.items():
            if 0 < weight < least:
                raise ValueError(
                    f"{target} has weight {weight:g}, less than 1 of {SLOTS:,} requests: give it a larger weight, or 0"
                )
        return self

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(self.to)

    def withdraw(self, target: str) -> Split:
        """The same with weight 0 for `target`; the first model gets all of it where nobody else has any."""
        to = {**self.to, target: 0}
        if not any(to.values()):
            to[next(iter(to))] = self.to[target]
        return Split(to=to, sticky=self.sticky, guard=self.guard)  # a copy would keep `largest` as it was

    @cached_property
    def largest(self) -> str:
        """The target of the largest share, the first of them where several are equal."""
        return max(self.to, key=self.to.__getitem__)

    def __str__(self) -> str:
        whole = sum(self.to.values())
        parts = ", ".join(f"{target} {100 * weight / whole:.4g} %" for target, weight in self.to.items())
        return parts + (f", sticky by {self.sticky}" if self.sticky else "")


def _unwrap(written: Any) -> Any:
    """One form of the several in which a meaning is written: {to = MEANING}, or weights alone."""
    if not isinstance(written, dict):
        return written
    if _is_cascade(written):
        return written
    to = written.get("to")
    if to is None or isinstance(to, int | float):  # weights alone; a model may be called `to`
        return {"to": written}
    if isinstance(to, dict) and not _is_cascade(to):
        return written
    if others := sorted(written.keys() - {"to"}):
        raise ValueError(f"{others[0]} goes with weights, and `to` names none: leave it out")
    return to


def _is_cascade(written: dict[str, Any]) -> bool:
    return any(isinstance(written.get(name), str) for name in ("first", "then", "when"))


def _kind_of(target: Any) -> str:
    if isinstance(target, Split) or (isinstance(target, dict) and not _is_cascade(target)):
        return "split"
    return "cascade" if isinstance(target, dict | Cascade) else "model"


Target = Annotated[
    Annotated[
        Annotated[Alias, Tag("model")] | Annotated[Cascade, Tag("cascade")] | Annotated[Split, Tag("split")],
        Discriminator(_kind_of),
    ],
    BeforeValidator(_unwrap),
]
"""What an alias means: model, model/version, two models, or a share of the requests each."""

Meaning = str | Cascade | Split
_TARGET: TypeAdapter[Meaning] = TypeAdapter(Target)


def read_target(written: Any) -> Meaning:
    """What settings and requests write, or `write_target` has written. Raises pydantic's ValidationError."""
    return _TARGET.validate_python(written)


def write_target(target: Meaning) -> Any:
    """As JSON has it."""
    return target if isinstance(target, str) else target.model_dump(mode="json", exclude_none=True)


def list_targets(target: Meaning) -> tuple[str, ...]:
    """Each model or model/version that a meaning names."""
    return (target,) if isinstance(target, str) else target.targets


class Shadow(BaseModel):
    """`run` sees a share of the images that `of` answers, once nothing waits, and never answers a caller."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    of: Alias
    """Model or model/version whose answers are compared."""
    run: Alias
    """Model or model/version that is tried beside it."""
    share: float = Field(1.0, gt=0, le=1)
    """Of the images that `of` answers."""
    keep_images: bool = False
    """Whether the images of the newest disagreements may be kept."""

    @model_validator(mode="after")
    def _names_two(self) -> Self:
        if self.of == self.run:
            raise ValueError(f"of and run are both {self.of}: name two models, or two versions (NAME/1, NAME/2)")
        return self

    def __str__(self) -> str:
        return f"{self.run} beside {self.of}, {100 * self.share:.4g} %"


def read_shadow(written: Any) -> Shadow:
    """What settings and requests write, or `write_shadow` has written. Raises pydantic's ValidationError."""
    return Shadow.model_validate(written)


def write_shadow(shadow: Shadow) -> dict[str, Any]:
    """As JSON has it."""
    return shadow.model_dump(mode="json")
