"""Training and conversion without us: Keras' fit() on arrays in memory, then tf2onnx, in one plain script.

    python -m bench.plain_training lenet5-mnist --epochs 3

The network, optimizer, batch size and augmentation are the recipe's; bench.training runs it beside `build`. The images
are changed in memory before each epoch, one after another, as one writes it without a thought for speed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from artifact.images.frame import Pixels
from export.cli.options import add_data_dir
from export.training.augmentation import Augmentation
from export.training.recipes.files import SHIPPED, read_recorded
from export.training.recipes.recipe import Recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the plain script and `build` take alike."""
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--images", type=int, help="train on this many images only, and test on a sixth as many")
    add_data_dir(parser)


def augment(images: Pixels, augmentation: Augmentation, random: np.random.Generator) -> Pixels:
    """A changed copy of uint8 [n, h, w, c]: turned, sheared and scaled by Pillow, shifted, mirrored, erased by NumPy;
    what the recipe's own code makes of them, but for a level where it rounds and for other rectangles.

    Raises ValueError for the changes that no recipe of bench.training has.
    """
    known = ("flip", "crop_padding", "rotate", "zoom", "random_erasing")
    if others := [name for name, value in asdict(augmentation).items() if value and name not in known]:
        raise ValueError(f"the plain script knows no {', '.join(others)}: take another recipe")
    images = images.copy()
    count, height, width, channels = images.shape
    if augmentation.rotate or augmentation.zoom:
        turns, slants = np.radians(random.uniform(-1, 1, (2, count)) * augmentation.rotate)
        zooms = 1 + random.uniform(-1, 1, (2, count)) * augmentation.zoom
        x, y = width / 2, height / 2
        for i in range(count):
            cos, sin, shear = np.cos(turns[i]), np.sin(turns[i]), np.tan(slants[i] / 2)
            across, down = zooms[:, i]
            a, b, d, e = cos / across, (sin + shear) / across, -sin / down, cos / down
            matrix = (a, b, x - a * x - b * y, d, e, y - d * x - e * y)
            image = Image.fromarray(images[i, :, :, 0] if channels == 1 else images[i])
            turned = image.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
            images[i] = np.asarray(turned).reshape(height, width, channels)
    if padding := augmentation.crop_padding:
        padded = np.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
        for i, (top, left) in enumerate(random.integers(0, 2 * padding + 1, (2, count)).T):
            images[i] = padded[i, top : top + height, left : left + width]
    if augmentation.flip:
        chosen = random.random(count) < 0.5
        images[chosen] = images[chosen, :, ::-1]
    for i in np.flatnonzero(random.random(count) < augmentation.random_erasing).tolist():
        area, ratio = random.uniform(0.02, 0.33) * height * width, np.exp(random.uniform(np.log(0.3), np.log(3.3)))
        h, w = min(height, round(np.sqrt(area * ratio))), min(width, round(np.sqrt(area / ratio)))
        y0, x0 = random.integers(0, (height - h + 1, width - w + 1))
        images[i, y0 : y0 + h, x0 : x0 + w] = random.integers(0, 256, (h, w, channels))
    return images


def make_optimizer(recipe: Recipe, steps: int) -> Any:
    """Keras' own optimizer and learning rate schedule, as near to the recipe's as it has them.

    Raises ValueError for those that no recipe of bench.training has.
    """
    import keras

    if recipe.schedule not in ("constant", "cosine", "one-cycle") or recipe.l2:
        raise ValueError("the plain script has neither stepwise schedules nor l2: take another recipe")
    schedules, rate, decay = keras.optimizers.schedules, recipe.learning_rate, recipe.weight_decay or None
    learning_rate: Any = rate
    if recipe.schedule == "cosine":
        learning_rate = schedules.CosineDecay(rate, steps)
    elif recipe.schedule == "one-cycle":
        rise = round(0.3 * steps)
        learning_rate = schedules.CosineDecay(0.04 * rate, steps - rise, warmup_target=rate, warmup_steps=rise)
    common = {"weight_decay": decay, "use_ema": recipe.ema > 0, "ema_momentum": recipe.ema}
    if recipe.optimizer == "adam":
        return keras.optimizers.Adam(learning_rate, **common)
    return keras.optimizers.SGD(learning_rate, recipe.momentum, nesterov=recipe.nesterov, **common)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=SHIPPED, metavar="RECIPE", help="a shipped one")
    parser.add_argument("--no-augmentation", action="store_true", help="fit() alone")
    add_arguments(parser)
    given = parser.parse_args()
    recipe = read_recorded(given.recipe).recipe
    epochs = given.epochs or recipe.epochs

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf
    import tf2onnx

    from export.data.datasets import load_dataset
    from export.data.samples import ArraySamples
    from models.registry import NETWORKS

    dataset = load_dataset(recipe.dataset, given.data_dir)
    assert isinstance(dataset.train, ArraySamples)
    shape = dataset.policy.shape
    images = dataset.train.images[: given.images].reshape(-1, *shape)
    labels = keras.utils.to_categorical(dataset.train.labels[: given.images], len(dataset.labels))
    held_out = round(len(images) * recipe.validation_share)
    mean, std = images[:2000].mean(), images[:2000].std()

    def normalize(pixels: Pixels) -> npt.NDArray[np.float32]:
        return (pixels.astype(np.float32) - np.float32(mean)) / np.float32(std)

    validation = normalize(images[:held_out]), labels[:held_out]
    images, labels = images[held_out:], labels[held_out:]
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    network = NETWORKS[recipe.network].build(input_shape=shape, classes=len(dataset.labels), **recipe.options)
    steps = epochs * -(-len(images) // recipe.batch_size)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing)
    network.compile(make_optimizer(recipe, steps), loss, metrics=["accuracy"])
    print(f"training on {len(images):,} images", file=sys.stderr, flush=True)
    x = normalize(images)
    for epoch in range(epochs):
        if not given.no_augmentation:
            x = normalize(augment(images, recipe.augmentation, random))
        history = network.fit(
            x,
            labels,
            recipe.batch_size,
            epoch + 1,
            verbose=0,
            validation_data=validation,
            initial_epoch=epoch,
            validation_batch_size=2 * recipe.batch_size,
        ).history
        accuracy = history["val_accuracy"][0]
        print(f"epoch {epoch + 1}/{epochs}: validation accuracy {accuracy:.2%}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        signature = [tf.TensorSpec([None, *shape], tf.float32, name="pixels")]
        tf2onnx.convert.from_keras(network, signature, opset=17, output_path=str(Path(folder, "model.onnx")))


if __name__ == "__main__":
    main()
