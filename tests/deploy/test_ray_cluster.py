"""Two nodes on one machine, by Ray's own Cluster utility: spread, and the loss of a node under load."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from deploy.load import Answer, Load
from deploy.measure_ray import read_switches
from deploy.ports import free_port
from tests.makers.artifacts import gray_image, make_artifact

ray = pytest.importorskip("ray", reason="Ray isn't installed: make test-cluster has it in an environment of its own")

# Ray itself uses deprecated names and leaves sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore")

REPLICAS = 4
CONNECTIONS = 16
GRAY = gray_image(128)


class Replica(NamedTuple):
    """What the header X-Served-By tells."""

    node: str
    process: int


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple]:
    """The cluster, its second node and the service's port. Either node has room for all replicas."""
    repository = tmp_path_factory.mktemp("repository")
    make_artifact(repository)
    os.environ |= {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        **read_switches("haproxy"),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
    }
    # Ray reads the environment when it is imported.
    from ray import serve
    from ray.cluster_utils import Cluster

    from deploy.ray_serve import Arguments, Classifier, settings_of

    port = free_port()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": REPLICAS})
    try:
        second = cluster.add_node(num_cpus=REPLICAS)
        ray.init(address=cluster.address, log_to_driver=False)
        cluster.wait_for_nodes()
        # Both nodes have one address here, so there can be only one proxy.
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
        settings = settings_of(Arguments(repository=repository, models=["tiny"]))
        serve.run(Classifier.options(autoscaling_config=None, num_replicas=REPLICAS).bind(settings))
        yield cluster, second, port
    finally:
        serve.shutdown()
        ray.shutdown()
        cluster.shutdown()


def replicas_of(answers: Iterable[Answer]) -> set[Replica]:
    lines = (line for answer in answers for line in answer.headers.split("\r\n") if line.startswith("x-served-by: "))
    return {Replica(node, int(process)) for node, process in (line[13:].split("/") for line in lines)}


async def load_until_all_answer(port: int) -> list[Answer]:
    """HAProxy learns of a replica some moments after it runs."""
    load = Load(port, "/predict/tiny", GRAY, CONNECTIONS)
    loading = asyncio.create_task(load.run(30))
    while len(replicas_of(load.answers)) < REPLICAS and not loading.done():
        await asyncio.sleep(0.1)
    load.stop()
    return await loading


def test_requests_spread_over_both_nodes(two_nodes: tuple) -> None:
    _, second, port = two_nodes
    answers = asyncio.run(load_until_all_answer(port))
    assert {answer.status for answer in answers} == {200}
    replicas = replicas_of(answers)
    assert len(replicas) == REPLICAS
    assert len({replica.node for replica in replicas}) == 2
    assert second.node_id in {replica.node for replica in replicas}


def test_a_node_killed_under_load_costs_only_what_was_in_flight_on_it(two_nodes: tuple) -> None:
    cluster, second, port = two_nodes
    answers, killed, recovered = asyncio.run(kill_under_load(cluster, second, port))
    failed = [answer for answer in answers if answer.status != 200]
    last = max((answer.ended for answer in failed), default=killed) - killed
    print(
        f"{len(answers):,} requests, {len(failed)} failed, the last {last:.2f} s after the kill; "
        f"all {REPLICAS} replicas were back after {recovered - killed:.1f} s"
    )
    labels = {json.loads(a.body)["predictions"][0]["classes"][0]["label"] for a in answers if a.status == 200}
    assert labels == {"gray"}
    # A connection has one request in flight, so the node's death costs each one failure at most.
    assert len(failed) <= CONNECTIONS
    assert all(answer.began <= killed + 1 for answer in failed)


async def kill_under_load(cluster: object, node: object, port: int) -> tuple[list[Answer], float, float]:
    """Every answer, and when (monotonic seconds) the node was killed and all replicas were there again."""
    load = Load(port, "/predict/tiny", GRAY, CONNECTIONS)
    running = asyncio.create_task(load.run(120))
    lost: set[Replica] = set()
    while len(lost) < REPLICAS // 2:
        await asyncio.sleep(0.1)
        lost = {replica for replica in replicas_of(load.answers) if replica.node == node.node_id}
    killed = time.monotonic()
    # All processes at once, as when a machine loses power; the utility alone leaves replicas a second to live.
    for replica in lost:
        with suppress(ProcessLookupError):
            os.kill(replica.process, signal.SIGKILL)
    await asyncio.to_thread(cluster.remove_node, node, allow_graceful=False)
    while not running.done():
        await asyncio.sleep(0.2)
        recent = [answer for answer in load.answers[-2000:] if answer.began > time.monotonic() - 2]
        if len(there := replicas_of(recent)) == REPLICAS and not there & lost:
            load.stop()
            return await running, killed, time.monotonic()
    pytest.fail(f"after 120 s there are only {replicas_of(load.answers[-2000:])}")
