"""Ray Serve as its first page shows it; tuned as its guide to dynamic batching does: a replica a core, batches gathered
by serve.batch.
"""

import ray
from classifier import TASK, best_five, decode, open_session
from ray import serve
from starlette.requests import Request


@serve.deployment
class Classifier:
    def __init__(self):
        self.session = open_session()
        self.labels = TASK.labels

    async def __call__(self, request: Request):
        rows = self.session.run(["probabilities"], {"image": decode(await request.body())[None]})[0]
        return best_five(rows[0], self.labels)


@serve.deployment(num_replicas=TASK.cores, max_ongoing_requests=64, ray_actor_options={"num_cpus": 1})
class TunedClassifier:
    def __init__(self):
        self.session = open_session()
        self.labels = TASK.labels

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.01)
    async def classify(self, images):
        import numpy as np

        rows = self.session.run(["probabilities"], {"image": np.stack(images)})[0]
        return [best_five(row, self.labels) for row in rows]

    async def __call__(self, request: Request):
        return await self.classify(decode(await request.body()))


if __name__ == "__main__":
    ray.init(num_cpus=TASK.cores, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": TASK.port})
    application = (TunedClassifier if TASK.tuned else Classifier).bind()  # type: ignore[union-attr]  # Ray's
    serve.run(application, route_prefix="/predict", blocking=True)
