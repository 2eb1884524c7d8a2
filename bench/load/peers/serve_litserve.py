"""LitServe as its guide to faster serving sets it up: base64 in JSON, dynamic batching, a worker a core; and with the
faster queue that it has for many requests.
"""

import base64

import litserve
import numpy as np
from classifier import TASK, best_five, decode, open_session


class Classifier(litserve.LitAPI):
    def setup(self, device):
        self.session = open_session(threads=1)  # a worker a core: more would crowd each other
        self.labels = TASK.labels

    def decode_request(self, request):
        return decode(base64.b64decode(request["image_data"]))

    def batch(self, inputs):
        return np.stack(inputs)

    def predict(self, pixels):
        return self.session.run(["probabilities"], {"image": pixels})[0]

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        return best_five(output, self.labels)


if __name__ == "__main__":
    api = Classifier(max_batch_size=32, batch_timeout=0.01)
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=TASK.cores, fast_queue=True)
    server.run(host="127.0.0.1", port=TASK.port, generate_client_file=False)
