"""The audit trail as a file: CSV for spreadsheets, NDJSON for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from headwater.control.audit.trail import Entry
from headwater.control.moments import text_of

FORMATS: Final = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}
_COLUMNS: Final = (
    "timestamp",
    "type",
    "actor",
    "actorKind",
    "actorEmail",
    "address",
    "resourceType",
    "resourceId",
    "resourceName",
    "changes",
    "id",
    "sequence",
    "hash",
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # OWASP, CSV Injection: what a spreadsheet takes for a formula


def shape(entry: Entry) -> dict[str, Any]:
    """Return an entry as the API tells it: Segment's members of an audit event, then ours."""
    return {
        "id": entry.id,
        "timestamp": text_of(entry.at),
        "type": entry.type,
        "actor": entry.actor_name or entry.actor_id,
        **({"actorEmail": entry.actor_email} if entry.actor_email else {}),
        "resourceId": entry.resource_id,
        "resourceType": entry.resource_type,
        "resourceName": entry.resource_name,
        "actorKind": entry.actor_kind,
        "actorId": entry.actor_id,
        "address": entry.address,
        "changes": list(entry.changes),
        "details": dict(entry.more),
        "detailsKept": entry.has_details,
        "sequence": entry.seq,
        "hash": entry.hash,
    }


def lines(entries: Iterable[Entry], file_format: str) -> Iterator[bytes]:
    """Yield the file of a format of `FORMATS`, a line at a time."""
    if file_format == "ndjson":
        for entry in entries:
            yield msgspec.json.encode(shape(entry)) + b"\n"
        return
    yield _row(_COLUMNS)
    for entry in entries:
        told = shape(entry) | {"changes": msgspec.json.encode(entry.changes).decode() if entry.changes else ""}
        yield _row([_cell(told.get(name, "")) for name in _COLUMNS])


def _cell(value: object) -> str:
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _row(cells: Iterable[str]) -> bytes:
    target = io.StringIO()
    csv.writer(target, lineterminator="\r\n").writerow(cells)
    return target.getvalue().encode()
