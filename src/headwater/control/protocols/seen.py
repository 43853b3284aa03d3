"""What a source has sent, beside what is decided of it: as the API and the pages show it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from headwater.control.models import Source
from headwater.control.service import Control
from headwater.observing.seen import Collection, Property, Seen
from headwater.protocols.rules import NAMED, Kind, Name
from headwater.spec import paths


@dataclass(frozen=True, slots=True)
class Decisions:
    """What is decided of a source's names.

    Attributes:
        known: the names that are let through where new ones are blocked; None where they are not.
        planned: the names that its plan has rules for; None without a plan.
    """

    blocked: frozenset[Name]
    known: frozenset[Name] | None
    planned: frozenset[Name] | None
    blocks_unplanned: bool

    def allows(self, kind: str, name: str, field: str = "") -> bool:
        """Return whether a name goes through, as far as its name decides."""
        wanted = Name(Kind(kind), name, field)
        if wanted in self.blocked:
            return False
        if field:
            return True
        if Kind(kind) is Kind.TRACK and self.blocks_unplanned:
            return wanted in (self.planned if self.planned is not None else self.known or frozenset())
        return True

    def is_planned(self, kind: str, name: str) -> bool | None:
        """Return whether the plan has a rule for it; None without a plan."""
        return None if self.planned is None else Name(Kind(kind), name) in self.planned


def decisions(control: Control, source: Source) -> Decisions:
    """Return what is decided of a source's names."""
    controls, workspace_id = control.schema_controls, source.workspace_id
    plan = control.tracking_plans.of_source(workspace_id, source.id)
    rules = control.tracking_plans.rules(workspace_id, plan.id) if plan else []
    return Decisions(
        controls.blocked(workspace_id, source.id),
        controls.known(workspace_id, source.id),
        frozenset(Name(Kind(each.rule.type), each.rule.key) for each in rules) if plan else None,
        not controls.settings(workspace_id, source.id).track.unplanned_events,
    )


def collection_shape(found: Collection, decided: Decisions) -> dict[str, Any]:
    """Return a collection as the API shows it."""
    return {
        "type": found.kind,
        "name": found.name,
        "count": found.count,
        "recent": found.recent,
        "blocked": dict(found.blocked),
        "allowed": decided.allows(found.kind, found.name),
        "planned": decided.is_planned(found.kind, found.name),
        "archived": found.archived,
        "properties": found.fields,
        "firstSeenAt": found.first_seen,
        "lastSeenAt": found.last_seen,
    }


def property_shape(found: Property, kind: str, name: str, decided: Decisions) -> dict[str, Any]:
    """Return a property as the API shows it."""
    return {
        "name": found.field,
        "types": list(found.types),
        "count": found.count,
        "omitted": found.omitted,
        "allowed": decided.allows(kind, name, found.field),
        "firstSeenAt": found.first_seen,
        "lastSeenAt": found.last_seen,
    }


def names_seen(seen: Seen, source_id: str) -> Iterator[Name]:
    """Yield events by name, and the traits of people and groups."""
    for each in seen.collections(source_id):
        kind = Kind(each.kind)
        if kind in NAMED:
            yield Name(kind, each.name)
            continue
        for found in seen.properties(source_id, each.kind, each.name):
            names = paths.names_of(found.field)
            if len(names) == 1:
                yield Name(kind, "", names[0])


def plan_of(seen: Seen, source_id: str) -> list[dict[str, Any]]:
    """Return rules that plan what a source has sent until now: names and types, nothing required."""
    return [
        {"type": each.kind, "version": 1, "jsonSchema": _schema(seen, source_id, each)}
        | ({"key": each.name} if Kind(each.kind) in NAMED else {})
        for each in seen.collections(source_id)
        if not each.archived and (each.name or each.kind != Kind.TRACK)
    ]


def _schema(seen: Seen, source_id: str, collection: Collection) -> dict[str, Any]:
    section = "traits" if collection.kind in {Kind.IDENTIFY, Kind.GROUP} else "properties"
    top: dict[str, Any] = {"type": "object", "properties": {}}
    for found in seen.properties(source_id, collection.kind, collection.name):
        at = top
        names = paths.names_of(found.field)
        for name in names[:-1]:
            at = at.setdefault("items", {}) if name == "$" else at.setdefault("properties", {}).setdefault(name, {})
        types = [each for each in found.types if each != "any"]
        schema = {} if "any" in found.types or not types else {"type": types[0] if len(types) == 1 else types}
        if names[-1] == "$":
            at.setdefault("items", {}).update(schema)
        else:
            at.setdefault("properties", {}).setdefault(names[-1], {}).update(schema)
    draft = "http://json-schema.org/draft-07/schema#"
    return {"$schema": draft, "type": "object", "properties": {section: top}}
