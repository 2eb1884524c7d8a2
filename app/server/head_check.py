"""What every request's head must hold, whoever answers it (RFC 9112): a known version, one valid Host, a body that can
be framed, and no more bytes than the limit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.errors import RequestTooLarge, UnsupportedCoding, UnsupportedVersion
from artifact.errors import BadRequest

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case."""

MOST_BYTES = 64_000
"""Of a request's head."""

# uri-host [":" port] (RFC 3986): a name, an address, or an IPv6 address in brackets. Empty where there is none.
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?")


def check_head(headers: Headers, version: str) -> None:
    """Raises BadRequest for an HTTP/1.1 request without just one valid Host, UnsupportedCoding for a transfer coding
    that isn't known, UnsupportedVersion for another HTTP than 1.1 and 1.0.
    """
    if version not in ("1.1", "1.0"):
        raise UnsupportedVersion(f"HTTP/{version} is not supported: send the request as HTTP/1.1")
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        raise BadRequest(f"the request has {len(hosts) or 'no'} Host headers: HTTP/1.1 requires exactly one")
    if hosts and _HOST.fullmatch(hosts[0]) is None:
        raise BadRequest(f"the Host header {hosts[0][:80].decode('latin-1')!r} is not valid: send host or host:port")
    for name, value in headers:
        if name == b"transfer-encoding" and value.strip().lower() != b"chunked":
            coding = value[:40].decode("latin-1")
            raise UnsupportedCoding(f"Transfer-Encoding {coding!r} is not supported, only chunked: send it without")


def check_size(size: int) -> None:
    """Raises RequestTooLarge for a head of more than 64,000 bytes."""
    if size > MOST_BYTES:
        raise RequestTooLarge(f"the header has more than {MOST_BYTES:,} bytes, the limit: send fewer or shorter fields")


def measure(url: bytes, headers: Headers) -> int:
    """The bytes of a head's address and fields, separators included."""
    return len(url) + sum([len(name) + len(value) + 4 for name, value in headers])


def without_upgrade(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The headers without those that ask to upgrade the protocol (RFC 9110, 7.8)."""
    kept = []
    for name, value in headers:
        if name == b"connection":
            tokens = [token.strip() for token in value.split(b",")]
            value = b", ".join(token for token in tokens if token and token.lower() != b"upgrade")
            if not value:
                continue
        if name != b"upgrade":
            kept.append((name, value))
    return kept
