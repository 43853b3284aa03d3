"""Tracking plans: made, changed, connected to sources.

Source: Segment, Protocols, tracking plan; Public API, tracking plans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, delete, insert, select, update

from headwater.clock import Clock
from headwater.control import naming, rows
from headwater.control.database import Row, changing
from headwater.control.moments import moment, text_of
from headwater.control.protocols import rules as rule_rows
from headwater.control.protocols.rules import Draft, RuleEntry, RuleKey
from headwater.control.protocols.tables import plan_sources, plans
from headwater.errors import ConflictError, InvalidRequestError, NotFoundError

PLANS_MAX: Final = 100  # ours, a workspace
DESCRIPTION_CHARS_MAX: Final = 2_000  # ours
TYPES: Final = ("LIVE", "ENGAGE", "PROPERTY_LIBRARY", "RULE_LIBRARY", "TEMPLATE")
_ENFORCED: Final = "LIVE"


@dataclass(frozen=True, slots=True)
class PlanEntry:
    """A tracking plan as it is listed."""

    id: str
    workspace_id: str
    slug: str
    name: str
    description: str
    type: str
    created_at: datetime
    updated_at: datetime
    source_ids: tuple[str, ...] = ()


class TrackingPlans:
    """The plans of all workspaces; each call names the workspace it acts in."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock

    def all(self, workspace_id: str) -> list[PlanEntry]:
        """Return the plans of a workspace, oldest first."""
        with self._engine.connect() as connection:
            found = select(plans).filter_by(workspace_id=workspace_id).order_by(plans.c.created_at, plans.c.id)
            return [_plan(connection, row) for row in connection.execute(found)]

    def get(self, workspace_id: str, plan_id: str) -> PlanEntry:
        """Return one plan, by its id or its slug.

        Raises:
            NotFoundError: this workspace has none of this id.
        """
        for plan in self.all(workspace_id):
            if plan_id in {plan.id, plan.slug}:
                return plan
        raise NotFoundError(f"There is no tracking plan {plan_id[:60]!r}; GET /tracking-plans lists them.")

    def create(
        self,
        workspace_id: str,
        name: str,
        description: str = "",
        type_: str = _ENFORCED,
        drafts: Sequence[Draft] = (),
    ) -> PlanEntry:
        """Make a plan, with the rules that it begins with, and return it.

        Raises:
            InvalidRequestError: name, description or type are wrong.
            ConflictError: the workspace has as many as it may have.
        """
        if type_ not in TYPES:
            raise InvalidRequestError(f"type is one of {', '.join(TYPES)}", field="type")
        checked, now = rule_rows.checked(drafts), text_of(self._clock())
        row = {
            "id": f"tp_{naming.new_id()}",
            "workspace_id": workspace_id,
            "name": naming.checked_name(name),
            "description": _described(description),
            "type": type_,
            "created_at": now,
            "updated_at": now,
        }
        with changing(self._engine) as connection:
            rows.room_for_one_more(connection, plans, workspace_id, PLANS_MAX)
            row["slug"] = _free_slug(connection, workspace_id, row["name"])
            connection.execute(insert(plans).values(row))
            rule_rows.replace(connection, row["id"], checked, now)
        return self.get(workspace_id, row["id"])

    def update(
        self, workspace_id: str, plan_id: str, *, name: str | None = None, description: str | None = None
    ) -> PlanEntry:
        """Change what is not None and return the plan.

        Raises:
            NotFoundError, InvalidRequestError: as in `create`.
        """
        change = {} if name is None else {"name": naming.checked_name(name)}
        if description is not None:
            change["description"] = _described(description)
        plan = self.get(workspace_id, plan_id)
        with changing(self._engine) as connection:
            rows.one(connection, plans, workspace_id, plan.id)
            self._touch(connection, plan.id, **change)
        return self.get(workspace_id, plan.id)

    def delete(self, workspace_id: str, plan_id: str) -> None:
        """Delete a plan with its rules; its sources let everything through that was blocked by it.

        Raises:
            NotFoundError: this workspace has none of this id.
        """
        plan = self.get(workspace_id, plan_id)
        with changing(self._engine) as connection:
            rows.one(connection, plans, workspace_id, plan.id)
            connection.execute(delete(plans).where(plans.c.id == plan.id))

    def rules(self, workspace_id: str, plan_id: str) -> list[RuleEntry]:
        """Return the rules of a plan, by type, key and version.

        Raises:
            NotFoundError: this workspace has no such plan.
        """
        plan = self.get(workspace_id, plan_id)
        with self._engine.connect() as connection:
            return rule_rows.read(connection, plan.id)

    def replace_rules(self, workspace_id: str, plan_id: str, drafts: Sequence[Draft]) -> None:
        """Let a plan have these rules only.

        Raises:
            NotFoundError: this workspace has no such plan.
            InvalidRequestError: a rule is wrong; none is stored.
        """
        checked = rule_rows.checked(drafts)
        plan = self.get(workspace_id, plan_id)
        with changing(self._engine) as connection:
            rows.one(connection, plans, workspace_id, plan.id)
            rule_rows.replace(connection, plan.id, checked, text_of(self._clock()))
            self._touch(connection, plan.id)

    def update_rules(self, workspace_id: str, plan_id: str, drafts: Sequence[Draft]) -> None:
        """Add rules to a plan, or change those that are there.

        Raises:
            NotFoundError: this workspace has no such plan.
            InvalidRequestError: a rule is wrong, or they would be too many; none is stored.
        """
        checked = rule_rows.checked(drafts, most=rule_rows.UPDATE_MAX)
        plan = self.get(workspace_id, plan_id)
        with changing(self._engine) as connection:
            rows.one(connection, plans, workspace_id, plan.id)
            rule_rows.upsert(connection, plan.id, checked, text_of(self._clock()))
            self._touch(connection, plan.id)

    def remove_rules(self, workspace_id: str, plan_id: str, keys: Sequence[RuleKey]) -> None:
        """Take rules out of a plan.

        Raises:
            NotFoundError: this workspace has no such plan, or the plan has no such rule; none is removed.
        """
        plan = self.get(workspace_id, plan_id)
        with changing(self._engine) as connection:
            rows.one(connection, plans, workspace_id, plan.id)
            rule_rows.remove(connection, plan.id, keys)
            self._touch(connection, plan.id)

    def connect(self, workspace_id: str, plan_id: str, source_key: str) -> None:
        """Hold a source's events against a plan.

        Raises:
            NotFoundError: this workspace has no such plan or source.
            ConflictError: the source has a plan already, or the plan is a library that nothing is held against.
        """
        plan = self.get(workspace_id, plan_id)
        if plan.type != _ENFORCED:
            raise ConflictError(f"Only a plan of type {_ENFORCED} is connected to sources; this one is {plan.type}.")
        with changing(self._engine) as connection:
            rows.one(connection, plans, workspace_id, plan.id)
            source_id = rows.source_id(connection, workspace_id, source_key)
            present = connection.execute(select(plan_sources).filter_by(source_id=source_id)).one_or_none()
            if present is not None and present.tracking_plan_id != plan.id:
                raise ConflictError("This source has another tracking plan; a source has one. Remove it there first.")
            if present is None:
                connection.execute(insert(plan_sources).values(source_id=source_id, tracking_plan_id=plan.id))

    def disconnect(self, workspace_id: str, plan_id: str, source_key: str) -> None:
        """Hold a source's events against a plan no more.

        Raises:
            NotFoundError: this workspace has no such plan, or it is not connected to this source.
        """
        plan = self.get(workspace_id, plan_id)
        with changing(self._engine) as connection:
            pair = {"source_id": rows.source_id(connection, workspace_id, source_key), "tracking_plan_id": plan.id}
            if not connection.execute(delete(plan_sources).filter_by(**pair)).rowcount:
                raise NotFoundError("This plan is not connected to this source.")

    def of_source(self, workspace_id: str, source_id: str) -> PlanEntry | None:
        """Return the plan that a source's events are held against."""
        return next((plan for plan in self.all(workspace_id) if source_id in plan.source_ids), None)

    def _touch(self, connection: Connection, plan_id: str, **change: Any) -> None:
        change["updated_at"] = text_of(self._clock())
        connection.execute(update(plans).where(plans.c.id == plan_id).values(change))


def _plan(connection: Connection, row: Row) -> PlanEntry:
    connected = select(plan_sources.c.source_id).filter_by(tracking_plan_id=row.id).order_by(plan_sources.c.source_id)
    return PlanEntry(
        id=row.id,
        workspace_id=row.workspace_id,
        slug=row.slug,
        name=row.name,
        description=row.description,
        type=row.type,
        created_at=moment(row.created_at),
        updated_at=moment(row.updated_at),
        source_ids=tuple(connection.execute(connected).scalars()),
    )


def _described(text: str) -> str:
    if len(text) > DESCRIPTION_CHARS_MAX:
        raise InvalidRequestError(
            f"A description has at most {DESCRIPTION_CHARS_MAX:,} characters.", field="description"
        )
    return text


def _free_slug(connection: Connection, workspace_id: str, name: str) -> str:
    """Return a slug of the name that no other plan of the workspace has."""
    base = "-".join("".join(char if char.isascii() and char.isalnum() else " " for char in name.lower()).split())
    taken = set(connection.execute(select(plans.c.slug).filter_by(workspace_id=workspace_id)).scalars())
    base = (base or "plan")[:60]
    return next(slug for n in range(1, PLANS_MAX + 2) if (slug := base if n == 1 else f"{base}-{n}") not in taken)
