"""The web role: the control database's owner, the Public API and the pages."""

from __future__ import annotations

from typing import cast

from starlette.applications import Starlette

from headwater.alerts import book as alert_book
from headwater.alerts.book import Book
from headwater.alerts.channels import Messenger
from headwater.alerts.mail import Mailer
from headwater.alerts.mail import server as mail_server
from headwater.app.alerting import Alerting
from headwater.app.place import Place
from headwater.app.retention import retain_audit
from headwater.app.rpc import Caller, Remote
from headwater.app.serving import Server, alongside
from headwater.clock import now
from headwater.config import Settings
from headwater.control import api
from headwater.control.alerting import Alerts
from headwater.control.api.rates import Speeds
from headwater.control.live import Live
from headwater.control.people.invites import Post
from headwater.control.people.oidc import Provider, Registration
from headwater.control.pipeline import Pipeline
from headwater.control.service import open_control
from headwater.control.volume import Volume
from headwater.delivery.address import Policy
from headwater.delivery.http import GuardedHttp
from headwater.eventlog.contract import Topic
from headwater.eventlog.reader import SegmentReader
from headwater.observing.seen import Seen
from headwater.outgoing import Http
from headwater.reports.query import Queries
from headwater.web import api_docs
from headwater.web import app as pages


async def run(place: Place) -> None:
    """Answer until this process is told to stop."""
    settings = place.settings
    reader = SegmentReader(settings.log_dir)
    mail = Mailer(mail_server(settings.smtp_url.reveal(), settings.mail_from)) if settings.smtp_url else None
    control = open_control(
        settings.control_url,
        place.keys,
        region=settings.region,
        source_regions=settings.source_regions,
        policy=Policy(settings.allow_networks),
        log_end=lambda: reader.end(Topic.EVENTS),
        post=Post(place.public_url, mail),
    )
    volume = Volume(reader, settings.state_dir / "volume.db")
    live, refused = Live(reader), Live(reader, Topic.REJECTED)
    caller = Caller(place.pipeline_url, place.token, who="pipeline role")
    pipeline = cast("Pipeline", Remote(Pipeline, caller))
    queries = Queries(
        settings.data_dir / "warehouses", control.warehouses.opened, owner_of=control.warehouses.workspace_of
    )
    http = GuardedHttp(Policy(settings.allow_networks))
    messenger = Messenger(http, mail, place.public_url)
    alerts = Alerts(control, Book(settings.state_dir / alert_book.FILE), messenger, place.public_url)
    seen = Seen(settings.state_dir)
    routes = pages.build(
        control,
        volume,
        live,
        refused,
        pipeline,
        queries,
        session_secret=control.stable_key("sessions"),
        public_url=place.public_url,
        open_access=place.open_access,
        alerts=alerts,
        provider=_provider(settings, http),
        seen=seen,
    )
    parts = api.Parts(control, pipeline, queries, alerts, live, refused, volume, seen)
    doors = api.build(parts, Speeds(settings.api_requests_per_s))
    documentation = api_docs.build(api.described(doors), place.public_url)
    server = Server(Starlette(routes=[*documentation, *doors, *routes]))
    alerting = Alerting(control, volume, pipeline, alerts.book, messenger, settings.data_dir)
    async with alongside(server.stop, volume=volume.run(), alerts=alerting.run(), audit=retain_audit(control)):
        await server.serve(place.listener)
    await http.close()
    await caller.close()
    control.close()


def _provider(settings: Settings, http: Http) -> Provider | None:
    """Return the identity provider that the settings name, None where they name none."""
    if settings.oidc_client_secret is None:
        return None
    secret = settings.oidc_client_secret.reveal()
    named = Registration(settings.oidc_issuer, settings.oidc_client_id, secret, settings.oidc_allowed_domains)
    return Provider(named, http, now)
