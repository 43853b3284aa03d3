"""The audit trail as it is asked: entries by time, person and resource; deeds that change no row; the chain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Engine, Select, Table, delete, func, or_, select, update

from headwater.clock import Clock
from headwater.control.acting import present
from headwater.control.audit.chain import Verified, append, verify
from headwater.control.audit.entry import deed
from headwater.control.audit.tables import entries, heads
from headwater.control.database import Row, noting
from headwater.control.moments import moment, text_of

DETAILS_KEPT: Final = timedelta(days=90)  # Segment shows its audit trail for as long
ENTRIES_KEPT: Final = timedelta(days=3 * 365)  # Segment: data retention policy, audit trail, business plan
_ENTRIES_A_READ: Final = 500  # ours: some megabytes
_CHOICES_MAX: Final = 200  # ours: what a filter offers


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the trail.

    Attributes:
        seq: counts up by one through the whole installation.
        workspace_id: None where it is about the installation.
        actor_kind: `user`, `token`, `command line` or `system`.
        changes: the rows, each with `resourceType`, `resourceId`, `resourceName`, `change`, `before` and `after`;
            secrets are masked, and of a row that was changed only the columns that differ are there.
        more: what else a deed tells.
        has_details: False once address and changes were given up for their age.
    """

    seq: int
    id: str
    workspace_id: str | None
    at: datetime
    type: str
    actor_kind: str
    actor_id: str
    actor_name: str
    actor_email: str
    resource_type: str
    resource_id: str
    resource_name: str
    hash: str
    address: str = ""
    changes: tuple[Mapping[str, Any], ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    has_details: bool = True


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries are asked for; "" and None choose nothing.

    Attributes:
        since, until: at or after, before.
        actor: id, e-mail address or name of who acted.
        with_installation: those that belong to no workspace, too.
    """

    workspace_id: str
    since: datetime | None = None
    until: datetime | None = None
    resource_id: str = ""
    resource_type: str = ""
    actor: str = ""
    type: str = ""
    with_installation: bool = False


class Audit:
    """Reads the trail, and adds what no change of a row tells by itself."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock

    def note(
        self,
        type_: str,
        workspace_id: str | None,
        resource: tuple[str, str, str] = ("", "", ""),
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down a deed that changed no row of the configuration, by whoever acts now.

        Args:
            type_: as the trail names it, such as `Replay Started`.
            workspace_id: whose trail; None is that of the workspace in which the actor acts, or the installation's.
            resource: (type, id, name) of what it was done to.
            details: what else is to know; no secrets, no data of recipients.
        """
        entry = deed(type_, workspace_id, resource, text_of(self._clock()))
        with noting(self._engine) as connection:
            append(connection, entry, {"address": present().address, "changes": [], **(details or {})})

    def called(self, table: Table, row_id: str) -> tuple[str, str | None]:
        """Return what a row is called and in which workspace it is; ("", None) where there is none."""
        with self._engine.connect() as connection:
            found = connection.execute(select(table).where(table.c.id == row_id)).mappings().one_or_none()
        return ("", None) if found is None else (str(found["name"]), str(found["workspace_id"]))

    def page(self, wanted: Wanted, count: int, before: int | None = None) -> list[Entry]:
        """Return entries, the newest first.

        Args:
            wanted: which.
            count: how many at most.
            before: only those with a lower number.
        """
        found = _chosen(wanted).order_by(entries.c.seq.desc()).limit(count)
        if before is not None:
            found = found.where(entries.c.seq < before)
        with self._engine.connect() as connection:
            return [_entry(row) for row in connection.execute(found)]

    def all(self, wanted: Wanted) -> Iterator[Entry]:
        """Yield every entry, the newest first, read some at a time."""
        before = None
        while some := self.page(wanted, _ENTRIES_A_READ, before):
            yield from some
            before = some[-1].seq

    def count(self, wanted: Wanted) -> int:
        """Return how many there are."""
        with self._engine.connect() as connection:
            found = _chosen(wanted).with_only_columns(func.count()).order_by(None)
            return int(connection.execute(found).scalar_one())

    def choices(self, wanted: Wanted) -> dict[str, list[str]]:
        """Return the types, resource types and people that the trail of a workspace knows, to choose from."""
        whole = Wanted(wanted.workspace_id, with_installation=wanted.with_installation)
        columns = {
            "type": entries.c.type,
            "resource_type": entries.c.resource_type,
            "actor": func.coalesce(func.nullif(entries.c.actor_email, ""), entries.c.actor_name),
        }
        with self._engine.connect() as connection:
            return {
                name: sorted(filter(None, connection.execute(_distinct(whole, column)).scalars()))
                for name, column in columns.items()
            }

    def verify(self) -> Verified:
        """Return whether the chain of the whole installation holds."""
        with self._engine.connect() as connection:
            return verify(connection)

    def has(self, hash_: str) -> bool:
        """Return whether an entry of this hash is there."""
        with self._engine.connect() as connection:
            found = connection.execute(select(entries.c.seq).where(entries.c.hash == hash_)).first()
        return found is not None

    def expire(self, now: datetime) -> int:
        """Give up details and entries that are older than they are kept at `now`; return how many entries went.

        The chain holds: an entry's hash covers the digest of its details, and the head remembers where it begins.
        """
        with noting(self._engine) as connection:
            aged = entries.c.at < text_of(now - DETAILS_KEPT)
            connection.execute(update(entries).where(aged, entries.c.details.is_not(None)).values(details=None))
            # Up to the first that stays: the chain may begin later, but it has no holes.
            young = select(func.min(entries.c.seq)).where(entries.c.at >= text_of(now - ENTRIES_KEPT))
            first = connection.execute(young).scalar()
            gone = entries.c.at < text_of(now - ENTRIES_KEPT) if first is None else entries.c.seq < first
            last = connection.execute(
                select(entries.c.seq, entries.c.hash).where(gone).order_by(entries.c.seq.desc()).limit(1)
            ).one_or_none()
            if last is None:
                return 0
            connection.execute(update(heads).values(start_seq=last.seq, start_hash=last.hash))
            return connection.execute(delete(entries).where(gone)).rowcount


def _chosen(wanted: Wanted) -> Select[Any]:
    here = entries.c.workspace_id == wanted.workspace_id
    conditions: list[ColumnElement[bool]] = [
        or_(here, entries.c.workspace_id.is_(None)) if wanted.with_installation else here
    ]
    if wanted.since is not None:
        conditions.append(entries.c.at >= text_of(wanted.since))
    if wanted.until is not None:
        conditions.append(entries.c.at < text_of(wanted.until))
    if wanted.actor:
        actor = wanted.actor
        conditions.append(
            or_(entries.c.actor_id == actor, entries.c.actor_email == actor, entries.c.actor_name == actor)
        )
    equal = {"resource_id": wanted.resource_id, "resource_type": wanted.resource_type, "type": wanted.type}
    conditions += [entries.c[name] == value for name, value in equal.items() if value]
    return select(entries).where(*conditions)


def _distinct(wanted: Wanted, column: ColumnElement[Any]) -> Select[Any]:
    return _chosen(wanted).with_only_columns(column).distinct().limit(_CHOICES_MAX)


def _entry(row: Row) -> Entry:
    details = msgspec.json.decode(row.details) if row.details is not None else {}
    return Entry(
        seq=row.seq,
        id=row.id,
        workspace_id=row.workspace_id,
        at=moment(row.at),
        type=row.type,
        actor_kind=row.actor_kind,
        actor_id=row.actor_id,
        actor_name=row.actor_name,
        actor_email=row.actor_email,
        resource_type=row.resource_type,
        resource_id=row.resource_id,
        resource_name=row.resource_name,
        hash=row.hash,
        address=details.pop("address", ""),
        changes=tuple(details.pop("changes", ())),
        more=details,
        has_details=row.details is not None,
    )
