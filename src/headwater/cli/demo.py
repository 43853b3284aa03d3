"""`headwater demo`: everything at once, with a simulated account."""

from __future__ import annotations

from typing import Any

import click


@click.command()
@click.option("--data-dir", metavar="DIR", help="Where the demo keeps its data (default ./headwater-demo).")
@click.option("--port", type=click.IntRange(0, 65_535), metavar="P", help="Port to listen on (default 8080).")
@click.option("--speed", type=click.FloatRange(0.1, 100), default=1.0, show_default=True, help="Pace of the account.")
def command(**options: Any) -> None:
    """Run Headwater with a simulated ActiveCampaign account.

    Campaigns go out, people open and click, some of them shop; every event takes the real way: HTTP, webhooks, the log,
    the warehouse and a destination.

    \b
    Example:
      headwater demo
      headwater query "select event, count(*) from activecampaign.tracks group by 1"
    """
    from headwater.app.demo import demo

    demo(**options)
