"""`headwater serve`: the service."""

from __future__ import annotations

from typing import Any

import click

ROLES = ("all", "ingest", "pipeline", "web")


@click.command()
@click.option("--data-dir", metavar="DIR", help="Where everything is kept (default ./headwater-data).")
@click.option("--host", metavar="H", help="Address to listen on (default 127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65_535), metavar="P", help="Port to listen on (default 8080).")
@click.option("--public-url", metavar="URL", help="Address that ActiveCampaign and browsers can reach.")
@click.option("--role", type=click.Choice(ROLES), default="all", show_default=True, help="Start one part only.")
@click.option("--socket-fd", type=int, hidden=True)
@click.option("--alive-fd", type=int, hidden=True)
@click.option("--peers", hidden=True)
@click.option("--open-access", is_flag=True, hidden=True)
def command(**options: Any) -> None:
    """Run the service. Everything is kept in one directory; no other server is needed.

    \b
    Example:
      headwater serve --data-dir ./headwater-data --port 8080
    """
    from headwater.app.start import serve

    serve(**options)
