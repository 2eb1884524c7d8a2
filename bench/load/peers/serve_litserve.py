"""LitServe as its first page shows it; tuned as its guide to faster serving does: dynamic batching, a worker a core,
and the faster queue that it has for many requests. Images come as base64 in JSON.
"""

import base64

import litserve
import numpy as np
from classifier import TASK, best_five, decode, open_session


class Classifier(litserve.LitAPI):
    def setup(self, device):
        self.session = open_session()
        self.labels = TASK.labels

    def decode_request(self, request):
        return decode(base64.b64decode(request["image_data"]))

    def predict(self, pixels):
        return self.session.run(["probabilities"], {"image": pixels[None]})[0][0]

    def encode_response(self, output):
        return best_five(output, self.labels)


class TunedClassifier(Classifier):
    def batch(self, inputs):
        return np.stack(inputs)

    def predict(self, pixels):
        return self.session.run(["probabilities"], {"image": pixels})[0]

    def unbatch(self, output):
        return list(output)


if __name__ == "__main__":
    if TASK.tuned:
        api = TunedClassifier(max_batch_size=32, batch_timeout=0.01)
        server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=TASK.cores, fast_queue=True)
    else:
        server = litserve.LitServer(Classifier(), accelerator="cpu")
    server.run(host="127.0.0.1", port=TASK.port, generate_client_file=False)
