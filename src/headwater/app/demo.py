"""`headwater demo`: the service plus a simulated ActiveCampaign account, set up through the API that everybody has.

Both directions run: email events come from the account and go to a receiver, what people do in the shop goes to the
account's contacts.
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import sys
import threading
from datetime import UTC, datetime
from typing import Any, Final

import click

from headwater import config, telemetry
from headwater.app.api import Api
from headwater.app.start import supervised
from headwater.app.supervisor import Supervisor, listen
from headwater.clock import now
from headwater.config import Settings
from headwater.errors import ConfigError, HeadwaterError
from headwater.simulators.activecampaign.api.tracking import ACTID, EVENT_KEY

DIRECTORY: Final = "headwater-demo"
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_CAMPAIGNS_SINCE: Final = datetime(2026, 1, 1, tzinfo=UTC)
_QUERY: Final = "select event, count(*) from activecampaign.tracks group by 1"


def demo(*, speed: float, **flags: Any) -> None:
    """Run the demo until it is told to stop."""
    os.environ.setdefault("HEADWATER_ALLOW_NETWORKS", "127.0.0.0/8")  # its destinations are on this machine
    os.environ.setdefault("HEADWATER_LOG_LEVEL", "warning")
    settings = config.read({**flags, "data_dir": flags.get("data_dir") or DIRECTORY})
    if settings.host not in _LOOPBACK:
        raise ConfigError("The demo lets everybody in, so it runs on 127.0.0.1 only; use `headwater serve` elsewhere.")
    telemetry.configure(settings.log_level, "demo")
    again = (settings.data_dir / "control.db").exists()
    supervisor = supervised(settings, flags, open_access=True)
    supervisor.on_ready = lambda url, _: threading.Thread(
        target=_set_up, args=(supervisor, url, settings, _story(speed, again=again)), daemon=True
    ).start()
    sys.exit(supervisor.run())


def _set_up(supervisor: Supervisor, url: str, settings: Settings, story: list[str]) -> None:
    """Make sources and destinations where they are missing, start the simulated account, connect it, read its past."""
    try:
        shop = Api(url, settings)
        shop.wait()
        receiver_secret = "whsec_" + secrets.token_urlsafe(24).replace("-", "A").replace("_", "B")
        api_key = secrets.token_hex(36)
        with listen("127.0.0.1", 0) as free:
            account = f"http://127.0.0.1:{free.getsockname()[1]}"
        email = shop.source("activecampaign", "activecampaign", "ActiveCampaign")
        website = shop.source("website", "http-api", "Outdoor shop")
        settings_of_hook = {"url": f"{account}/receiver", "secret": receiver_secret}
        shop.destination(email["id"], "webhook", "Demo receiver", settings_of_hook)
        supervisor.add(
            "simulator",
            [
                *(sys.executable, "-m", "headwater", "simulate", "--alive-fd={alive}", "activecampaign"),
                f"--port={account.rpartition(':')[2]}",
                *story,
            ],
            {
                "SIMULATE_API_KEY": api_key,
                "SIMULATE_TRACKING_URL": url,
                "SIMULATE_WRITE_KEY": website["writeKeys"][0],
                "SIMULATE_RECEIVER_SECRET": receiver_secret,
            },
        )
        shop.connect(account, api_key, email)
        keys = {"api_key": api_key, "event_key": EVENT_KEY, "actid": ACTID}
        shop.destination(
            website["id"], "activecampaign", "ActiveCampaign", {**keys, "api_url": account, "tracking_url": account}
        )
    except (OSError, HeadwaterError, KeyError) as error:
        click.echo(f"headwater: the demo could not be set up: {error}", err=True)
        return
    _greet(url, account)


def _story(speed: float, *, again: bool) -> list[str]:
    """Return what the account is told: a week of past at first, later only new campaigns, under ids of their own."""
    common = [f"--speed={speed}", "--contacts=1500", "--history=past", "--report-page=100"]
    if not again:
        return [*common, "--history-campaigns=4"]
    minutes = int((now() - _CAMPAIGNS_SINCE).total_seconds() // 60)
    return [*common, "--history-campaigns=0", f"--first-campaign={minutes}"]


def _greet(url: str, account: str) -> None:
    click.echo(
        f"""
  {click.style("Headwater's demo runs.", bold=True)} Ctrl-C ends it; it goes on where it was when you start it again.

  The account           {click.style(f"{url}/default/apps/activecampaign", fg="cyan")}
  Watch events arrive   {click.style(f"{url}/default/sources/activecampaign/debugger", fg="cyan")}
  All pages             {click.style(url, fg="cyan")}
  Its destinations      {click.style(f"{url}/default/destinations", fg="cyan")}  shop events go back to the account
  What one received     {click.style(f"{account}/receiver", fg="cyan")}
  Ask the warehouse     {click.style(f'{_typed()} query "{_QUERY}"', fg="cyan")}
"""
    )


def _typed() -> str:
    """Return how this program is called from this directory: its name is enough only where it is on the PATH."""
    if shutil.which("headwater"):
        return "headwater"
    return shlex.quote(os.path.relpath(sys.argv[0]))
