"""Regulations: what was asked for whom, how far it is, and the receipt that stays.

The identifiers are sealed while they are needed and gone once a regulation is over; hashes of them stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, Select, delete, insert, select, update

from headwater.clock import Clock
from headwater.control import naming
from headwater.control.acting import present
from headwater.control.database import Row, changing, noting
from headwater.control.database import sources as source_rows
from headwater.control.moments import moment, text_of
from headwater.control.privacy.suppressions import Suppressions
from headwater.control.privacy.tables import regulation_work as work
from headwater.control.privacy.tables import regulations
from headwater.control.secrets import SecretBox
from headwater.errors import ConflictError, InvalidRequestError, NotFoundError
from headwater.limits import MIB
from headwater.privacy.regulation import (
    KINDS,
    SUBJECT_CHARS_MAX,
    SUBJECTS_MAX,
    RegulationType,
    Status,
    SubjectType,
)
from headwater.privacy.subjects import Kind, Subject, subject

MANY: Final = 100
"""Above so many people nothing is deleted before `UNDO_TIME` is over."""
UNDO_TIME: Final = timedelta(minutes=10)
SHOWN_MAX: Final = 100  # ours: hashes of subjects that one entry shows
_Choice = TypeVar("_Choice", bound=StrEnum)
_OPEN_MAX: Final = 1_000  # ours, a workspace: regulations that wait; each holds up to 5,000 people
_DUE_MAX: Final = 100  # ours: regulations that the runner takes at once
_DUE_BYTES_MAX: Final = 16 * MIB  # ours: of their sealed identifiers; one has up to 6 MB
_SEALED: Final = "subjects"


@dataclass(frozen=True, slots=True)
class Regulation:
    """One regulation.

    Attributes:
        source_id: the source that it is limited to, None for the whole workspace.
        collection: as Segment's object sources have it; kept, not used.
        count: how many identifiers were named.
        follows_links: what events link with them is meant as well.
        begins_at: before it, the regulation can be undone and deletes nothing.
        reason: why it failed, or waits.
        receipt: what became of each store and destination.
        digests: hashes of the identifiers that were named.
    """

    id: str
    workspace_id: str
    type: RegulationType
    subject_type: SubjectType
    source_id: str | None
    collection: str | None
    count: int
    follows_links: bool
    created_by: str
    created_at: datetime
    begins_at: datetime
    status: Status
    finished_at: datetime | None
    reason: str
    receipt: Mapping[str, Any]
    digests: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """A regulation as its runner takes it."""

    regulation: Regulation
    subjects: frozenset[Subject] = field(repr=False)


class _Digests(msgspec.Struct):
    named: list[str] = []
    linked: list[str] = []


_digests = msgspec.json.Decoder(_Digests).decode
_encode = msgspec.json.Encoder().encode


class Regulations:
    """Takes, lists and undoes regulations; hands them to the runner and keeps what it tells."""

    def __init__(self, engine: Engine, box: SecretBox, clock: Clock, suppressions: Suppressions) -> None:
        self._engine, self._box, self._clock, self._suppressions = engine, box, clock, suppressions

    def create(
        self,
        workspace_id: str,
        kind: str,
        subject_type: str,
        subject_ids: Sequence[str],
        *,
        source_id: str | None = None,
        collection: str | None = None,
        follows_links: bool = True,
    ) -> Regulation:
        """Take a regulation and return it; who is named is suppressed from now on where its type says so.

        Args:
            workspace_id: whose.
            kind: a `RegulationType`.
            subject_type: a `SubjectType`.
            subject_ids: 1..5,000 identifiers, each literally: there are no wildcards. E-mail addresses whatever their
                case, all others exactly as they were sent.
            source_id: limits it to one source; its id or slug.
            collection: kept as it is.
            follows_links: whether what events link with them is meant as well.

        Raises:
            InvalidRequestError: a value is wrong.
            NotFoundError: there is no such source.
            ConflictError: too many regulations wait.
        """
        wanted = _choice(RegulationType, kind, "regulationType")
        about, subjects = checked_subjects(subject_type, subject_ids)
        count, now = len(set(subject_ids)), self._clock()
        late = wanted.deletes and count > MANY
        own = [(each, self._suppressions.hasher.digest(each)) for each in subjects]
        row: dict[str, Any] = {
            "id": naming.new_id(),
            "workspace_id": workspace_id,
            "type": wanted.value,
            "subject_type": about.value,
            "collection": collection,
            "count": count,
            "follows_links": follows_links,
            "created_by": _actor(),
            "created_at": text_of(now),
            "begins_at": text_of(now + UNDO_TIME if late else now),
        }
        with changing(self._engine) as connection:
            self._admit(connection, workspace_id)
            row["source_id"] = None if source_id is None else _source(connection, workspace_id, source_id)
            connection.execute(insert(regulations).values(row))
            connection.execute(insert(work).values(self._work(row["id"], subjects, now, wanted)))
            scope = row["source_id"] or workspace_id
            if wanted.suppresses:
                self._suppressions.add(connection, workspace_id, scope, row["id"], own)
            if wanted is RegulationType.UNSUPPRESS:
                self._suppressions.end(connection, workspace_id, scope, subjects)
        return self.get(workspace_id, row["id"])

    def _work(
        self, regulation_id: str, subjects: list[Subject], now: datetime, wanted: RegulationType
    ) -> dict[str, Any]:
        """Return the row of what is to be done; nothing is left to do where it is done, or cannot be."""
        found: dict[str, Any] = {"regulation_id": regulation_id, "status": Status.INITIALIZED.value, "digests": "{}"}
        if not subjects:
            reason = "Object ids belong to object sources, which Headwater does not have; name people instead."
            return found | {"status": Status.NOT_SUPPORTED.value, "reason": reason, "finished_at": text_of(now)}
        found["digests"] = _encode(_Digests([self._suppressions.hasher.digest(each) for each in subjects])).decode()
        if wanted is RegulationType.UNSUPPRESS:
            return found | {"status": Status.FINISHED.value, "finished_at": text_of(now)}
        return found | {_SEALED: self._box.seal(regulation_id, _SEALED, _encode(subjects).decode())}

    def _admit(self, connection: Connection, workspace_id: str) -> None:
        open_ones = _joined().where(regulations.c.workspace_id == workspace_id, work.c.subjects.is_not(None))
        if len(connection.execute(open_ones.limit(_OPEN_MAX)).all()) >= _OPEN_MAX:
            raise ConflictError(f"{_OPEN_MAX} regulations wait already; wait until some are finished.")

    def all(self, workspace_id: str, source_id: str | None = None) -> list[Regulation]:
        """Return the regulations, newest first: all, or those of one source, by id or slug.

        Raises:
            NotFoundError: there is no such source.
        """
        wanted = _joined().where(regulations.c.workspace_id == workspace_id)
        with self._engine.connect() as connection:
            if source_id is not None:
                wanted = wanted.where(regulations.c.source_id == _source(connection, workspace_id, source_id))
            rows = connection.execute(wanted.order_by(regulations.c.created_at.desc(), regulations.c.id)).all()
        return [_regulation(row) for row in rows]

    def get(self, workspace_id: str, regulation_id: str) -> Regulation:
        """Return one regulation.

        Raises:
            NotFoundError: this workspace has none of this id.
        """
        with self._engine.connect() as connection:
            return _regulation(_one(connection, workspace_id, regulation_id))

    def undo(self, workspace_id: str, regulation_id: str) -> None:
        """Take back a regulation that has not begun, with the suppressions that it made.

        Raises:
            NotFoundError: this workspace has none of this id.
            ConflictError: it has begun: what is deleted cannot be brought back.
        """
        with changing(self._engine) as connection:
            row = _one(connection, workspace_id, regulation_id)
            if row.status != Status.INITIALIZED:
                raise ConflictError("It has begun already; a suppression ends with a regulation of type UNSUPPRESS.")
            self._suppressions.end_of(connection, workspace_id, regulation_id)
            connection.execute(delete(work).where(work.c.regulation_id == regulation_id))
            connection.execute(delete(regulations).where(regulations.c.id == regulation_id))

    def due(self, now: datetime) -> list[Task]:
        """Return what is to be carried out now, oldest first; what has begun before a restart is among it."""
        wanted = _joined().where(work.c.subjects.is_not(None), regulations.c.begins_at <= text_of(now))
        with self._engine.connect() as connection:
            rows = connection.execution_options(yield_per=1).execute(
                wanted.order_by(regulations.c.created_at, regulations.c.id)
            )
            return [Task(_regulation(row), self._subjects(row)) for row in _first(rows)]

    def note(
        self,
        regulation_id: str,
        status: Status,
        receipt: Mapping[str, Any],
        reason: str = "",
    ) -> bool:
        """Keep how far a regulation is; one that is over forgets whom it was about.

        Args:
            regulation_id: which.
            status: where it stands.
            receipt: what became of each place.
            reason: why it failed or waits.

        Returns:
            False where it was undone meanwhile.
        """
        values: dict[str, Any] = {
            "status": status.value,
            "reason": reason[:1_000],
            "receipt": _encode(receipt).decode(),
        }
        if status.is_over:
            values |= {_SEALED: None, "finished_at": text_of(self._clock())}
        with noting(self._engine) as connection:
            row = connection.execute(select(work).where(work.c.regulation_id == regulation_id)).one_or_none()
            if row is None:
                return False
            connection.execute(update(work).where(work.c.regulation_id == regulation_id).values(values))
        return True

    def resolved(self, regulation: Regulation, because: Mapping[Subject, Subject], receipt: Mapping[str, Any]) -> None:
        """Keep who else is meant, and suppress them where the type says so, in one transaction.

        Args:
            regulation: which.
            because: every identifier, each with the named one that led to it.
            receipt: how far it is.
        """
        hasher = self._suppressions.hasher
        with noting(self._engine) as connection:
            row = connection.execute(select(work).where(work.c.regulation_id == regulation.id)).one_or_none()
            if row is None or row.subjects is None:
                return
            named = _digests(row.digests).named
            linked = sorted({hasher.digest(each) for each in because} - set(named))
            values = {
                _SEALED: self._box.seal(regulation.id, _SEALED, _encode(sorted(because)).decode()),
                "digests": _encode(_Digests(named, linked)).decode(),
                "receipt": _encode(receipt).decode(),
            }
            connection.execute(update(work).where(work.c.regulation_id == regulation.id).values(values))
            if regulation.type.suppresses:
                scope = regulation.source_id or regulation.workspace_id
                found = ((each, hasher.digest(led)) for each, led in because.items() if each != led)
                self._suppressions.add(connection, regulation.workspace_id, scope, regulation.id, found)

    def deleted(self, workspace_id: str) -> set[str]:
        """Return the hashes of all identifiers whose deletion was carried out: a restored backup may hold them."""
        wanted = _joined().where(regulations.c.workspace_id == workspace_id, regulations.c.type.contains("DELETE"))
        found: set[str] = set()
        with self._engine.connect() as connection:
            for row in connection.execute(wanted.where(work.c.finished_at.is_not(None))):
                digests = _digests(row.digests)
                found |= {*digests.named, *digests.linked}
        return found

    def _subjects(self, row: Row) -> frozenset[Subject]:
        opened = self._box.open(row.id, _SEALED, row.subjects)
        return frozenset(Subject(Kind(kind), value) for kind, value in msgspec.json.decode(opened))


def _joined() -> Select[Any]:
    return select(regulations, work).join(work, work.c.regulation_id == regulations.c.id)


def _first(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield rows until what they name is more than is taken at once; at least one."""
    total = 0
    for row in islice(rows, _DUE_MAX):
        total += len(row.subjects)
        if total > _DUE_BYTES_MAX and total > len(row.subjects):
            return
        yield row


def _one(connection: Connection, workspace_id: str, regulation_id: str) -> Row:
    wanted = _joined().where(regulations.c.workspace_id == workspace_id, regulations.c.id == regulation_id)
    row = connection.execute(wanted).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no regulation {regulation_id[:60]!r}; GET /regulations lists them.")
    return row


def _source(connection: Connection, workspace_id: str, key: str) -> str:
    is_meant = (source_rows.c.id == key) | (source_rows.c.slug == key)
    wanted = select(source_rows.c.id).where(source_rows.c.workspace_id == workspace_id, is_meant)
    found = connection.execute(wanted).scalar()
    if found is None:
        raise NotFoundError(f"There is no source {key[:60]!r}; GET /sources lists them.")
    return str(found)


def _choice(kinds: type[_Choice], text: str, member: str) -> _Choice:
    try:
        return kinds(text)
    except ValueError:
        raise InvalidRequestError(f"{member} is one of {', '.join(kinds)}", field=member) from None


def checked_subjects(subject_type: str, ids: Sequence[str]) -> tuple[SubjectType, list[Subject]]:
    """Return what ids are, and the identifiers; none for object ids, which are no people.

    Raises:
        InvalidRequestError: the type is unknown, there are none or too many, or one is no such id.
    """
    about = _choice(SubjectType, subject_type, "subjectType")
    named = _named(about, ids)
    return about, list(dict.fromkeys(subject(KINDS[about], each) for each in named)) if about in KINDS else []


def _named(about: SubjectType, ids: Sequence[str]) -> list[str]:
    """Return the identifiers, each once."""
    if not ids:
        raise InvalidRequestError("subjectIds needs at least one id", field="subjectIds")
    if len(ids) > SUBJECTS_MAX:
        raise InvalidRequestError(
            f"subjectIds has at most {SUBJECTS_MAX:,} ids; send the rest in a second call", field="subjectIds"
        )
    if not all(each.strip() and len(each) <= SUBJECT_CHARS_MAX for each in ids):
        raise InvalidRequestError(f"an id has 1 to {SUBJECT_CHARS_MAX:,} characters", field="subjectIds")
    if about is SubjectType.EMAIL and not all("@" in each.strip()[1:-1] for each in ids):
        raise InvalidRequestError("an e-mail address has an @ between other characters", field="subjectIds")
    return list(dict.fromkeys(ids))


def _actor() -> str:
    actor = present()
    return actor.email or actor.name or actor.kind.value


def _regulation(row: Row) -> Regulation:
    return Regulation(
        id=row.id,
        workspace_id=row.workspace_id,
        type=RegulationType(row.type),
        subject_type=SubjectType(row.subject_type),
        source_id=row.source_id,
        collection=row.collection,
        count=row.count,
        follows_links=row.follows_links,
        created_by=row.created_by,
        created_at=moment(row.created_at),
        begins_at=moment(row.begins_at),
        status=Status(row.status),
        finished_at=None if row.finished_at is None else moment(row.finished_at),
        reason=row.reason,
        receipt=msgspec.json.decode(row.receipt),
        digests=_digests(row.digests).named[:SHOWN_MAX],
    )
