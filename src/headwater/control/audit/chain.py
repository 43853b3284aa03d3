"""The chain of the audit trail: each entry's hash covers the entry and the hash before it.

Who edits, removes or reorders an entry breaks the chain from there on. Details that were given up after their time do
not: the hash covers their digest, and the digest stays. Who can write the database could compute the whole chain anew;
against that, keep the newest hash elsewhere (`headwater audit verify` prints it and takes it back with `--expect`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, insert, select, update

from headwater.control.audit.tables import entries, heads

_FIRST: Final = "0" * 64
_ENTRIES_A_READ: Final = 1_000  # ours: some megabytes
_HASHED: Final = (
    "seq",
    "id",
    "workspace_id",
    "at",
    "type",
    "actor_kind",
    "actor_id",
    "actor_name",
    "actor_email",
    "resource_type",
    "resource_id",
    "resource_name",
    "digest",
    "previous",
)


@dataclass(frozen=True, slots=True)
class Verified:
    """What a look at the whole chain found.

    Attributes:
        entries: how many were read.
        first, last: their numbers; 0 where there are none.
        head: the newest hash.
        broken_at: the number of the first entry that is not as it was written; None where all are.
        reason: what is wrong there.
    """

    entries: int
    first: int
    last: int
    head: str
    broken_at: int | None = None
    reason: str = ""


def append(connection: Connection, entry: Mapping[str, Any], details: Mapping[str, Any]) -> None:
    """Write an entry behind the newest one, in the transaction of the change that it tells."""
    head = connection.execute(select(heads)).one_or_none()
    seq, previous = (0, _FIRST) if head is None else (head.seq, head.hash)
    if head is None:
        connection.execute(insert(heads).values(id=1, seq=0, hash=_FIRST, start_seq=0, start_hash=_FIRST))
    text = msgspec.json.encode(details).decode()
    row = {**entry, "seq": seq + 1, "details": text, "digest": _digest(text), "previous": previous}
    row["hash"] = _hash(row)
    connection.execute(insert(entries).values(row))
    connection.execute(update(heads).values(seq=row["seq"], hash=row["hash"]))


def verify(connection: Connection) -> Verified:
    """Read the whole chain, oldest first, and tell the first entry that does not belong."""
    head = connection.execute(select(heads)).one_or_none()
    if head is None:
        count = len(connection.execute(select(entries.c.seq).limit(1)).all())
        return Verified(0, 0, 0, _FIRST, *((0, "the chain's head is gone") if count else ()))
    seq, previous, count, first = head.start_seq, head.start_hash, 0, 0
    while rows := connection.execute(
        select(entries).where(entries.c.seq > seq).order_by(entries.c.seq).limit(_ENTRIES_A_READ)
    ).all():
        for row in rows:
            if reason := _wrong(row, seq, previous):
                return Verified(count, first, seq, head.hash, row.seq, reason)
            first, count = first or row.seq, count + 1
            seq, previous = row.seq, row.hash
    if (seq, previous) != (head.seq, head.hash):
        return Verified(count, first, seq, head.hash, seq + 1, f"entries {seq + 1} to {head.seq} are gone")
    return Verified(count, first, seq, head.hash)


def _wrong(row: Any, seq: int, previous: str) -> str:
    if row.seq != seq + 1:
        return f"entries {seq + 1} to {row.seq - 1} are gone"
    if row.previous != previous:
        return "it does not follow the entry before it"
    if row.details is not None and row.digest != _digest(row.details):
        return "its details were edited"
    return "" if row.hash == _hash(row._mapping) else "it was edited"  # noqa: SLF001 - SQLAlchemy's documented name


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _hash(row: Mapping[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode([row[name] for name in _HASHED])).hexdigest()
