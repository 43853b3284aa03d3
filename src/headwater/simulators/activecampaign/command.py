"""The simulator's command line: `headwater simulate activecampaign`."""

from __future__ import annotations

import asyncio
import signal
from datetime import datetime
from typing import Any, Final

import click

from headwater.clock import now
from headwater.simulators.activecampaign.server import Program, serve
from headwater.simulators.activecampaign.settings import Settings, Switches
from headwater.simulators.activecampaign.simulation import Targets

_SHARE: Final = click.FloatRange(0, 1)


@click.command()
@click.option("--port", default=8091, show_default=True, type=click.IntRange(0, 65535), help="0 for any free port.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same account.")
@click.option(
    "--webhook-url",
    "webhook_urls",
    multiple=True,
    envvar="SIMULATE_WEBHOOK_URL",
    help="Where webhooks go; may be repeated.",
)
@click.option(
    "--tracking-url",
    default="",
    envvar="SIMULATE_TRACKING_URL",
    help="Base URL of a Tracking API: what people do in the shop goes there.",
)
@click.option("--write-key", default="", envvar="SIMULATE_WRITE_KEY", help="Write key for the Tracking API.")
@click.option(
    "--receiver-secret",
    default="",
    envvar="SIMULATE_RECEIVER_SECRET",
    help="Refuse deliveries to /receiver that are not signed with it.",
)
@click.option("--contacts", default=3_000, show_default=True, type=click.IntRange(min=1))
@click.option("--speed", default=1.0, show_default=True, type=click.FloatRange(min=0, min_open=True))
@click.option("--duration", type=click.FloatRange(min=0), help="Seconds to run; without end when left out.")
@click.option("--present", type=click.DateTime(), help="End of the history, UTC; now when left out.")
@click.option("--history-days", default=7, show_default=True, type=click.IntRange(1, 365))
@click.option("--first-campaign", default=1, show_default=True, type=click.IntRange(min=1), help="Its id.")
@click.option("--history-campaigns", default=5, show_default=True, type=click.IntRange(min=0))
@click.option("--history-rate", default=250.0, show_default=True, type=click.FloatRange(min=0, min_open=True))
@click.option(
    "--live-campaigns", type=click.IntRange(min=0), help="Campaigns after the history; without end when left out."
)
@click.option("--events", default="open,click,unsubscribe,bounce", show_default=True, help="Subscribed webhook types.")
@click.option("--repeats", default="first", show_default=True, type=click.Choice(["first", "every"]))
@click.option("--lists", default="indexed", show_default=True, type=click.Choice(["indexed", "scalar"]))
@click.option(
    "--unsubscribe-lists", default="repeated", show_default=True, type=click.Choice(["repeated", "indexed", "scalar"])
)
@click.option("--unsubscribes", default="twice", show_default=True, type=click.Choice(["twice", "once"]))
@click.option("--campaign-block", default="name", show_default=True, type=click.Choice(["name", "id", "full"]))
@click.option("--field-keys", default="numeric", show_default=True, type=click.Choice(["numeric", "perstag"]))
@click.option("--complaints", default="unsubscribe", show_default=True, type=click.Choice(["unsubscribe", "nothing"]))
@click.option("--apple-privacy", default="sent", show_default=True, type=click.Choice(["sent", "silent"]))
@click.option("--times", default="central", show_default=True, type=click.Choice(["central", "naive", "fixed"]))
@click.option("--duplicates", default=0.0, type=_SHARE, help="Share of webhooks that are sent twice.")
@click.option("--delays", default=0.0, type=_SHARE, help="Share of webhooks that come minutes or hours late.")
@click.option("--reorders", default=0.0, type=_SHARE, help="Share of webhooks that are overtaken by others.")
@click.option("--losses", default=0.0, type=_SHARE, help="Share of webhooks that are never sent.")
@click.option("--long-url-chars", default=0, type=click.IntRange(0, 200_000), help="Length of one link of a campaign.")
def command(**options: Any) -> None:
    r"""Play an ActiveCampaign account: campaigns, webhooks over HTTP, and people who shop after a click.

    GET /ledger tells what really happened; POST /receiver takes a destination's deliveries, GET /receiver counts them.

    \b
    Example:
      headwater simulate activecampaign --webhook-url http://localhost:8080/webhooks/activecampaign/SECRET \
        --tracking-url http://localhost:8080 --write-key KEY
    """
    program = program_of(options)
    asyncio.run(_until_signalled(program))


def program_of(options: dict[str, Any]) -> Program:
    """Return what the options ask for.

    Raises:
        click.UsageError: options that do not go together.
    """
    for url in (*options["webhook_urls"], options["tracking_url"]):
        if url and not url.startswith(("http://", "https://")):
            raise click.UsageError(f"{url!r} is no address; write it with http:// or https:// in front.")
    if bool(options["tracking_url"]) != bool(options["write_key"]):
        raise click.UsageError("--tracking-url and --write-key go together; give both or neither.")
    present: datetime | None = options["present"]
    return Program(
        settings=Settings(
            seed=options["seed"],
            contacts=options["contacts"],
            present=present.replace(tzinfo=now().tzinfo) if present else now(),
            history_days=options["history_days"],
            first_campaign=options["first_campaign"],
            history_campaigns=options["history_campaigns"],
            live_campaigns=options["live_campaigns"],
            speed=options["speed"],
            history_per_s=options["history_rate"],
            events=tuple(options["events"].replace(" ", "").split(",")),
            switches=Switches(**{name: options[name] for name in Switches.__dataclass_fields__}),
        ),
        targets=Targets(tuple(options["webhook_urls"]), options["tracking_url"], options["write_key"]),
        host=options["host"],
        port=options["port"],
        receiver_secret=options["receiver_secret"],
        duration_s=options["duration"],
    )


async def _until_signalled(program: Program) -> None:
    serving = asyncio.create_task(serve(program, _started))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.cancel)
    try:
        await serving
    except asyncio.CancelledError:
        return
    except OSError as error:
        raise click.ClickException(
            f"Port {program.port} cannot be used ({error.strerror}); choose another with --port."
        ) from None


def _started(url: str) -> None:
    click.echo(f"The simulated ActiveCampaign account runs on {url} (/ledger, /receiver).")
