"""`/audit-events`: who changed what, for owners; as a list, as a file, and whether the chain holds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from starlette.responses import StreamingResponse

from headwater.control.api import parameters
from headwater.control.api.door import TRIAL, Answer, Asked, Operation, Query
from headwater.control.api.models import audit as models
from headwater.control.api.paging import Pager
from headwater.control.audit.exporting import FORMATS, lines, shape
from headwater.control.audit.trail import Wanted
from headwater.control.models import Role
from headwater.control.service import Control
from headwater.errors import InvalidRequestError

_LIST: Final = "audit-events"
_CHOOSE: Final = (
    parameters.moment("startTime", "Only what was done at this time or after."),
    parameters.moment("endTime", "Only what was done before this time."),
    Query("resourceId", "Only what was done to this resource."),
    Query("resourceType", "Only what was done to such resources, such as `SOURCE`."),
    Query("actor", "Only what this person or token did: id, e-mail address or name."),
    Query("type", "Only such deeds, such as `Source Created`."),
)
_FORMAT: Final = parameters.choice("format", "Of the file; `ndjson` unless it is said.", FORMATS)


class AuditOperations:
    """Everything under `/audit-events`."""

    def __init__(self, control: Control, pager: Pager) -> None:
        self._control, self._pager = control, pager

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        owner = Role.OWNER
        export = f"/{_LIST}/export"
        return [
            Operation("GET", f"/{_LIST}", owner, self._list, answer=models.AuditEvents, query=_CHOOSE, paged=True),
            # A POST: it leaves an entry of its own.
            Operation(
                "POST",
                export,
                owner,
                self._export,
                query=(*_CHOOSE, _FORMAT),
                files=tuple(FORMATS.values()),
                cost=TRIAL,
            ),
            Operation("GET", f"/{_LIST}/verification", owner, self._verify, answer=models.Verified, cost=TRIAL),
        ]

    def _list(self, asked: Asked) -> Answer:
        """List what was done, the newest first."""
        wanted = _wanted(asked)
        found, pagination = self._pager.read(
            asked,
            f"{_LIST} {wanted.workspace_id}",
            lambda first, count: self._control.audit.page(wanted, count, None if first is None else int(first) + 1),
            lambda entry: str(entry.seq),
        )
        return {"events": [shape(entry) for entry in found], "pagination": pagination}

    def _export(self, asked: Asked) -> Answer:
        """Give the whole trail, or what is chosen of it, as a file."""
        wanted, file_format = _wanted(asked), asked.query.get("format", "ndjson")
        if file_format not in FORMATS:
            raise InvalidRequestError(f"format is one of {', '.join(FORMATS)}", field="format")
        note_export(self._control, wanted.workspace_id, file_format)
        return StreamingResponse(
            lines(self._control.audit.all(wanted), file_format),
            media_type=FORMATS[file_format],
            headers={"content-disposition": f'attachment; filename="audit.{file_format}"'},
        )

    def _verify(self, _: Asked) -> Answer:
        """Tell whether an entry was edited, removed or moved since it was written."""
        found = self._control.audit.verify()
        told = {
            "ok": found.broken_at is None,
            "entries": found.entries,
            "first": found.first,
            "last": found.last,
            "hash": found.head,
            "brokenAt": found.broken_at,
            "reason": found.reason,
        }
        return {"verification": told}


def note_export(control: Control, workspace_id: str, file_format: str) -> None:
    """Leave an entry about the trail's own export."""
    workspace = control.workspaces.get(workspace_id)
    resource = ("WORKSPACE", workspace.id, workspace.name)
    control.audit.note("Audit Trail Exported", workspace_id, resource, {"format": file_format})


def _wanted(asked: Asked) -> Wanted:
    return Wanted(
        workspace_id=asked.caller.workspace_id,
        since=_moment(asked, "startTime"),
        until=_moment(asked, "endTime"),
        resource_id=asked.query.get("resourceId", ""),
        resource_type=asked.query.get("resourceType", ""),
        actor=asked.query.get("actor", ""),
        type=asked.query.get("type", ""),
        with_installation=asked.caller.is_operator,
    )


def _moment(asked: Asked, name: str) -> datetime | None:
    text = asked.query.get(name)
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))  # a `+` in a query stands for a blank
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequestError(f"{name} is a time such as 2026-01-31T12:00:00Z", field=name) from None
