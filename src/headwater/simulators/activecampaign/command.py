"""The simulator's command line: `headwater simulate activecampaign`."""

from __future__ import annotations

import asyncio
import signal
from datetime import datetime
from typing import Any, Final

import click

from headwater.clock import now
from headwater.simulators.activecampaign.options import Command, choice, option, share
from headwater.simulators.activecampaign.server import Program, serve
from headwater.simulators.activecampaign.settings import Settings, Switches
from headwater.simulators.activecampaign.simulation import Targets

_TARGET: Final = "Where webhooks go besides those that are registered by API; may be repeated."


@click.command(cls=Command)
@option("Program", "--port", default=8091, type=click.IntRange(0, 65535), help="0 for any free port.")
@option("Program", "--host", default="127.0.0.1")
@option("Program", "--duration", type=click.FloatRange(min=0), help="Seconds to run; without end when left out.")
@option(
    "Program",
    "--receiver-secret",
    default="",
    envvar="SIMULATE_RECEIVER_SECRET",
    help="Refuse deliveries to /receiver that are not signed with it.",
)
@option(
    "Program",
    "--tracking-url",
    default="",
    envvar="SIMULATE_TRACKING_URL",
    help="Base URL of a Tracking API: what people do in the shop goes there.",
)
@option("Program", "--write-key", default="", envvar="SIMULATE_WRITE_KEY", help="Write key for the Tracking API.")
@option("Account", "--seed", default=1, help="The same seed gives the same account.")
@option("Account", "--api-key", default="simulated-key", envvar="SIMULATE_API_KEY", help="Opens the API.")
@option("Account", "--contacts", default=3_000, type=click.IntRange(min=1), help="People on its lists.")
@option("Account", "--recipients", type=click.IntRange(min=1), help="Of each campaign; a share of the contacts if not.")
@option("Account", "--first-campaign", default=1, type=click.IntRange(min=1), help="Its id.")
@option("Account", "--history-campaigns", default=5, type=click.IntRange(min=0))
@option(
    "Account",
    "--live-campaigns",
    type=click.IntRange(min=0),
    help="Campaigns after the history; without end when left out.",
)
@option("Time", "--speed", default=1.0, type=click.FloatRange(min=0, min_open=True), help="Of what is live.")
@option("Time", "--present", type=click.DateTime(), help="End of the history, UTC; now when left out.")
@option("Time", "--history-days", default=7, type=click.IntRange(1, 3650))
@choice("Time", "--history", ("posted", "past"), "Post the history's webhooks fast, or begin when it is over.")
@option("Time", "--history-rate", default=250.0, type=click.FloatRange(min=0, min_open=True), help="Posts a second.")
@option("Time", "--paused", is_flag=True, help="Wait for POST /play.")
@option("Webhooks", "--webhook-url", "webhook_urls", multiple=True, envvar="SIMULATE_WEBHOOK_URL", help=_TARGET)
@option("Webhooks", "--events", default="open,click,unsubscribe,bounce", help="What --webhook-url listens to.")
@choice("Webhooks", "--repeats", ("first", "every"), "Whose opens and clicks are told.")
@choice("Webhooks", "--lists", ("indexed", "scalar"), "Shape of list.")
@choice("Webhooks", "--unsubscribe-lists", ("repeated", "indexed", "scalar"), "Shape of list where a contact left.")
@choice("Webhooks", "--unsubscribes", ("twice", "once"), "Whether the reason is told, too.")
@choice("Webhooks", "--campaign-block", ("name", "id", "full"), "What a bounce tells of its campaign.")
@choice("Webhooks", "--message-ids", ("present", "absent"), "Whether a campaign tells its message's id.")
@choice("Webhooks", "--click-agents", ("absent", "present"), "Whether a click tells its User-Agent.")
@choice("Webhooks", "--field-keys", ("numeric", "perstag"), "How custom fields are named.")
@choice("Webhooks", "--complaints", ("unsubscribe", "nothing"), "What a complaint shows as.")
@choice("Webhooks", "--apple-privacy", ("sent", "silent"), "Whether opens by Apple's proxy are told.")
@choice("Webhooks", "--times", ("central", "naive", "fixed"), "US Central, without or with a fixed offset.")
@share("Webhooks", "--duplicates", "Share of webhooks that are sent twice.")
@share("Webhooks", "--delays", "Share that comes minutes or hours late.")
@share("Webhooks", "--reorders", "Share that is overtaken by others.")
@share("Webhooks", "--losses", "Share that is never sent.")
@option("Webhooks", "--timeout", "timeout_s", default=5.0, type=click.FloatRange(0.01, 600), help="Seconds.")
@choice("People", "--user-ids", ("set", "later"), "Whether segmentio_id is known from the start.")
@option("People", "--user-id-share", default=0.7, type=click.FloatRange(0, 1), help="Of whom it is ever known.")
@share("People", "--scanners", "Share whose mail gateway follows every link.")
@share("People", "--email-changes", "Share with a new address after some campaign.")
@share("People", "--deletions", "Share deleted after some campaign.")
@share("People", "--admin-unsubscribes", "Share of an audience taken off by a user, for no campaign.")
@share("Campaigns", "--splits", "Share that tests two messages.")
@share("Campaigns", "--untracked", "Share that measures neither opens nor clicks.")
@option("Campaigns", "--long-url-chars", default=0, type=click.IntRange(0, 200_000), help="Length of one of its links.")
@option("API", "--api-rate", default=5.0, type=click.FloatRange(min=0), help="Requests a second; 0 for any number.")
@option("API", "--report-page", default=20, type=click.IntRange(0, 1_000), help="Rows of a page; 0 for all at once.")
@choice("API", "--trackcmp", ("strict", "accept"), "Whether unknown event names are refused.")
@share("API", "--throttles", "Share that is a 429 for no reason.")
@share("API", "--html-answers", "Share of answers that are HTML with status 200.")
@share("API", "--refusals", "Share that is a passing 403.")
@share("API", "--server-errors", "Share that is a 500.")
def command(**options: Any) -> None:
    r"""Play an ActiveCampaign account: campaigns, webhooks, its API, and people who shop after a click.

    GET /truth and /ledger tell what really happened, GET /progress how far it is. POST /play holds time and lets it
    go on, PUT /switches changes what follows. POST /receiver takes a destination's deliveries, GET /receiver counts
    them. The API answers under /api/3 and /admin/api.php.

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
            api_key=options["api_key"],
            api_per_s=options["api_rate"],
            contacts=max(options["contacts"], options["recipients"] or 1),
            recipients=options["recipients"],
            present=present.replace(tzinfo=now().tzinfo) if present else now(),
            history_days=options["history_days"],
            first_campaign=options["first_campaign"],
            history_campaigns=options["history_campaigns"],
            history=options["history"],
            live_campaigns=options["live_campaigns"],
            speed=options["speed"],
            history_per_s=options["history_rate"],
            events=tuple(options["events"].replace(" ", "").split(",")),
            paused=options["paused"],
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
    click.echo(f"The simulated ActiveCampaign account runs on {url} (/api/3, /truth, /ledger, /receiver).")
