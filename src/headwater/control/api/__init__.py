"""The Public API: Segment's shapes for what Segment has, our own operations in the same style."""

from __future__ import annotations

from functools import partial

from starlette.routing import Route

from headwater.control.api.accounts import AccountOperations
from headwater.control.api.dead_letters import DeadLetterOperations
from headwater.control.api.delivery import DeliveryOperations
from headwater.control.api.destinations import DestinationOperations
from headwater.control.api.door import Door, Operation
from headwater.control.api.events import EventOperations
from headwater.control.api.filters import FilterOperations
from headwater.control.api.functions import FunctionOperations
from headwater.control.api.insert_functions import InsertFunctionOperations
from headwater.control.api.paging import Pager
from headwater.control.api.queries import QueryOperations
from headwater.control.api.reloads import ReloadOperations
from headwater.control.api.replays import ReplayOperations
from headwater.control.api.selective_syncs import SelectiveSyncOperations
from headwater.control.api.sources import SourceOperations
from headwater.control.api.subscriptions import SubscriptionOperations
from headwater.control.api.syncs import SyncOperations
from headwater.control.api.unmapped import UnmappedOperations
from headwater.control.api.warehouses import WarehouseOperations
from headwater.control.api.workspace import WorkspaceOperations
from headwater.control.asking import Asking
from headwater.control.connecting import Connecting
from headwater.control.live import Live
from headwater.control.pipeline import Pipeline
from headwater.control.service import Control
from headwater.control.volume import Volume

BASE = "/api"


def build(
    control: Control, live: Live, volume: Volume, pipeline: Pipeline, asking: Asking, rejected: Live
) -> list[Route]:
    """Return the API's routes, whole paths under `/api`; each endpoint is a `Door`, which lets nobody in unasked.

    Args:
        control: the configuration.
        live: the log's events.
        volume: the counts.
        pipeline: the way to the pipeline role.
        asking: asks warehouses.
        rejected: the log's rejections, `Live(reader, Topic.REJECTED)`.
    """
    pager = Pager(control.stable_key("page cursors"))
    connecting = Connecting(control, pipeline)
    operations = [
        *WorkspaceOperations(control, pager).operations(),
        *SourceOperations(control, pager, connecting).operations(),
        *AccountOperations(control, pager, pipeline, connecting).operations(),
        *DestinationOperations(control, pager, pipeline).operations(),
        *WarehouseOperations(control, pager, pipeline).operations(),
        *SyncOperations(control, pipeline).operations(),
        *SelectiveSyncOperations(control, pager, asking).operations(),
        *ReloadOperations(control, pipeline).operations(),
        *EventOperations(control, live, rejected, volume).operations(),
        *FilterOperations(control, pager).operations(),
        *SubscriptionOperations(control, pager).operations(),
        *FunctionOperations(control, pager, pipeline).operations(),
        *InsertFunctionOperations(control, pager).operations(),
        *DeliveryOperations(control, pipeline).operations(),
        *DeadLetterOperations(control, pipeline).operations(),
        *ReplayOperations(control, pager, pipeline).operations(),
        *QueryOperations(control, asking).operations(),
        *UnmappedOperations(control, pipeline).operations(),
    ]
    by_path: dict[str, list[Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, []).append(operation)
    # A path with fewer parameters first: /dead-letters/retry is no dead letter called "retry".
    paths = sorted(by_path, key=lambda path: path.count("{"))
    door = partial(Door, authenticate=control.authenticate, source_of=control.rights.source_of)
    routes = [Route(BASE + path, door(by_path[path])) for path in paths]
    routes.append(Route(BASE, door(by_path["/"])))
    routes.append(Route(BASE + "/{rest:path}", door([])))  # the token is asked for here too
    return routes
