"""What every source's events are held against, read in one state for the engines."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select

from headwater.control.models import Source
from headwater.control.protocols.controls import read_blocks, read_settings
from headwater.control.protocols.tables import plan_sources, plans, rules
from headwater.protocols.rules import Controls, Kind, Plan, Rule, Spec


def read_specs(connection: Connection, of: Iterable[Source]) -> dict[str, Spec]:
    """Return what is held against each source that lets not everything through, by its id."""
    controls, blocked, planned = read_settings(connection), read_blocks(connection), _plans(connection)
    found = {}
    for source in of:
        kept, known = controls.get(source.id, (Controls(), frozenset()))
        spec = Spec(
            source_id=source.id,
            controls=kept,
            blocked=blocked.get(source.id, frozenset()),
            known=known,
            plan=planned.get(source.id),
            source_name=source.name,
            source_slug=source.slug,
        )
        if not spec.is_open:
            found[source.id] = spec
    return found


def _plans(connection: Connection) -> dict[str, Plan]:
    """Return the plan of each source that has one; sources of one plan share it."""
    named = {row.id: row.name for row in connection.execute(select(plans.c.id, plans.c.name))}
    connected = {row.source_id: row.tracking_plan_id for row in connection.execute(select(plan_sources))}
    made: dict[str, Plan] = {}
    for plan_id in set(connected.values()):
        wanted = select(rules).filter_by(tracking_plan_id=plan_id).order_by(rules.c.type, rules.c.key, rules.c.version)
        kept = tuple(Rule(Kind(row.type), row.key, row.version, row.json_schema) for row in connection.execute(wanted))
        made[plan_id] = Plan(plan_id, named[plan_id], kept)
    return {source_id: made[plan_id] for source_id, plan_id in connected.items()}
