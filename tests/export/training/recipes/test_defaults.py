from __future__ import annotations

from export.training.augmentation import Augmentation
from export.training.recipes.defaults import default_recipe, further_recipe
from export.training.recipes.recipe import make_recipe


def test_a_run_trained_further_drops_what_only_its_own_optimizer_and_schedule_had() -> None:
    paper = {
        "network": "lenet5",
        "dataset": "digits",
        "epochs": 90,
        "optimizer": "sgd",
        "l2": 5e-4,
        "schedule": "multistep",
        "decay_milestones": [30, 60],
        "warmup_epochs": 1,
        "warmup_rate": 0.01,
        "ema": 0.999,
        "augmentation.flip": True,
    }
    further = further_recipe(make_recipe(paper), freeze=False)
    assert make_recipe(further.summary()) == further
    assert (further.optimizer, further.schedule, further.l2, further.warmup_rate) == ("adam", "cosine", 0, 0)
    assert further.ema == 0
    assert further.augmentation == Augmentation(flip=True)


def test_the_recipe_named_for_the_pair_goes_before_other_recipes_of_it() -> None:
    assert default_recipe("vgg11_series", "mnist")[0] == "vgg11_series-mnist"
    assert default_recipe("lenet5", "mnist")[0] == "lenet5-mnist"
    assert default_recipe("resnet50", "imagenet")[0] == "resnet50-imagenet"
    assert default_recipe("lenet5", "digits")[0] == "quickstart"
