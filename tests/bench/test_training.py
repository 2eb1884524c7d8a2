"""The training benchmark: that both sides train alike, and what it makes of their lines."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from bench.plain_training import augment
from bench.training import FLOOR, OURS, PLAIN, Cost, Course, follow, report
from export.training.augmentation import Augmentation
from export.training.recipes.files import read_recorded

COURSE = Course(Cost(5, 6), [Cost(9, 13), Cost(12, 19), Cost(15, 24)], Cost(20, 30), 700.0)


@pytest.mark.parametrize(
    "augmentation",
    [Augmentation(rotate=10, zoom=0.1), Augmentation(flip=True, crop_padding=2), Augmentation(rotate=5, flip=True)],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_plain_script_changes_images_as_the_recipe_does(augmentation: Augmentation, channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 12, 12, channels), dtype=np.uint8)
    plain = augment(images, augmentation, np.random.default_rng(3)).astype(int)
    ours = augmentation.apply(images, np.random.default_rng(3))
    apart = np.abs(plain - ours)
    assert (apart <= 1).mean() > 0.999
    assert (plain != images).mean() > 0.5


def test_the_plain_script_erases_as_often_and_as_much_as_the_recipe_does() -> None:
    images = np.zeros((400, 24, 24, 1), np.uint8)
    augmentation = Augmentation(random_erasing=0.5)
    plain = augment(images, augmentation, np.random.default_rng(0)) > 0
    ours = augmentation.apply(images, np.random.default_rng(0)) > 0
    assert plain.any((1, 2, 3)).mean() == pytest.approx(ours.any((1, 2, 3)).mean(), abs=0.1)
    assert plain.mean() == pytest.approx(ours.mean(), abs=0.02)


def test_the_plain_script_refuses_what_it_has_not() -> None:
    images = np.zeros((1, 8, 8, 1), np.uint8)
    with pytest.raises(ValueError, match="knows no sharpness"):
        augment(images, Augmentation(sharpness=True), np.random.default_rng(0))


def test_epochs_are_the_times_between_their_lines() -> None:
    lines = ["training lenet5 on 100 images", "epoch 1/2: loss 1", "  epoch 1/2 [##] 3/4 batches", "  epoch 2/2: loss"]
    script = f"import sys\nfor line in {lines!r}: print(line, file=sys.stderr, flush=True)"
    course = follow([sys.executable, "-c", script])
    assert len(course.epochs) == 2
    walls = [cost.wall for cost in (course.began, *course.epochs, course.over)]
    assert walls == sorted(walls)
    assert course.over.cpu > 0
    assert course.memory_mb > 1


def test_a_command_that_fails_says_what_it_said() -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        follow([sys.executable, "-c", "import sys; sys.exit('no such data')"])
    assert caught.value.stderr == "no such data\n"
    assert caught.value.returncode == 1


def test_the_median_epoch_leaves_out_the_first_and_stands_for_those_that_were_not_trained() -> None:
    assert COURSE.epoch == Cost(3, 5.5)
    assert COURSE.whole(3) == COURSE.over
    assert COURSE.whole(5) == Cost(26, 41)
    assert Course(Cost(1, 1), [Cost(3, 5)], Cost(4, 6)).epoch == Cost(2, 4)


@pytest.mark.parametrize(
    ("epoch", "whole", "memory", "missed"), [(3.4, 24, 700, 0), (3.5, 24, 700, 1), (3.4, 90, 700, 1), (3, 24, 701, 1)]
)
def test_each_bound_decides_the_exit_status(
    epoch: float, whole: float, memory: float, missed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = Course(Cost(5, 6), [Cost(9, 13), Cost(9 + epoch, 19), Cost(9 + 2 * epoch, 24)], Cost(whole, 30), memory)
    courses = {OURS: [ours], PLAIN: [COURSE, COURSE], FLOOR: [COURSE]}
    assert report("lenet5-mnist", courses) == missed
    said = capsys.readouterr().out
    assert said.count("FAILED") == missed
    assert "an epoch: 1.1" in said or missed
    assert f"of {read_recorded('lenet5-mnist').recipe.epochs} epochs" in said
