"""Networks that are there already, as sources to convert: a finished run, or somebody's own Keras file."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from app.card import ImagePolicy, NetworkInfo, Preprocessing
from export.datasets import load_dataset
from export.errors import ConversionError, DataError, UsageError
from export.graph import Head
from export.preprocessing import preset
from export.run import KERAS_FILE, read_run
from export.samples import BytesSamples, FileSamples
from export.source import ProofImages, Source
from export.training import count_parameters

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")


@dataclass(frozen=True)
class ImageOptions:
    """What only the user knows of a foreign network: the IMAGE OPTIONS of the command line."""

    labels: str
    preprocessing: str | None = None
    size: tuple[int, int] | None = None
    fit: str = "stretch"
    crop_fraction: float = 0.875
    resize: str = "antialias"
    polarity: str = "any"
    reduced_decode: bool = False
    head: Head | None = None
    images: Path | None = None
    dataset: str | None = None


def load_run(folder: Path, name: str | None, data_dir: Path | None) -> Source:
    """A finished training. Raises DataError where the run isn't finished or its data set can't be found."""
    run = read_run(folder)
    file = folder / KERAS_FILE
    if not file.exists():
        raise DataError(f"{folder}: this training is not finished (no {KERAS_FILE}): run the same train command again")
    dataset = load_dataset(run.dataset, data_dir or (Path(run.data_dir) if run.data_dir else None))
    return Source(
        name=name or run.model_name,
        model=_load_keras(file),
        network=run.network,
        labels=run.labels,
        image=run.image,
        preprocessing=run.preprocessing,
        head="logits",
        images=ProofImages(dataset.test, f"{dataset.name} test set", dataset.name),
        license=run.license,
        training=run.training,
        calibration=run.calibration,
        score_quantiles=run.score_quantiles,
        distribution=run.distribution,
        report=folder / "report",
    )


def load_file(
    file: Path,
    options: ImageOptions,
    labels: tuple[str, ...],
    name: str,
    data_dir: Path | None,
) -> Source:
    """Somebody's own .keras or .h5 file. Raises UsageError or ConversionError naming the option that helps."""
    model = _load_keras(file)
    height, width, channels = read_input_shape(model, options.size)
    policy = ImagePolicy(
        height=height,
        width=width,
        channels=channels,  # type: ignore[arg-type]
        fit=options.fit,  # type: ignore[arg-type]
        crop_fraction=options.crop_fraction,
        resize=options.resize,  # type: ignore[arg-type]
        polarity=options.polarity,  # type: ignore[arg-type]
        reduced_decode=options.reduced_decode,
    )
    info = NetworkInfo(name=model.name, origin="keras-file", parameters=count_parameters(model), weights=file.name)
    return Source(
        name=name,
        model=model,
        network=info,
        labels=labels,
        image=policy,
        preprocessing=_choose_preprocessing(model, options.preprocessing, channels),
        head=options.head,
        images=_choose_images(options, channels, data_dir),
        license="not stated",
    )


def read_input_shape(model: keras.Model, size: tuple[int, int] | None) -> tuple[int, int, int]:
    """Height, width and channels that a model reads. Raises ConversionError where it doesn't read images."""
    shapes = [tuple(tensor.shape) for tensor in model.inputs] if model.inputs else []
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ConversionError(
            f"{model.name} has inputs {shapes or 'of unknown shape'}: "
            "an image classifier has one, [batch, height, width, channels]"
        )
    _, height, width, channels = shapes[0]
    if channels not in (1, 3):
        raise ConversionError(
            f"{model.name} reads {channels} channels: only gray (1) and RGB (3), channels last, can be served"
        )
    if size is not None:
        if (height or size[0], width or size[1]) != size:
            raise UsageError(f"--size {size[0]}x{size[1]}: {model.name} reads {height}x{width} and no other size")
        height, width = size
    if height is None or width is None:
        raise UsageError(f"{model.name} reads images of any size: say the one to serve with --size HxW")
    return height, width, channels


def _load_keras(file: Path) -> keras.Model:
    import models  # noqa: F401  the layers that our own definitions registered

    try:
        model = keras.models.load_model(file, compile=False)
    except Exception as error:  # Keras raises errors of many kinds for files that it can't open
        raise ConversionError(_explain_load_error(file, error)) from error
    if not isinstance(model, keras.Model):
        raise ConversionError(f"{file} holds a {type(model).__name__}, not a Keras model")
    return model


def _explain_load_error(file: Path, error: Exception) -> str:
    text = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if not file.exists():
        return f"{file} does not exist"
    if file.suffix == ".keras" and not zipfile.is_zipfile(file):
        return f"{file} is no Keras file (no zip archive): save the model again with model.save('{file.stem}.keras')"
    if "Lambda" in text:
        return f"{file} holds a Lambda layer, which runs code from the file: replace it by Keras layers and save again"
    if "locate class" in str(error) or "custom" in str(error).lower():
        return f"{file} needs the definition of a custom layer or model that it does not contain ({text})"
    return f"{file} can't be loaded: {text}"


def _choose_preprocessing(model: keras.Model, name: str | None, channels: int) -> Preprocessing:
    """What the user says; `none` where the model begins with Rescaling or Normalization itself."""
    inside = [layer.name for layer in model.layers if type(layer).__name__ in ("Rescaling", "Normalization")]
    if name is not None:
        return preset(name, channels)
    if inside:
        return preset("none", channels)
    raise UsageError(
        "say how this network's pixels were prepared with --preprocessing tf|caffe|torch|unit|none "
        "(keras.applications' modes; unit is x/255, none leaves 0..255): a wrong guess would answer, but wrongly"
    )


def _choose_images(options: ImageOptions, channels: int, data_dir: Path | None) -> ProofImages:
    if options.dataset is not None:
        dataset = load_dataset(options.dataset, data_dir)
        return ProofImages(dataset.test, f"{dataset.name} test set", dataset.name)
    if options.images is not None:
        files = sorted(path for path in options.images.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        if not files:
            raise DataError(f"--images {options.images}: no image files there ({', '.join(IMAGE_SUFFIXES)})")
        return ProofImages(FileSamples(files, np.full(len(files), -1)), f"{len(files)} images of the user", None)
    return bundled_images(channels)


def bundled_images(channels: int) -> ProofImages:
    """Real images that scikit-learn bundles: two photos and crops of them, or digits for gray inputs."""
    if channels == 1:
        digits = load_dataset("digits", None).test
        files = [digits.encoded(index) for index in range(16)]
        return ProofImages(BytesSamples(files), "16 digits bundled with scikit-learn", None)
    return ProofImages(
        BytesSamples(list(_photo_crops())), "two photos bundled with scikit-learn and crops of them", None
    )


def _photo_crops() -> list[tuple[bytes, str]]:
    import io

    from PIL import Image
    from sklearn.datasets import load_sample_images

    files = []
    for photo in load_sample_images().images:
        whole = Image.fromarray(photo)
        width, height = whole.size
        boxes = [(0, 0, width, height)]
        boxes += [
            (left, top, left + width // 2, top + height // 2)
            for left in (0, width // 4, width // 2)
            for top in (0, height // 2)
        ]
        for box in boxes:
            buffer = io.BytesIO()
            whole.crop(box).save(buffer, "JPEG", quality=92)
            files.append((buffer.getvalue(), ".jpg"))
    return files
