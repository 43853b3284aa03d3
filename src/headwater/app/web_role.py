"""The web role: the control database's owner, the Public API and the pages."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import cast

from starlette.applications import Starlette

from headwater.app.place import Place
from headwater.app.rpc import Caller, Remote
from headwater.app.serving import Server, alongside
from headwater.control import api
from headwater.control.live import Live
from headwater.control.pipeline import Pipeline
from headwater.control.secrets import derived_key
from headwater.control.service import open_control
from headwater.control.volume import Volume
from headwater.eventlog.reader import SegmentReader
from headwater.reports import query
from headwater.web import app as pages


async def run(place: Place) -> None:
    """Answer until this process is told to stop."""
    settings = place.settings
    control = open_control(
        settings.control_url, place.secret, region=settings.region, source_regions=settings.source_regions
    )
    reader = SegmentReader(settings.log_dir)
    volume = Volume(reader, settings.state_dir / "volume.db")
    live = Live(reader)
    caller = Caller(place.pipeline_url, place.token, who="pipeline role")
    pipeline = cast("Pipeline", Remote(Pipeline, caller))
    routes = pages.build(
        control,
        volume,
        live,
        pipeline,
        partial(asyncio.to_thread, query.run, settings.warehouse_dir),
        session_secret=derived_key(place.secret, "sessions"),
        public_url=place.public_url,
        open_access=place.open_access,
    )
    server = Server(Starlette(routes=[*api.build(control, live, volume, pipeline), *routes]))
    async with alongside(server.stop, volume=volume.run()):
        await server.serve(place.listener)
    await caller.close()
    control.close()
