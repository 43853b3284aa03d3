"""Whether a stored record is about a person: exact for events, generous for raw texts that only help to find faults.

An event is a person's when an id of theirs stands where ids stand, at any depth; when an id that is too long to be
anybody else's stands anywhere; or when an address of theirs is part of any text. Warehouses decide by the same rule,
column by column.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import unquote, unquote_plus

import msgspec

from headwater.privacy.person import Person

LONG_CHARS: Final = 12
"""Ours: from this length on an id is found wherever it stands; a shorter one may mean something else there."""
_FEW: Final = 32  # ours: identifiers that are searched for one by one in a whole chunk, which is quickest
_STRING: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_KEYED: Final = re.compile(
    r'"(?P<name>userId|user_id|previousId|previous_id|anonymousId|anonymous_id)"\s*:\s*'
    r'(?:"(?P<text>(?:[^"\\]|\\.)*)"|(?P<number>[0-9.eE+-]+))'
)
_AT: Final = re.compile(r"@|%40|\\u0040")
_BEFORE: Final = re.compile(r"[^\s\"<>()\[\],;:\\]*$")
_BEHIND: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_ADDRESS_CHARS_MAX: Final = 320  # RFC 3696, errata: the local part 64, the domain 255
_INNER: Final = re.compile(r"%[0-9a-f]{2}|[^a-z0-9._%+\-\u0080-\U0010ffff]")
_ESCAPE: Final = re.compile(r"\\(u[0-9a-f]{4}|[nrtbf])")
_ALNUM: Final = re.compile(r"[A-Za-z0-9]")
_WORD: Final = re.compile(r"[a-z0-9]+")
_HIDDEN: Final = re.compile(rb"(?:%(?:25)*|\\u00)(?:3[0-9]|[46][1-9a-f]|[57][0-9a])|\\u0025")
"""A letter or a digit, or the sign that hides one, as an escape of a URL or of JSON; in lower case."""


class Matcher:
    """Finds one person, or several who are dealt with alike."""

    def __init__(self, person: Person) -> None:
        self._users, self._anonymous, self._emails = person.user_ids, person.anonymous_ids, person.emails
        self._ids = person.user_ids | person.anonymous_ids
        self._long = frozenset(each for each in self._ids if len(each) >= LONG_CHARS)
        self._words = _words([*self._ids, *(email.partition("@")[0] for email in self._emails)])

    def may_hold(self, chunk: bytes) -> bool:
        """Tell quickly whether any line of a chunk can be theirs, an event or a text; it may be wrong with True only.

        Looked for is the longest word of each identifier: letters and digits stand for themselves wherever it is
        written, unless somebody has escaped them. Other signs are escaped in URLs and forms, such as `+` and `@`.
        """
        if self._words is None:
            return True
        lowered = chunk.lower()
        if any(word in lowered for word in self._words):
            return True
        return (b"%" in lowered or b"\\u00" in lowered) and _HIDDEN.search(lowered) is not None

    def in_event(self, line: bytes) -> bool:
        """Tell whether a stored event is theirs."""
        text = line.decode("utf-8", "surrogateescape")
        if self._ids and self._has_id(text):
            return True
        return bool(self._emails) and not self._emails.isdisjoint(addresses(text))

    def in_text(self, raw: bytes) -> bool:
        """Tell whether any text has something of theirs in it: JSON, a form, a piece of one, escaped or not."""
        text = raw.decode("utf-8", "replace")
        for form in dict.fromkeys((text, _plain(text), unquote_plus(text), unquote_plus(_plain(text)))):
            if self._emails and not self._emails.isdisjoint(addresses(form)):
                return True
            if any(_stands_alone(form, each) for each in self._ids):
                return True
        return False

    def _has_id(self, text: str) -> bool:
        for found in _KEYED.finditer(text):
            value = found["number"] if found["text"] is None else _plain(found["text"])
            name = found["name"]
            if name[0] != "a" and value in self._users:
                return True
            if name[0] != "u" and value in self._anonymous:
                return True
        return bool(self._long) and any(_plain(each) in self._long for each in _STRING.findall(text))


def addresses(text: str) -> Iterator[str]:
    """Yield every e-mail address that a text may hold, in lower case: where it could begin in two ways, both."""
    lowered = text.lower()
    for at in _AT.finditer(lowered):
        behind = _BEHIND.match(lowered, at.end(), at.end() + _ADDRESS_CHARS_MAX)
        before = _BEFORE.search(lowered[max(0, at.start() - _ADDRESS_CHARS_MAX) : at.start()])
        if behind is None or before is None:
            continue
        local, domain = before.group(), behind.group()
        yield f"{local}@{domain}"
        start = at.start() - len(local)
        if escape := _ESCAPE.match(lowered, start - 1) if start else None:  # a letter of `\\n` is none of the address
            yield f"{lowered[escape.end() : at.start()]}@{domain}"
        plain = unquote(local)
        if plain != local:  # in the address of a page a `+` may be `%2B`
            yield f"{plain}@{domain}"
        for inner in _INNER.finditer(local):
            yield f"{unquote(local[inner.end() :])}@{domain}"


def long_enough(person: Person) -> Iterable[str]:
    """Return the identifiers that a search through files can look for: shorter ones are found by chance."""
    return [each for each in (*person.user_ids, *person.anonymous_ids, *person.emails) if len(each) >= LONG_CHARS]


def _words(needles: Sequence[str]) -> tuple[bytes, ...] | None:
    """Return the longest word of each, None where they are many or one has none."""
    longest = {max(_WORD.findall(each.lower()), key=len, default="") for each in needles}
    return None if len(longest) > _FEW or "" in longest else tuple(each.encode() for each in longest)


def _plain(text: str) -> str:
    """Return a text of JSON without escapes; as it is where it has none, or wrong ones."""
    if "\\" not in text:
        return text
    try:
        return msgspec.json.decode(f'"{text}"', type=str)
    except (msgspec.DecodeError, UnicodeError):
        return text.replace('\\"', '"').replace("\\/", "/").replace("\\\\", "\\")


def _stands_alone(text: str, wanted: str) -> bool:
    """Tell whether an id is in a text and no part of a longer word."""
    at = text.find(wanted)
    while at >= 0:
        end = at + len(wanted)
        if not (_ALNUM.match(text, at - 1) if at else None) and not _ALNUM.match(text, end):
            return True
        at = text.find(wanted, at + 1)
    return False
