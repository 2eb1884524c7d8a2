"""The model card: everything that an artifact says about its network, as one pydantic tree (card.json).

Pydantic only: the export stage writes cards, the serving stage reads them, and neither needs the other's packages here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from artifact.documents import Document, Part, Probability, read_document
from artifact.errors import ArtifactError
from artifact.figures.evaluation import Calibration, Distribution, Evaluation, ScoreQuantiles
from artifact.figures.precision import Precision, PrecisionReport
from artifact.figures.robustness import Robustness
from artifact.files import FilePath, ListedFile, Sha256, always_needed
from artifact.image_policy import ImagePolicy, Preprocessing
from artifact.layout import CARD_FILE, MODEL_FILE, NAME_PATTERN

Head = Literal["softmax", "logits", "sigmoid", "multilabel"]


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
    """Its name; a folder's or a file's own, without its place, where it is one."""
    images_digest: str = ""
    """SHA-256 of the names and classes of the images that trained and validated, by which the set is known again; empty
    where an older convserve wrote it."""
    images: int
    validation_images: int
    epochs: int
    seed: int
    recipe: dict[str, RecipeValue]
    seconds: float
    backend: str


class Provenance(Part):
    """What is known of a network before it is proved; a training's record, a conversion and a card all have it."""

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
        """The divisor of the logits; 1 where nothing was calibrated."""
        return self.calibration.temperature if self.calibration is not None else 1.0

    def shared(self) -> dict[str, Any]:
        """The fields of Provenance, without those of a subclass, to make another record of the same network."""
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
    """Something assumed of a network on both sides of the proof, so that the proof can't check it."""

    what: str
    """head, labels, preprocessing, size, fit, resize, ..."""
    value: str
    standing: Literal["measured", "declared"]
    """`measured`: supported by labeled images or by the network's values. `declared`: said by somebody, not proved."""
    note: str = ""


class Replay(Part):
    """The tolerances of the golden images' probabilities on the serving device, by kind of device."""

    cpu: float = 1e-4
    cuda: float = 2e-3


class Title(Document):
    """What a card begins with."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    version: PositiveInt
    created: str


class ModelCard(Provenance, Title):
    """card.json of one version of one model. Written last; it lists the other files, which tells a complete version."""

    labels: Annotated[tuple[str, ...], Field(min_length=2)]
    head: Head
    """What the network's own last layer gave."""
    reading: str = ""
    """The same in words: `one sigmoid: P(dog), the second label; cat has the rest`."""
    assumptions: tuple[Assumption, ...] = ()
    """Of a network that was trained elsewhere."""
    warnings: tuple[str, ...] = ()
    """The warnings that were printed when it was published."""
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


def read_card(folder: Path) -> ModelCard:
    """The card of a version's folder. Raises ArtifactError where there is none, a newer convserve wrote it, or naming
    the first field that is wrong.
    """
    try:
        return read_document(ModelCard, folder / CARD_FILE, "a model card")
    except FileNotFoundError as error:
        raise ArtifactError(f"{folder.parent.name}/{folder.name} has no {CARD_FILE}") from error
