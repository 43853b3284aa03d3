"""Tell by its first bytes what a body is (form, JSON or multipart) and read it; the header is only a hint."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from headwater.limits import WEBHOOK_BYTES_MAX, WEBHOOK_DEPTH_MAX, WEBHOOK_PAIRS_MAX
from headwater.sources.activecampaign.mapping import forms
from headwater.sources.activecampaign.mapping.forms import Decoder, Form, Pair, Path

_NAME: Final = re.compile(rb'\bname="((?:[^"\\]|\\.)*)"|\bname=([^;\s"]+)', re.IGNORECASE)
_BOUNDARY_BYTES_MAX: Final = 70  # RFC 2046


class UnreadableError(ValueError):
    """The body is neither a form nor JSON nor multipart; the message says why."""


def read(body: bytes) -> Form:
    """Return the members of a webhook's body.

    Raises:
        UnreadableError: there is nothing in it, or what claims to be JSON is none.
    """
    start = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        raise UnreadableError("the body is empty")
    if start[:1] in {b"{", b"["}:
        return _json(start)
    if start[:2] == b"--":
        form = _multipart(start)
        if form is not None:
            return form
    return forms.parse(body)


def _json(body: bytes) -> Form:
    if len(body) > WEBHOOK_BYTES_MAX:
        raise UnreadableError("the JSON body is larger than the bound")
    decoder = Decoder()
    try:
        # numbers stay the text they were: an id of 30 digits is an id, and no digit limit applies
        value = json.loads(decoder.text(body), parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        raise UnreadableError("the body is not valid JSON") from None
    if not isinstance(value, dict):
        raise UnreadableError("the JSON body is not an object")
    pairs, cut = _flat(value)
    return forms.of_paths(pairs, decoder.flags | ({forms.CUT} if cut else set()))


def _flat(root: dict[str, Any]) -> tuple[list[Pair], bool]:
    """Return the scalars of a JSON object with their paths, in order, and whether a bound left some out."""
    pairs: list[Pair] = []
    cut = False
    waiting: list[tuple[Path, Any]] = [((), root)]
    while waiting:
        path, value = waiting.pop()
        if len(path) > WEBHOOK_DEPTH_MAX or len(pairs) >= WEBHOOK_PAIRS_MAX:
            cut = True
        elif isinstance(value, dict):
            # keys in bracket notation occur in JSON too, where a relay turned the form into one flat object
            waiting.extend(((*path, *_labels(key, path)), member) for key, member in reversed(value.items()))
        elif isinstance(value, list):
            waiting.extend(((*path, str(index)), value[index]) for index in reversed(range(len(value))))
        else:
            pairs.append((path, _scalar(value)))
    return pairs, cut


def _labels(key: str, path: Path) -> Path:
    return (key,) if path else forms.path_of(key)


def _scalar(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _multipart(body: bytes) -> Form | None:
    """Return the fields of a multipart body, None when its first line is no boundary."""
    line = body.partition(b"\n")[0].rstrip(b"\r")
    boundary = line[2:]
    if not 0 < len(boundary) <= _BOUNDARY_BYTES_MAX or b"name=" not in body:
        return None
    decoder = Decoder()
    if len(body) > WEBHOOK_BYTES_MAX:
        body = body[:WEBHOOK_BYTES_MAX]
        decoder.flags.add(forms.CUT)
    parts = (b"\r\n" + body).split(b"\r\n" + line, WEBHOOK_PAIRS_MAX + 1)
    if len(parts) > WEBHOOK_PAIRS_MAX + 1:
        decoder.flags.add(forms.CUT)
    found = (_part(part, decoder) for part in parts[1 : WEBHOOK_PAIRS_MAX + 1])
    return forms.bounded([pair for pair in found if pair is not None], decoder.flags)


def _part(part: bytes, decoder: Decoder) -> tuple[str, str] | None:
    head, gap, content = part.partition(b"\r\n\r\n")
    name = _NAME.search(head)
    if not gap or name is None:
        return None
    return decoder.text(name[1] if name[1] is not None else name[2]), decoder.text(content)
