"""The certificate for https: checks that uvicorn will be able to use it, before anything listens."""

from __future__ import annotations

import ssl
from pathlib import Path


def check_certificate(certificate: Path | None, key: Path | None) -> None:
    """Check the two PEM files; None where there is none. Raises ValueError naming the setting and the file that is at
    fault.
    """
    if certificate is None:
        if key is not None:
            raise ValueError(f"ssl_keyfile is {key}, but ssl_certfile is empty: set it to the certificate")
        return
    for setting, file in (("ssl_certfile", certificate), ("ssl_keyfile", key)):
        try:
            if file is not None:
                file.read_bytes()
        except OSError as error:
            raise ValueError(f"{setting} {file} can't be read: {error.strerror}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(certificate)
    except ssl.SSLError as error:
        raise ValueError(f"ssl_certfile {certificate} has no certificate in PEM form") from error
    holder = f"ssl_certfile {certificate}" if key is None else f"ssl_keyfile {key}"
    try:
        # With a password, though an empty one: without it the terminal would be asked.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ValueError(f"{holder} has a key that does not belong to ssl_certfile {certificate}") from error
        raise ValueError(f"{holder} has no unencrypted key in PEM form") from error
