"""Exit status 0 where the server in this container is ready, 1 with its reason otherwise. Needs no curl."""

from __future__ import annotations

import http.client
import os
import ssl
import sys


def main() -> int:
    given = os.environ.get("CONVSERVE_PORT", "")
    port = int(given) if given.isdigit() else 8000  # Kubernetes may put an address there, which the server passes over
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
