"""A custom runtime of MLServer, as its guide shows one: the image as base64 in a BYTES tensor, labels as strings."""

import numpy as np
from classifier import TASK, best_five, decode, open_session
from mlserver import MLModel
from mlserver.codecs import Base64Codec, NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Classifier(MLModel):
    async def load(self) -> bool:
        self.session = open_session()
        self.labels = TASK.labels
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        images = [decode(data) for data in Base64Codec.decode_input(payload.inputs[0])]
        rows = self.session.run(["probabilities"], {"image": np.stack(images)})[0]
        best = [best_five(row, self.labels)["predictions"] for row in rows]
        # One string a class: a batch of answers is taken apart by its first dimension.
        labels = StringCodec.encode_output("labels", [entry["label"] for row in best for entry in row])
        labels.shape = [len(best), len(best[0])]
        probabilities = np.array([[entry["probability"] for entry in row] for row in best])
        return InferenceResponse(
            model_name=self.name, outputs=[labels, NumpyCodec.encode_output("probabilities", probabilities)]
        )
