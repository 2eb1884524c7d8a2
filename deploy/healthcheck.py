"""Exit status 0 where the server in this container is ready, 1 with its reason otherwise. Needs no curl."""

from __future__ import annotations

import http.client
import os
import sys


def main() -> int:
    port = int(os.environ.get("CONVSERVE_PORT", "8000"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
    try:
        connection.request("GET", "/health/ready")
        response = connection.getresponse()
        print(response.read(2000).decode(errors="replace"))
    except OSError as error:
        print(f"nothing answers on port {port}: {error}")
        return 1
    return 0 if response.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
