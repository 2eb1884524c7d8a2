"""mosec as its documentation shows it: bytes decoded by `deserialize`, dynamic batching, one worker a core.

The wait is shorter than the 10 ms of its README: "Normally, max_wait_time should be less than the batch inference
time", and these networks are fast.
"""

import sys

import numpy as np
from classifier import TASK, best_five, decode, open_session
from mosec import Server, Worker


class Classifier(Worker):
    def __init__(self):
        super().__init__()
        self.session = open_session()
        self.labels = TASK.labels

    def deserialize(self, data):
        return decode(data)

    def forward(self, data):
        rows = self.session.run(["probabilities"], {"image": np.stack(data)})[0]
        return [best_five(row, self.labels) for row in rows]


if __name__ == "__main__":
    sys.argv[1:] = ["--address", "127.0.0.1", "--port", str(TASK.port), "--timeout", "60000"]
    server = Server()
    server.append_worker(Classifier, num=TASK.cores, max_batch_size=32, max_wait_time=5)
    server.run()
