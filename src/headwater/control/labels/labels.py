"""Labels of a workspace and of its sources.

Source: Segment documentation, IAM labels (a label is `key:value`, made once in the workspace, then given to sources).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, Engine, Select, delete, insert, select

from headwater.clock import Clock
from headwater.control import naming, rows
from headwater.control.database import changing, sources
from headwater.control.labels.tables import labels, source_labels
from headwater.control.models import Label
from headwater.control.moments import text_of
from headwater.errors import ConflictError, InvalidRequestError, NotFoundError

_LABELS_MAX: Final = 1_000  # ours, a workspace
_OF_SOURCE_MAX: Final = 50  # ours
_DESCRIPTION_CHARS_MAX: Final = 500  # ours
_WORD: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,61}[A-Za-z0-9])?")


class Labels:
    """The labels of all workspaces; each call names the workspace it acts in."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock

    def all(self, workspace_id: str) -> list[Label]:
        """Return the labels of a workspace, by key and value."""
        which = select(labels).where(labels.c.workspace_id == workspace_id)
        with self._engine.connect() as connection:
            return sorted(Label(row.key, row.value, row.description) for row in connection.execute(which))

    def create(self, workspace_id: str, key: str, value: str, description: str = "") -> Label:
        """Make a label and return it.

        Raises:
            InvalidRequestError: key or value is no word.
            ConflictError: it is there, or the workspace has as many as it may have.
        """
        for name, word in (("label.key", key), ("label.value", value)):
            if not _WORD.fullmatch(word):
                told = "1 to 63 letters, digits, blanks, dots, dashes and underscores, such as environment"
                raise InvalidRequestError(f"{name} has {told}", field=name)
        if len(description) > _DESCRIPTION_CHARS_MAX or not description.isprintable():
            told = f"label.description has at most {_DESCRIPTION_CHARS_MAX} characters on one line"
            raise InvalidRequestError(told, field="label.description")
        row = {"id": naming.new_id(), "workspace_id": workspace_id, "key": key, "value": value}
        with changing(self._engine) as connection:
            rows.room_for_one_more(connection, labels, workspace_id, _LABELS_MAX)
            if _id(connection, workspace_id, key, value) is not None:
                raise ConflictError(f"There is a label {key}:{value}.")
            made = {"description": description, "created_at": text_of(self._clock())}
            connection.execute(insert(labels).values(row | made))
        return Label(key, value, description)

    def delete(self, workspace_id: str, key: str, value: str) -> None:
        """Delete a label, also from the sources that have it.

        Raises:
            NotFoundError: the workspace has no such label.
        """
        with changing(self._engine) as connection:
            connection.execute(delete(labels).where(labels.c.id == _known(connection, workspace_id, key, value)))

    def give(
        self, workspace_id: str, source_id: str, given: Sequence[tuple[str, str]], *, replace: bool
    ) -> list[Label]:
        """Give a source labels that the workspace has, and return all that it has then.

        Args:
            workspace_id: where.
            source_id: its id or slug.
            given: (key, value) of each.
            replace: take away the others.

        Raises:
            NotFoundError: the workspace has no such source or label.
            InvalidRequestError: a source cannot have so many.
        """
        with changing(self._engine) as connection:
            source = rows.source_id(connection, workspace_id, source_id)
            wanted = {_known(connection, workspace_id, key, value) for key, value in given}
            there = {row.label_id for row in connection.execute(_of_source(source))}
            if len(wanted if replace else wanted | there) > _OF_SOURCE_MAX:
                raise InvalidRequestError(f"a source has at most {_OF_SOURCE_MAX} labels", field="labels")
            gone = there - wanted if replace else set()
            if gone:
                which = source_labels.c.source_id == source, source_labels.c.label_id.in_(gone)
                connection.execute(delete(source_labels).where(*which))
            if new := sorted(wanted - there):
                connection.execute(insert(source_labels), [{"source_id": source, "label_id": each} for each in new])
            return read_labels(connection, workspace_id).get(source, [])


def read_labels(
    connection: Connection, workspace_id: str | None = None, source_id: str | None = None
) -> dict[str, list[Label]]:
    """Return the labels of sources by the source's id: of one, of one workspace, or of all."""
    found = (
        select(source_labels.c.source_id, labels.c.key, labels.c.value, labels.c.description)
        .join(labels, labels.c.id == source_labels.c.label_id)
        .join(sources, sources.c.id == source_labels.c.source_id)
        .order_by(labels.c.key, labels.c.value)
    )
    if workspace_id is not None:
        found = found.where(sources.c.workspace_id == workspace_id)
    if source_id is not None:
        found = found.where(sources.c.id == source_id)
    by_source: dict[str, list[Label]] = {}
    for having, *members in connection.execute(found):
        by_source.setdefault(having, []).append(Label(*members))
    return by_source


def _of_source(source_id: str) -> Select[str]:
    return select(source_labels.c.label_id).where(source_labels.c.source_id == source_id)


def _id(connection: Connection, workspace_id: str, key: str, value: str) -> str | None:
    which = labels.c.workspace_id == workspace_id, labels.c.key == key, labels.c.value == value
    found = connection.execute(select(labels.c.id).where(*which)).scalar()
    return None if found is None else str(found)


def _known(connection: Connection, workspace_id: str, key: str, value: str) -> str:
    found = _id(connection, workspace_id, key, value)
    if found is None:
        raise NotFoundError(f"There is no label {key[:63]}:{value[:63]}; GET /labels lists those there are.")
    return found
