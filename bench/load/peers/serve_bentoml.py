"""BentoML as its first page shows it; tuned as its guide to adaptive batching does: a batchable method over lists of
images, a worker a core.
"""

import bentoml
import numpy as np
from classifier import TASK, best_five, fit, open_session
from PIL.Image import Image


@bentoml.service
class Classifier:
    def __init__(self) -> None:
        self.session = open_session()
        self.labels = TASK.labels

    @bentoml.api
    def predict(self, file: Image) -> dict:
        rows = self.session.run(["probabilities"], {"image": fit(file)[None]})[0]
        return best_five(rows[0], self.labels)


@bentoml.service(workers=TASK.cores, traffic={"timeout": 60})
class TunedClassifier:
    def __init__(self) -> None:
        self.session = open_session()
        self.labels = TASK.labels

    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=10_000)
    def predict(self, file: list[Image]) -> list[dict]:
        rows = self.session.run(["probabilities"], {"image": np.stack([fit(image) for image in file])})[0]
        return [best_five(row, self.labels) for row in rows]
