"""OnnxSession: one graph on one device, rows of pixels in, scores out. Knows no HTTP.

The runtime (the onnxruntime module) is an argument, so that tests drive the CUDA path with a fake one.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from app.errors import DeviceFailed, DeviceUnavailable
from app.inference.binding import NO_GRAPH, BucketBinding, graph_options
from app.inference.devices import (
    CPU,
    CUDA,
    ChosenDevice,
    CudaOptions,
    Placement,
    cuda_providers,
    find_strays,
    read_placement,
)
from app.inference.scores import Scores, score_rows
from app.runtime import Runtime, Session
from artifact.card import ModelCard
from artifact.errors import ArtifactError
from artifact.images.frame import Pixels

log = logging.getLogger(__name__)

# Words by which onnxruntime's errors show that the device or its memory failed, not the row.
_DEVICE_WORDS = ("cuda", "cudnn", "cublas", "gpu", "alloc", "memory", "device")
# Once measuring batch sizes on a CPU has taken this long, larger ones are estimated from those measured; two at least,
# which a slow machine needs as well to tell what a row costs.
_CPU_WARM_UP_S = 0.25
# At most this many runs of one batch size, and no more once they have taken that long: the first is often slow, and
# being 5 % too slow would make batches of 8 for a network that gains nothing by batches.
_RUNS = 3
# Longer than threads wait for one another within a run, as a rule, and than it takes to wake one.
_SPIN_US = 50


class Observed(np.ndarray):
    """Pixels for which `run` also returns the features: `pixels.view(Observed)`.

    A type rather than a second queue of the session: such rows wait in the same queue and share batches with all
    others.
    """


class Embedded(Observed):
    """Pixels of an embedding request: `run` returns their features pooled, as the embedding."""


class OnnxSession:
    """A model.onnx ready to run batches of uint8 [n, height, width, channels]."""

    def __init__(
        self,
        path: Path,
        card: ModelCard,
        device: ChosenDevice,
        *,
        max_batch_size: int,
        threads: int = 1,
        cuda: CudaOptions | None = None,
        runtime: Runtime = onnxruntime,
    ) -> None:
        """`max_batch_size` is in rows, `threads` are those of one run on a CPU, `cuda` is read on a GPU alone.

        Raises ArtifactError for a graph that doesn't load or isn't what the card says, DeviceUnavailable where ONNX
        Runtime would run it on another device than `device`.
        """
        self.device = device
        self.max_batch_size = max_batch_size
        self._shape = card.image.shape
        self._outputs = ["probabilities", "energy"] if card.energy else ["probabilities"]
        self._has_features = card.features
        self._runtime = runtime
        self._runs_here = threads == 1 and not device.is_cuda
        self._session, self._graphs = self._open(path, threads, cuda or CudaOptions())
        self._check_signature(card)
        self._bindings: dict[tuple[int, int], BucketBinding] = {}
        self.placement = self._check_on_cuda() if device.is_cuda else []
        """Where a profiled run was computed, node by node; empty on a CPU."""

    def _open(self, path: Path, threads: int, cuda: CudaOptions) -> tuple[Session, ThreadPoolExecutor | None]:
        """The runtime's session and, with CUDA graphs, the one thread that records and replays them."""
        runtime, device = self._runtime, self.device
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised, too
        # Threads that share a run wait for one another awake, but so shortly that they are asleep soon after it: by
        # default they would spin on for milliseconds, and take the cores from decoding.
        options.add_session_config_entry("session.intra_op.spin_duration_us", str(_SPIN_US))
        if device.is_cuda:
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(tempfile.gettempdir()) / "convserve")
        providers = cuda_providers(device.index, fallback=True, options=cuda) if device.is_cuda else [CPU]
        try:
            session = runtime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # onnxruntime's exceptions share no public class
            if cuda.cuda_graphs and "graph capture" in str(error):
                log.warning("%s runs without CUDA graphs: %s", path, str(error)[:300])
                return self._open(path, threads, replace(cuda, cuda_graphs=False))
            raise ArtifactError(f"{path.name} can't be loaded: {str(error)[:300]}") from error
        return session, ThreadPoolExecutor(1, "cuda-graphs") if device.is_cuda and cuda.cuda_graphs else None

    def run(self, rows: Sequence[Pixels]) -> list[Scores]:
        """Run the rows, each uint8 [height, width, channels], as one batch. Returns the scores of each, in order.

        Raises DeviceFailed where the device or its memory is at fault. Any other exception of ONNX Runtime is raised as
        it is: run_isolated then looks for the row that causes it.
        """
        observed = self._has_features and any(isinstance(row, Observed) for row in rows)
        names = [*self._outputs, "features"] if observed else self._outputs
        try:
            outputs = self._run_on_gpu(rows, names) if self.device.is_cuda else self._run_plain(rows, names)
        except Exception as error:
            text = str(error)
            if isinstance(error, MemoryError) or any(word in text.lower() for word in _DEVICE_WORDS):
                raise DeviceFailed(f"{self.device.name} failed: the model is being loaded again") from error
            raise
        scores = score_rows(outputs[0], outputs[1] if "energy" in names else None)
        if observed:
            for place, row in enumerate(rows):
                if isinstance(row, Embedded):  # here, in the runner's thread: it takes as long as a small answer
                    scores[place] = scores[place]._replace(embedding=outputs[-1][place].mean(axis=(1, 2)))
                elif isinstance(row, Observed):
                    scores[place] = scores[place]._replace(features=outputs[-1][place])
        return scores

    def warm_up(self) -> dict[int, float]:
        """Run the batch sizes 1, 2, 4, ... and the largest; seconds of each.

        On CUDA every one of them, twice: the first run of a shape allocates and chooses kernels. A CPU
        needs no such warming, so there the measuring ends when it has taken long enough, and a large
        network isn't kept from being ready.
        """
        blank = np.zeros(self._shape, np.uint8)
        seconds: dict[int, float] = {}
        self.run([blank])
        for size in batch_sizes(self.max_batch_size):
            if not self.device.is_cuda and len(seconds) > 1 and sum(seconds.values()) > _CPU_WARM_UP_S:
                break
            if self.device.is_cuda:
                self.run([blank] * size)
            seconds[size] = self.measure(size)
        return seconds

    def measure(self, size: int) -> float:
        """Seconds of a run of `size` rows, the best of a few. A run in this thread alone is measured by the thread's
        own clock, which stands still while other processes have the core: their load at this moment must not decide the
        plan for as long as the model serves.
        """
        rows = [np.zeros(self._shape, np.uint8)] * size
        clock = time.thread_time if self._runs_here else time.perf_counter
        seconds: list[float] = []
        while not seconds or (len(seconds) < _RUNS and sum(seconds) < _CPU_WARM_UP_S):
            start = clock()
            self.run(rows)
            seconds.append(clock() - start)
        return min(seconds)

    def _run_plain(self, rows: Sequence[Pixels], names: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        batch = np.array(rows)  # as np.stack, in less than half its time
        options = graph_options(self._runtime, NO_GRAPH) if self._graphs is not None else None
        outputs: list[npt.NDArray[np.float32]] = self._session.run(names, {"image": batch}, options)
        return outputs

    def _run_on_gpu(self, rows: Sequence[Pixels], names: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        if self._graphs is None:
            return self._run_bound(rows, names)
        return self._graphs.submit(self._run_bound, rows, names).result()

    def _run_bound(self, rows: Sequence[Pixels], names: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        size = next(size for size in batch_sizes(self.max_batch_size) if size >= len(rows))
        bucket = (size, len(names))
        if bucket not in self._bindings:
            self._bindings[bucket] = BucketBinding(
                self._session,
                (size, *self._shape),
                names,
                self.device.index,
                self._runtime,
                graph_id=None if self._graphs is None else len(self._bindings) + 1,
            )
        return self._bindings[bucket].run(rows)

    def _check_signature(self, card: ModelCard) -> None:
        (image, *others), outputs = (
            self._session.get_inputs(),
            {o.name: o for o in self._session.get_outputs()},
        )
        found = f"{image.name}: {image.type} {image.shape}"
        if others or image.name != "image" or image.type != "tensor(uint8)" or image.shape[1:] != list(self._shape):
            raise ArtifactError(f"the graph's input is {found}, the card says image: uint8 [batch, {self._shape}]")
        for name in [*self._outputs, *(["features"] if self._has_features else [])]:
            if name not in outputs:
                raise ArtifactError(f"the graph has no output {name}, only {', '.join(outputs)}")
        classes = outputs["probabilities"].shape[-1]
        if isinstance(classes, int) and classes != len(card.labels):
            raise ArtifactError(f"the graph has {classes} classes, the card {len(card.labels)} labels")

    def _check_on_cuda(self) -> list[Placement]:
        """One profiled run must show the arithmetic on the GPU: ONNX Runtime moves single nodes to the CPU
        without a word.
        """
        if self._session.get_providers()[0] != CUDA:
            raise DeviceUnavailable(f"onnxruntime fell back to the CPU instead of {self.device.name}")
        self._run_plain([np.zeros(self._shape, np.uint8)], self._outputs)
        placement = read_placement(Path(self._session.end_profiling()))
        if strays := find_strays(placement):
            raise DeviceUnavailable(f"{', '.join(strays)} would run on the CPU instead of {self.device.name}")
        return placement


def batch_sizes(largest: int) -> list[int]:
    """1, 2, 4, ... and `largest` itself."""
    return [1 << power for power in range((largest - 1).bit_length())] + [largest]
