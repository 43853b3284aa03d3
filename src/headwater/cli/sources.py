"""`headwater sources`: what events come from."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import click

from headwater.cli import printing, server
from headwater.cli.family import Family, Given, Thing, add_shared, json_option, settings_options
from headwater.cli.server import Server

_DEFAULT: Final = "default"
_MIB: Final = 1024 * 1024


class _Kept(click.ParamType[int | str]):
    """A whole number, or `default`."""

    name = "number"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if value == _DEFAULT:
            return value
        if not (value.isascii() and value.isdecimal() and len(value) < 10):  # noqa: PLR2004 - a longer one is refused
            self.fail(f"{value[:40]!r} is no whole number; write one, or `{_DEFAULT}`.", param, ctx)
        return int(value)


def _retention_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command what of a source's events stays in the log; it gets it as `more`, members of the API's body."""

    @click.option(
        "--retention-days", type=_Kept(), metavar="N", help="Erase its events after so many days; or `default`."
    )
    @click.option(
        "--retention-mib", type=_Kept(), metavar="N", help="Keep so many MiB of its newest events; or `default`."
    )
    @functools.wraps(command)
    def packed(*args: Any, retention_days: int | str | None, retention_mib: int | str | None, **kwargs: Any) -> None:
        more: Thing = {}
        if retention_days is not None:
            more["retentionDays"] = None if isinstance(retention_days, str) else retention_days
        if retention_mib is not None:
            more["retentionBytes"] = None if isinstance(retention_mib, str) else retention_mib * _MIB
        command(*args, more=more, **kwargs)

    return packed


def _kept(thing: Thing) -> str:
    days, size = thing["retentionDays"], thing["retentionBytes"]
    bounds = [f"{days:,} days" if days else "", f"{size // _MIB:,} MiB" if size else ""]
    return " and ".join(filter(None, bounds)) or "as long as the server keeps events"


FAMILY = Family(
    "source",
    columns=(
        ("id", lambda thing: thing["id"]),
        ("slug", lambda thing: thing["slug"]),
        ("name", lambda thing: thing["name"]),
        ("type", lambda thing: thing["metadata"]["slug"]),
        ("enabled", lambda thing: thing["enabled"]),
    ),
    details=(
        ("schema", lambda thing: thing["schemaName"]),
        ("write keys", lambda thing: ", ".join(thing["writeKeys"]) or None),
        ("region", lambda thing: None if thing["regionAllowed"] else "refused in this workspace's region"),
        ("events stay", _kept),
        ("created", lambda thing: thing["createdAt"]),
    ),
    more=_retention_options,
)


@click.group()
def command() -> None:
    """List, add and change sources.

    \b
    Example:
      headwater sources create website --type http-api
      headwater sources list
    """


add_shared(command, FAMILY)


@command.command()
@click.argument("slug")
@click.option("--type", "type_", required=True, metavar="TYPE", help="Such as http-api; see `catalog`.")
@click.option("--name", help="What people see (default: the slug).")
@click.option("--disabled", is_flag=True, help="Accept nothing yet.")
@settings_options
@json_option
@server.options
def create(
    at: Server,
    slug: str,
    type_: str,
    name: str | None,
    *,
    disabled: bool,
    given: Given,
    json_: bool,
) -> None:
    """Add a source; SLUG is its name in addresses and its schema in the warehouse.

    \b
    Example:
      headwater sources create website --type http-api --name "Our website"
    """
    body = {"slug": slug, "metadataId": type_, "enabled": not disabled}
    if name is not None:
        body["name"] = name
    if settings := FAMILY.settings(at, type_, given):
        body["settings"] = settings
    FAMILY.show(at.call("POST", "/sources", body)["source"], json_=json_)


@command.command("add-write-key")
@click.argument("key", metavar="SOURCE")
@json_option
@server.options
def add_write_key(at: Server, key: str, *, json_: bool) -> None:
    """Add a write key, for rotation, and print it.

    \b
    Example:
      headwater sources add-write-key website
    """
    source = FAMILY.find(at, key)
    changed = at.call("POST", f"/sources/{source['id']}/writekey")["source"]
    made = next(each for each in changed["writeKeys"] if each not in source["writeKeys"])
    _say({"writeKey": made}, json_=json_)


@command.command("remove-write-key")
@click.argument("key", metavar="SOURCE")
@click.argument("write_key")
@server.options
def remove_write_key(at: Server, key: str, write_key: str) -> None:
    """Take a write key away: what is sent with it is refused from now on.

    \b
    Example:
      headwater sources remove-write-key website 8Tx0…
    """
    source = FAMILY.find(at, key)
    at.call("DELETE", f"/sources/{source['id']}/writekey/{server.segment(write_key)}")
    click.echo("Removed.")


@command.command("new-webhook-address")
@click.argument("key", metavar="SOURCE")
@click.option("--now", is_flag=True, help="Refuse the present address at once.")
@json_option
@server.options
def new_webhook_address(at: Server, key: str, *, now: bool, json_: bool) -> None:
    """Make a new secret webhook address and print its path; the present one works for 24 hours more.

    \b
    Example:
      headwater sources new-webhook-address activecampaign
    """
    source = FAMILY.find(at, key)
    made = at.call("POST", f"/sources/{source['id']}/webhook-secret", query={"now": "true" if now else None})
    _say({"webhookPath": made["webhookPath"]}, json_=json_)


def _say(made: dict[str, str], *, json_: bool) -> None:
    """Print the one value that was made, bare for a shell's `$(…)`."""
    if json_:
        printing.as_json(made)
    else:
        click.echo("\n".join(made.values()))
