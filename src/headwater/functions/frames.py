"""What the two sides of the pipe say to each other: frames of lines, each line one JSON value.

A frame is its length (four bytes, the highest first) and its lines, joined by newlines; the first says what it is.

    to the process      {"load": code, "settings": …, "timeS": 5, "memoryBytes": …}
                        {"run": 7, "handler": "onTrack"} and a line an argument
                        {"answer": 7} and the answer to a fetch
    from the process    {"loaded": ["onTrack"]} or {"broken": "SyntaxError: … (line 3)"}
                        {"ended": 7} and a line an argument whose handler ended, in their order
                        {"fetch": 7} and the request
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

FRAME_BYTES_MAX: Final = 16 * 1024 * 1024  # ours: a frame is cut at 1 MiB of lines, one of which may be larger
HEAD_BYTES: Final = 4
SLOTS: Final = 8  # ours: calls that a process works on at a time


class TooLargeError(Exception):
    """The other side sent what no frame may be."""


def framed(lines: Sequence[bytes]) -> bytes:
    """Return a frame."""
    body = b"\n".join(lines)
    return len(body).to_bytes(HEAD_BYTES, "big") + body


class Frames:
    """Cuts what arrives into frames."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._rest = bytearray()

    def take(self, arrived: bytes) -> Iterator[list[bytes]]:
        """Yield the lines of every frame that is complete now.

        Raises:
            TooLargeError: a frame is larger than any may be.
        """
        self._rest += arrived
        while len(self._rest) >= HEAD_BYTES:
            size = int.from_bytes(self._rest[:HEAD_BYTES], "big")
            if size > FRAME_BYTES_MAX:
                raise TooLargeError
            if len(self._rest) < HEAD_BYTES + size:
                return
            body = bytes(self._rest[HEAD_BYTES : HEAD_BYTES + size])
            del self._rest[: HEAD_BYTES + size]
            yield body.split(b"\n")
