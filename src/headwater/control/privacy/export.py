"""Everything that the log has of one person, as lines of JSON or as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec

from headwater.control.service import Control
from headwater.errors import InvalidRequestError
from headwater.eventlog.contract import Reader, Topic
from headwater.privacy.matching import Matcher
from headwater.privacy.subjects import Subject, person
from headwater.regulations.linking import linked
from headwater.regulations.reading import Hit, hits
from headwater.regulations.stores import Reach

FORMATS: Final = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
_COLUMNS: Final = ("receivedAt", "timestamp", "source", "type", "event", "userId", "anonymousId", "messageId")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


class PersonExport:
    """Reads the log for a workspace's people."""

    def __init__(self, control: Control, reader: Reader) -> None:
        self._control, self._reader = control, reader

    async def lines(
        self, workspace_id: str, named: Sequence[Subject], file_format: str, *, follows_links: bool
    ) -> AsyncIterator[bytes]:
        """Yield the file, a stretch of the log at a time; call `checked_format` before."""
        sources = {each.id: each.slug for each in self._control.sources.deleted(workspace_id)}
        sources |= {each.id: each.slug for each in self._control.sources.all(workspace_id)}
        reach = Reach(workspace_id, sources)
        subjects = frozenset(named)
        whom = await linked(self._reader, subjects, reach) if follows_links else subjects
        if file_format == "csv":
            yield _table([(*_COLUMNS, "json")])
        async for found in hits(self._reader, Topic.EVENTS, Matcher(person(set(whom))), reach):
            if found and file_format == "csv":
                yield _table([_row(hit, sources) for hit in found])
            elif found:
                yield b"".join(_line(hit, sources) for hit in found)


def checked_format(file_format: str) -> str:
    """Return the format.

    Raises:
        InvalidRequestError: it is none.
    """
    if file_format not in FORMATS:
        raise InvalidRequestError(f"format is one of {', '.join(FORMATS)}", field="format")
    return file_format


def _line(hit: Hit, sources: dict[str, str]) -> bytes:
    """Return an event as a line: where it came from, and the event as it was stored."""
    head = _encode({"source": sources.get(hit.source_id, hit.source_id)})
    return head[:-1] + b',"event":' + hit.line + b"}\n"


def _row(hit: Hit, sources: dict[str, str]) -> tuple[str, ...]:
    body = {**_decode(hit.line), "source": sources.get(hit.source_id, hit.source_id)}
    return (*(_cell(body.get(name)) for name in _COLUMNS), hit.line.decode("utf-8", "replace"))


def _cell(value: object) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _table(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
