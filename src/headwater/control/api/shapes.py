"""What the API shows of each thing, in the shapes of Segment's Public API; our additions stand beside its members."""

from __future__ import annotations

from typing import Any, Final

from headwater.control import loads, tuning
from headwater.control.catalog import Catalog, Entry, Kind
from headwater.control.models import Caller, Destination, Role, Source, WarehouseEntry, Workspace
from headwater.control.moments import text_of
from headwater.control.options import Option
from headwater.errors import NotFoundError
from headwater.loading.rules import Rules

Shape = dict[str, Any]

_ACTION: Final = {
    "id": "event",
    "slug": "event",
    "name": "Send the event",
    "description": "Sends the event, with the fields of the mapping set.",
    "platform": "CLOUD",
    "hidden": False,
    "defaultTrigger": None,
    "fields": [],
}
"""The one action of every destination, in Segment's shape."""


def workspace(value: Workspace) -> Shape:
    """Return a workspace."""
    return {"id": value.id, "slug": value.slug, "name": value.name, "region": value.region}


def source(value: Source, catalog: Catalog, caller: Caller) -> Shape:
    """Return a source; only those who may change it see its write keys, and nobody its webhook secret."""
    return {
        "id": value.id,
        "slug": value.slug,
        "name": value.name,
        "metadata": _metadata(catalog, Kind.SOURCE, value.type),
        "workspaceId": value.workspace_id,
        "enabled": value.enabled,
        "writeKeys": list(value.write_keys) if caller.may(Role.SOURCE_ADMIN, "sources:write", value.id) else [],
        "settings": dict(value.settings),
        "labels": [{"key": each.key, "value": each.value, "description": each.description} for each in value.labels],
        "schemaName": value.schema_name,
        "regionAllowed": value.region_allowed,
        "createdAt": text_of(value.created_at),
        "retentionDays": value.retention_days,
        "retentionBytes": value.retention_bytes,
    }


def destination(value: Destination, catalog: Catalog) -> Shape:
    """Return a destination, its secrets masked."""
    return {
        "id": value.id,
        "name": value.name,
        "enabled": value.enabled,
        "metadata": _metadata(catalog, Kind.DESTINATION, value.type),
        "sourceId": value.source_id,
        "settings": dict(value.settings),
        "delivery": tuning.shape(value.tuning),
        "createdAt": text_of(value.created_at),
    }


def warehouse(value: WarehouseEntry, catalog: Catalog) -> Shape:
    """Return a warehouse, its secrets masked. Segment keeps the name among the settings: it is in both places."""
    return {
        "id": value.id,
        "name": value.name,
        "metadata": _metadata(catalog, Kind.WAREHOUSE, value.type),
        "workspaceId": value.workspace_id,
        "enabled": value.enabled,
        "settings": {"name": value.name, **value.settings},
        "rules": rules(value.rules),
        "schedule": loads.shape(value.schedule),
        "keepDays": value.keep_days,
        "models": loads.shape(value.models),
        "excluded": len(value.excluded),
        "createdAt": text_of(value.created_at),
    }


def rules(value: Rules) -> Shape:
    """Return the rules of a warehouse; `preset` is the name of the set that they are, or null."""
    return {**loads.shape(value), "preset": loads.preset_of(value)}


def _metadata(catalog: Catalog, kind: Kind, type_: str) -> Shape:
    try:
        return entry(catalog.find(kind, type_))
    except NotFoundError:  # its type left the shelf: the instance is still shown
        return {
            "id": type_,
            "name": type_,
            "slug": type_,
            "description": "This version of Headwater does not have this type.",
            "logos": {"default": ""},
            "options": [],
            "categories": [],
        }


def entry(value: Entry, region: str | None = None) -> Shape:
    """Return an entry of the catalog; with `region`, also whether and why it cannot be added there."""
    shape: Shape = {
        "id": value.id,
        "name": value.name,
        "slug": value.slug,
        "description": value.description,
        "logos": {"default": ""},
        "options": [_option(option) for option in value.options],
        "categories": list(value.categories),
    }
    if value.kind is Kind.SOURCE:
        shape |= {"isCloudEventSource": value.cloud, "status": "PUBLIC", "partnerOwned": False}
        shape |= {"regions": list(value.regions), "suggestedSchemaName": value.schema_name}
    if value.kind is Kind.DESTINATION:
        shape |= _destination_metadata(value)
    if value.kind is Kind.WAREHOUSE:
        missing = value.missing()
        shape |= {"extra": value.extra, "notes": list(value.notes), "installed": not missing, "missing": missing}
    if region is not None:
        reason = value.why_not(region)
        shape |= {"available": not reason, "unavailableReason": reason}
    return shape


def _destination_metadata(value: Entry) -> Shape:
    calls = {str(call) for call in value.card.calls}
    return {
        "status": "PUBLIC",
        "previousNames": [],
        "website": "",
        "components": [],
        "supportedFeatures": {"cloudModeInstances": "MULTIPLE", "deviceModeInstances": "NONE", "replay": True},
        "supportedMethods": {
            "pageview": "page" in calls,
            "identify": "identify" in calls,
            "alias": "alias" in calls,
            "track": "track" in calls,
            "group": "group" in calls,
        },
        "supportedPlatforms": {"browser": True, "server": True, "mobile": True},
        "actions": [_ACTION],
        "presets": [],
        "partnerOwned": False,
        "supportedRegions": list(value.regions),
    }


def _option(value: Option) -> Shape:
    choices = {"choices": list(value.choices)} if value.choices else {}
    return choices | {
        "name": value.name,
        "type": value.type,
        "required": value.required,
        "description": value.description,
        "defaultValue": value.default,
        "label": value.label,
        "secret": value.secret,
    }
