"""What sources, destinations and warehouses ask of their tables alike, inside a transaction."""

from __future__ import annotations

from sqlalchemy import Connection, Table, func, select

from headwater.control.database import Row, sources
from headwater.errors import ConflictError, NotFoundError


def one(connection: Connection, table: Table, workspace_id: str, row_id: str) -> Row:
    """Return the row of this id as it is now: it may have changed since it was looked up.

    Raises:
        NotFoundError: this workspace has none of this id, or not any more.
    """
    wanted = select(table).where(table.c.id == row_id, table.c.workspace_id == workspace_id)
    found = connection.execute(wanted).one_or_none()
    if found is None:
        raise NotFoundError(f"There is no {table.name[:-1]} {row_id[:60]!r}; GET /{table.name} lists them.")
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
    counted = select(func.count()).select_from(table).where(table.c.workspace_id == workspace_id)
    if connection.execute(counted).scalar_one() >= most:
        raise ConflictError(f"A workspace has at most {most} {table.name}; delete one first.")
