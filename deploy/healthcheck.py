"""Exit status 0 where the server in this container is ready, 1 with its reason otherwise. Needs no curl,
and of the service only the names by which platforms say its port.
"""

from __future__ import annotations

import http.client
import os
import ssl
import sys

from app.platforms import read_demands


def main() -> int:
    # Kubernetes may put an address there, which the server passes over.
    said = [str(demand.value) for name, demand in read_demands(os.environ).items() if name == "port"]
    given = [port for port in (*said, os.environ.get("CONVSERVE_PORT", "")) if port.isdigit()]
    port = int(given[0]) if given else 8000
    # It asks its own container: nobody is between them, and the certificate bears another name than 127.0.0.1.
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    connections = (
        http.client.HTTPConnection("127.0.0.1", port, timeout=4),
        http.client.HTTPSConnection("127.0.0.1", port, timeout=4, context=trusting),
    )
    # A flag or a file may have named the certificate, which isn't seen here: where plain HTTP finds no HTTP, try https.
    for connection in connections:
        try:
            connection.request("GET", "/health/ready")
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            reason = error
        else:
            print(response.read(2000).decode(errors="replace"))
            return 0 if response.status == 200 else 1
        finally:
            connection.close()
    print(f"nothing answers on port {port}: {reason}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
