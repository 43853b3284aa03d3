"""Bytes to one JSON value: fast where the bytes are clean, tolerant where the cause is known, a named error else.

No JSON parser of Python is right by itself. The fast one refuses whole bodies for a lone surrogate or a `NaN`, which
official SDKs send; the standard one guesses encodings and lets much through. So the fast one goes first, and what it
refuses is decided here, cause by cause.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec

from headwater.errors import InvalidEventError
from headwater.limits import MESSAGE_ID_CHARS_MAX

decode_clean = msgspec.json.Decoder().decode
"""The fast way: raises one of `UNCLEAN` where `decode` goes the tolerant way, a hundred times slower."""

UNCLEAN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

BOM: Final = b"\xef\xbb\xbf"
_OTHER_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")
_DEPTH_KEPT: Final = 100  # deeper values are cut before the parser recurses; EVENT_DEPTH_MAX refuses what is left

# possessive, so that an unclosed string of a hostile body costs one pass
_DEPTH_TOKEN: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]+|[\]}]+', re.DOTALL)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class Decoded(NamedTuple):
    """A JSON value and the codes of what was changed to read it.

    The codes: `non_finite_number`, `lone_surrogate`, `huge_number`.
    """

    value: Any
    warnings: tuple[str, ...] = ()


def decode(body: bytes) -> Decoded:
    """Return the JSON value of a body.

    Of duplicate keys the last wins. Integers keep all their digits, above 4,300 of them as text. Lone surrogates
    become U+FFFD; `NaN`, `Infinity` and fractions beyond the range of a double become null. Values nested more than
    100 levels deep are cut there, far above what an event may have: a batch does not fail for one of them.

    Raises:
        InvalidEventError: `invalid_json`, `invalid_utf8` or `unsupported_charset`.
    """
    try:
        return Decoded(decode_clean(body))
    except UNCLEAN:
        return _decode_tolerantly(body)


def depth_of(line: bytes) -> int:
    """Return how many levels of objects and arrays a valid JSON text has; 1 for a flat object."""
    deepest = depth = 0
    for match in _DEPTH_TOKEN.finditer(line.decode()):
        token = match[0]
        if token[0] == '"':
            continue
        if token[0] in "[{":
            depth += len(token)
            deepest = max(deepest, depth)
        else:
            depth -= len(token)
    return deepest


def _decode_tolerantly(body: bytes) -> Decoded:
    text = _cut_deep(_text_of(body))
    warnings: set[str] = set()
    try:
        value = json.loads(
            text,
            parse_constant=_constants(warnings),
            parse_int=_integers(warnings),
            parse_float=_floats(warnings),
        )
    except json.JSONDecodeError as error:
        position = len(text[: error.pos].encode("utf-8", "surrogatepass"))
        raise InvalidEventError("invalid_json", f"The body is not JSON: {error.msg} at byte {position}.") from error
    except RecursionError as error:
        raise InvalidEventError("invalid_json", "The body is nested too deep.") from error
    if _SURROGATE.search(text) or "\\u" in text:
        value = _without_surrogates(value, warnings)
    return Decoded(value, tuple(sorted(warnings)))


def _text_of(body: bytes) -> str:
    if body.startswith(BOM):
        body = body[len(BOM) :]
    elif body.startswith(_OTHER_BOMS) or b"\0" in body[:2]:
        raise InvalidEventError("unsupported_charset", "The body is not UTF-8. Send JSON in UTF-8.")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        message = f"The body is not UTF-8: {error.reason} at byte {error.start}."
        raise InvalidEventError("invalid_utf8", message) from error


def _cut_deep(text: str) -> str:
    """Return `text` with each value below level `_DEPTH_KEPT` replaced by an empty array; the rest unchanged."""
    kept: list[str] = []
    depth = start = 0
    for match in _DEPTH_TOKEN.finditer(text):
        first = match[0][0]
        if first == '"':
            continue
        size = match.end() - match.start()
        before, depth = depth, depth + (size if first in "[{" else -size)
        if before <= _DEPTH_KEPT < depth:
            kept.append(text[start : match.start() + _DEPTH_KEPT - before])
            start = len(text)
        elif depth <= _DEPTH_KEPT < before:
            kept.append("[]")
            start = match.start() + before - _DEPTH_KEPT
    return "".join((*kept, text[start:])) if kept else text


def _constants(warnings: set[str]) -> Callable[[str], None]:
    def null(_: str) -> None:
        warnings.add("non_finite_number")

    return null


def _integers(warnings: set[str]) -> Callable[[str], int | str]:
    def integer(text: str) -> int | str:
        try:
            return int(text)
        except ValueError:  # more than 4,300 digits: Python refuses them, and so does the fast parser
            warnings.add("huge_number")
            return text

    return integer


def _floats(warnings: set[str]) -> Callable[[str], float | None]:
    def floating(text: str) -> float | None:
        number = float(text)
        if number in {float("inf"), float("-inf")}:
            warnings.add("non_finite_number")
            return None
        return number

    return floating


def _without_surrogates(value: Any, warnings: set[str]) -> Any:
    if isinstance(value, str):
        return _replaced(value, warnings)
    if isinstance(value, list):
        return [_without_surrogates(item, warnings) for item in value]
    if isinstance(value, dict):
        return {
            _replaced(key, warnings): _distinct_id(item, warnings)
            if key == "messageId" and isinstance(item, str)
            else _without_surrogates(item, warnings)
            for key, item in value.items()
        }
    return value


def _replaced(text: str, warnings: set[str]) -> str:
    if not _SURROGATE.search(text):
        return text
    warnings.add("lone_surrogate")
    return _SURROGATE.sub("\ufffd", text)


def _distinct_id(message_id: str, warnings: set[str]) -> str:
    """Return a readable id that differs wherever the ids as sent differ: U+FFFD alone would make many of them one."""
    readable = _replaced(message_id, warnings)
    if readable == message_id:
        return message_id
    mark = blake2b(message_id.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    room = MESSAGE_ID_CHARS_MAX - len(mark) - 1
    # an id that was too long as sent must stay too long
    return f"{readable[:room]}~{mark}" if len(message_id) <= MESSAGE_ID_CHARS_MAX else readable
