"""What a request says about itself in its headers, and its body: bounded, decompressed, never more than asked for."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, MutableMapping
from functools import lru_cache
from typing import Any, Final

from headwater.errors import RequestError
from headwater.ingest.answers import Receive
from headwater.limits import REQUEST_BYTES_MAX

_GZIP_WINDOW: Final = 31  # zlib's spelling of: gzip header and trailer, largest window
_GZIP_MAGIC: Final = b"\x1f\x8b"
_JSON_TYPES: Final = frozenset(("", "application/json", "text/plain", "text/json"))
_CHARSETS: Final = frozenset(("", "utf-8", "utf8", "us-ascii"))


class Head:
    """The headers that the door looks at; of `authorization` all values, because two of them are an error."""

    __slots__ = ("authorization", "authorizations", "content_type", "encoding", "length")

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Take the headers of an ASGI scope: names in lower case."""
        self.authorization = self.content_type = self.encoding = b""
        self.authorizations = self.length = 0
        for name, value in headers:
            if name == b"content-type":
                self.content_type = value
            elif name == b"content-length":
                self.length = int(value)
            elif name == b"authorization":
                self.authorization = value
                self.authorizations += 1
            elif name == b"content-encoding":
                self.encoding = value.strip().lower()


@lru_cache(256)
def check_json_type(content_type: bytes) -> None:
    """Pass what browsers, beacons and SDKs send JSON as: `application/json`, `text/plain`, nothing at all.

    Raises:
        RequestError: 415 for another type, 400 for another charset.
    """
    kind, _, parameters = content_type.decode("latin-1").lower().partition(";")
    if kind.strip() not in _JSON_TYPES:
        raise RequestError(415, "unsupported_media_type", "Send JSON with Content-Type application/json.")
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in _CHARSETS:
            raise RequestError(400, "unsupported_charset", "Send JSON in UTF-8.")


def check_encoding(encoding: bytes) -> None:
    """Pass gzip and plain bodies.

    Raises:
        RequestError: 415.
    """
    if encoding not in {b"", b"gzip", b"x-gzip", b"identity"}:
        raise RequestError(415, "unsupported_encoding", "Send the body plain or with Content-Encoding gzip.")


def check_length(length: int) -> None:
    """Refuse a body that is far too large before a byte of it is read.

    Raises:
        RequestError: 413.
    """
    if length > REQUEST_BYTES_MAX:
        raise too_large(REQUEST_BYTES_MAX)


def too_large(bytes_max: int) -> RequestError:
    """Return the error for a body above `bytes_max`."""
    return RequestError(413, "payload_too_large", f"The body is larger than {bytes_max:,} bytes.")


async def read_body(
    receive: Receive, encoding: bytes, bytes_max: int, *, drained_max: int = REQUEST_BYTES_MAX
) -> bytes:
    """Return the decompressed body.

    A body up to `drained_max` is taken from the wire even when it is too large, so that its sender can read the
    answer instead of a broken connection; it is not kept.

    Raises:
        RequestError: 413 above `bytes_max`, 400 for broken gzip, 415 for gzip within gzip.
        ConnectionError: the sender went away.
    """
    message = await receive()
    if encoding in {b"gzip", b"x-gzip"}:
        return await _read_gzip(message, receive, bytes_max)
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        return await _read_on(body, receive, bytes_max, drained_max)
    if message["type"] == "http.disconnect":
        raise ConnectionError("the sender went away")
    if len(body) > bytes_max:
        raise too_large(bytes_max)
    return body


async def _read_on(first: bytes, receive: Receive, bytes_max: int, drained_max: int) -> bytes:
    parts, size, more = [first], len(first), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the sender went away")
        part = message.get("body", b"")
        size += len(part)
        more = message.get("more_body", False)
        if size <= bytes_max:
            parts.append(part)
        elif size > drained_max:
            raise too_large(bytes_max)
    if size > bytes_max:
        raise too_large(bytes_max)
    return b"".join(parts)


async def _read_gzip(message: MutableMapping[str, Any], receive: Receive, bytes_max: int) -> bytes:
    gzip = _Gunzip(bytes_max)
    while True:
        if message["type"] == "http.disconnect":
            raise ConnectionError("the sender went away")
        gzip.feed(message.get("body", b""))
        if not message.get("more_body", False):
            return gzip.finish()
        message = await receive()


class _Gunzip:
    """Decompresses as it comes, any number of members, never more than `bytes_max`."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._parts: list[bytes] = []
        self._size = 0
        self._member = zlib.decompressobj(_GZIP_WINDOW)

    def feed(self, compressed: bytes) -> None:
        while compressed:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP_WINDOW)
            try:
                part = self._member.decompress(compressed, self._bytes_max - self._size + 1)
            except zlib.error as error:
                raise _bad_gzip() from error
            self._size += len(part)
            if self._size > self._bytes_max:
                raise too_large(self._bytes_max)
            self._parts.append(part)
            compressed = self._member.unused_data if self._member.eof else b""

    def finish(self) -> bytes:
        if not self._member.eof:
            raise _bad_gzip()
        body = b"".join(self._parts)
        if body.startswith(_GZIP_MAGIC):
            raise RequestError(415, "unsupported_encoding", "The body is compressed twice. Compress it once.")
        return body


def _bad_gzip() -> RequestError:
    return RequestError(400, "invalid_gzip", "The body is not a whole gzip stream.")
