"""`headwater destinations`: where events go, at what pace, and how that goes."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Final

import click

from headwater.cli import figures, health, inputs, printing, server, tries
from headwater.cli.family import Family, Given, Thing, add_shared, json_option, settings_options
from headwater.cli.server import Server
from headwater.cli.times import TIME

_OWN: Final = "default"


class _Own(click.ParamType[float | str]):
    """A number, or `default` for the type's own."""

    name = "number"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        if value == _OWN:
            return value
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self.fail(f"{value[:40]!r} is no number; write one, or `{_OWN}` for the type's own.", param, ctx)
        return int(number) if number.is_integer() else number


def delivery_options(command_: Callable[..., None]) -> Callable[..., None]:
    """Give a command pace and patience; it gets them as `more`, the member `delivery` of the API."""

    @click.option("--concurrency", type=_Own(), metavar="N", help="Calls at a time, 1 to 64, or `default`.")
    @click.option("--rate", type=_Own(), metavar="N", help="Events a second at most, 0.01 to 10000, or `default`.")
    @click.option("--retry-for", type=_Own(), metavar="HOURS", help="Try again for so long, 0.1 to 720, or `default`.")
    @functools.wraps(command_)
    def packed(*args: Any, concurrency: Any, rate: Any, retry_for: Any, **kwargs: Any) -> None:
        named = {"concurrency": concurrency, "ratePerSecond": rate, "retryForHours": retry_for}
        given = {name: None if value == _OWN else value for name, value in named.items() if value is not None}
        command_(*args, more={"delivery": given} if given else {}, **kwargs)

    return packed


FAMILY = Family(
    "destination",
    columns=(
        ("id", lambda thing: thing["id"]),
        ("name", lambda thing: thing["name"]),
        ("type", lambda thing: thing["metadata"]["slug"]),
        ("source", lambda thing: thing["sourceId"]),
        ("enabled", lambda thing: thing["enabled"]),
    ),
    details=(
        ("concurrency", lambda thing: thing["delivery"]["concurrency"]),
        ("events a second", lambda thing: thing["delivery"]["ratePerSecond"]),
        ("retry for hours", lambda thing: thing["delivery"]["retryForHours"]),
        ("created", lambda thing: thing["createdAt"]),
    ),
    more=delivery_options,
)


@click.group()
def command() -> None:
    """List, add and change destinations.

    \b
    Example:
      headwater destinations create --source website --type webhook --set url=https://example.com/hook
      headwater destinations test "My hook" --sample track
    """


add_shared(command, FAMILY)


@command.command()
@click.option("--source", required=True, metavar="SOURCE", help="Id or slug of the source it gets events of.")
@click.option("--type", "type_", required=True, metavar="TYPE", help="Such as webhook; see `catalog`.")
@click.option("--name", help="What people see (default: the type's name).")
@click.option("--disabled", is_flag=True, help="Send nothing yet.")
@settings_options
@delivery_options
@json_option
@server.options
def create(  # noqa: PLR0913 - one parameter an option
    at: Server,
    source: str,
    type_: str,
    name: str | None,
    *,
    disabled: bool,
    given: Given,
    more: Thing,
    json_: bool,
) -> None:
    """Connect a new destination to a source.

    \b
    Example:
      headwater destinations create --source website --type webhook --rate 20 \\
        --set url=https://example.com/hook --set-env secret=HOOK_SECRET
    """
    settings = FAMILY.settings(at, type_, given)
    body: dict[str, Any] = {"sourceId": source, "metadataId": type_, "enabled": not disabled, "settings": settings}
    if name is not None:
        body["name"] = name
    FAMILY.show(at.call("POST", "/destinations", body | more)["destination"], json_=json_)


@command.command()
@click.argument("key", metavar="DESTINATION")
@click.option("--sample", type=click.Choice(inputs.SAMPLES), help="Send this sample event.")
@click.option("--event", metavar="FILE", help="Send the event in this JSON file; - is standard input.")
@click.option("--as-is", is_flag=True, help="Past filters, mappings and functions.")
@json_option
@server.options
def test(at: Server, key: str, *, sample: str | None, event: str | None, as_is: bool, json_: bool) -> None:
    """Send one event now and show each request with its answer, or try the credentials only.

    The event is not counted and not tried again. The command fails when it was not taken.

    \b
    Example:
      headwater destinations test "My hook"
      headwater destinations test "My hook" --sample track
      headwater destinations test "My hook" --event order.json --as-is
    """
    if sample is not None and event is not None:
        raise click.UsageError("Name either --sample or --event.")
    if sample is None and event is None:
        if as_is:
            raise click.UsageError("--as-is goes with --sample or --event.")
        _check(at, FAMILY.find(at, key), json_=json_)
        return
    body = {"sample": sample} if event is None else {"event": inputs.document(event, "--event")}
    destination = FAMILY.find(at, key)
    path = f"/destinations/{server.segment(destination['id'])}/events/test"
    tried = at.call("POST", path, {**body, "asIs": as_is}, is_long=True)
    if json_:
        printing.as_json(tried)
    else:
        tries.show(tried)
    if tried["outcome"] in tries.FAILURES:
        raise click.exceptions.Exit(1)


def _check(at: Server, destination: Thing, *, json_: bool) -> None:
    """Try the stored settings; nothing is sent but what that needs."""
    body = {"metadataId": destination["metadata"]["slug"], "destinationId": destination["id"]}
    found = at.call("POST", "/destinations/test", body)
    if not found["ok"]:
        raise click.ClickException(found["message"])
    if json_:
        printing.as_json(found)
    else:
        click.echo(found["message"])


@command.command()
@click.argument("key", metavar="DESTINATION")
@click.option("--granularity", type=click.Choice(["minute", "hour", "day"]), default="hour", show_default=True)
@click.option("--since", type=TIME, metavar="T", help="From this time on: 2026-01-31, a time with zone, or 2h (ago).")
@click.option("--until", type=TIME, metavar="T", help="Up to this time (default: now).")
@json_option
@server.options
def metrics(at: Server, key: str, *, granularity: str, since: str | None, until: str | None, json_: bool) -> None:
    """Show what became of a destination's events over time: by default the last hour, day or 30 days.

    By the minute at most 4 hours at a time, 48 hours back; by the hour 14 days, 30 back; by the day 30 days.

    \b
    Example:
      headwater destinations metrics "My hook" --granularity minute --since 2h
    """
    destination = FAMILY.find(at, key)
    query = {"granularity": granularity, "from": since, "to": until}
    found = at.call("GET", f"/destinations/{server.segment(destination['id'])}/metrics", query=query)
    if json_:
        printing.as_json(found)
    else:
        figures.show(found)


@command.command()
@click.argument("key", metavar="[DESTINATION]", required=False)
@json_option
@server.options
def status(at: Server, key: str | None, *, json_: bool) -> None:
    """Show how destinations do now: what they took, what waits, and what to do about it.

    \b
    Example:
      headwater destinations status
    """
    destinations = FAMILY.all(at) if key is None else [FAMILY.find(at, key)]
    found = health.joined(destinations, at.call("GET", "/connections")["connections"])
    if json_:
        printing.as_json(found)
    else:
        health.show(found)


@command.command()
@click.argument("key", metavar="DESTINATION")
@json_option
@server.options
def resume(at: Server, key: str, *, json_: bool) -> None:
    """Go on with a destination that was paused because its credentials were refused.

    \b
    Example:
      headwater destinations resume "My hook"
    """
    destination = FAMILY.find(at, key)
    found = at.call("POST", f"/destinations/{destination['id']}/resume")
    if json_:
        printing.as_json(found)
    else:
        click.echo("Resumed.")
