"""What the commands of warehouses share: how one is found and shown."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import click

from headwater.cli import server
from headwater.cli.family import Family, Thing
from headwater.cli.server import Server

PRESETS: Final = ("headwater", "segment")
"""The sets of rules by name; a test holds them against `control.loads`."""

_FOREVER: Final = "forever"


class _Days(click.ParamType[int | str]):
    """A number of days, or `forever`."""

    name = "days"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if value == _FOREVER:
            return value
        if not (value.isascii() and value.isdecimal() and len(value) < 10):  # noqa: PLR2004 - a longer one is refused
            self.fail(f"{value[:40]!r} is no number of days; write one, or `{_FOREVER}`.", param, ctx)
        return int(value)


def loading_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command how long rows stay and the set of rules; it gets them as `more`, members of the API's body."""

    @click.option("--keep-days", type=_Days(), metavar="N", help="Remove rows after so many days; or `forever`.")
    @click.option("--rules", type=click.Choice(PRESETS), help="A whole set of rules; see `rules` for single ones.")
    @functools.wraps(command)
    def packed(*args: Any, keep_days: int | str | None, rules: str | None, **kwargs: Any) -> None:
        more: Thing = {} if rules is None else {"rules": {"preset": rules}}
        if keep_days is not None:
            more["keepDays"] = None if keep_days == _FOREVER else keep_days
        command(*args, more=more, **kwargs)

    return packed


def when(schedule: Thing) -> str:
    """Return a schedule as people say it."""
    if schedule["mode"] == "interval":
        return f"every {schedule['minutes']:,} minutes"
    if schedule["mode"] == "times":
        return f"at {', '.join(schedule['times'])} ({schedule['timezone']})"
    return "only when asked" if schedule["mode"] == "manual" else "all the time"


def _models(thing: Thing) -> str:
    models = thing["models"]
    if not models["enabled"]:
        return "none"
    return f"{', '.join(models['conversions']) or 'no conversions'}; {models['windowDays']} days after a click"


FAMILY: Final = Family(
    "warehouse",
    columns=(
        ("id", lambda thing: thing["id"]),
        ("name", lambda thing: thing["name"]),
        ("type", lambda thing: thing["metadata"]["slug"]),
        ("enabled", lambda thing: thing["enabled"]),
        ("loaded", lambda thing: when(thing["schedule"])),
    ),
    details=(
        ("rules", lambda thing: thing["rules"]["preset"] or "own"),
        ("rows stay", lambda thing: "forever" if thing["keepDays"] is None else f"{thing['keepDays']:,} days"),
        ("models", _models),
        ("left out", lambda thing: thing["excluded"]),
        ("created", lambda thing: thing["createdAt"]),
    ),
    more=loading_options,
)


def path_of(warehouse: Thing) -> str:
    """Return where the API has it."""
    return f"/warehouses/{server.segment(warehouse['id'])}"


def sources_of(at: Server, warehouse: Thing) -> list[Thing]:
    """Return the sources that are loaded into a warehouse."""
    return at.pages(f"{path_of(warehouse)}/connected-sources", "sources")
