"""The same service under Ray Serve: every replica is a whole create_app over the named models.

Ray spreads, scales and replaces replicas; batching, limits and deadlines stay inside each one. Started from
cluster.yaml by `make cluster`, on several machines by `serve deploy`: docs/cluster.md.
"""

# No `from __future__ import annotations`: Ray reads the type of build's argument and doesn't resolve strings.

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import ray
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ray import serve

from app.catalog.catalog import Catalog
from app.main import create_app
from app.settings import Repository, Settings
from artifact.errors import ArtifactError
from artifact.layout import list_models
from deploy.served_by import ServedBy


class ClusterError(ValueError):
    """What the cluster's file asks for can't be had; one line says why."""


class Arguments(BaseModel):
    """`args` of the application in cluster.yaml."""

    model_config = ConfigDict(extra="forbid")

    repository: Repository = Field(
        Path("repository"), description="the artifacts: the same path on every node, or the address of a store"
    )
    models: list[str] = Field(min_length=1, description="what every replica loads")
    settings: dict[str, Any] = Field({}, description="further settings of the server, by name")


def _check_models(repository: Path, models: list[str]) -> None:
    try:
        there = list_models(repository)
    except ArtifactError as error:
        raise ClusterError(error.detail) from error
    if missing := [name for name in models if name not in there]:
        raise ClusterError(
            f"the repository {repository} has no model {', '.join(missing)}; there are: {', '.join(there) or 'none'}"
        )


def settings_of(arguments: Arguments) -> Settings:
    """The settings of one replica. Raises ClusterError where a folder lacks a model or a setting is wrong."""
    repository = arguments.repository
    if isinstance(repository, Path):
        repository = repository.absolute()  # a replica's working folder is another one
        _check_models(repository, arguments.models)
    try:
        named = {"repository": repository, "load": arguments.models, "require": arguments.models}
        return Settings(**{**arguments.settings, **named})
    except ValidationError as error:
        first = error.errors()[0]
        raise ClusterError(f"settings.{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


# The numbers are defaults for a replica with one core; cluster.yaml overrides them by deployment name.
@serve.deployment(
    name="Classifier",
    # Enough in flight to fill a batch while another runs; what is beyond waits in front of the replicas, where it
    # can still go to any of them.
    max_ongoing_requests=64,
    autoscaling_config={"min_replicas": 1, "max_replicas": 8, "target_ongoing_requests": 24},
    ray_actor_options={"num_cpus": 1},
    health_check_period_s=5,
    # Longer than the server's own drain (drain_timeout_s).
    graceful_shutdown_timeout_s=40,
)
@serve.ingress()
class Classifier:
    """One replica. Ray calls the constructor, then serves the app that `__serve_build_asgi_app__` gives."""

    def __init__(self, settings: Settings) -> None:
        share = ray.get_runtime_context().get_assigned_resources()
        cores = max(1, int(share.get("CPU", 1)))
        # Threads as many as the cores that Ray gave: count_cores() would see those of the whole machine.
        # With a share of a GPU Ray shows the process that GPU alone, so it is always number 0.
        self._settings = settings.model_copy(
            update={"threads": cores, "decode_threads": cores, "device": "cuda" if share.get("GPU") else "cpu"}
        )
        self._catalog = Catalog(self._settings)

    def __serve_build_asgi_app__(self) -> FastAPI:
        app = create_app(self._settings, self._catalog)
        app.add_middleware(ServedBy, name=f"{ray.get_runtime_context().get_node_id()}/{os.getpid()}")
        open_app = app.router.lifespan_context

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
            async with open_app(app) as state:
                # A replica gets requests as soon as it has started: start only when its models serve.
                await self._catalog.wait_until_tried()
                await self.check_health()
                yield state

        app.router.lifespan_context = lifespan
        return app

    async def check_health(self) -> None:
        """Ray asks this now and then, and replaces a replica that raises."""
        if reason := self._catalog.explain_unready():
            raise RuntimeError(reason)


def build(arguments: Arguments) -> serve.Application:
    """The application that cluster.yaml names as its import_path. Raises ClusterError."""
    return Classifier.bind(settings_of(arguments))  # type: ignore[attr-defined]  # Ray's decorator has no types
