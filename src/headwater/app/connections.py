"""What delivery works on, made from the configuration."""

from __future__ import annotations

import hmac
from collections import defaultdict

import msgspec

from headwater.control.models import Destination, FunctionKind
from headwater.control.snapshot import Snapshot
from headwater.delivery.connection import Connection, FieldMapping, Filter
from headwater.functions.contract import Function


def connections(snapshot: Snapshot, secret: bytes) -> list[Connection]:
    """Return what delivery works on: a destination is active only while its source is, too.

    A revision is keyed, because the ledger keeps it and settings hold credentials. It changes with functions, too: a
    connection that was paused by a broken one goes on once that is mended.
    """
    enabled = {source.id for source in snapshot.sources if source.enabled}
    filters, mappings, inserts = _filters(snapshot), _mappings(snapshot), _inserts(snapshot)
    found = []
    for each in snapshot.destinations:
        functions = _run_by(each, snapshot)
        code = [
            [function.id, function.code, function.settings] for function in (*functions.values(), *inserts[each.id])
        ]
        kept = msgspec.json.encode([each.settings, code] if code else each.settings, order="sorted")
        found.append(
            Connection(
                id=each.id,
                source_id=each.source_id,
                type=each.type,
                name=each.name,
                enabled=each.enabled and each.source_id in enabled,
                settings=each.settings,
                created_at=each.created_at,
                revision=hmac.digest(secret, kept, "sha256").hex(),
                first_seq=each.first_seq,
                filters=tuple(filters[each.id]),
                mappings=tuple(mappings[each.id]),
                inserts=tuple(inserts[each.id]),
                functions=functions,
                tuning=each.tuning,
            )
        )
    return found


def _filters(snapshot: Snapshot) -> dict[str, list[Filter]]:
    found: dict[str, list[Filter]] = defaultdict(list)
    for each in snapshot.filters:
        found[each.destination_id].append(Filter(each.id, each.title, each.condition, each.actions, each.enabled))
    return found


def _mappings(snapshot: Snapshot) -> dict[str, list[FieldMapping]]:
    found: dict[str, list[FieldMapping]] = defaultdict(list)
    for each in snapshot.subscriptions:
        found[each.destination_id].append(FieldMapping(each.id, each.name, each.trigger, each.fields, each.enabled))
    return found


def _inserts(snapshot: Snapshot) -> dict[str, list[Function]]:
    """Return the enabled insert functions of each destination, in order; one without deployed code stands for nothing.

    Its id is the place's, because one function may stand in several places with other settings.
    """
    code = {each.id: each.code for each in snapshot.functions}
    found: dict[str, list[Function]] = defaultdict(list)
    for each in snapshot.inserts:
        if each.enabled and each.function_id in code:
            own = Function(each.id, each.name, code[each.function_id], each.settings, each.secrets)
            found[each.destination_id].append(own)
    return found


def _run_by(destination: Destination, snapshot: Snapshot) -> dict[str, Function]:
    """Return the destination functions of the same workspace that its settings name, by id."""
    named = {value for value in destination.settings.values() if isinstance(value, str)}
    return {
        each.id: Function(each.id, each.name, each.code)
        for each in snapshot.functions
        if each.kind is FunctionKind.DESTINATION and each.id in named and each.workspace_id == destination.workspace_id
    }
