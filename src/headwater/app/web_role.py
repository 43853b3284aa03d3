"""The web role: the control database's owner, the Public API and the pages."""

from __future__ import annotations

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
from headwater.delivery.address import Policy
from headwater.eventlog.contract import Topic
from headwater.eventlog.reader import SegmentReader
from headwater.reports.query import Queries
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
    queries = Queries(settings.data_dir / "warehouses", control.warehouses.opened)
    routes = pages.build(
        control,
        volume,
        live,
        refused,
        pipeline,
        queries,
        session_secret=derived_key(place.secret, "sessions"),
        public_url=place.public_url,
        open_access=place.open_access,
    )
    server = Server(Starlette(routes=[*api.build(control, live, volume, pipeline, queries, refused), *routes]))
    async with alongside(server.stop, volume=volume.run()):
        await server.serve(place.listener)
    await caller.close()
    control.close()
