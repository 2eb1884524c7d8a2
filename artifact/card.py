"""The model card: everything that an artifact says about its network, as one pydantic tree (card.json).

Pydantic only: the export stage writes cards, the serving stage reads them, and neither needs the other's packages here.
A table of fields, which is why it is long.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from artifact.documents import Document, Part, Probability, read_document
from artifact.errors import ArtifactError
from artifact.files import FilePath, ListedFile, Sha256, always_needed
from artifact.layout import CARD_FILE, MODEL_FILE, NAME_PATTERN
from artifact.precision import Precision, PrecisionReport
from artifact.robustness import Robustness

Level = Annotated[int, Field(ge=0, le=255)]

# The words of a card; command lines offer them by typing.get_args.
Fit = Literal["stretch", "crop", "pad", "content"]
CropRule = Literal["torchvision", "transformers", "rounded"]
Resize = Literal["antialias", "antialias-bicubic", "antialias-lanczos", "bilinear", "bicubic", "area", "nearest"]
Decode = Literal["accurate", "tensorflow"]
Polarity = Literal["light-on-dark", "dark-on-light", "any"]
PreprocessingName = Literal["tf", "caffe", "torch", "unit", "none", "custom"]
Head = Literal["softmax", "logits", "sigmoid", "multilabel"]

# Places of figures that one stage writes and the other reads.
COVERAGES = tuple(round(0.8 + i / 1000, 3) for i in range(200))
"""Those that a card stores a score for, as far as its images allow: 0.800, 0.801, ... 0.999."""
ENERGY_QUANTILES = (0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1)
CONFIDENCE_BINS = 10
"""Of equal width over 0..1, for the distribution of top-1 probabilities."""
UNFAMILIAR_SHARE = 0.01
"""One of ENERGY_QUANTILES: so many of the validation images have less energy than an image that isn't warned of."""
CALIBRATION_BINS = 15
"""Of equal width over 0..1, for the expected calibration error (Guo et al. 2017)."""


class ImagePolicy(Part):
    """How an encoded image becomes the uint8 [height, width, channels] array that the network reads."""

    height: PositiveInt
    width: PositiveInt
    channels: Literal[1, 3]
    fit: Fit = "stretch"
    crop_fraction: Annotated[float, Field(gt=0, le=1)] = 0.875
    crop_rule: CropRule = "torchvision"
    """`crop` only: how the scaled sides and the margins become whole pixels. `torchvision` (timm, too) cuts sides and
    rounds margins, `transformers` cuts both; `rounded`, which rounds both, is what cards up to format 2 mean."""
    pad_color: Annotated[tuple[Level, ...], Field(min_length=1, max_length=3)] = (0,)
    """`pad` only: what the rest is filled with, a level a channel, or one for all."""
    margin: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """`content` only: the empty share of the frame on each side of the ink, as the data set itself has it."""
    resize: Resize = "antialias"
    polarity: Polarity = "any"
    decode: Decode = "accurate"
    """Of JPEGs: `accurate` as Pillow, torchvision and OpenCV do, `tensorflow` as tf.io.decode_image does (fast DCT)."""
    reduced_decode: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.height, self.width, self.channels)

    @model_validator(mode="after")
    def _fills_every_channel(self) -> Self:
        if len(self.pad_color) not in (1, self.channels):
            raise ValueError(f"pad_color has {len(self.pad_color)} levels for {self.channels} channels")
        return self


class Preprocessing(Part):
    """The pixel arithmetic inside the graph: (pixel - mean) / std a channel, units of 0..255, after any swap to BGR."""

    name: PreprocessingName
    channel_order: Literal["rgb", "bgr", "gray"]
    mean: tuple[float, ...]
    std: tuple[Annotated[float, Field(gt=0)], ...]


class NetworkInfo(Part):
    """Where the network comes from: `origin` says whose definition and weights the graph holds."""

    name: str
    origin: Literal["convserve", "keras.applications", "keras-file", "savedmodel", "onnx-file"]
    paper: str = ""
    year: int | None = None
    parameters: int
    """Trainable parameters."""
    weights: str
    """trained, imagenet, random, or the name of the file they came from."""


RecipeValue = str | int | float | bool | list[float] | None


class Training(Part):
    dataset: str
    images: int
    validation_images: int
    epochs: int
    seed: int
    recipe: dict[str, RecipeValue]
    seconds: float
    backend: str


class Evaluation(Part):
    """Measured on images that neither training nor calibration saw."""

    dataset: str
    split: str
    images: int
    top1: Probability
    top5: Probability | None = None
    """None where there are no more than five classes."""
    balanced_accuracy: Probability | None = None
    """The mean over classes of each one's accuracy."""
    macro_f1: Probability | None = None
    """The mean over classes of each one's F1, of precision and recall."""
    ece: Probability
    """Expected calibration error over CALIBRATION_BINS."""


class Calibration(Part):
    """Temperature scaling (Guo et al. 2017), fitted on validation images; the temperature is inside the graph."""

    dataset: str
    images: int
    temperature: Annotated[float, Field(gt=0)]
    ece_before: Probability
    ece_after: Probability


class ScoreQuantiles(Part):
    """Split-conformal quantiles of the score 1 - p(true class) on validation images (Sadinle et al. 2019).

    The label set at coverage[i] is every class with probability >= 1 - score[i].
    """

    images: int
    coverage: tuple[Probability, ...]
    score: tuple[Probability, ...]

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        if len(self.coverage) != len(self.score) or list(self.coverage) != sorted(self.coverage):
            raise ValueError("coverage must rise and have one score each")
        return self

    def score_at(self, coverage: float) -> float:
        """The score of the smallest stored coverage that is at least `coverage` (never below what was asked)."""
        for stored, score in zip(self.coverage, self.score, strict=True):
            if stored >= coverage - 1e-9:
                return score
        raise ValueError(f"coverage {coverage:g} is above the largest stored one, {self.coverage[-1]:g}")


class Foreign(Part):
    """How many images of another kind than the training set's are noticed by the warning of unfamiliar images."""

    images: PositiveInt
    source: str
    noticed: Probability
    """The share with less energy than Distribution.least_energy."""


class Distribution(Part):
    """What the network said on validation images: the reference that drift is measured against."""

    images: int
    classes: tuple[Probability, ...]
    """Share of each predicted class."""
    confidence: tuple[Probability, ...]
    """Share of top-1 probabilities in each of CONFIDENCE_BINS."""
    energy: tuple[float, ...] = ()
    """Of the energy output, at ENERGY_QUANTILES."""
    foreign: Foreign | None = None
    """None where it wasn't measured."""

    @property
    def least_energy(self) -> float | None:
        """The energy below which an image is unfamiliar; None where there are no figures."""
        place = ENERGY_QUANTILES.index(UNFAMILIAR_SHARE)
        return self.energy[place] if len(self.energy) > place else None


class Provenance(Part):
    """What is known of a network before it is proved: what a training leaves, a conversion brings and a card says."""

    license: str
    network: NetworkInfo
    labels: tuple[str, ...]
    image: ImagePolicy
    preprocessing: Preprocessing
    training: Training | None = None
    calibration: Calibration | None = None
    score_quantiles: ScoreQuantiles | None = None
    distribution: Distribution | None = None

    @model_validator(mode="before")
    @classmethod
    def _crop_as_older_formats_mean_it(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("format") in (1, 2) and isinstance(data.get("image"), dict):
            return {**data, "image": {"crop_rule": "rounded", **data["image"]}}
        return data

    @property
    def temperature(self) -> float:
        """What logits are divided by; 1 where nothing was calibrated."""
        return self.calibration.temperature if self.calibration is not None else 1.0

    def shared(self) -> dict[str, Any]:
        """These fields alone, whatever a subclass adds: with them another record of the same network begins."""
        return {name: getattr(self, name) for name in Provenance.model_fields}


class Proof(Part):
    """Keras beside ONNX Runtime on the same images, compared before anything was published."""

    images: int
    source: str
    batch_sizes: tuple[int, ...]
    max_abs_difference: float
    max_log_difference: float
    """Largest |ln p - ln p'| / max(1, |ln p|) where Keras' p >= 1e-6."""
    top1_agreement: Probability
    abs_tolerance: float
    log_tolerance: float
    fitted_random_weights: bool = False
    """True where there were no trained weights: BN statistics and last layer were fitted to real activations."""


class Assumption(Part):
    """What is taken for granted of a network; it stands on both sides of the proof, which can't see it."""

    what: str
    """head, labels, preprocessing, size, fit, resize, ..."""
    value: str
    standing: Literal["measured", "declared"]
    """`measured`: labeled images, or the network's values, speak for it. `declared`: said by somebody, not proved."""
    note: str = ""


class Replay(Part):
    """How far the golden probabilities may move on the serving device, by kind of device."""

    cpu: float = 1e-4
    cuda: float = 2e-3


class Title(Document):
    """What a card begins with."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    version: PositiveInt
    created: str


class ModelCard(Provenance, Title):
    """card.json of one version of one model. Written last: with it, the version says of itself when it is whole."""

    labels: Annotated[tuple[str, ...], Field(min_length=2)]
    head: Head
    """What the network's own last layer gave."""
    reading: str = ""
    """The same in words: `one sigmoid: P(dog), the second label; cat has the rest`."""
    assumptions: tuple[Assumption, ...] = ()
    """Of a network that was trained elsewhere."""
    warnings: tuple[str, ...] = ()
    """What was said in capitals when it was published."""
    precision: Precision = "fp32"
    precision_report: PrecisionReport | None = None
    energy: bool
    """Whether the graph has the `energy` output; else the largest probability is the score."""
    features: bool
    """Whether the graph has the `features` output (and classifier.npz stands beside it)."""
    max_batch: PositiveInt = 32
    evaluation: Evaluation | None = None
    """Of the graph, not of the network that it was made from."""
    robustness: Robustness | None = None
    """Of the graph, too; None where no labeled images were given, or it was left out."""
    proof: Proof
    replay: Replay = Replay()
    sha256: Sha256
    """Of model.onnx."""
    tools: dict[str, str]
    """Versions of the packages that made it."""
    files: dict[FilePath, ListedFile] = Field(default_factory=dict)
    """Every other file of the version's folder, by its path within it; format 1 lists none."""

    @model_validator(mode="after")
    def _lists_what_is_served(self) -> Self:
        if self.format == 1:
            return self
        if left_out := [name for name in always_needed(self.features) if name not in self.files]:
            raise ValueError(f"files doesn't list {', '.join(left_out)}")
        if self.files[MODEL_FILE].sha256 != self.sha256:
            raise ValueError(f"files gives {MODEL_FILE} another sha256 than the card")
        return self

    @property
    def multilabel(self) -> bool:
        return self.head == "multilabel"


def bin_confidence(probability: float, bins: int = CONFIDENCE_BINS) -> int:
    """The place of a top-1 probability among bins of equal width over 0..1."""
    return min(bins - 1, max(0, int(probability * bins)))


def read_card(folder: Path) -> ModelCard:
    """The card of a version's folder. Raises ArtifactError where there is none, a newer convserve wrote it, or naming
    the first field that is wrong.
    """
    try:
        return read_document(ModelCard, folder / CARD_FILE, "a model card")
    except FileNotFoundError as error:
        raise ArtifactError(f"{folder.parent.name}/{folder.name} has no {CARD_FILE}") from error
