"""What a load posts to a server, and how its answer is known to be right."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from app.client.load.connection import Answer, Request

BOUNDARY = "e7c1a4d09b"


@dataclass(frozen=True)
class Shot:
    """One request, over and over. `expected` is text that only an answer with the right top-1 contains."""

    path: str
    body_file: Path
    content_type: str
    expected: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    """Further ones, by name."""

    def read(self) -> Request:
        """As it goes over the wire."""
        return Request(
            self.path, self.body_file.read_bytes(), {"Content-Type": self.content_type, **dict(self.headers)}
        )

    def is_right(self, answer: Answer) -> bool:
        return answer.status == 200 and self.expected.encode() in answer.body


def as_multipart(image: bytes, content_type: str) -> tuple[bytes, str]:
    """A form with one file in the field `file`, and its content type."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="image"\r\n'
        f"Content-Type: {content_type}\r\n\r\n"
    )
    return head.encode() + image + f"\r\n--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}"


def find_top1(answer: str, label: str) -> str | None:
    """The text by which `label` stands first in an answer's list of classes; None where another one does.

    [{"label": "3", ...}, ...] or ["3", ...], however spaced: servers write JSON in their own way, each always alike.
    """
    first = re.search(r'\[\s*(?:\{\s*"label"\s*:\s*)?("(?:[^"\\]|\\.)*")', answer)
    return first.group(0) if first is not None and json.loads(first.group(1)) == label else None
