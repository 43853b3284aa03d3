"""Schema controls of a source: what happens to what is not planned, and which names are blocked.

Source: Segment, source schema; Protocols, schema configuration.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from headwater.control import rows
from headwater.control.database import changing, sources
from headwater.control.protocols import settings as shapes
from headwater.control.protocols.tables import NAME_CHARS, blocks, plan_sources, settings
from headwater.errors import ConflictError, InvalidRequestError
from headwater.protocols.rules import Controls, Kind, Name
from headwater.spec import paths

CHANGES_MAX: Final = 1_000  # ours, a request
BLOCKED_MAX: Final = 10_000  # ours, a source: events and properties together
FIELD_CHARS: Final = 500  # ours

Decided = tuple[Controls, frozenset[Name], frozenset[Name] | None]
"""Settings, what is blocked by name, and what is planned while new names are blocked and no plan decides."""

Seen = Callable[[], Iterable[Name]]
"""Returns what a source has sent so far, without properties of events."""


class SchemaControls:
    """The controls of all sources; each call names the workspace it acts in."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def settings(self, workspace_id: str, source_key: str) -> Controls:
        """Return what happens to what a source sends.

        Raises:
            NotFoundError: this workspace has no such source.
        """
        with self._engine.connect() as connection:
            return _settings(connection, rows.source_id(connection, workspace_id, source_key))

    def change(self, workspace_id: str, source_key: str, given: Mapping[str, Any], seen: Seen) -> Controls:
        """Change the settings that are named and return all of them.

        Without a plan, what the source has sent until now is planned once new names are blocked.

        Args:
            workspace_id: where.
            source_key: id or slug.
            given: as the Public API writes them.
            seen: asked only where new names are blocked.

        Raises:
            NotFoundError: this workspace has no such source, or none to forward to.
            InvalidRequestError: it is no such setting, or a source would forward to itself.
        """
        with changing(self._engine) as connection:
            source_id = rows.source_id(connection, workspace_id, source_key)
            before = _settings(connection, source_id)
            after = _forwarding(connection, workspace_id, source_id, shapes.changed(before, given))
            row = {"settings": json.dumps(shapes.shape(after))}
            if _blocks_new(after) and not _blocks_new(before):
                row["known"] = _known(seen())
            stored = connection.execute(select(settings.c.source_id).filter_by(source_id=source_id)).scalar()
            if stored is None:
                connection.execute(insert(settings).values(source_id=source_id, **row))
            else:
                connection.execute(update(settings).where(settings.c.source_id == source_id).values(row))
        return after

    def blocked(self, workspace_id: str, source_key: str) -> frozenset[Name]:
        """Return what of a source is blocked.

        Raises:
            NotFoundError: this workspace has no such source.
        """
        with self._engine.connect() as connection:
            source_id = rows.source_id(connection, workspace_id, source_key)
            return _blocked(connection, source_id).get(source_id, frozenset())

    def known(self, workspace_id: str, source_key: str) -> frozenset[Name] | None:
        """Return what was planned when new names were blocked; None where they are not, or a plan says it.

        Raises:
            NotFoundError: this workspace has no such source.
        """
        with self._engine.connect() as connection:
            source_id = rows.source_id(connection, workspace_id, source_key)
            planned = connection.execute(select(plan_sources.c.source_id).filter_by(source_id=source_id)).scalar()
            stored = connection.execute(select(settings.c.known).filter_by(source_id=source_id)).scalar()
            if planned is not None or stored is None or not _blocks_new(_settings(connection, source_id)):
                return None
            return read_names(stored)

    def decided(self, workspace_id: str) -> dict[str, Decided]:
        """Return what is decided of the sources of a workspace, by the source's id; others are not in it."""
        with self._engine.connect() as connection:
            mine = set(connection.execute(select(sources.c.id).filter_by(workspace_id=workspace_id)).scalars())
            planned = set(connection.execute(select(plan_sources.c.source_id)).scalars())
            stored, blocked = read_settings(connection), _blocked(connection)
        found = {}
        for source_id in mine & (stored.keys() | blocked.keys()):
            controls, known = stored.get(source_id, (Controls(), frozenset()))
            is_known = _blocks_new(controls) and source_id not in planned
            found[source_id] = controls, blocked.get(source_id, frozenset()), known if is_known else None
        return found

    def decide(self, workspace_id: str, source_key: str, changes: Sequence[tuple[Name, bool]]) -> bool:
        """Allow or block names, in their order; return whether anything changed.

        Raises:
            NotFoundError: this workspace has no such source.
            InvalidRequestError: it is no name that can be blocked.
            ConflictError: more would be blocked than may be.
        """
        if not 1 <= len(changes) <= CHANGES_MAX:
            raise InvalidRequestError(f"changes has 1 to {CHANGES_MAX:,} members", field="changes")
        for place, (name, _) in enumerate(changes):
            _check(name, f"changes.{place}")
        with changing(self._engine) as connection:
            source_id = rows.source_id(connection, workspace_id, source_key)
            wanted = dict(changes)
            changed = _plan_more(connection, source_id, [name for name, allowed in wanted.items() if allowed])
            for name, allowed in wanted.items():
                changed = _decided(connection, source_id, name, allowed=allowed) or changed
            count = select(func.count()).select_from(blocks).where(blocks.c.source_id == source_id)
            if connection.execute(count).scalar_one() > BLOCKED_MAX:
                raise ConflictError(f"A source blocks at most {BLOCKED_MAX:,} names; allow some first.")
        return changed


def read_names(stored: str) -> frozenset[Name]:
    """Return names as a column has them."""
    return frozenset(Name(Kind(kind), name, field) for kind, name, field in json.loads(stored))


def read_settings(connection: Connection) -> dict[str, tuple[Controls, frozenset[Name]]]:
    """Return settings and planned names of every source that has any."""
    found = connection.execute(select(settings))
    return {row.source_id: (_read(row.settings), read_names(row.known)) for row in found}


def read_blocks(connection: Connection) -> dict[str, frozenset[Name]]:
    """Return what every source blocks, by its id."""
    return _blocked(connection)


def _settings(connection: Connection, source_id: str) -> Controls:
    stored = connection.execute(select(settings.c.settings).filter_by(source_id=source_id)).scalar()
    return Controls() if stored is None else _read(stored)


def _read(stored: str) -> Controls:
    return shapes.changed(Controls(), json.loads(stored))


def _blocked(connection: Connection, source_id: str | None = None) -> dict[str, frozenset[Name]]:
    wanted = select(blocks) if source_id is None else select(blocks).filter_by(source_id=source_id)
    found: dict[str, set[Name]] = {}
    for row in connection.execute(wanted):
        found.setdefault(row.source_id, set()).add(Name(Kind(row.kind), row.name, row.field))
    return {each: frozenset(names) for each, names in found.items()}


def _blocks_new(controls: Controls) -> bool:
    kinds = controls.track.unplanned_events, controls.identify.unplanned_fields, controls.group.unplanned_fields
    return not all(kinds)


def _known(seen: Iterable[Name]) -> str:
    return json.dumps([[each.kind, each.name, each.field] for each in sorted(set(seen))])


def _forwarding(connection: Connection, workspace_id: str, source_id: str, after: Controls) -> Controls:
    """Return the settings with the ids of the sources that are forwarded to."""
    targets = []
    for name, member in shapes.FORWARDING.items():
        key = getattr(after, member)
        targets.append(rows.source_id(connection, workspace_id, key) if key else "")
        if targets[-1] == source_id:
            raise InvalidRequestError("A source cannot forward to itself; choose another, or make one.", field=name)
    violations_to, blocked_to = targets
    return replace(after, violations_to=violations_to, blocked_to=blocked_to)


def _check(name: Name, field: str) -> None:
    is_named = name.kind in {Kind.TRACK, Kind.PAGE, Kind.SCREEN}
    if name.kind is Kind.COMMON or bool(name.name) != is_named:
        told = "TRACK, PAGE and SCREEN have a name, IDENTIFY and GROUP have none"
        raise InvalidRequestError(told, field=f"{field}.name")
    if not is_named and not name.field:
        raise InvalidRequestError("Of IDENTIFY and GROUP, single traits are blocked: name one.", field=f"{field}.field")
    if len(name.name) > NAME_CHARS or len(name.field) > FIELD_CHARS:
        raise InvalidRequestError(f"A name has at most {NAME_CHARS} characters.", field=f"{field}.name")
    if name.field:
        try:
            paths.names_of(name.field)
        except ValueError as error:
            raise InvalidRequestError(str(error), field=f"{field}.field") from error


def _decided(connection: Connection, source_id: str, name: Name, *, allowed: bool) -> bool:
    row = {"source_id": source_id, "kind": str(name.kind), "name": name.name, "field": name.field}
    is_there = connection.execute(select(blocks.c.kind).filter_by(**row)).scalar() is not None
    if allowed and is_there:
        connection.execute(delete(blocks).filter_by(**row))
    elif not allowed and not is_there:
        connection.execute(insert(blocks).values(row))
    return allowed is is_there


def _plan_more(connection: Connection, source_id: str, allowed: Sequence[Name]) -> bool:
    """Add what is allowed to what is planned, where new names are blocked and no plan says it."""
    stored = connection.execute(select(settings.c.known).filter_by(source_id=source_id)).scalar()
    if stored is None or not allowed or not _blocks_new(_settings(connection, source_id)):
        return False
    known = read_names(stored)
    more = known | {each for each in allowed if not each.name or not each.field}
    if more == known:
        return False
    connection.execute(update(settings).where(settings.c.source_id == source_id).values(known=_known(more)))
    return True
