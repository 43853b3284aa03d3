"""`/sources/{sourceId}/schema`: what a source has sent, allowed and blocked by name; what did not fit its plan."""

from __future__ import annotations

import csv
import io
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType
from starlette.responses import Response

from headwater.control.api.door import Answer, Asked, Operation, Query
from headwater.control.api.models import Done
from headwater.control.api.models import protocols as models
from headwater.control.api.paging import Pager
from headwater.control.api.parameters import choice, whole
from headwater.control.models import Role, Source
from headwater.control.protocols import seen as shown
from headwater.control.service import Control
from headwater.errors import InvalidRequestError, NotFoundError
from headwater.observing.seen import DAYS_MAX, Seen
from headwater.protocols.rules import Kind, Name

KINDS: Final = tuple(str(kind) for kind in Kind if kind is not Kind.COMMON)
_KIND: Final = choice("type", "Only of this kind of call.", KINDS)
_NAME: Final = Query("name", "The event, page or screen; nothing for identify and group.")
_SEARCH: Final = Query("search", "Only names that hold this text, in any case.")
_DAYS: Final = whole("days", "How many days back `recent` and `blocked` count; 7 by default.", 1, DAYS_MAX)
_ARCHIVED: Final = Query("archived", "Those that were put aside, too.", {"type": "boolean"})
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class SchemaChange(msgspec.Struct, forbid_unknown_fields=True):
    """One name, and what becomes of it; without `property` it is the whole event."""

    type: str
    name: str = ""
    property: str = ""
    allowed: bool | UnsetType = UNSET
    archived: bool | UnsetType = UNSET


class UpdateSchema(msgspec.Struct, forbid_unknown_fields=True):
    """What `PATCH /sources/{sourceId}/schema` takes."""

    changes: list[SchemaChange]


class SchemaOperations:
    """What sources send."""

    def __init__(self, control: Control, pager: Pager, seen: Seen) -> None:
        self._control, self._pager, self._seen = control, pager, seen

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        path = "/sources/{sourceId}/schema"
        listed = (_KIND, _SEARCH, _DAYS, _ARCHIVED)
        return [
            Operation(
                "GET", path, Role.READ_ONLY, self.collections, answer=models.SeenCollections, query=listed, paged=True
            ),
            Operation("PATCH", path, Role.SOURCE_ADMIN, self.update, UpdateSchema, answer=models.SchemaChanged),
            Operation("DELETE", path, Role.SOURCE_ADMIN, self.clear, answer=Done, query=(_KIND, _NAME)),
            Operation(
                "GET",
                f"{path}/properties",
                Role.READ_ONLY,
                self.properties,
                answer=models.SeenProperties,
                query=(_KIND, _NAME, _SEARCH),
                paged=True,
            ),
            Operation("GET", f"{path}/export", Role.READ_ONLY, self.export, query=(_KIND, _DAYS), files=("text/csv",)),
            Operation(
                "GET",
                "/sources/{sourceId}/violations",
                Role.READ_ONLY,
                self.violations,
                answer=models.Violations,
                query=(_DAYS,),
                paged=True,
            ),
        ]

    def collections(self, asked: Asked) -> Answer:
        """Return a page of the kinds of event that a source has sent."""
        source = self._source(asked)
        found, kind, search = self._seen.collections(source.id, _days(asked)), _kind(asked), _search(asked)
        wanted = [
            each
            for each in found
            if kind in {None, each.kind}
            and search in each.name.lower()
            and (not each.archived or asked.query.get("archived") == "true")
        ]
        name = f"schema/{source.id}"
        page, pagination = self._pager.page(asked, name, wanted, lambda each: f"{each.kind}\0{each.name}")
        decided = shown.decisions(self._control, source)
        told = [shown.collection_shape(each, decided) for each in page]
        return {"collections": told, "more": self._seen.more(source.id), "pagination": pagination}

    def properties(self, asked: Asked) -> Answer:
        """Return a page of the properties of one kind of event, or of traits."""
        source, kind, name = self._source(asked), _needed_kind(asked), asked.query.get("name", "")
        search = _search(asked)
        found = [each for each in self._seen.properties(source.id, kind, name) if search in each.field.lower()]
        listed = f"schema/{source.id}/{kind}/{name}"
        page, pagination = self._pager.page(asked, listed, found, lambda each: each.field)
        decided = shown.decisions(self._control, source)
        told = [shown.property_shape(each, kind, name, decided) for each in page]
        return {"properties": told, "more": self._seen.more(source.id, kind, name), "pagination": pagination}

    def update(self, asked: Asked) -> Answer:
        """Allow or block names, or put them aside; in force within two seconds, events stay in the log."""
        source, wanted = self._source(asked), asked.body.changes
        for place, each in enumerate(wanted):
            if each.type not in KINDS:
                raise InvalidRequestError(f"type is one of {', '.join(KINDS)}", field=f"changes.{place}.type")
            if each.allowed is UNSET and each.archived is UNSET:
                raise InvalidRequestError("Say `allowed` or `archived`.", field=f"changes.{place}.allowed")
        decided = [(_named(each), each.allowed) for each in wanted if each.allowed is not UNSET]
        changed = False
        if decided or not wanted:
            changed = self._control.schema_controls.decide(asked.caller.workspace_id, source.id, decided)
        for each in wanted:
            if each.archived is not UNSET:
                if not self._seen.archive(source.id, each.type, each.name, archived=each.archived):
                    raise NotFoundError(f"{source.name} has sent no {each.type} {each.name[:60]!r}.")
                changed = True
        return {"status": "UPDATED" if changed else "UNCHANGED"}

    def clear(self, asked: Asked) -> Answer:
        """Forget what a source has sent, or one kind of event; what is blocked stays blocked."""
        source = self._source(asked)
        self._seen.clear(source.id, _kind(asked), asked.query.get("name"))
        return {"status": "SUCCESS"}

    def export(self, asked: Asked) -> Answer:
        """Return names and properties of one kind of call as CSV."""
        source, kind = self._source(asked), _needed_kind(asked)
        text = csv_of(self._control, self._seen, source, kind, _days(asked))
        headers = {"content-disposition": f'attachment; filename="{source.slug}-{kind.lower()}.csv"'}
        return Response(text, media_type="text/csv; charset=utf-8", headers=headers)

    def violations(self, asked: Asked) -> Answer:
        """Return a page of what did not fit the plan of a source, and how often each day."""
        source, days = self._source(asked), _days(asked)
        found = sorted(self._seen.violations([source.id], days), key=lambda each: _place(each[1]))
        page, pagination = self._pager.page(asked, f"violations/{source.id}", found, lambda each: _place(each[1]))
        trend = [{"day": day, "count": count} for day, count in self._seen.trend([source.id], days)]
        told = [violation_shape(source_id, each) for source_id, each in page]
        return {"violations": told, "trend": trend, "pagination": pagination}

    def _source(self, asked: Asked) -> Source:
        return self._control.sources.get(asked.caller.workspace_id, asked.path["sourceId"])


def violation_shape(source_id: str, found: Any) -> dict[str, Any]:
    """Return a violation as the API shows it."""
    return {
        "sourceId": source_id,
        "eventType": found.kind,
        "eventName": found.name,
        "field": found.field,
        "type": found.type,
        "description": found.description,
        "count": found.count,
        "sampleSeq": found.seq,
        "lastSeenAt": found.last_at,
    }


def csv_of(control: Control, seen: Seen, source: Source, kind: str, days: int) -> str:
    """Return names and properties of one kind of call as CSV; no cell is a formula to a spreadsheet."""
    decided, out = shown.decisions(control, source), io.StringIO()
    write = csv.writer(out, lineterminator="\r\n").writerow
    write(["name", "property", "types", "count", "recent", "blocked or omitted", "allowed", "first seen", "last seen"])
    for each in seen.collections(source.id, days):
        if each.kind != kind:
            continue
        blocked, allowed = sum(each.blocked.values()), decided.allows(kind, each.name)
        times = [each.first_seen, each.last_seen]
        write([_cell(each.name), "", "", each.count, each.recent, blocked, allowed, *times])
        for found in seen.properties(source.id, kind, each.name):
            allowed = decided.allows(kind, each.name, found.field)
            row = [_cell(each.name), _cell(found.field), " ".join(found.types), found.count, "", found.omitted, allowed]
            write([*row, found.first_seen, found.last_seen])
    return out.getvalue()


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _place(found: Any) -> str:
    """Return where a violation stands in its list: it stays there while others are counted."""
    return f"{10**15 - found.count:016d}\0{found.kind}\0{found.name}\0{found.field}\0{found.type}"


def _named(change: SchemaChange) -> Name:
    return Name(Kind(change.type), change.name, change.property)


def _kind(asked: Asked) -> str | None:
    kind = asked.query.get("type")
    if kind is not None and kind not in KINDS:
        raise InvalidRequestError(f"type is one of {', '.join(KINDS)}", field="type")
    return kind


def _needed_kind(asked: Asked) -> str:
    kind = _kind(asked)
    if kind is None:
        raise InvalidRequestError(f"type is required: one of {', '.join(KINDS)}", field="type")
    return kind


def _search(asked: Asked) -> str:
    return asked.query.get("search", "")[:200].lower()


def _days(asked: Asked) -> int:
    return asked.whole("days", 7, 1, DAYS_MAX)
