"""`headwater filters`: which events a destination gets, and what is taken out of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import click

from headwater.cli import inputs, parts, server
from headwater.cli.destinations import FAMILY as DESTINATIONS
from headwater.cli.family import json_option
from headwater.cli.parts import Part
from headwater.cli.server import Server

_KNOWN: Final = ("title", "if", "actions", "description", "enabled")
_SHOWN: Final = ("id", "sourceId", "destinationId", "createdAt", "updatedAt")
_TITLE_CHARS_MAX: Final = 64  # Segment

Action = dict[str, Any]


def told(action: Action) -> str:
    """Return an action as people say it."""
    fields = [f"{section}.{path}" for section, paths in (action.get("fields") or {}).items() for path in paths]
    match action["type"]:
        case "DROP":
            return "drop"
        case "SAMPLE":
            by = f" by {action['path']}" if action.get("path") else ""
            return f"sample {action['percent'] * 100:.6g}%{by}"
        case "DROP_PROPERTIES":
            return f"drop {', '.join(fields)}"
        case "ALLOW_PROPERTIES":
            return f"allow {', '.join(fields)}"
        case other:
            return str(other)


FILTER: Final = Part(
    "filter",
    path="/destination/{}/filters",
    many="filters",
    one="filter",
    made="filter",
    label="title",
    wrapped=lambda change: change,
    columns=(
        ("id", lambda part: part["id"]),
        ("title", lambda part: part["title"]),
        ("enabled", lambda part: part["enabled"]),
        ("if", lambda part: part["if"]),
        ("does", lambda part: "; ".join(map(told, part["actions"]))),
    ),
    details=lambda part: [("description", part.get("description") or None), ("created", part["createdAt"])],
)


class _Share(click.ParamType[float]):
    """A share as a number from 0 to 1: `10%`, or `0.1`."""

    name = "share"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            share = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            self.fail(f"{value[:40]!r} is no share; write 10% or 0.1.", param, ctx)
        return share


def actions_options(command_: Callable[..., None]) -> Callable[..., None]:
    """Give a command what a filter is made of; it gets the API's members that were named as `given`."""

    @click.option("--if", "condition", metavar="FQL", help="Which events; `all` for every one.")
    @click.option("--drop", is_flag=True, help="Do not send them.")
    @click.option("--sample", type=_Share(), metavar="SHARE", help="Send only this share of them: 10% or 0.1.")
    @click.option("--by", metavar="PATH", help="With --sample: decided by this value, such as userId.")
    @click.option("--drop-fields", metavar="PATHS", help="Take these out: properties.ip,context.traits.email")
    @click.option("--allow-fields", metavar="PATHS", help="Leave only these of each section that is named.")
    @click.option("--file", "file", metavar="FILE", help="All of it as JSON, as `show --json` prints it; - is stdin.")
    @functools.wraps(command_)
    def packed(
        *args: Any,
        condition: str | None,
        drop: bool,
        sample: float | None,
        by: str | None,
        drop_fields: str | None,
        allow_fields: str | None,
        file: str | None,
        **kwargs: Any,
    ) -> None:
        given = {} if file is None else inputs.members(file, _KNOWN, _SHOWN)
        if condition is not None:
            given["if"] = condition
        if by is not None and sample is None:
            raise click.UsageError("--by goes with --sample.")
        actions: list[Action] = []
        if sample is not None:
            actions.append({"type": "SAMPLE", "percent": sample} | ({} if by is None else {"path": by}))
        if drop:
            actions.append({"type": "DROP"})
        if drop_fields is not None:
            actions.append({"type": "DROP_PROPERTIES", "fields": _sections(drop_fields, "--drop-fields")})
        if allow_fields is not None:
            actions.append({"type": "ALLOW_PROPERTIES", "fields": _sections(allow_fields, "--allow-fields")})
        if actions:
            given["actions"] = actions
        command_(*args, given=given, **kwargs)

    return packed


def _sections(paths: str, option: str) -> dict[str, list[str]]:
    """Return paths by the section they are in, as the API takes them."""
    found: dict[str, list[str]] = {}
    for path in filter(None, map(str.strip, paths.split(","))):
        section, dot, rest = path.partition(".")
        if not dot or not rest:
            raise click.UsageError(f"{option}: name {path[:40]!r} with its section, such as properties.{path[:40]}.")
        found.setdefault(section, []).append(rest)
    return found


@click.group()
def command() -> None:
    """Choose which events a destination gets, and take out what it must not see.

    \b
    Example:
      headwater filters create "My hook" --if 'event = "Test"' --drop
      headwater filters create "My hook" --if all --drop-fields context.ip,context.traits.email
      headwater filters preview "My hook" --if 'type = "track"' --sample 10% --by userId --event email
    """


parts.add_shared(command, FILTER)


@command.command()
@click.argument("destination")
@click.option("--title", help="What people see (default: the condition).")
@click.option("--description", help="Why it is there.")
@actions_options
@click.option("--disabled", is_flag=True, help="Keep it, but do not apply it yet.")
@json_option
@server.options
def create(
    at: Server,
    destination: str,
    title: str | None,
    description: str | None,
    *,
    given: dict[str, Any],
    disabled: bool,
    json_: bool,
) -> None:
    """Add a filter; it applies to events that are read from now on.

    \b
    Example:
      headwater filters create "My hook" --title "No tests" --if 'event = "Test"' --drop
    """
    _complete(given)
    named = _named(title, description)
    body = {"title": " ".join(given["if"].split())[:_TITLE_CHARS_MAX]} | given | named
    if disabled:
        body["enabled"] = False
    FILTER.show(FILTER.create(at, DESTINATIONS.find(at, destination), body), json_=json_)


@command.command()
@click.argument("destination")
@click.argument("key", metavar="FILTER")
@click.option("--title", help="What people see.")
@click.option("--description", help="Why it is there.")
@actions_options
@json_option
@server.options
def update(
    at: Server,
    destination: str,
    key: str,
    title: str | None,
    description: str | None,
    *,
    given: dict[str, Any],
    json_: bool,
) -> None:
    """Change a filter; what is not named stays, what it does is named as a whole.

    \b
    Example:
      headwater filters update "My hook" "No tests" --sample 5% --by userId
    """
    change = given | _named(title, description)
    if not change:
        raise click.UsageError("Nothing to change; use --title, --if, --drop, --sample, --drop-fields or --file.")
    place = DESTINATIONS.find(at, destination)
    FILTER.show(FILTER.update(at, place, FILTER.find(at, place, key), change), json_=json_)


@command.command()
@click.argument("destination")
@click.argument("key", metavar="[FILTER]", required=False)
@actions_options
@inputs.event_option
@json_option
@server.options
def preview(at: Server, destination: str, key: str | None, *, given: dict[str, Any], event: str, json_: bool) -> None:
    """Show what a filter would leave of an event: one that is there, changed or not, or one to be. Nothing is sent.

    \b
    Example:
      headwater filters preview "My hook" "No tests" --event order.json
      headwater filters preview "My hook" --if all --drop-fields properties.products --event track
    """
    if key is not None:
        given = FILTER.find(at, DESTINATIONS.find(at, destination), key) | given
    _complete(given)
    body = {"filter": {name: given[name] for name in ("if", "actions")}, "payload": inputs.event(event)}
    found = at.call("POST", "/destination/filters/preview", body)
    parts.previewed(found, "The event would not be sent.", json_=json_)


def _complete(given: dict[str, Any]) -> None:
    if not isinstance(given.get("if"), str):
        raise click.UsageError("Say which events with --if, such as --if 'event = \"Test\"', or --if all.")
    if not given.get("actions"):
        raise click.UsageError("Say what is done: --drop, --sample, --drop-fields or --allow-fields.")


def _named(title: str | None, description: str | None) -> dict[str, Any]:
    named = {"title": title, "description": description}
    return {name: value for name, value in named.items() if value is not None}
