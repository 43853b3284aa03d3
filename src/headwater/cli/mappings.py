"""`headwater mappings`: what a destination's events look like when they are sent."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, Final

import click

from headwater.cli import inputs, parts, server
from headwater.cli.destinations import FAMILY as DESTINATIONS
from headwater.cli.family import json_option, pair
from headwater.cli.parts import Part
from headwater.cli.server import Server

_KNOWN: Final = ("name", "trigger", "settings", "enabled")
_SHOWN: Final = ("id", "actionId", "actionSlug", "destinationId")
_NAME_CHARS_MAX: Final = 64  # ours: of a trigger that serves as name

MAPPING: Final = Part(
    "mapping",
    path="/destinations/{}/subscriptions",
    many="subscriptions",
    one="subscription",
    made="destinationSubscription",
    label="name",
    wrapped=lambda change: {"input": change},
    columns=(
        ("id", lambda part: part["id"]),
        ("name", lambda part: part["name"]),
        ("enabled", lambda part: part["enabled"]),
        ("trigger", lambda part: part["trigger"]),
        ("fields", lambda part: ", ".join(part["settings"])),
    ),
    details=lambda part: [(f"set {path}", json.dumps(value)) for path, value in part["settings"].items()],
)


def mapping_options(command_: Callable[..., None]) -> Callable[..., None]:
    """Give a command what a mapping is made of; it gets the API's members that were named as `given`.

    `--set` alone stands in `fields`, so that an update can put it over what is there.
    """

    @click.option("--trigger", metavar="FQL", help="Which events; `all` for every one.")
    @click.option("--set", "pairs", multiple=True, metavar="PATH=JSON", help='A field: \'event={"@path":"$.name"}\'')
    @click.option("--file", "file", metavar="FILE", help="All of it as JSON, as `show --json` prints it; - is stdin.")
    @functools.wraps(command_)
    def packed(*args: Any, trigger: str | None, pairs: tuple[str, ...], file: str | None, **kwargs: Any) -> None:
        given = {} if file is None else inputs.members(file, _KNOWN, _SHOWN)
        if trigger is not None:
            given["trigger"] = trigger
        fields = dict(_field(text) for text in pairs)
        command_(*args, given=given, fields=fields, **kwargs)

    return packed


def _field(text: str) -> tuple[str, Any]:
    path, value = pair(text)
    try:
        return path, json.loads(value)
    except (ValueError, RecursionError):
        wanted = json.dumps(value[:40])
        raise click.UsageError(
            f"--set {path}: what is set is JSON; a text stands in quotes: '{path}={wanted}'"
        ) from None


@click.group()
def command() -> None:
    """Choose what a destination's events look like when they are sent.

    The first mapping whose trigger is true applies; an event for which none is true is not sent.

    \b
    Example:
      headwater mappings create "My hook" --name Orders --trigger 'event = "Order Completed"' \\
        --set 'properties.value={"@path": "$.properties.total"}'
      headwater mappings create "My hook" --file mapping.json
    """


parts.add_shared(command, MAPPING)


@command.command()
@click.argument("destination")
@click.option("--name", help="What people see (default: the trigger).")
@mapping_options
@click.option("--disabled", is_flag=True, help="Keep it, but do not apply it yet.")
@json_option
@server.options
def create(
    at: Server,
    destination: str,
    name: str | None,
    *,
    given: dict[str, Any],
    fields: dict[str, Any],
    disabled: bool,
    json_: bool,
) -> None:
    """Add a mapping behind those that are there.

    \b
    Example:
      headwater mappings create "My hook" --trigger 'type = "track"' --set 'properties.source="website"'
      headwater mappings create "My hook" --file mapping.json
    """
    body = _merged(given, fields)
    _complete(body)
    body = {"name": " ".join(body["trigger"].split())[:_NAME_CHARS_MAX]} | body | _named(name)
    if disabled:
        body["enabled"] = False
    MAPPING.show(MAPPING.create(at, DESTINATIONS.find(at, destination), body), json_=json_)


@command.command()
@click.argument("destination")
@click.argument("key", metavar="MAPPING")
@click.option("--name", help="What people see.")
@mapping_options
@click.option("--unset", "gone", multiple=True, metavar="PATH", help="Set this field no longer; repeatable.")
@json_option
@server.options
def update(  # noqa: PLR0913 - one parameter an option
    at: Server,
    destination: str,
    key: str,
    name: str | None,
    *,
    given: dict[str, Any],
    fields: dict[str, Any],
    gone: tuple[str, ...],
    json_: bool,
) -> None:
    """Change a mapping; what is not named stays. --file gives all fields, --set and --unset single ones.

    \b
    Example:
      headwater mappings update "My hook" Orders --set 'properties.currency="EUR"' --unset properties.coupon
    """
    if not (given or fields or gone or name is not None):
        raise click.UsageError("Nothing to change; use --name, --trigger, --set, --unset or --file.")
    place = DESTINATIONS.find(at, destination)
    part = MAPPING.find(at, place, key)
    change = given | _named(name)
    if fields or gone:
        was = {"settings": part["settings"]} | given
        settings = _merged(was, fields)["settings"]
        for path in gone:
            if settings.pop(path, None) is None:
                raise click.UsageError(f"--unset: this mapping does not set {path[:60]!r}.")
        change["settings"] = settings
    MAPPING.show(MAPPING.update(at, place, part, change), json_=json_)


@command.command()
@click.argument("destination")
@click.argument("key", metavar="[MAPPING]", required=False)
@mapping_options
@inputs.event_option
@json_option
@server.options
def preview(
    at: Server,
    destination: str,
    key: str | None,
    *,
    given: dict[str, Any],
    fields: dict[str, Any],
    event: str,
    json_: bool,
) -> None:
    """Show the event as a mapping would send it: one that is there, changed or not, or one to be. Nothing is sent.

    \b
    Example:
      headwater mappings preview "My hook" Orders --event order.json
      headwater mappings preview "My hook" --trigger all --set 'event={"@path": "$.type"}' --event track
    """
    place = DESTINATIONS.find(at, destination)
    if key is not None:
        given = MAPPING.find(at, place, key) | given
    body = _merged(given, fields)
    _complete(body)
    body = {name: body[name] for name in ("trigger", "settings")} | {"payload": inputs.event(event)}
    found = at.call("POST", f"{MAPPING.path_of(place)}/preview", body)
    parts.previewed(found, "The mapping does not apply to this event.", json_=json_)


def _merged(given: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """Return what was given, with the single fields over its own."""
    settings = given.get("settings", {})
    if not isinstance(settings, dict):
        raise click.UsageError("--file: `settings` is an object: what is set, by path.")
    return given | {"settings": settings | fields}


def _complete(body: dict[str, Any]) -> None:
    if not isinstance(body.get("trigger"), str):
        raise click.UsageError("Say which events with --trigger, such as --trigger 'type = \"track\"'.")


def _named(name: str | None) -> dict[str, Any]:
    return {} if name is None else {"name": name}
