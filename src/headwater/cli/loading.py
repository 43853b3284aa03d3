"""The part of `headwater warehouses` about how and when one is loaded, and how that went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click

from headwater.cli import printing, server
from headwater.cli.family import Thing, json_option
from headwater.cli.server import Server
from headwater.cli.warehouse_family import FAMILY, PRESETS, path_of, when

_RULES: Final = {
    "conflicts": "A value that does not fit its column's type: widen, overflow or drop.",
    "stringCharsMax": "Longer strings are cut; whole where there is none.",
    "arrays": "How an array is spelled: json, or segment (without quotes).",
    "reserved": "A property called like a column of ours: prefix or discard.",
    "caps": "Whether tables and columns beyond a number go to _overflow.",
}
_WHOLE: Final = "whole"
_LEFT_OUT: Final = ("filtered", "suppressed", "missed")  # ends of events that are not loaded


class _Chars(click.ParamType[int | str]):
    """A number of characters, or `whole`."""

    name = "characters"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if value == _WHOLE:
            return value
        if not (value.isascii() and value.isdecimal() and len(value) < 10):  # noqa: PLR2004 - a longer one is refused
            self.fail(f"{value[:40]!r} is no number of characters; write one, or `{_WHOLE}`.", param, ctx)
        return int(value)


@click.command()
@click.argument("key", metavar="WAREHOUSE")
@click.option("--preset", type=click.Choice(PRESETS), help="All rules as Headwater's or as Segment's; others over it.")
@click.option("--conflicts", type=click.Choice(["widen", "overflow", "drop"]), help=_RULES["conflicts"])
@click.option("--string-chars-max", type=_Chars(), metavar="N", help="Cut longer strings, 16 to 1000000; or `whole`.")
@click.option("--arrays", type=click.Choice(["json", "segment"]), help=_RULES["arrays"])
@click.option("--reserved", type=click.Choice(["prefix", "discard"]), help=_RULES["reserved"])
@click.option("--caps/--no-caps", default=None, help=_RULES["caps"])
@json_option
@server.options
def rules(  # noqa: PLR0913 - one parameter an option
    at: Server,
    key: str,
    *,
    preset: str | None,
    conflicts: str | None,
    string_chars_max: int | str | None,
    arrays: str | None,
    reserved: str | None,
    caps: bool | None,
    json_: bool,
) -> None:
    """Show by which rules a warehouse is loaded, or change them for what is loaded from now on.

    \b
    Example:
      headwater warehouses rules Archive
      headwater warehouses rules Archive --preset segment --conflicts overflow
    """
    path = f"{path_of(FAMILY.find(at, key))}/rules"
    named = {"preset": preset, "conflicts": conflicts, "arrays": arrays, "reserved": reserved, "caps": caps}
    change: Thing = {name: value for name, value in named.items() if value is not None}
    if string_chars_max is not None:
        change["stringCharsMax"] = None if string_chars_max == _WHOLE else string_chars_max
    if change:
        at.call("PATCH", path, change)
    found = at.call("GET", path)
    if json_:
        printing.as_json(found["rules"])
        return
    columns = (found["rules"], *(found["presets"][name] for name in PRESETS))
    rows = [(name, *(_told(each[name]) for each in columns), line) for name, line in _RULES.items()]
    printing.table(("rule", "here", *PRESETS, "what it says"), rows, empty="", whole=True)


def _told(value: Any) -> Any:
    return _WHOLE if value is None else value


@click.command()
@click.argument("key", metavar="WAREHOUSE")
@click.option("--continuous", is_flag=True, help="Load all the time: events are there within seconds.")
@click.option("--every", "minutes", type=click.IntRange(1, 10_080), metavar="MINUTES", help="Load every so often.")
@click.option("--at", "times", multiple=True, metavar="HH:MM", help="Load at this time of day; repeatable.")
@click.option("--zone", metavar="ZONE", help="Whose times of day, such as Europe/Berlin (default: as it is, or UTC).")
@click.option("--manual", is_flag=True, help="Load only when `headwater sync` asks.")
@json_option
@server.options
def schedule(  # noqa: PLR0913 - one parameter an option
    at: Server,
    key: str,
    *,
    continuous: bool,
    minutes: int | None,
    times: tuple[str, ...],
    zone: str | None,
    manual: bool,
    json_: bool,
) -> None:
    """Show when a warehouse is loaded, or change it; `headwater sync` loads at any time.

    \b
    Example:
      headwater warehouses schedule Archive --at 06:30 --at 18:30 --zone Europe/Berlin
      headwater warehouses schedule Archive --continuous
    """
    warehouse = FAMILY.find(at, key)
    if change := _schedule(times, zone, minutes, continuous=continuous, manual=manual):
        warehouse = at.call("PATCH", path_of(warehouse), {"schedule": change})["warehouse"]
    if json_:
        printing.as_json(warehouse["schedule"])
    else:
        click.echo(f"{printing.text_of(warehouse['name'])} is loaded {when(warehouse['schedule'])}.")


def _schedule(times: Sequence[str], zone: str | None, minutes: int | None, *, continuous: bool, manual: bool) -> Thing:
    """Return what the options ask for, {} for nothing.

    Raises:
        UsageError: they contradict each other.
    """
    chosen = [name for name, is_on in (("continuous", continuous), ("manual", manual)) if is_on]
    chosen += ["interval"] * (minutes is not None) + ["times"] * bool(times)
    if len(chosen) > 1:
        raise click.UsageError("Choose one of --continuous, --every, --at and --manual.")
    change: Thing = {"mode": chosen[0]} if chosen else {}
    if minutes is not None:
        change["minutes"] = minutes
    if times:
        change["times"] = list(times)
    if zone is not None:
        change["timezone"] = zone
    return change


@click.command()
@click.argument("key", metavar="WAREHOUSE")
@click.option("--conversion", "conversions", multiple=True, metavar="EVENT", help="Counts as a conversion; repeatable.")
@click.option(
    "--revenue", multiple=True, metavar="PROPERTY", help="Holds revenue, the first that is there; repeatable."
)
@click.option("--window-days", type=click.IntRange(1, 365), metavar="N", help="How long after a click it counts.")
@click.option("--on/--off", "enabled", default=None, help="Whether the views for analysis are kept at all.")
@json_option
@server.options
def models(
    at: Server,
    key: str,
    *,
    conversions: tuple[str, ...],
    revenue: tuple[str, ...],
    window_days: int | None,
    enabled: bool | None,
    json_: bool,
) -> None:
    """Show how the views for analysis are made, or change it.

    \b
    Example:
      headwater warehouses models Archive --conversion "Order Completed" --conversion "Trial Started" --window-days 14
    """
    warehouse = FAMILY.find(at, key)
    named = {
        "conversions": list(conversions) or None,
        "revenue": list(revenue) or None,
        "windowDays": window_days,
        "enabled": enabled,
    }
    if change := {name: value for name, value in named.items() if value is not None}:
        warehouse = at.call("PATCH", path_of(warehouse), {"models": change})["warehouse"]
    found = warehouse["models"]
    if json_:
        printing.as_json(found)
        return
    printing.facts(
        [
            ("views", "kept" if found["enabled"] else "not kept"),
            ("conversions", ", ".join(found["conversions"]) or "none"),
            ("revenue", ", ".join(found["revenue"]) or "none"),
            ("window", f"{found['windowDays']} days after a click"),
        ]
    )


def show_states(found: Sequence[Thing]) -> None:
    """Print how warehouses do: a line each, and below what somebody should know about one."""
    heads = ("name", "type", "state", "rows", "events", "waiting", "reloads", "last load", "next")
    printing.table(heads, [_state(each) for each in found], empty="There is no warehouse that is loaded.")
    for each in found:
        name = click.style(printing.text_of(each["name"]), bold=True)
        if each["lastError"]:
            times = f" ({each['failures']:,} times in a row)" if each.get("failures", 0) > 1 else ""
            click.echo(f"{name}: {printing.text_of(each['lastError'], None)}{times}")
        if each.get("unaccounted"):
            click.echo(f"{name}: {each['unaccounted']:,} events are in no count, or in two; run `headwater doctor`.")
        if left := [f"{each['totals'].get(end, 0):,} {end}" for end in _LEFT_OUT if each["totals"].get(end)]:
            click.echo(f"{name}: of the events it has passed {', '.join(left)}.")
        for notice in each.get("notices") or ():
            click.echo(f"{name}: {printing.text_of(notice, None)}")


def _state(each: Thing) -> list[Any]:
    totals = each["totals"]
    last, following = each.get("lastSync"), each.get("nextSync")
    counts = (totals["rows"], totals["events"], each["lag"], each.get("reloads", 0))
    return [each["name"], each["type"], each["state"], *counts, _time(last), _time(following)]


def show_syncs(found: Sequence[Thing]) -> None:
    """Print loads, a line each, and below what they had to say."""
    heads = ("id", "source", "status", "start", "took", "rows")
    rows = [
        (
            each["id"],
            each["sourceId"],
            each["status"].lower() + (" (reload)" if each["reload"] else ""),
            _time(each["start"]),
            each["humanDuration"],
            each["count"],
        )
        for each in found
    ]
    printing.table(heads, rows, empty="Nothing has been loaded yet.")
    for each in found:
        for notice in each["notices"]:
            click.echo(f"{each['id']}: {printing.text_of(notice['message'], None)}")


def _time(text: str | None) -> str | None:
    return text and f"{text[:19].replace('T', ' ')} UTC"


COMMANDS: Final = (rules, schedule, models)
