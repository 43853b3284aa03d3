"""`headwater demo`: the service plus a simulated ActiveCampaign account, set up through the API that everybody has."""

from __future__ import annotations

import json
import os
import secrets
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import click

from headwater import config, telemetry
from headwater.app.start import supervised
from headwater.app.supervisor import Supervisor, listen
from headwater.clock import now
from headwater.config import Settings
from headwater.control import local_token
from headwater.errors import ConfigError, HeadwaterError

DIRECTORY: Final = "headwater-demo"
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_PATIENCE_S: Final = 60.0
_QUERY: Final = "select event, count(*) from activecampaign.tracks group by 1"


def demo(*, speed: float, **flags: Any) -> None:
    """Run the demo until it is told to stop."""
    os.environ.setdefault("HEADWATER_ALLOW_NETWORKS", "127.0.0.0/8")  # its destination is on this machine
    os.environ.setdefault("HEADWATER_LOG_LEVEL", "warning")
    settings = config.read({**flags, "data_dir": flags.get("data_dir") or DIRECTORY})
    if settings.host not in _LOOPBACK:
        raise ConfigError("The demo lets everybody in, so it runs on 127.0.0.1 only; use `headwater serve` elsewhere.")
    telemetry.configure(settings.log_level, "demo")
    supervisor = supervised(settings, flags, open_access=True)
    supervisor.on_ready = lambda url, _: threading.Thread(
        target=_set_up, args=(supervisor, url, settings, speed), daemon=True
    ).start()
    sys.exit(supervisor.run())


def _set_up(supervisor: Supervisor, url: str, settings: Settings, speed: float) -> None:
    """Make the sources and the destination where they are missing, then start the simulated account."""
    try:
        shop = _Api(url, settings)
        shop.wait()
        receiver_secret = "whsec_" + secrets.token_urlsafe(24).replace("-", "A").replace("_", "B")
        with listen("127.0.0.1", 0) as free:
            port = free.getsockname()[1]
        campaigns = shop.source("activecampaign", "activecampaign", "ActiveCampaign")
        website = shop.source("website", "http-api", "Outdoor shop")
        settings_of_hook = {"url": f"http://127.0.0.1:{port}/receiver", "secret": receiver_secret}
        shop.destination(campaigns["id"], "webhook", "Demo receiver", settings_of_hook)
    except (OSError, HeadwaterError, KeyError) as error:
        click.echo(f"headwater: the demo could not be set up: {error}", err=True)
        return
    supervisor.add(
        "simulator",
        [
            sys.executable,
            "-m",
            "headwater",
            "simulate",
            "--alive-fd={alive}",
            "activecampaign",
            f"--port={port}",
            f"--speed={speed}",
        ],
        {
            "SIMULATE_WEBHOOK_URL": shop.webhook_url(campaigns),
            "SIMULATE_TRACKING_URL": url,
            "SIMULATE_WRITE_KEY": website["writeKeys"][0],
            "SIMULATE_RECEIVER_SECRET": receiver_secret,
        },
    )
    _greet(url, port)


def _greet(url: str, port: int) -> None:
    click.echo(
        f"""
  {click.style("Headwater's demo runs.", bold=True)} Ctrl-C ends it; it goes on where it was when you start it again.

  Watch events arrive   {click.style(f"{url}/default/sources/activecampaign/debugger", fg="cyan")}
  All pages             {click.style(url, fg="cyan")}
  The destination       {click.style(f"http://127.0.0.1:{port}/receiver", fg="cyan")}
  Ask the warehouse     {click.style(f'headwater query "{_QUERY}"', fg="cyan")}
"""
    )


@dataclass(frozen=True, slots=True)
class _Api:
    """The Public API, as far as the demo needs it."""

    url: str
    settings: Settings

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the answer's `data`."""
        token = local_token.make(config.secret_key(self.settings), now())
        request = urllib.request.Request(  # noqa: S310 - our own address
            f"{self.url}/api{path}",
            None if body is None else json.dumps(body).encode(),
            {"authorization": f"Bearer {token}", "content-type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            data: dict[str, Any] = json.loads(answer.read())["data"]
            return data

    def wait(self) -> None:
        """Return once every role answers."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/health/ready", timeout=5) as answer:  # noqa: S310
                    if answer.status == 200:  # noqa: PLR2004 - HTTP OK
                        return
            except OSError:
                time.sleep(0.2)
        raise ConfigError(f"the service did not become ready within {_PATIENCE_S:g} seconds; see its messages above.")

    def source(self, slug: str, kind: str, name: str) -> dict[str, Any]:
        """Return the source with this slug, made if it is missing."""
        for source in self.call("GET", "/sources?pagination.count=100")["sources"]:
            if source["slug"] == slug:
                return dict(source)
        made = self.call("POST", "/sources", {"slug": slug, "enabled": True, "metadataId": kind, "name": name})
        return dict(made["source"])

    def destination(self, source_id: str, kind: str, name: str, settings: Mapping[str, Any]) -> None:
        """Connect the destination, or bring the settings of the one of this name up to date."""
        for each in self.call("GET", "/destinations?pagination.count=100")["destinations"]:
            if each["name"] == name:
                self.call("PATCH", f"/destinations/{each['id']}", {"settings": settings})
                return
        wanted = {"sourceId": source_id, "metadataId": kind, "name": name, "enabled": True, "settings": settings}
        self.call("POST", "/destinations", wanted)

    def webhook_url(self, source: Mapping[str, Any]) -> str:
        """Return a new address for the account's webhooks, once the door knows it."""
        path = self.call("POST", f"/sources/{source['id']}/webhook-secret", {})["webhookPath"]
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}{path}", timeout=5):  # noqa: S310
                    return f"{self.url}{path}"
            except urllib.error.HTTPError:  # 403 until the configuration has reached the door
                time.sleep(0.1)
        raise ConfigError("the webhook address did not come to life; see the messages above.")
