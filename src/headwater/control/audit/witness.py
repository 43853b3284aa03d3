"""What is ordered of the pipeline role and matters later leaves an entry, too: replays, dead letters, back-fills."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from sqlalchemy import Table

from headwater.control.audit.trail import Audit
from headwater.control.database import accounts, destinations, warehouses
from headwater.control.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Deed:
    """How an order is written down.

    Attributes:
        type: what the trail calls it.
        resource_type: of what it is done to.
        argument: names the argument that holds the resource's id.
        table: where the resource's name stands.
    """

    type: str
    resource_type: str
    argument: str
    table: Table | None = None


DEEDS: Final[Mapping[str, Deed]] = {
    "replay": Deed("Replay Started", "DESTINATION", "destination_id", destinations),
    "cancel_replay": Deed("Replay Cancelled", "REPLAY", "replay_id"),
    "resume": Deed("Destination Resumed", "DESTINATION", "destination_id", destinations),
    "retry_dead_letters": Deed("Dead Letters Retried", "DESTINATION", "destination_id", destinations),
    "discard_dead_letters": Deed("Dead Letters Discarded", "DESTINATION", "destination_id", destinations),
    "reload": Deed("Warehouse Reload Started", "WAREHOUSE", "warehouse_id", warehouses),
    "cancel_reload": Deed("Warehouse Reload Cancelled", "RELOAD", "reload_id"),
    "remove_person": Deed("Person Removed From Warehouses", "WAREHOUSE", "warehouse_id", warehouses),
    "account_backfill": Deed("Back-fill Started", "ACTIVECAMPAIGN_CONNECTION", "connection_id", accounts),
    "account_reconcile": Deed("Reconciliation Started", "ACTIVECAMPAIGN_CONNECTION", "connection_id", accounts),
    "account_cancel": Deed("Run Cancelled", "ACTIVECAMPAIGN_CONNECTION", "connection_id", accounts),
    "account_complaints": Deed("Complaints Imported", "ACTIVECAMPAIGN_CONNECTION", "connection_id", accounts),
    "retry_unmapped": Deed("Unmapped Retried", "SOURCE", "source_id"),
}
"""The pipeline's methods that leave an entry; a `dry_run` leaves none, and what only asks or tries is not here."""

_TOLD: Final = ("since", "until", "event", "name", "source_ids", "collections", "campaigns", "run_id")
"""Arguments that an entry tells; the others may hold data of recipients."""


class Witness:
    """Passes everything on to the pipeline, and writes the deeds down once they are done."""

    def __init__(self, pipeline: Pipeline, audit: Audit) -> None:
        self._pipeline, self._audit = pipeline, audit

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._pipeline, name)
        return method if name not in DEEDS else self._witnessed(DEEDS[name], name, method)

    def _witnessed(self, deed: Deed, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(getattr(Pipeline, name))

        async def done(*values: Any, **named: Any) -> Any:
            result = await method(*values, **named)
            arguments = signature.bind(self, *values, **named).arguments
            if not arguments.get("dry_run"):
                await asyncio.to_thread(self._write, deed, arguments, result)
            return result

        return done

    def _write(self, deed: Deed, arguments: Mapping[str, Any], result: Any) -> None:
        row_id = str(arguments.get(deed.argument) or "")
        name, workspace_id = self._audit.called(deed.table, row_id) if deed.table is not None else ("", None)
        told = {each: arguments[each] for each in _TOLD if arguments.get(each)}
        if isinstance(result, Mapping) and isinstance(result.get("count"), int):
            told["count"] = result["count"]
        self._audit.note(deed.type, workspace_id, (deed.resource_type, row_id, name), told)


def witnessed(pipeline: Pipeline, audit: Audit) -> Pipeline:
    """Return the pipeline as API and pages get it."""
    return cast("Pipeline", Witness(pipeline, audit))
