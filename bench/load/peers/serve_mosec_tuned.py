"""mosec by somebody who measures: OpenCV decodes, large photos smaller where the model allows it, the best five come
out of the graph, 1 ms timer, one ONNX Runtime thread a worker.
"""

import io
import sys

import cv2
import numpy as np
import onnxruntime
from classifier import TASK
from mosec import Server, Worker
from PIL import Image

FLAG = cv2.IMREAD_GRAYSCALE if TASK.channels == 1 else cv2.IMREAD_COLOR_RGB
REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}


def choose_flag(data):
    """A photo's shorter side stays at least twice the target, as convserve has it."""
    if TASK.reduced:
        shorter = min(Image.open(io.BytesIO(data)).size)
        for factor, flag in REDUCED.items():
            if shorter // factor >= 2 * max(TASK.height, TASK.width):
                return flag
    return FLAG


class Classifier(Worker):
    def __init__(self):
        super().__init__()
        cv2.setNumThreads(1)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(TASK.topk_model, options, providers=["CPUExecutionProvider"])
        self.labels = TASK.labels

    def deserialize(self, data):
        flag = choose_flag(data)
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
        if TASK.fit == "crop":
            image = self.crop(image)
        elif image.shape[:2] != (TASK.height, TASK.width):
            image = cv2.resize(image, (TASK.width, TASK.height), interpolation=cv2.INTER_LINEAR)
        if flag != FLAG:  # reduced, there is only the other order of colors
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        return image.reshape(TASK.height, TASK.width, TASK.channels)

    def crop(self, image):
        height, width = image.shape[:2]
        scale = max(TASK.width / width, TASK.height / height) / TASK.crop_fraction
        image = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
        top, left = round((image.shape[0] - TASK.height) / 2), round((image.shape[1] - TASK.width) / 2)
        return image[top : top + TASK.height, left : left + TASK.width]

    def forward(self, data):
        values, indices = self.session.run(["best_values", "best_indices"], {"image": np.stack(data)})
        return [
            {"predictions": [{"label": self.labels[i], "probability": p} for i, p in zip(row, best, strict=True)]}
            for row, best in zip(indices.tolist(), values.tolist(), strict=True)
        ]


if __name__ == "__main__":
    sys.argv[1:] = ["--address", "127.0.0.1", "--port", str(TASK.port), "--timeout", "60000"]
    server = Server()
    server.append_worker(Classifier, num=TASK.cores, max_batch_size=32, max_wait_time=1)
    server.run()
