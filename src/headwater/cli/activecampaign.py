"""`headwater activecampaign`: the account's connection, its history and what it counts."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any, Final

import click

from headwater.cli import connections, history, printing, server
from headwater.cli.connections import BASE, path_of, which
from headwater.cli.family import Given, json_option, settings_options
from headwater.cli.server import Server
from headwater.cli.sources import FAMILY as SOURCES

KEY_VARIABLE: Final = "HEADWATER_ACTIVECAMPAIGN_API_KEY"
_STDIN: Final = "-"
_OVERLAPS: Final = "The webhook has a new address; the former one works for 24 hours more."
_REFUSED: Final = "The webhook has a new address; the former one is refused from now on."


@click.group()
def command() -> None:
    """Connect ActiveCampaign accounts, read their history back and compare.

    CONNECTION is an id, an account, its address or its source; with one account it can be left out.

    \b
    Example:
      headwater activecampaign connect --account-url https://acme.api-us1.com --write-key 8Tx0…
      headwater activecampaign status
      headwater activecampaign backfill --since 2025-01-01
    """


def key_options(command_: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--account-url`, `--api-key` and `--write-key`, all optional."""

    @click.option("--account-url", metavar="URL", help="The API's address: Settings, Developer in ActiveCampaign.")
    @click.option("--api-key", metavar="KEY", help=f"Better in {KEY_VARIABLE}, or - to read it from standard input.")
    @click.option("--write-key", metavar="KEY", help="Of the source that gets the events.")
    @functools.wraps(command_)
    def packed(*args: Any, **kwargs: Any) -> None:
        command_(*args, **kwargs)

    return packed


@command.command()
@key_options
@settings_options
@json_option
@server.options
def connect(
    at: Server, account_url: str | None, api_key: str | None, write_key: str | None, *, given: Given, json_: bool
) -> None:
    """Connect an account: the webhook is registered and events flow. What is not given is asked for.

    The write key of an ordinary source keeps the events in that source's schema.

    \b
    Example:
      headwater activecampaign connect --account-url https://acme.api-us1.com --write-key 8Tx0…
      pass show acme | headwater activecampaign connect --api-key - --account-url … --write-key …
    """
    body: dict[str, Any] = {
        "accountUrl": account_url or _asked("--account-url", "Account URL, such as https://acme.api-us1.com"),
        "apiKey": _api_key(api_key) or _asked("--api-key", "API key", is_secret=True),
        "writeKey": write_key or _asked("--write-key", "Write key of the source that gets the events"),
    }
    if settings := SOURCES.settings(at, "activecampaign", given):
        body["settings"] = settings
    _shown(at.call("POST", BASE, body, is_long=True), json_=json_)


@command.command("update")
@which
@key_options
@settings_options
@json_option
@server.options
def update(
    at: Server,
    connection: str | None,
    account_url: str | None,
    api_key: str | None,
    write_key: str | None,
    *,
    given: Given,
    json_: bool,
) -> None:
    """Enter the write key, the API key, the address or settings again; what is not given stays.

    \b
    Example:
      headwater activecampaign update --write-key 8Tx0…
      headwater activecampaign update acme --set delivered=engagement
    """
    given_members = {"accountUrl": account_url, "apiKey": _api_key(api_key), "writeKey": write_key}
    body: dict[str, Any] = {name: value for name, value in given_members.items() if value is not None}
    if settings := SOURCES.settings(at, "activecampaign", given):
        body["settings"] = settings
    if not body:
        raise click.UsageError("Nothing to change; use --write-key, --api-key, --account-url or --set.")
    _shown(at.call("PATCH", path_of(connections.find(at, connection)), body, is_long=True), json_=json_)


@command.command("list")
@json_option
@server.options
def list_(at: Server, *, json_: bool) -> None:
    """List the connected accounts.

    \b
    Example:
      headwater activecampaign list
    """
    found = at.pages(BASE, "connections")
    if json_:
        printing.as_json(found)
    else:
        connections.table(found)


@command.command()
@which
@json_option
@server.options
def status(at: Server, connection: str | None, *, json_: bool) -> None:
    """Show connection, webhook, last event, lag, budget, contacts, runs and warnings.

    \b
    Example:
      headwater activecampaign status --json
    """
    _shown({"connection": connections.find(at, connection)}, json_=json_)


@command.command()
@which
@json_option
@server.options
def verify(at: Server, connection: str | None, *, json_: bool) -> None:
    """Look at the webhook in ActiveCampaign now and put it right.

    \b
    Example:
      headwater activecampaign verify
    """
    _shown(at.call("POST", f"{path_of(connections.find(at, connection))}/verify", is_long=True), json_=json_)


@command.command("rotate-secret")
@which
@click.option("--now", is_flag=True, help="Refuse the present address at once.")
@json_option
@server.options
def rotate_secret(at: Server, connection: str | None, *, now: bool, json_: bool) -> None:
    """Move the webhook to a new secret address; the present one works for 24 hours more.

    \b
    Example:
      headwater activecampaign rotate-secret
    """
    found = connections.find(at, connection)
    answer = at.call("POST", f"{path_of(found)}/rotate-secret", {"now": now}, is_long=True)
    if not json_:
        click.echo(_REFUSED if now else _OVERLAPS)
    _shown(answer, json_=json_)


@command.command()
@which
@json_option
@server.options
def enable(at: Server, connection: str | None, *, json_: bool) -> None:
    """Switch a connection ON: its webhook is registered.

    \b
    Example:
      headwater activecampaign enable
    """
    _switch(at, connection, is_on=True, json_=json_)


@command.command()
@which
@json_option
@server.options
def disable(at: Server, connection: str | None, *, json_: bool) -> None:
    """Switch a connection OFF: its webhook is removed, its keys are kept.

    \b
    Example:
      headwater activecampaign disable
    """
    _switch(at, connection, is_on=False, json_=json_)


def _switch(at: Server, connection: str | None, *, is_on: bool, json_: bool) -> None:
    found = connections.find(at, connection)
    _shown(at.call("PATCH", path_of(found), {"enabled": is_on}, is_long=True), json_=json_)


@command.command()
@which
@json_option
@server.options
def disconnect(at: Server, connection: str | None, *, json_: bool) -> None:
    """Remove the webhook and forget the account; its events stay.

    \b
    Example:
      headwater activecampaign disconnect
    """
    found = connections.find(at, connection)
    answer = at.call("DELETE", path_of(found), is_long=True)
    if json_:
        printing.as_json(answer)
    else:
        click.echo(answer["message"])


def _shown(answer: dict[str, Any], *, json_: bool) -> None:
    if json_:
        printing.as_json(answer["connection"])
    else:
        connections.show(answer["connection"])


def _api_key(given: str | None) -> str | None:
    """Return the API key of option, standard input or environment; None when there is none."""
    if given == _STDIN:
        return sys.stdin.readline().strip()
    return given or os.environ.get(KEY_VARIABLE) or None


def _asked(option: str, text: str, *, is_secret: bool = False) -> str:
    """Return what somebody types at a terminal.

    Raises:
        UsageError: nobody sits there.
    """
    if not sys.stdin.isatty():
        beside = f", {KEY_VARIABLE} or `--api-key -`" if is_secret else ""
        raise click.UsageError(f"Missing {option}{beside}; it is asked for only at a terminal.")
    return str(click.prompt(text, hide_input=is_secret, err=True)).strip()


for each in history.COMMANDS:
    command.add_command(each)
