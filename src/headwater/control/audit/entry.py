"""One entry of the trail: who did what to which thing, made of the rows that a transaction changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Table, select

from headwater import clock
from headwater.control import naming
from headwater.control.acting import present
from headwater.control.audit.chain import append
from headwater.control.audit.images import CLOCK, Change, Recorder
from headwater.control.audit.masking import shown
from headwater.control.audit.naming import resource_type_of, type_of
from headwater.control.moments import text_of

_NAMES: Final = ("name", "title", "slug", "email", "collection", "purpose")
"""The columns that say what people call a row, the best first."""
_CHANGES_MAX: Final = 100  # ours, an entry: the rows of a large selection are counted, not listed
_NAME_CHARS_MAX: Final = 200
_PARENTS_MAX: Final = 4  # ours: how far up a row's workspace is looked for


def write_down(connection: Connection, recorder: Recorder) -> None:
    """Write one entry about what the transaction has changed; none where nothing is different now."""
    if changes := recorder.changes(connection):
        at = connection.get_execution_options().get(CLOCK, clock.now)()
        append(connection, *entry_of(connection, changes, text_of(at)))


def refuse_changes(connection: Connection, recorder: Recorder) -> None:
    """Return when the transaction has changed nothing that the trail tells.

    Raises:
        TypeError: it has; a defect of ours.
    """
    if found := recorder.changes(connection):
        where = ", ".join(sorted({change.table.name for change in found}))
        raise TypeError(
            f"Rows of {where} are changed outside changing(); use it, or say in the table's or column's info that "
            "they are no configuration (schema.UNAUDITED)."
        )


def entry_of(connection: Connection, changes: Sequence[Change], at: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the columns of an entry and its details.

    Args:
        connection: of the transaction, to look up what a row belongs to.
        changes: 1 or more; the one that the others come with gives the entry its name.
        at: when, as the database keeps instants.
    """
    main = min(changes, key=_rank)
    entry = deed(type_of(main), _workspace_of(connection, changes), _resource(connection, main), at)
    told = []
    for change in changes[:_CHANGES_MAX]:
        before, after = shown(change)
        _, id_, name = _resource(connection, change)
        told.append(
            {
                "resourceType": resource_type_of(change.table.name, change.table.info),
                "resourceId": id_,
                "resourceName": name,
                "change": change.kind,
                "before": before,
                "after": after,
            }
        )
    more = {"further": len(changes) - _CHANGES_MAX} if len(changes) > _CHANGES_MAX else {}
    return entry, {"address": present().address, "changes": told, **more}


def deed(type_: str, workspace_id: str | None, resource: tuple[str, str, str], at: str) -> dict[str, Any]:
    """Return the columns of an entry about something that whoever acts now has done.

    Args:
        type_: as the trail calls it.
        workspace_id: None is the one in which the actor acts, or the installation.
        resource: (type, id, name).
        at: when.
    """
    actor = present()
    resource_type, resource_id, resource_name = resource
    return {
        "id": naming.new_id(),
        "workspace_id": workspace_id or actor.workspace_id or None,
        "at": at,
        "type": type_,
        "actor_kind": str(actor.kind),
        "actor_id": actor.id,
        "actor_name": actor.name[:_NAME_CHARS_MAX],
        "actor_email": actor.email,
        "resource_type": resource_type,
        "resource_id": resource_id,
        "resource_name": resource_name[:_NAME_CHARS_MAX],
    }


def _rank(change: Change) -> int:
    """Return how well a change names the whole: a thing that comes or goes, one that changes, a link."""
    if "id" not in change.row:
        return 2
    return 1 if change.kind == "modified" else 0


def _resource(connection: Connection, change: Change) -> tuple[str, str, str]:
    """Return type, id and name of what a row is, or of what it belongs to where it is a link."""
    table, row = change.table, change.row
    if "id" in row:
        called = next((str(row[name]) for name in _NAMES if row.get(name)), "")
        return resource_type_of(table.name, table.info), str(row["id"]), called or _called(connection, table, row)
    for parent, row_id in _parents(table, row):
        found = connection.execute(select(parent).where(parent.c.id == row_id)).mappings().one_or_none()
        name = next((str(found[each]) for each in _NAMES if found.get(each)), "") if found else ""
        return resource_type_of(parent.name, parent.info), str(row_id), name
    return resource_type_of(table.name, table.info), "", ""


def _called(connection: Connection, table: Table, row: Mapping[str, Any]) -> str:
    """Return the name of what a nameless row belongs to: a membership's user, a version's function."""
    for parent, row_id in _parents(table, row):
        if parent.name == "workspaces":
            continue
        found = connection.execute(select(parent).where(parent.c.id == row_id)).mappings().one_or_none()
        if found:
            return next((str(found[each]) for each in _NAMES if found.get(each)), "")
    return ""


def _parents(table: Table, row: Mapping[str, Any]) -> list[tuple[Table, str]]:
    return [
        (key.column.table, row[column.name])
        for column in table.columns
        for key in column.foreign_keys
        if row.get(column.name)
    ]


def _workspace_of(connection: Connection, changes: Sequence[Change]) -> str | None:
    """Return the workspace of the first row that has one, itself or by what it belongs to."""
    for change in changes:
        table, row = change.table, change.row
        for _ in range(_PARENTS_MAX):
            if table.name == "workspaces":
                return str(row["id"])
            if row.get("workspace_id"):
                return str(row["workspace_id"])
            above = next(iter(_parents(table, row)), None)
            if above is None:
                break
            table = above[0]
            found = connection.execute(select(table).where(table.c.id == above[1])).mappings().one_or_none()
            if found is None:
                break
            row = dict(found)
    return None
