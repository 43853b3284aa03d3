"""The Public API: Segment's shapes for what Segment has, our own operations in the same style."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.routing import Route

from headwater import clock as wall
from headwater.control.alerting import Alerts
from headwater.control.api import openapi
from headwater.control.api.accounts import AccountOperations
from headwater.control.api.alerts import AlertOperations
from headwater.control.api.audit import AuditOperations
from headwater.control.api.dead_letters import DeadLetterOperations
from headwater.control.api.delivery import DeliveryOperations
from headwater.control.api.destinations import DestinationOperations
from headwater.control.api.door import Door, Lobby, Operation
from headwater.control.api.events import EventOperations
from headwater.control.api.filters import FilterOperations
from headwater.control.api.functions import FunctionOperations
from headwater.control.api.insert_functions import InsertFunctionOperations
from headwater.control.api.invites import InviteOperations
from headwater.control.api.labels import LabelOperations
from headwater.control.api.overview import OverviewOperations
from headwater.control.api.paging import Pager
from headwater.control.api.published import Published
from headwater.control.api.queries import QueryOperations
from headwater.control.api.rates import Speeds
from headwater.control.api.regulations import RegulationOperations
from headwater.control.api.reloads import ReloadOperations
from headwater.control.api.replays import ReplayOperations
from headwater.control.api.roles import RoleOperations
from headwater.control.api.schema import SchemaOperations
from headwater.control.api.schema_decisions import SchemaDecisionOperations
from headwater.control.api.selective_syncs import SelectiveSyncOperations
from headwater.control.api.source_settings import SourceSettingsOperations
from headwater.control.api.sources import SourceOperations
from headwater.control.api.subscriptions import SubscriptionOperations
from headwater.control.api.syncs import SyncOperations
from headwater.control.api.tokens import TokenOperations
from headwater.control.api.tracking_plans import TrackingPlanOperations
from headwater.control.api.unmapped import UnmappedOperations
from headwater.control.api.users import UserOperations
from headwater.control.api.warehouses import WarehouseOperations
from headwater.control.api.workspace import WorkspaceOperations
from headwater.control.api.workspaces import WorkspacesOperations
from headwater.control.asking import Asking
from headwater.control.audit.witness import witnessed
from headwater.control.connecting import Connecting
from headwater.control.live import Live
from headwater.control.pipeline import Pipeline
from headwater.control.service import Control
from headwater.control.volume import Volume
from headwater.observing.seen import Seen

BASE = "/api"


@dataclass(frozen=True, slots=True)
class Parts:
    """What the API asks and changes.

    Attributes:
        control: the configuration.
        pipeline: the way to the pipeline role.
        asking: asks warehouses.
        alerts: what is wrong now and was.
        live: the log's events.
        rejected: the log's rejections, `Live(reader, Topic.REJECTED)`.
        volume: the counts.
        seen: what sources have sent.
    """

    control: Control
    pipeline: Pipeline
    asking: Asking
    alerts: Alerts
    live: Live
    rejected: Live
    volume: Volume
    seen: Seen


def build(parts: Parts, speeds: Speeds | None = None) -> list[Route]:
    """Return the API's routes, whole paths under `/api`; each endpoint is a `Door`, which lets nobody in unasked."""
    control, operations = parts.control, _operations(parts)
    by_path: dict[str, list[Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, []).append(operation)
    # A path with fewer parameters first: /dead-letters/retry is no dead letter called "retry".
    paths = sorted(by_path, key=lambda path: path.count("{"))
    speeds = speeds or Speeds()
    lobby = Lobby(
        authenticate=control.authenticate,
        source_of=control.rights.source_of,
        version=control.version,
        repeats=control.repeats,
        rates=speeds.of_tokens(time.monotonic),
        guesses=speeds.of_guesses(time.monotonic),
    )
    door = partial(Door, lobby=lobby)
    described = Route(f"{BASE}/openapi.json", Published(openapi.document(operations)).answer, methods=["GET"])
    routes = [described, *(Route(BASE + path, door(by_path[path])) for path in paths)]
    routes.append(Route(BASE, door(by_path["/"])))
    routes.append(Route(BASE + "/{rest:path}", door([])))  # the token is asked for here too
    return routes


def _operations(parts: Parts) -> list[Operation]:
    """Return what the API can do, family by family."""
    control, pipeline, asking = parts.control, parts.pipeline, parts.asking
    pager = Pager(control.stable_key("page cursors"))
    pipeline = witnessed(pipeline, control.audit)
    connecting = Connecting(control, pipeline)
    return [
        *WorkspaceOperations(control, pager).operations(),
        *WorkspacesOperations(control, pager).operations(),
        *SourceOperations(control, pager, connecting).operations(),
        *AccountOperations(control, pager, pipeline, connecting).operations(),
        *LabelOperations(control).operations(),
        *OverviewOperations(control, pager, pipeline, parts.volume, parts.seen).operations(),
        *DestinationOperations(control, pager, pipeline).operations(),
        *WarehouseOperations(control, pager, pipeline).operations(),
        *SyncOperations(control, pipeline).operations(),
        *SelectiveSyncOperations(control, pager, asking).operations(),
        *ReloadOperations(control, pipeline).operations(),
        *EventOperations(control, parts.live, parts.rejected, parts.volume).operations(),
        *FilterOperations(control, pager).operations(),
        *SubscriptionOperations(control, pager).operations(),
        *FunctionOperations(control, pager, pipeline).operations(),
        *InsertFunctionOperations(control, pager).operations(),
        *DeliveryOperations(control, pipeline).operations(),
        *DeadLetterOperations(control, pipeline).operations(),
        *ReplayOperations(control, pager, pipeline).operations(),
        *RegulationOperations(control, pager, pipeline, parts.live, asking).operations(),
        *QueryOperations(control, asking).operations(),
        *AlertOperations(control, pager, parts.alerts).operations(),
        *UnmappedOperations(control, pipeline).operations(),
        *RoleOperations(pager).operations(),
        *UserOperations(control, pager).operations(),
        *InviteOperations(control, pager, wall.now).operations(),
        *TokenOperations(control, pager, wall.now).operations(),
        *AuditOperations(control, pager).operations(),
        *SourceSettingsOperations(control, parts.seen).operations(),
        *SchemaOperations(control, pager, parts.seen).operations(),
        *SchemaDecisionOperations(control, pager).operations(),
        *TrackingPlanOperations(control, pager, parts.seen).operations(),
    ]


def described(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the OpenAPI document of the API's routes."""
    doors = [route.endpoint for route in routes if isinstance(route.endpoint, Door)]
    found = {(each.method, each.path): each for door in doors for each in door.operations.values()}
    return openapi.document(found.values())
