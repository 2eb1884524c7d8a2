"""Whether a cluster's file can be had, before Ray starts: python -m deploy.check_cluster deploy/cluster.yaml

Ray would report the same as a traceback among its log. Status 2 and one line where something is wrong.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import yaml
from pydantic import ValidationError
from ray.serve.schema import ServeDeploySchema

from deploy.ray_serve import Arguments, ClusterError, settings_of


def check_cluster(file: Path) -> None:
    """Raises ClusterError with the first thing that is wrong."""
    try:
        plan = ServeDeploySchema.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
        for application in plan.applications:
            settings_of(Arguments.model_validate(application.args))
    except OSError as error:
        raise ClusterError(f"{file} can't be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ClusterError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ClusterError(f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    _check_address(plan.http_options.host, plan.http_options.port)


def _check_address(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ClusterError(f"http_options: can't listen on {host}:{port}: {error.strerror}") from error


def main(file: str) -> int:
    try:
        check_cluster(Path(file))
    except ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
