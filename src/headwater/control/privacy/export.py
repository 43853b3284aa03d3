"""Everything that the log has of one person, as lines of JSON or as a table; the lines have warehouses' rows, too."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec

from headwater.control.asking import Asking
from headwater.control.service import Control
from headwater.errors import HeadwaterError, InvalidRequestError
from headwater.eventlog.contract import Reader, Topic
from headwater.privacy.matching import Matcher
from headwater.privacy.person import Person
from headwater.privacy.subjects import Subject, person
from headwater.regulations.linking import linked
from headwater.regulations.reading import Hit, hits
from headwater.regulations.stores import Reach
from headwater.regulations.warehouse_store import can_be_asked, rows_of
from headwater.warehouses.contract import Format

FORMATS: Final = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
_COLUMNS: Final = ("receivedAt", "timestamp", "source", "type", "event", "userId", "anonymousId", "messageId")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_ROWS_AT_ONCE: Final = 1_000
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


class PersonExport:
    """Reads the log, and asks the warehouses, for a workspace's people."""

    def __init__(self, control: Control, reader: Reader, asking: Asking) -> None:
        self._control, self._reader, self._asking = control, reader, asking

    async def lines(
        self, workspace_id: str, named: Sequence[Subject], file_format: str, *, follows_links: bool
    ) -> AsyncIterator[bytes]:
        """Yield the file, a stretch of the log and then a table at a time; call `checked_format` before.

        Rows come in NDJSON only, as tables have different columns. A warehouse that does not answer has a line that
        says so.
        """
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
        if file_format == "ndjson":
            async for lines in self._rows(person(set(whom)), reach):
                yield lines

    async def _rows(self, whom: Person, reach: Reach) -> AsyncIterator[bytes]:
        """Yield the rows of the warehouses whose SQL is known here; the others are only loaded."""
        for each in self._control.warehouses.all(reach.workspace_id):
            if not can_be_asked(each.type):
                continue
            head = {"warehouse": each.name}
            try:
                catalog = await asyncio.to_thread(self._asking.catalog, each.id)
                for table, rows in rows_of(catalog, whom, reach):
                    async for lines in self._rows_in(each.id, rows):
                        yield b"".join(
                            _encode(head | {"table": table})[:-1] + b',"row":' + line + b"}\n" for line in lines
                        )
            except HeadwaterError as error:
                yield _encode(head | {"error": str(error)}) + b"\n"

    async def _rows_in(self, warehouse_id: str, rows: str) -> AsyncIterator[list[bytes]]:
        """Yield the rows of one table as objects of JSON, some at a time."""
        with TemporaryDirectory(prefix="headwater-person-") as directory:
            target, question = Path(directory) / "rows.json", f"select * from {rows}"  # noqa: S608 - quoted
            await asyncio.to_thread(self._asking.export, warehouse_id, question, target, Format.JSON)
            with target.open("rb") as file:
                while some := await asyncio.to_thread(lambda: list(islice(file, _ROWS_AT_ONCE))):
                    stripped = (line.strip(b"\t ,\r\n") for line in some)
                    yield [line for line in stripped if line.startswith(b"{")]  # an array: a row a line, and brackets


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
