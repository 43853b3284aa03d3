"""`/regulations`, `/suppressions`, `/people`: who is not stored any more, whose data goes, what there is of somebody.

Source: Segment Public API, Deletion and Suppression; identifiers besides user ids, previews and exports are ours.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType
from starlette.responses import StreamingResponse

from headwater.control.api.door import TRIAL, Answer, Asked, Operation, Query, Run
from headwater.control.api.models import Done
from headwater.control.api.models import privacy as models
from headwater.control.api.paging import Pager
from headwater.control.api.parameters import choice
from headwater.control.asking import Asking
from headwater.control.live import Live
from headwater.control.models import Role
from headwater.control.moments import text_of
from headwater.control.pipeline import Pipeline
from headwater.control.privacy.asking import WORDS, people, preview
from headwater.control.privacy.export import FORMATS, PersonExport, checked_format
from headwater.control.privacy.reapplying import reapply
from headwater.control.privacy.regulations import Regulation
from headwater.control.privacy.suppressions import Entry
from headwater.control.service import Control
from headwater.errors import HeadwaterError, InvalidRequestError
from headwater.limits import MIB
from headwater.privacy.regulation import KINDS, SubjectType
from headwater.privacy.subjects import subject

_ONE: Final = "/regulations/{regulationId}"
_PEOPLE_BYTES_MAX: Final = 4 * MIB  # Segment Public API, regulations: up to 5,000 ids in a request
_TYPES: Final = [kind.value for kind in KINDS]
_SUPPRESSIONS: Final = (
    choice("subjectType", "With `subjectId`: what it is.", _TYPES),
    Query("subjectId", "Only this identifier, if it is suppressed."),
)


class NewRegulation(msgspec.Struct, forbid_unknown_fields=True):
    """What a new regulation is made of; `followLinks`: whether what events link with the ids is meant as well."""

    regulationType: str  # noqa: N815 - the API's spelling
    subjectType: str  # noqa: N815
    subjectIds: list[str]  # noqa: N815
    followLinks: bool = True  # noqa: N815


class NewCloudSourceRegulation(msgspec.Struct, forbid_unknown_fields=True):
    """The same for one cloud source; `collection` is kept and not used: all collections are meant."""

    regulationType: str  # noqa: N815
    subjectType: str  # noqa: N815
    subjectIds: list[str]  # noqa: N815
    collection: str | UnsetType = UNSET
    followLinks: bool = True  # noqa: N815


class Whom(msgspec.Struct, forbid_unknown_fields=True):
    """Whose data is looked for."""

    subjectType: str  # noqa: N815
    subjectIds: list[str]  # noqa: N815
    followLinks: bool = True  # noqa: N815


class Export(msgspec.Struct, forbid_unknown_fields=True):
    """Whose events are wanted, as `ndjson` or `csv`."""

    subjectType: str  # noqa: N815
    subjectIds: list[str]  # noqa: N815
    followLinks: bool = True  # noqa: N815
    format: str = "ndjson"


class RegulationOperations:
    """Everything about the rights of people whose events are here."""

    def __init__(self, control: Control, pager: Pager, pipeline: Pipeline, live: Live, asking: Asking) -> None:
        self._control, self._pager, self._pipeline = control, pager, pipeline
        self._live = live
        self._export_of = PersonExport(control, live.reader, asking)

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        listed = models.Regulations
        of_source, of_cloud = "/regulations/sources/{sourceId}", "/regulations/cloudsources/{sourceId}"
        owner, member = Role.OWNER, Role.MEMBER
        return [
            _naming("/regulations", self.create, NewRegulation, models.Regulated),
            _naming(of_source, self.create, NewRegulation, models.Regulated),
            _naming(of_cloud, self.create, NewCloudSourceRegulation, models.Regulated),
            Operation("POST", "/regulations/reapply", owner, self.reapply, answer=models.Reapplied),
            Operation("GET", "/regulations", member, self.all, answer=listed, paged=True),
            Operation("GET", of_source, member, self.all, answer=listed, paged=True),
            Operation("GET", _ONE, member, self.one, answer=models.OneRegulation),
            Operation("DELETE", _ONE, owner, self.undo, answer=Done),
            Operation(
                "GET",
                "/suppressions",
                member,
                self.suppressions,
                answer=models.Suppressions,
                query=_SUPPRESSIONS,
                paged=True,
            ),
            replace(_naming("/people/preview", self.preview, Whom, models.Preview), cost=TRIAL),
            replace(_naming("/people/export", self.export, Export, None, tuple(FORMATS.values())), cost=TRIAL),
        ]

    async def create(self, asked: Asked) -> Answer:
        """Suppress people, delete what there is of them, or both; answers once it is kept, and goes on by itself."""
        wanted = asked.body
        collection = getattr(wanted, "collection", UNSET)
        made = await asyncio.to_thread(
            self._control.regulations.create,
            asked.caller.workspace_id,
            wanted.regulationType,
            wanted.subjectType,
            wanted.subjectIds,
            source_id=asked.path.get("sourceId"),
            collection=None if collection is UNSET else str(collection)[:200],
            follows_links=wanted.followLinks,
        )
        await begin(self._pipeline)
        return {"regulateId": made.id}

    async def reapply(self, asked: Asked) -> Answer:
        """Delete again whom earlier regulations deleted and an old backup brought back; found by hash."""
        reader, workspace_id = self._live.reader, asked.caller.workspace_id
        made = await asyncio.to_thread(reapply, self._control, reader, workspace_id)
        await begin(self._pipeline)
        return {"regulateIds": [each.id for each in made], "subjectCount": sum(each.count for each in made)}

    def all(self, asked: Asked) -> Answer:
        """Return a page of the regulations, newest first."""
        workspace_id, source_id = asked.caller.workspace_id, asked.path.get("sourceId")
        found = sorted(self._control.regulations.all(workspace_id, source_id), key=_position)
        page, pagination = self._pager.page(asked, f"regulations/{workspace_id}/{source_id}", found, _position)
        return {"regulations": [entry(each) for each in page], "pagination": pagination}

    def one(self, asked: Asked) -> Answer:
        """Return a regulation with its receipt."""
        found = self._control.regulations.get(asked.caller.workspace_id, asked.path["regulationId"])
        return {"regulation": shape(found)}

    def undo(self, asked: Asked) -> Answer:
        """Take back a regulation that has not begun; one of more than 100 people begins after ten minutes."""
        self._control.regulations.undo(asked.caller.workspace_id, asked.path["regulationId"])
        return {"status": "SUCCESS"}

    def suppressions(self, asked: Asked) -> Answer:
        """Return a page of the suppressed identifiers, oldest first, as keyed hashes; or tell of one."""
        workspace_id, list_ = asked.caller.workspace_id, self._control.suppressions
        kind, wanted = asked.query.get("subjectType"), asked.query.get("subjectId")
        if wanted is not None:
            if kind not in _TYPES:
                raise InvalidRequestError(f"subjectType is one of {', '.join(_TYPES)}", field="subjectType")
            found = list_.entries(workspace_id, subject(KINDS[SubjectType(kind)], wanted))
            return {"suppressed": [_suppressed(each) for each in found], "pagination": {"current": ""}}
        page, pagination = self._pager.read(
            asked,
            f"suppressions/{workspace_id}",
            lambda first, count: list_.page(workspace_id, 0 if first is None else int(first) - 1, count),
            lambda each: str(each.number),
        )
        return {
            "suppressed": [_suppressed(each) for each in page],
            "pagination": {**pagination, "totalEntries": list_.count(workspace_id)},
        }

    async def preview(self, asked: Asked) -> Answer:
        """Return what a deletion would find, place by place, and which identifiers belong together."""
        wanted = asked.body
        subjects = people(wanted.subjectType, wanted.subjectIds)
        workspace_id = asked.caller.workspace_id
        return await preview(
            self._control, self._pipeline, workspace_id, subjects, None, follows_links=wanted.followLinks
        )

    async def export(self, asked: Asked) -> Answer:
        """Return all events of people that the log holds, and as NDJSON their rows in warehouses, as a file."""
        wanted, workspace_id = asked.body, asked.caller.workspace_id
        subjects, file_format = people(wanted.subjectType, wanted.subjectIds), checked_format(wanted.format)
        await asyncio.to_thread(note_export, self._control, workspace_id, len(subjects), file_format)
        lines = self._export_of.lines(workspace_id, subjects, file_format, follows_links=wanted.followLinks)
        headers = {"content-disposition": f'attachment; filename="person.{file_format}"'}
        return StreamingResponse(lines, media_type=FORMATS[file_format], headers=headers)


def _naming(path: str, run: Run, body: type[msgspec.Struct], answer: Any, files: tuple[str, ...] = ()) -> Operation:
    """Return an operation whose request names people, up to 5,000 of them."""
    return Operation("POST", path, Role.OWNER, run, body, answer=answer, files=files, body_bytes_max=_PEOPLE_BYTES_MAX)


async def begin(pipeline: Pipeline) -> None:
    """Let regulations begin at once; where that does not work now, they begin within seconds all the same."""
    try:
        await pipeline.begin_regulations()
    except HeadwaterError:
        return


def note_export(control: Control, workspace_id: str, count: int, file_format: str) -> None:
    """Leave an entry in the audit trail: that somebody's data was taken out, not whose."""
    workspace = control.workspaces.get(workspace_id)
    resource = ("WORKSPACE", workspace.id, workspace.name)
    control.audit.note("Person Exported", workspace_id, resource, {"subjects": count, "format": file_format})


def entry(value: Regulation) -> dict[str, Any]:
    """Return a regulation as a list shows it."""
    finished = {} if value.finished_at is None else {"finishedAt": text_of(value.finished_at)}
    return finished | {
        "id": value.id,
        "subjectType": value.subject_type.value,
        "subjects": list(value.digests),
        "subjectCount": value.count,
        "status": value.status.value,
        "createdAt": text_of(value.created_at),
        "regulationType": value.type.value,
        "beginsAt": text_of(value.begins_at),
        "createdBy": value.created_by,
        "sourceId": value.source_id,
    }


def shape(value: Regulation) -> dict[str, Any]:
    """Return a regulation with its receipt."""
    receipt = value.receipt
    streams: dict[str, list[dict[str, Any]]] = {}
    for each in receipt.get("destinations", []):
        told = {"name": each["name"], "id": each["id"], "status": each["status"], "errString": each["error"]}
        streams.setdefault(each["sourceId"], []).append({**told, "finishedAt": each["finishedAt"]})
    return {
        "id": value.id,
        "workspaceId": value.workspace_id,
        "overallStatus": value.status.value,
        "finishedAt": None if value.finished_at is None else text_of(value.finished_at),
        "createdAt": text_of(value.created_at),
        "streamStatus": [{"id": source, "destinationStatus": told} for source, told in streams.items()],
        "regulationType": value.type.value,
        "subjectType": value.subject_type.value,
        "subjectCount": value.count,
        "sourceId": value.source_id,
        "followLinks": value.follows_links,
        "createdBy": value.created_by,
        "beginsAt": text_of(value.begins_at),
        "reason": value.reason,
        "receipt": {
            "linked": receipt.get("linked", {}),
            "stores": receipt.get("stores", []),
            "search": receipt.get("search"),
            "tries": receipt.get("tries", 0),
            "nextTryAt": receipt.get("nextTryAt"),
        },
    }


def _position(value: Regulation) -> str:
    """Return where a regulation stands in a list: the newest first, so by what is left of time."""
    return f"{9_999_999_999_999 - int(value.created_at.timestamp() * 1_000):013d} {value.id}"


def _suppressed(value: Entry) -> dict[str, Any]:
    return {
        "subjectType": WORDS[value.kind].value,
        "subjectIds": [value.digest],
        "sourceId": value.source_id,
        "isLinked": value.is_linked,
        "regulationId": value.regulation_id,
        "createdAt": text_of(value.created_at),
    }
