from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from export.errors import UsageError
from export.training.augmentation import Augmentation
from export.training.recipes.recipe import Recipe, change, make_recipe

RECIPE = Recipe(network="lenet5", dataset="digits", epochs=3, augmentation=Augmentation(rotate=5), options={"width": 8})


def test_schedules_begin_and_end_where_they_say() -> None:
    cosine = replace(RECIPE, learning_rate=1.0, schedule="cosine")
    cycle = replace(RECIPE, learning_rate=1.0, schedule="one-cycle")
    assert cosine.rate_at(0, 100) == pytest.approx(1)
    assert cosine.rate_at(100, 100) == pytest.approx(0)
    assert cycle.rate_at(0, 100) == pytest.approx(0.04)
    assert cycle.rate_at(30, 100) == pytest.approx(1)
    assert cycle.rate_at(100, 100) == pytest.approx(0)
    assert replace(RECIPE, learning_rate=1.0, schedule="constant").rate_at(77, 100) == 1


def test_the_rate_climbs_before_the_schedule_begins() -> None:
    for schedule in ("constant", "cosine"):
        recipe = replace(RECIPE, learning_rate=1.0, schedule=schedule, epochs=10, warmup_epochs=2.0)
        rates = [recipe.rate_at(step, 100) for step in range(101)]
        assert rates[0] == pytest.approx(1 / 21)
        assert rates[10] == pytest.approx(11 / 21)
        assert rates[20] == 1
        assert rates[60] == pytest.approx(1 if schedule == "constant" else 0.5)
        assert rates[100] == pytest.approx(1 if schedule == "constant" else 0)


def test_stepwise_schedules_fall_by_their_rate_when_they_say() -> None:
    recipe = replace(RECIPE, learning_rate=1.0, epochs=10, decay_rate=0.5)
    step = replace(recipe, schedule="step", decay_epochs=2.5)
    assert [step.rate_at(at, 1000) for at in (0, 249, 250, 499, 500, 750)] == [1, 1, 0.5, 0.5, 0.25, 0.125]
    multistep = replace(recipe, schedule="multistep", decay_milestones=(2.5, 9.0))
    assert [multistep.rate_at(at, 1000) for at in (0, 249, 250, 899, 900, 999)] == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_a_plateau_is_so_many_epochs_without_a_rise_and_the_next_counts_anew() -> None:
    recipe = replace(RECIPE, learning_rate=1.0, schedule="plateau", decay_epochs=2.0)
    accuracies = [0.5, 0.6, 0.6, 0.55, 0.58, 0.7, 0.7, 0.7, 0.6, 0.6]
    rates = [recipe.rate_at(0, 100, accuracies[:epoch]) for epoch in range(11)]
    assert rates == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 1e-2, 1e-2, 1e-3])


def test_a_warm_up_may_keep_to_one_rate() -> None:
    values = {"warmup_epochs": 1.0, "warmup_rate": 0.01, "learning_rate": 0.1, "schedule": "constant"}
    recipe = change(RECIPE, values.items())
    assert [recipe.rate_at(step, 30) for step in (0, 9, 10, 29)] == [0.01, 0.01, 0.1, 0.1]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"warmup_rate": 0.1}, "warmup_rate = 0.1 without warmup_epochs is never used"),
        ({"schedule": "multistep"}, "decay_milestones belong together"),
        ({"decay_milestones": [1]}, "decay_milestones belong together"),
        ({"augmentation.scale_jitter": [256]}, "give the least and the most of the shorter side"),
        ({"augmentation.scale_jitter": [512, 256]}, "give the least and the most of the shorter side"),
        ({"l2": 1e-4}, "l2 is for sgd and rmsprop: adam would cancel it"),
        ({"optimizer": "adamw"}, "without a weight_decay is adam: set one"),
        ({"warmup_epochs": 1.0, "schedule": "one-cycle"}, "one-cycle climbs itself"),
        ({"warmup_epochs": 3.0}, "leaves none of 3 epochs"),
        ({"class_weights": True, "balanced_sampling": True}, "correct the same thing.*: set one"),
        ({"augmentation.rand_augment": 2}, "rand_augment_magnitude.* mean nothing without each other: set both"),
        ({"augmentation.rand_augment_magnitude": 9}, "mean nothing without each other: set both"),
    ],
)
def test_fields_that_mean_nothing_beside_each_other_are_refused(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        change(RECIPE, values.items())


def test_a_summary_is_read_back_to_the_same_recipe() -> None:
    assert make_recipe(RECIPE.summary()) == RECIPE
    assert make_recipe(RECIPE.flat()) == RECIPE
    with_list = replace(RECIPE, schedule="multistep", decay_milestones=(1.0, 2.5))
    assert with_list.summary()["decay_milestones"] == [1.0, 2.5]
    assert make_recipe(with_list.summary()) == with_list


def test_a_summary_names_the_weights_and_not_where_they_lay() -> None:
    assert replace(RECIPE, weights="/home/somebody/runs/a").summary()["weights"] == "a"
    assert replace(RECIPE, weights="imagenet").summary()["weights"] == "imagenet"


def test_changes_reach_every_part() -> None:
    changed = change(RECIPE, [("epochs", 9), ("augmentation.flip", True), ("options.width", 16), ("options.deep", "x")])
    assert (changed.epochs, changed.options) == (9, {"width": 16, "deep": "x"})
    assert changed.augmentation == Augmentation(rotate=5, flip=True)


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("epochs", 0, "epochs = 0 should be greater than or equal to 1"),
        ("epochs", 2.5, "epochs = 2.5 should be a valid integer"),
        ("epochs", True, "epochs = true should be a valid integer"),
        ("learning_rate", float("inf"), "learning_rate = Infinity should be a finite number"),
        ("learning_rate", "fast", 'learning_rate = "fast" should be a valid number'),
        ("optimizer", "adm", "optimizer = \"adm\" should be 'adam', "),
        ("augmentation.flip", "maybe", 'augmentation.flip = "maybe" should be a valid boolean'),
        ("decay_milestones", [1, 0], "decay_milestones.1 = 0 should be greater than 0"),
        ("decay_milestones", 3, "decay_milestones = 3 should be a valid array"),
        ("augmentation.zoom", 1, "augmentation.zoom = 1 should be less than 1"),
        ("augmentation.zom", 1, "no field 'augmentation.zom' (did you mean augmentation.zoom?)"),
        ("epoch", 1, "no field 'epoch' (did you mean epochs?)"),
        ("augmentation", 1, "augmentation = 1 should be an object"),
        ("validation_share", 1.0, "validation_share = 1.0 should be less than 1"),
    ],
)
def test_a_wrong_value_is_named_with_what_may_be(key: str, value: Any, complaint: str) -> None:
    with pytest.raises(UsageError) as error:
        make_recipe({"network": "lenet5", "dataset": "digits", "epochs": 1, key: value}, "mine.toml")
    assert str(error.value).startswith("mine.toml: ")
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


def test_a_recipe_must_say_its_epochs() -> None:
    with pytest.raises(UsageError, match="must have the key epochs"):
        make_recipe({"network": "lenet5", "dataset": "digits"})
