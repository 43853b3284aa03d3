"""The rules of a tracking plan: checked, stored, read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select, update

from headwater.control.protocols.tables import NAME_CHARS
from headwater.control.protocols.tables import rules as table
from headwater.errors import ConflictError, InvalidRequestError, NotFoundError
from headwater.limits import MIB
from headwater.protocols import schemas
from headwater.protocols.rules import NAMED, Kind

RULES_MAX: Final = 2_000  # Segment, a plan
UPDATE_MAX: Final = 200  # Segment Public API, a call
VERSION_MAX: Final = 1_000_000  # ours
PLAN_BYTES_MAX: Final = 16 * MIB  # ours: all schemas of a plan; Segment takes CSV files below 15 MB


@dataclass(frozen=True, slots=True, order=True)
class RuleKey:
    """What tells a rule from the others of its plan."""

    type: str
    key: str
    version: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A rule as a request has it.

    Attributes:
        schema: JSON Schema of the whole event.
        new_key: what the event is called from now on; "" as before.
    """

    rule: RuleKey
    schema: Any
    new_key: str = ""


@dataclass(frozen=True, slots=True)
class RuleEntry:
    """A rule as it is stored; times are ISO 8601."""

    rule: RuleKey
    schema: Any
    created_at: str
    updated_at: str


def checked(drafts: Sequence[Draft], most: int = RULES_MAX) -> list[tuple[Draft, str]]:
    """Return the rules, each with its schema as it is stored.

    Raises:
        InvalidRequestError: naming the member, `rules.3.jsonSchema`.
    """
    if len(drafts) > most:
        raise InvalidRequestError(f"At most {most:,} rules at once; send the others in a further call.", field="rules")
    if len({draft.rule for draft in drafts}) < len(drafts):
        raise InvalidRequestError("Two of the rules have the same type, key and version.", field="rules")
    found = [(draft, _checked(draft, f"rules.{place}")) for place, draft in enumerate(drafts)]
    if sum(len(text) for _, text in found) > PLAN_BYTES_MAX:
        raise InvalidRequestError(f"The schemas of a plan have at most {PLAN_BYTES_MAX // MIB} MiB.", field="rules")
    return found


def _checked(draft: Draft, field: str) -> str:
    rule = draft.rule
    if rule.type not in set(Kind):
        raise InvalidRequestError(f"type is one of {', '.join(Kind)}", field=f"{field}.type")
    is_named = Kind(rule.type) in NAMED
    if not is_named and (rule.key or draft.new_key):
        raise InvalidRequestError(f"A rule of type {rule.type} has no key.", field=f"{field}.key")
    if rule.type == Kind.TRACK and not rule.key.strip():
        raise InvalidRequestError("A rule of type TRACK has the event's name as its key.", field=f"{field}.key")
    if max(len(rule.key), len(draft.new_key)) > NAME_CHARS:
        raise InvalidRequestError(f"A key has at most {NAME_CHARS} characters.", field=f"{field}.key")
    if not 0 <= rule.version <= VERSION_MAX:
        raise InvalidRequestError(f"A version is a number from 0 to {VERSION_MAX:,}.", field=f"{field}.version")
    return schemas.checked(draft.schema, f"{field}.jsonSchema")


def read(connection: Connection, plan_id: str) -> list[RuleEntry]:
    """Return the rules of a plan, by type, key and version."""
    found = select(table).filter_by(tracking_plan_id=plan_id).order_by(table.c.type, table.c.key, table.c.version)
    return [
        RuleEntry(RuleKey(row.type, row.key, row.version), json.loads(row.json_schema), row.created_at, row.updated_at)
        for row in connection.execute(found)
    ]


def replace(connection: Connection, plan_id: str, wanted: Sequence[tuple[Draft, str]], now: str) -> None:
    """Let a plan have these rules only; those that stay keep the time at which they were made."""
    made = {entry.rule: entry.created_at for entry in read(connection, plan_id)}
    connection.execute(delete(table).where(table.c.tracking_plan_id == plan_id))
    if wanted:
        connection.execute(insert(table), [_row(plan_id, *each, made.get(each[0].rule, now), now) for each in wanted])


def upsert(connection: Connection, plan_id: str, wanted: Sequence[tuple[Draft, str]], now: str) -> None:
    """Add rules, or change those that are there.

    Raises:
        InvalidRequestError: the plan would have too many.
        ConflictError: a rule would be called as another one is.
    """
    there = {entry.rule: entry.created_at for entry in read(connection, plan_id)}
    added = []
    for draft, text in wanted:
        row = _row(plan_id, draft, text, there.get(draft.rule, now), now)
        if draft.new_key and draft.new_key != draft.rule.key and _key(row) in there:
            raise ConflictError(f"The plan has a rule for {draft.new_key[:60]!r} already; remove it first.")
        if draft.rule in there:
            connection.execute(update(table).where(_is(plan_id, draft.rule)).values(row))
        else:
            added.append(row)
    if added:
        connection.execute(insert(table), added)
    count = select(func.count(), func.sum(func.length(table.c.json_schema))).where(table.c.tracking_plan_id == plan_id)
    rules, size = connection.execute(count).one()
    if rules > RULES_MAX or (size or 0) > PLAN_BYTES_MAX:
        told = f"A plan has at most {RULES_MAX:,} rules and {PLAN_BYTES_MAX // MIB} MiB of schemas."
        raise InvalidRequestError(told, field="rules")


def remove(connection: Connection, plan_id: str, keys: Sequence[RuleKey]) -> None:
    """Take rules out of a plan.

    Raises:
        NotFoundError: it has no such rule.
    """
    for key in keys:
        if not connection.execute(delete(table).where(_is(plan_id, key))).rowcount:
            raise NotFoundError(f"The plan has no rule {key.type} {key.key[:60]!r} in version {key.version}.")


def _is(plan_id: str, rule: RuleKey) -> Any:
    is_rule = (table.c.type == rule.type) & (table.c.key == rule.key) & (table.c.version == rule.version)
    return is_rule & (table.c.tracking_plan_id == plan_id)


def _row(plan_id: str, draft: Draft, text: str, created_at: str, now: str) -> dict[str, Any]:
    return {
        "tracking_plan_id": plan_id,
        "type": draft.rule.type,
        "key": draft.new_key or draft.rule.key,
        "version": draft.rule.version,
        "json_schema": text,
        "created_at": created_at,
        "updated_at": now,
    }


def _key(row: dict[str, Any]) -> RuleKey:
    return RuleKey(row["type"], row["key"], row["version"])
