"""What sources, destinations and warehouses ask of their tables alike, inside a transaction."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, Table, func, select

from headwater.control.database import Row, sources
from headwater.errors import ConflictError, NotFoundError


def one(connection: Connection, table: Table, workspace_id: str, row_id: str) -> Row:
    """Return the row of this id as it is now: it may have changed since it was looked up.

    Raises:
        NotFoundError: this workspace has none of this id, or not any more.
    """
    return one_of(connection, table, workspace_id, row_id)


def one_of(
    connection: Connection, table: Table, workspace_id: str, row_id: str, *conditions: ColumnElement[bool]
) -> Row:
    """Return the row of this id that meets the conditions, too, such as standing below a given parent.

    Raises:
        NotFoundError: this workspace has none such.
    """
    wanted = select(table).where(table.c.id == row_id, table.c.workspace_id == workspace_id, *conditions)
    found = connection.execute(wanted).one_or_none()
    if found is None:
        noun, listed = table.info.get("noun", table.name[:-1]), table.info.get("listed", f"/{table.name}")
        raise NotFoundError(f"There is no {noun} {row_id[:60]!r}; GET {listed} lists them.")
    return found


def source_id(connection: Connection, workspace_id: str, key: str) -> str:
    """Return the id of the source with this id or slug.

    Raises:
        NotFoundError: this workspace has no such source.
    """
    is_meant = (sources.c.id == key) | (sources.c.slug == key)
    found = connection.execute(select(sources.c.id).where(sources.c.workspace_id == workspace_id, is_meant)).scalar()
    if found is None:
        raise NotFoundError(f"There is no source {key[:60]!r}; GET /sources lists them.")
    return str(found)


def room_for_one_more(connection: Connection, table: Table, workspace_id: str, most: int) -> None:
    """Return when the workspace may have another row.

    Raises:
        ConflictError: it has `most` already.
    """
    if _count(connection, table, table.c.workspace_id == workspace_id) >= most:
        raise ConflictError(f"A workspace has at most {most} {table.name}; delete one first.")


def room_beside(connection: Connection, table: Table, beside: ColumnElement[bool], most: int) -> None:
    """Return when a destination may have another row of `table`; `beside` chooses those it has.

    Raises:
        ConflictError: it has `most` already.
    """
    if _count(connection, table, beside) >= most:
        raise ConflictError(f"A destination has at most {most} {table.info['noun']}s; delete one first.")


def _count(connection: Connection, table: Table, which: ColumnElement[bool]) -> int:
    return int(connection.execute(select(func.count()).select_from(table).where(which)).scalar_one())
