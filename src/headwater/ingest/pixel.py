"""The pixel: a call in the query string of an image, answered by the image whatever it says."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_to_bytes

from headwater.errors import InvalidEventError
from headwater.ingest.answers import answer
from headwater.limits import PIXEL_QUERY_BYTES_MAX, WEBHOOK_DEPTH_MAX
from headwater.spec.event import Body
from headwater.spec.parse import decode

GIF: Final = answer(
    200,
    base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"),
    (b"content-type", b"image/gif"),
    (b"cache-control", b"no-store"),
    (b"access-control-allow-origin", b"*"),
)

_DATA: Final = re.compile(rb"(?:^|&)data=([^&]*)")
_URL_SAFE: Final = bytes.maketrans(b"-_ ", b"+/+")  # a plus sign comes as a blank when nobody escaped it


def call_of(query: bytes) -> Body:
    """Return the call that a query string holds: `data=` in Base64, or dotted names such as `properties.subject=`.

    Raises:
        InvalidEventError: `invalid_pixel`, or the codes of a body that is no JSON.
    """
    if len(query) > PIXEL_QUERY_BYTES_MAX:
        raise InvalidEventError("invalid_pixel", f"The query is longer than {PIXEL_QUERY_BYTES_MAX:,} bytes.")
    match = _DATA.search(query)
    if match is None:
        return _dotted(query)
    value = decode(_base64(match[1])).value
    if type(value) is not dict:
        raise InvalidEventError("not_an_object", "data must hold a JSON object.")
    return value


def _base64(quoted: bytes) -> bytes:
    text = unquote_to_bytes(quoted).translate(_URL_SAFE).rstrip(b"=")
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise InvalidEventError("invalid_pixel", "data is not Base64.") from error


def _dotted(query: bytes) -> Body:
    call: Body = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        *path, last = name.split(".")[: WEBHOOK_DEPTH_MAX + 1]
        place: dict[str, Any] = call
        for step in path:
            inner = place.setdefault(step, {})
            if type(inner) is not dict:
                inner = place[step] = {}
            place = inner
        place[last] = value
    return call
