"""The series' forward timing: 10 burn-in batches, then N measured; Keras beside ONNX Runtime in one run."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from artifact.card import Head
from artifact.image_policy import ImagePolicy
from artifact.images.frame import Pixels
from export.data.preprocessing import preset, reference
from export.errors import UsageError
from export.graph.boundary import settle_boundary
from export.graph.finish import finish_graph
from export.graph.from_keras import keras_to_onnx
from export.graph.grouped_convolution import true_grouped_convolutions
from export.graph.network import try_shape
from export.progress import Progress, say
from export.proof import runtime
from export.proof.operations import read_operations
from export.proof.timing import BURN_IN, time_by_turns
from export.report import plots
from export.sources.find import identify
from export.sources.keras_file import load_keras_file, read_input_shape
from export.sources.load_options import LoadOptions
from export.sources.named.applications import build_application
from export.sources.named.by_name import build_network
from export.sources.run_folder import trained_file
from export.sources.saved_model import SavedModel
from models.depth import deep_recursion

KERAS, RUNTIME = "Keras", "ONNX Runtime"


@dataclass(frozen=True)
class ForwardTiming:
    """What was measured: milliseconds of every batch, by Keras and by ONNX Runtime."""

    network: str
    shape: tuple[int, int, int]
    batch_size: int
    milliseconds: dict[str, list[float]]

    def table(self) -> str:
        """For people: mean +/- standard deviation per batch, median, and images per second by the median, one line
        each.
        """
        height, width, channels = self.shape
        batches = len(self.milliseconds[KERAS])
        lines = [
            f"{self.network}, {height}x{width}x{channels}, "
            f"batches of {self.batch_size}, {batches} after {BURN_IN} burn-in",
            f"{'':<14}{'ms a batch':>22}{'median':>11}{'images/s':>10}",
        ]
        for name, times in self.milliseconds.items():
            mean = statistics.fmean(times)
            spread = f"{mean:,.2f} +/- {statistics.stdev(times) if batches > 1 else 0:,.2f}"
            median = statistics.median(times)
            lines.append(f"{name:<14}{spread:>22}{median:>11,.2f}{1000 * self.batch_size / median:>10,.0f}")
        # Of medians: one batch that another process disturbed would decide a ratio of means.
        ratio = statistics.median(self.milliseconds[RUNTIME]) / statistics.median(self.milliseconds[KERAS])
        return "\n".join([*lines, f"{RUNTIME} takes {ratio:.2f} of Keras' time, by the medians"])


def time_network(
    word: str,
    *,
    batch_size: int,
    batches: int,
    size: tuple[int, int] | None,
    code: Path | None,
    unsafe: bool,
    plot: Path,
) -> ForwardTiming:
    """Time the forward pass of a network by name (random weights), a run, or a Keras file or SavedModel.

    Keras is timed through predict_on_batch on prepared float32, ONNX Runtime on uint8 with everything in its graph;
    both use every core. `plot` names a PNG to write. Raises an ExportError where `word` is none of these.
    """
    model = _open(word, size, LoadOptions(code=code, unsafe=unsafe))
    title = Path(word).resolve().name if Path(word).exists() else model.name
    shape = model.input_shape(size) if isinstance(model, SavedModel) else read_input_shape(model, size, title)
    height, width, channels = shape
    pixels: Pixels = np.random.default_rng(0).integers(0, 256, (batch_size, *shape), dtype=np.uint8)
    preprocessing = preset("unit", channels)
    prepared = reference(pixels, preprocessing)
    say(f"converting {title} to ONNX")
    bound = model.batch if isinstance(model, SavedModel) else None
    if bound is not None and bound != batch_size:
        raise UsageError(f"--batch-size {batch_size}: {title} takes batches of {bound} and no other")
    network = settle_boundary(keras_to_onnx(model, shape, bound), try_shape(model, shape, bound or 2))
    policy = ImagePolicy(height=height, width=width, channels=channels)
    head: Head = "softmax" if read_operations(network).closing == "Softmax" else "logits"
    graph = finish_graph(network, policy=policy, preprocessing=preprocessing, head=head, batch=bound)
    session = runtime.open_session(graph.model.SerializeToString())
    call = model if isinstance(model, SavedModel) else model.predict_on_batch
    with true_grouped_convolutions(), deep_recursion(), Progress("timing", BURN_IN + batches, "batches") as progress:
        milliseconds = time_by_turns(
            {
                KERAS: lambda: np.asarray(call(prepared)),
                RUNTIME: lambda: session.run(["probabilities"], {"image": pixels}),
            },
            batches,
            after_each=progress.advance,
        )
    timing = ForwardTiming(title, shape, batch_size, milliseconds)
    plots.draw_timing(milliseconds, f"{timing.network}, batches of {batch_size}", plot)
    say(f"wrote {plot}")
    return timing


def _open(word: str, size: tuple[int, int] | None, load: LoadOptions) -> keras.Model | SavedModel:
    path = Path(word)
    match identify(word):
        case "run":
            return load_keras_file(trained_file(path), load.definitions(), unsafe=load.unsafe)
        case "savedmodel":
            return SavedModel(path)
        case "keras-file":
            return load_keras_file(path, load.definitions(), unsafe=load.unsafe)
        case "application":
            return build_application(word, None, size=size)
        case "network":
            return build_network(word, size=size)
