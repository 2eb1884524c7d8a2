from __future__ import annotations

import subprocess
import sys

from deploy.ports import free_port
from deploy.smoke.engine import ENGINE, Failed, compose, engine, need, say
from deploy.smoke.platforms import check_platforms
from deploy.smoke.refusals import check_refusals
from deploy.smoke.service import check_service, draw_zero


def main() -> int:
    try:
        need(engine("version", timeout=30))
    except (OSError, Failed, subprocess.TimeoutExpired):
        print(f"smoke: no container engine answers to the command {ENGINE} (DOCKER= names another)", file=sys.stderr)
        return 2
    try:
        say("building the images")
        need(compose("build"))
        # Those of earlier builds have lost their names now, not their gigabytes.
        for title in ("convserve", "convserve-export"):
            need(engine("image", "prune", "--force", "--filter", f"label=org.opencontainers.image.title={title}"))
        zero = draw_zero()
        check_service(free_port(), zero)
        check_platforms(zero)
        check_refusals()
    except Failed as failure:
        say(f"FAILED: {failure}")
        print(compose("logs", "--tail", "20").stdout, file=sys.stderr)
        return 1
    finally:
        compose("down", "--volumes", "--remove-orphans", "--timeout", "5")
    say("all of it holds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
