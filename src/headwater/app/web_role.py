"""The web role: the control database's owner, the Public API and the pages."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import cast

from starlette.applications import Starlette

from headwater.app.place import Place
from headwater.app.rpc import Caller, Remote
from headwater.app.serving import Server, alongside
from headwater.config import Settings
from headwater.control import api
from headwater.control.live import Live
from headwater.control.models import WarehouseEntry
from headwater.control.pipeline import Pipeline
from headwater.control.secrets import derived_key
from headwater.control.service import Control, open_control
from headwater.control.volume import Volume
from headwater.control.workspaces import EMBEDDED
from headwater.delivery.address import Policy
from headwater.errors import QueryError
from headwater.eventlog.contract import Topic
from headwater.eventlog.reader import SegmentReader
from headwater.limits import QUERY_ROWS_MAX
from headwater.reports import query
from headwater.warehouses import embedded
from headwater.web import app as pages


async def run(place: Place) -> None:
    """Answer until this process is told to stop."""
    settings = place.settings
    reader = SegmentReader(settings.log_dir)
    control = open_control(
        settings.control_url,
        place.secret,
        region=settings.region,
        source_regions=settings.source_regions,
        policy=Policy(settings.allow_networks),
        log_end=lambda: reader.end(Topic.EVENTS),
    )
    volume = Volume(reader, settings.state_dir / "volume.db")
    live, refused = Live(reader), Live(reader, Topic.REJECTED)
    caller = Caller(place.pipeline_url, place.token, who="pipeline role")
    pipeline = cast("Pipeline", Remote(Pipeline, caller))
    answers = partial(ask, settings)

    async def ask_first(sql: str) -> query.Result:
        return await asyncio.to_thread(lambda: answers(first(control), sql, QUERY_ROWS_MAX))

    routes = pages.build(
        control,
        volume,
        live,
        refused,
        pipeline,
        ask_first,
        session_secret=derived_key(place.secret, "sessions"),
        public_url=place.public_url,
        open_access=place.open_access,
    )
    server = Server(Starlette(routes=[*api.build(control, live, volume, pipeline, answers, refused), *routes]))
    async with alongside(server.stop, volume=volume.run()):
        await server.serve(place.listener)
    await caller.close()
    control.close()


def first(control: Control) -> WarehouseEntry:
    """Return the oldest warehouse, which the pages ask.

    Raises:
        QueryError: there is none.
    """
    found = control.warehouses.all(control.workspaces.get().id)
    if not found:
        raise QueryError("There is no warehouse to ask; `headwater warehouses create --type embedded` makes one.")
    return found[0]


def ask(settings: Settings, warehouse: WarehouseEntry, sql: str, rows_max: int) -> query.Result:
    """Return what a warehouse answers.

    Raises:
        QueryError: the SQL is refused or failed, or this kind of warehouse is not asked here.
    """
    if warehouse.type != EMBEDDED:
        raise QueryError(f"{warehouse.name} is asked with its own tools; here you can ask embedded warehouses.")
    home = settings.data_dir / "warehouses" / warehouse.id
    directory = embedded.directory(embedded.Settings(**warehouse.settings), home)
    return query.run(directory, sql, rows_max=rows_max)
