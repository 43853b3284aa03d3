"""Keep the secrets of a connection out of everything that is stored or shown: reasons, requests, answers, events.

Services echo what they refuse, and error texts quote what they were made from, so what is masked is the text itself,
in each spelling that a secret takes on its way: as it is, in JSON, in an address, in HTML, in base64.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

from headwater import shelf
from headwater.delivery.connection import Connection
from headwater.destinations.contract import Delivered, Outcome, Skipped
from headwater.errors import HeadwaterError

SHELF: Final = "headwater.destinations"
MASK: Final = "••••"
_CHARS_MIN: Final = 4  # ours: what is shorter would be masked in the middle of words
_PART_CHARS_MIN: Final = 12  # ours: a word of a header or a path that is a secret of its own
_TAIL_CHARS_MIN: Final = 8  # ours: of a secret that an excerpt cuts; less tells nothing
_REMEMBERED: Final = 256  # ours: texts; the events of a call share reason, request and answer
_CODE: Final = re.compile(r"[A-Z_]+")  # a reason for programs, such as FILTERED_BY_FUNCTION


class Mask:
    """Masks some secrets in texts."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        """Take the secrets as they are."""
        spelled = {spelling for secret in secrets for spelling in spellings(secret) if len(spelling) >= _CHARS_MIN}
        self._spelled = sorted(spelled, key=len, reverse=True)
        self._any = re.compile("|".join(map(re.escape, self._spelled))) if spelled else None
        self._remembered = lru_cache(_REMEMBERED)(self._masked)

    def __call__(self, text: str) -> str:
        """Return the text with every secret masked, also one that the text's end cuts."""
        return self._remembered(text) if self._any and text else text

    def outcome(self, outcome: Outcome) -> Outcome:
        """Return an outcome that tells the same without secrets."""
        match outcome:
            case Delivered():
                return outcome
            case Skipped(reason):
                return outcome if _CODE.fullmatch(reason) else Skipped(self(reason))
            case _:
                return dataclasses.replace(outcome, reason=self(outcome.reason), answer=self(outcome.answer))

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Let no error pass that tells a secret."""
        try:
            yield
        except HeadwaterError as error:
            error.args = tuple(self.value(list(error.args)))
            raise

    def value(self, value: Any) -> Any:
        """Return a JSON value with its texts masked."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, Mapping):
            return {self(name): self.value(each) for name, each in value.items()}
        return [self.value(each) for each in value] if isinstance(value, list | tuple) else value

    def _masked(self, text: str) -> str:
        masked = text if self._any is None else self._any.sub(MASK, text)
        for spelling in self._spelled:
            start = masked.find(spelling[:_TAIL_CHARS_MIN], max(0, len(masked) - len(spelling)))
            while start >= 0:
                if len(masked) - start >= _TAIL_CHARS_MIN and spelling.startswith(masked[start:]):
                    return masked[:start] + MASK
                start = masked.find(spelling[:_TAIL_CHARS_MIN], start + 1)
        return masked


def mask_of(connection: Connection) -> Mask:
    """Return the mask for everything of a connection's: its secret settings and those of its functions."""
    texts: set[str] = set()
    for function in (*connection.inserts, *connection.functions.values()):
        secrets = function.settings.keys() if function.secrets is None else function.secrets
        texts |= {text for name in secrets for text in _texts(function.settings.get(name))}
    for name in _secret_settings(connection.type):
        texts |= {part for text in _texts(connection.settings.get(name)) for part in _secret_parts(text)}
    return Mask(sorted(texts))


def spellings(secret: str) -> Iterator[str]:
    """Yield how a secret may be written: as it is, in addresses, JSON, HTML and base64 of any alignment."""
    yield secret
    for escape in (quote(secret), quote(secret, safe=""), quote_plus(secret)):
        yield escape
        yield re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), escape)
    for is_ascii in (True, False):
        once = json.dumps(secret, ensure_ascii=is_ascii)[1:-1]
        yield once
        yield once.replace("/", "\\/")
        for outer in (True, False):  # an answer in JSON that quotes a request in JSON
            yield json.dumps(once, ensure_ascii=outer)[1:-1]
    yield html.escape(secret)
    raw = secret.encode()
    for before in range(3):
        # Of the characters at both ends some bits belong to the neighbours: `user:secret` is encoded as a whole.
        coded = base64.b64encode(b"\0" * before + raw)[(0, 2, 3)[before] :]
        sure = coded[: len(coded) - (0, 3, 2)[(before + len(raw)) % 3]].decode()
        if len(sure) >= _TAIL_CHARS_MIN:
            yield sure
            yield sure.replace("+", "-").replace("/", "_")


def _secret_settings(kind: str) -> list[str]:
    if kind not in shelf.names(SHELF):
        return []
    return [each.name for each in dataclasses.fields(shelf.take(SHELF, kind).Settings) if each.metadata.get("secret")]


def _texts(value: object) -> set[str]:
    if isinstance(value, Mapping):
        return {text for each in value.values() for text in _texts(each)}
    if isinstance(value, list | tuple):
        return {text for each in value for text in _texts(each)}
    return {value} if isinstance(value, str) else set()


def _secret_parts(text: str) -> Iterator[str]:
    """Yield what of a setting is secret. Of an address that is all but the host: where a request went stays visible."""
    address = urlsplit(text) if "://" in text else None
    if address is None:
        yield text
        yield from (word for word in re.split(r"[\s,;:=]+", text) if len(word) >= _PART_CHARS_MIN)
        if "_" in text:
            yield text.partition("_")[2] if len(text.partition("_")[2]) >= _PART_CHARS_MIN else text
        return
    whole = [part for part in (address.path.lstrip("/"), address.query, address.password or "") if part]
    yield from whole or [text]
    parts = (*address.path.split("/"), *(value for _, value in parse_qsl(address.query)))
    yield from (part for part in parts if len(part) >= _PART_CHARS_MIN)
