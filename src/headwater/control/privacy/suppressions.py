"""The list of suppressed people as the control database keeps it: hashes only, followed by every process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from sqlalchemy import Connection, Engine, delete, func, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

from headwater.clock import Clock
from headwater.control.database import Row
from headwater.control.moments import moment, text_of
from headwater.control.privacy.tables import suppressions
from headwater.privacy.subjects import Hasher, Kind, Subject


@dataclass(frozen=True, slots=True)
class Entry:
    """One suppressed identifier.

    Attributes:
        source_id: the source that it is limited to; None for the whole workspace.
        digest: its hash.
        is_linked: it was found in events beside the one that was named.
    """

    number: int
    source_id: str | None
    kind: Kind
    digest: str
    is_linked: bool
    regulation_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class News:
    """What changed in the list: `entries` are (scope, hash); with `is_anew` they are the whole list."""

    upto: int
    entries: Sequence[tuple[str, str]]
    is_anew: bool


class Suppressions:
    """Reads and changes the list."""

    def __init__(self, engine: Engine, key: Callable[[], bytes], clock: Clock) -> None:
        self._engine, self._key, self._clock = engine, key, clock

    @cached_property
    def hasher(self) -> Hasher:
        """What makes the hashes; its key is in the database, which may not be there yet when this is made."""
        return Hasher(self._key())

    def news(self, after: int) -> News | None:
        """Return what changed since the entry numbered `after`, None for nothing; -1 asks for the whole list."""
        table = suppressions.c
        with self._engine.connect() as connection:
            upto = connection.execute(select(func.coalesce(func.max(table.number), 0))).scalar_one()
            if upto == after:
                return None
            wanted = select(table.scope, table.digest).where(~table.is_ended)
            ended = select(func.count()).where(table.is_ended, table.number > after)
            is_anew = after < 0 or upto < after or connection.execute(ended).scalar_one() > 0
            rows = connection.execute(wanted if is_anew else wanted.where(table.number > after))
            return News(upto, [(scope, digest) for scope, digest in rows], is_anew)

    def page(self, workspace_id: str, after: int, count: int) -> list[Entry]:
        """Return up to `count` entries behind the one numbered `after`, oldest first."""
        table = suppressions.c
        wanted = select(suppressions).where(table.workspace_id == workspace_id, ~table.is_ended, table.number > after)
        with self._engine.connect() as connection:
            rows = connection.execute(wanted.order_by(table.number).limit(count)).all()
        return [_entry(row) for row in rows]

    def entries(self, workspace_id: str, which: Subject) -> list[Entry]:
        """Return the entries of one identifier; empty where it is not suppressed."""
        table = suppressions.c
        meant = (table.workspace_id == workspace_id) & (table.digest == self.hasher.digest(which)) & ~table.is_ended
        with self._engine.connect() as connection:
            return [_entry(row) for row in connection.execute(select(suppressions).where(meant).limit(100))]

    def count(self, workspace_id: str) -> int:
        """Return how many identifiers of a workspace are suppressed."""
        table = suppressions.c
        wanted = select(func.count()).where(table.workspace_id == workspace_id, ~table.is_ended)
        with self._engine.connect() as connection:
            return int(connection.execute(wanted).scalar_one())

    def has(self, workspace_id: str, which: Subject, scope: str = "") -> bool:
        """Tell whether an identifier is suppressed in the workspace, or in one of its sources alone."""
        table = suppressions.c
        meant = (table.scope == (scope or workspace_id)) & (table.digest == self.hasher.digest(which))
        with self._engine.connect() as connection:
            return connection.execute(select(table.number).where(meant, ~table.is_ended).limit(1)).first() is not None

    def add(
        self,
        connection: Connection,
        workspace_id: str,
        scope: str,
        regulation_id: str,
        entries: Iterable[tuple[Subject, str]],
    ) -> None:
        """Suppress identifiers inside a transaction; what is suppressed already stays as it is."""
        now = text_of(self._clock())
        rows = [
            {
                "workspace_id": workspace_id,
                "scope": scope,
                "kind": each.kind.value,
                "digest": self.hasher.digest(each),
                "because": because,
                "regulation_id": regulation_id,
                "created_at": now,
                "is_ended": False,
            }
            for each, because in entries
        ]
        if rows:
            connection.execute(upsert(suppressions).on_conflict_do_nothing(), rows)

    def end(self, connection: Connection, workspace_id: str, scope: str, which: Iterable[Subject]) -> int:
        """End the suppression of these, and of what is suppressed because of them, inside a transaction."""
        digests = [self.hasher.digest(each) for each in which]
        table = suppressions.c
        gone = 0
        for start in range(0, len(digests), 500):  # below SQLite's bound of values in one statement
            some = digests[start : start + 500]
            meant = (table.workspace_id == workspace_id) & (table.scope == scope) & ~table.is_ended
            gone += connection.execute(
                delete(suppressions).where(meant, table.because.in_(some) | table.digest.in_(some))
            ).rowcount
        if gone:
            self._mark(connection, workspace_id)
        return gone

    def end_of(self, connection: Connection, workspace_id: str, regulation_id: str) -> None:
        """End what a regulation suppressed, inside a transaction: it is undone."""
        meant = (suppressions.c.workspace_id == workspace_id) & (suppressions.c.regulation_id == regulation_id)
        if connection.execute(delete(suppressions).where(meant)).rowcount:
            self._mark(connection, workspace_id)

    def _mark(self, connection: Connection, workspace_id: str) -> None:
        """Leave a number behind by which every process sees that entries are gone."""
        connection.execute(delete(suppressions).where(suppressions.c.is_ended))
        connection.execute(
            insert(suppressions).values(
                workspace_id=workspace_id,
                scope="",
                kind="",
                digest="",
                because="",
                regulation_id="",
                created_at=text_of(self._clock()),
                is_ended=True,
            )
        )


def _entry(row: Row) -> Entry:
    return Entry(
        number=row.number,
        source_id=None if row.scope == row.workspace_id else row.scope,
        kind=Kind(row.kind),
        digest=row.digest,
        is_linked=row.digest != row.because,
        regulation_id=row.regulation_id,
        created_at=moment(row.created_at),
    )
