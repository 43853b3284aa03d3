"""Read a webhook's body: PHP bracket keys as a flat list of paths, in the order and number they were sent.

A path keeps every label as text: `contact[fields][12]` is `("contact", "fields", "12")` and `list[][id]` is
`("list", "", "id")`. There is no tree, so a numeric label stays an id, a key that is both a value and a branch is
both, and no depth of brackets costs a recursion.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

from headwater.limits import WEBHOOK_BYTES_MAX, WEBHOOK_DEPTH_MAX, WEBHOOK_PAIRS_MAX

Path = tuple[str, ...]
Pair = tuple[Path, str]

CP1252: Final = "cp1252"
CUT: Final = "cut"

_KNOWN_CHARS_MAX: Final = 64

_LABELS: Final = re.compile(r"\[([^\[\]]*)\]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Form:
    """The members of one body.

    Attributes:
        pairs: path and value, in the order sent, repeated keys and blank values kept.
        flags: `CP1252` when something was not UTF-8, `CUT` when a bound stopped the reading.
    """

    pairs: tuple[Pair, ...]
    flags: frozenset[str] = frozenset()
    _values: dict[Path, list[str]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        for path, value in self.pairs:
            self._values.setdefault(path, []).append(value)

    def has(self, *path: str) -> bool:
        """Say whether the key was sent, blank or not."""
        return path in self._values

    def raw(self, *path: str) -> str:
        """Return the last value of a key (as PHP reads it), exactly as sent; "" when it is absent."""
        values = self._values.get(path)
        return values[-1] if values else ""

    def text(self, *path: str) -> str:
        """Return the last value of a key, trimmed; "" when it is absent."""
        return self.raw(*path).strip()

    def under(self, *prefix: str) -> Iterator[Pair]:
        """Yield what lies below `prefix`, in order, its path without the prefix (empty for the key itself)."""
        depth = len(prefix)
        for path, value in self.pairs:
            if path[:depth] == prefix:
                yield path[depth:], value


class Decoder:
    """Bytes to text, UTF-8 or else cp1252; remembers whether it ever had to fall back."""

    def __init__(self) -> None:
        self.flags: set[str] = set()

    def unquoted(self, raw: bytes) -> str:
        """Return the text of one percent-encoded key or value; what is no escape stays as it is."""
        return self.text(unquote_to_bytes(raw) if b"%" in raw else raw)

    def text(self, raw: bytes) -> str:
        """Return the text of one key or value; bytes that cp1252 does not know become U+FFFD."""
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            self.flags.add(CP1252)
            return raw.decode("cp1252", "replace")


def parse(body: bytes) -> Form:
    """Return the members of an `application/x-www-form-urlencoded` body; never fails.

    Percent escapes are decoded once. What lies beyond the bounds on bytes, pairs and depth is left out and flagged.
    """
    decoder = Decoder()
    if len(body) > WEBHOOK_BYTES_MAX:
        body = body[:WEBHOOK_BYTES_MAX].rpartition(b"&")[0]  # half a value is worse than none
        decoder.flags.add(CUT)
    pieces = body.split(b"&", WEBHOOK_PAIRS_MAX)
    if len(pieces) > WEBHOOK_PAIRS_MAX:
        decoder.flags.add(CUT)
    pairs = [_pair(piece, decoder) for piece in pieces[:WEBHOOK_PAIRS_MAX] if piece]
    return bounded(pairs, decoder.flags)


def _pair(piece: bytes, decoder: Decoder) -> tuple[str, str]:
    key, _, value = piece.replace(b"+", b" ").partition(b"=")
    return decoder.unquoted(key), decoder.unquoted(value)


def bounded(pairs: Sequence[tuple[str, str]], flags: set[str]) -> Form:
    """Return the form of keys in bracket notation, without those nested deeper than the bound."""
    paths = [(_path(key), value) for key, value in pairs]
    kept = tuple(pair for pair in paths if len(pair[0]) <= WEBHOOK_DEPTH_MAX)
    return Form(kept, frozenset(flags | ({CUT} if len(kept) < len(paths) else set())))


def of_paths(pairs: Sequence[Pair], flags: set[str]) -> Form:
    """Return the form of pairs that were JSON, within the bounds on number and depth, without lone surrogates."""
    kept = [
        (tuple(map(clean, path)), clean(value))
        for path, value in pairs[:WEBHOOK_PAIRS_MAX]
        if len(path) <= WEBHOOK_DEPTH_MAX
    ]
    cut = {CUT} if len(kept) < len(pairs) else set()
    return Form(tuple(kept), frozenset(flags | cut))


def _path(key: str) -> Path:
    return _known_path(key) if len(key) <= _KNOWN_CHARS_MAX else path_of(key)


def path_of(key: str) -> Path:
    """Return the labels of a bracket key; a key whose brackets do not add up is one label, as it stands."""
    bracket = key.find("[")
    if bracket <= 0:
        return (key,)
    name, rest = key[:bracket], key[bracket:]
    labels = _LABELS.findall(rest)
    whole = sum(len(label) + 2 for label in labels) == len(rest)
    return (name, *labels) if whole else (key,)


# every webhook has the same few dozen keys
_known_path: Final = lru_cache(maxsize=1_024)(path_of)


def clean(text: str) -> str:
    """Return the text with lone surrogates replaced: JSON can spell them, UTF-8 cannot."""
    return _SURROGATE.sub("\ufffd", text)
