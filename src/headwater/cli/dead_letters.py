"""`headwater dead-letters`: what could not be delivered."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import click

from headwater.cli import destinations, printing, server
from headwater.cli.family import json_option
from headwater.cli.server import Server
from headwater.cli.sources import FAMILY as SOURCES
from headwater.cli.times import TIME

_PAGE: Final = 200  # what the API gives at a time
_COLUMNS: Final = ("id", "event", "destination", "died", "attempts", "reason")
_CHOSEN: Final = ("destinationId", "sourceId", "event", "type", "reason", "messageId", "since", "until")

Chosen = dict[str, str]
"""What dead letters have in common, by the API's members; destination and source as they were typed."""


@click.group()
def command() -> None:
    """See, retry and discard what could not be delivered, and why.

    \b
    Example:
      headwater dead-letters list
      headwater dead-letters retry --destination "My hook" --reason "HTTP 400"
      headwater dead-letters list --unmapped
    """


unmapped_option = click.option("--unmapped", is_flag=True, help="Webhooks that could not be mapped, instead.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask when all that match are meant.")


def chosen_options(command_: Callable[..., None]) -> Callable[..., None]:
    """Give a command what dead letters are chosen by; it gets what was named as `chosen`."""

    @click.option("--destination", "destinationId", metavar="D", help="Of this destination: id or name.")
    @click.option("--source", "sourceId", metavar="S", help="Of this source: id, slug or name.")
    @click.option("--event", metavar="E", help="Of this event's name.")
    @click.option("--type", metavar="T", help="Of this call: track, identify, page, screen, group or alias.")
    @click.option("--reason", metavar="R", help="Given up for this reason, as the list shows it.")
    @click.option("--message-id", "messageId", metavar="M", help="Of this messageId.")
    @click.option("--since", type=TIME, metavar="T", help="Given up from this time on: 2026-01-31, or 2h (ago).")
    @click.option("--until", type=TIME, metavar="T", help="Given up before this time.")
    @functools.wraps(command_)
    def packed(*args: Any, **kwargs: Any) -> None:
        chosen = {name: value for name in _CHOSEN if (value := kwargs.pop(name, None)) is not None}
        command_(*args, chosen=chosen, **kwargs)

    return packed


@command.command("list")
@chosen_options
@unmapped_option
@click.option("--count", type=click.IntRange(1, 500), default=50, show_default=True)
@json_option
@server.options
def list_(at: Server, *, chosen: Chosen, unmapped: bool, count: int, json_: bool) -> None:
    """List dead letters, newest first.

    \b
    Example:
      headwater dead-letters list --destination "My hook" --since 1d
      headwater dead-letters list --unmapped
    """
    if unmapped:
        _list_unmapped(at, _source_alone(chosen), count, json_=json_)
        return
    found = _found(at, _resolved(at, chosen), count)
    if json_:
        printing.as_json(found)
        return
    names = {each["id"]: each["name"] for each in destinations.FAMILY.all(at)} if found else {}
    rows = [
        (
            each["id"],
            each["event"] or each["type"],
            names.get(each["destinationId"], each["destinationId"]),
            each["diedAt"][:19],
            each["attempts"],
            each["reason"],
        )
        for each in found
    ]
    printing.table(_COLUMNS, rows, empty="There are no such dead letters.")


@command.command()
@click.argument("dead_letter")
@unmapped_option
@click.option("--json", "json_", is_flag=True, help="Print JSON; it always does.")
@server.options
def show(at: Server, dead_letter: str, *, unmapped: bool, json_: bool) -> None:
    """Show one with its event and the service's last answer, or a webhook as it came, as JSON.

    \b
    Example:
      headwater dead-letters show 7
      headwater dead-letters show --unmapped 190
    """
    del json_  # taken like everywhere, so that scripts need not know
    if unmapped:
        printing.as_json(at.call("GET", f"/unmapped/{server.segment(dead_letter)}")["unmapped"])
        return
    printing.as_json(at.call("GET", f"/dead-letters/{server.segment(dead_letter)}"))


@command.command()
@click.argument("dead_letters", nargs=-1)
@chosen_options
@click.option("--all", "is_all", is_flag=True, help="Every dead letter there is.")
@unmapped_option
@yes_option
@json_option
@server.options
def retry(
    at: Server,
    dead_letters: tuple[str, ...],
    *,
    chosen: Chosen,
    is_all: bool,
    unmapped: bool,
    yes: bool,
    json_: bool,
) -> None:
    """Deliver dead letters again: by id, or all that match; with --unmapped, map webhooks once more.

    \b
    Example:
      headwater dead-letters retry 7 8
      headwater dead-letters retry --destination "My hook" --reason "HTTP 400"
      headwater dead-letters retry --unmapped
    """
    if not unmapped:
        _act(at, "retry", dead_letters, chosen, is_all=is_all, yes=yes, json_=json_)
        return
    if dead_letters or is_all:
        raise click.UsageError("--unmapped webhooks are mapped all at once; use it alone or with --source.")
    source = _source_alone(chosen)
    body = {} if source is None else {"sourceId": SOURCES.find(at, source)["id"]}
    again = at.call("POST", "/unmapped/retry", body, is_long=True)
    if json_:
        printing.as_json(again)
    else:
        click.echo(f"{again['mapped']} are mapped now, {again['stillUnmapped']} still cannot be.")


@command.command()
@click.argument("dead_letters", nargs=-1)
@chosen_options
@click.option("--all", "is_all", is_flag=True, help="Every dead letter there is.")
@yes_option
@json_option
@server.options
def discard(at: Server, dead_letters: tuple[str, ...], *, chosen: Chosen, is_all: bool, yes: bool, json_: bool) -> None:
    """Give dead letters up for good: by id, or all that match. The log keeps the events.

    \b
    Example:
      headwater dead-letters discard 7
      headwater dead-letters discard --destination "My hook" --until 30d --yes
    """
    _act(at, "discard", dead_letters, chosen, is_all=is_all, yes=yes, json_=json_)


def _act(at: Server, verb: str, ids: tuple[str, ...], chosen: Chosen, *, is_all: bool, yes: bool, json_: bool) -> None:
    """Retry or discard, by id at once, else after the count was agreed to."""
    if bool(ids) + bool(chosen) + is_all != 1:
        raise click.UsageError("Name either dead letters by id, or what they have in common, such as --destination.")
    path = f"/dead-letters/{verb}"
    body: dict[str, Any] = {"ids": list(ids)} if ids else {"all": True} if is_all else _resolved(at, chosen)
    if not ids and not yes:
        count = at.call("POST", path, {**body, "dryRun": True}, is_long=True)["count"]
        if not count:
            click.echo("There are no such dead letters.", err=True)
            return
        _asked(verb, count)
    found = at.call("POST", path, body, is_long=True)
    if json_:
        printing.as_json(found)
    else:
        count = found["count"]
        click.echo(f"{count:,} {'is' if count == 1 else 'are'} {'tried again' if verb == 'retry' else 'discarded'}.")


def _asked(verb: str, count: int) -> None:
    """Return when somebody agrees.

    Raises:
        ClickException: nobody is there to ask.
        Exit: with status 1: no.
    """
    question = f"{verb.capitalize()} {count:,} dead letter{'s' if count > 1 else ''}?"
    try:
        is_wanted = click.confirm(question, err=True)
    except click.Abort:
        raise click.ClickException("Nothing was done; --yes goes on without asking.") from None
    if not is_wanted:
        click.echo("Nothing was done.", err=True)
        raise click.exceptions.Exit(1)


def _found(at: Server, query: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Return up to `count`, page by page."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while len(found) < count:
        page = {**query, "count": min(_PAGE, count - len(found)), "cursor": cursor}
        answer = at.call("GET", "/dead-letters", query=page)
        found += answer["deadLetters"]
        cursor = answer["next"]
        if cursor is None:
            break
    return found


def _source_alone(chosen: Chosen) -> str | None:
    if chosen.keys() - {"sourceId"}:
        raise click.UsageError("--unmapped webhooks have no destination yet; use it alone or with --source.")
    return chosen.get("sourceId")


def _list_unmapped(at: Server, source: str | None, count: int, *, json_: bool) -> None:
    query = {"count": count, "sourceId": None if source is None else SOURCES.find(at, source)["id"]}
    found = at.call("GET", "/unmapped", query=query)["unmapped"]
    if json_:
        printing.as_json(found)
        return
    names = {each["id"]: each["slug"] for each in SOURCES.all(at)} if found else {}
    rows = [
        (each["inboxSeq"], names.get(each["sourceId"], each["sourceId"]), each["receivedAt"], each["reason"])
        for each in found
    ]
    printing.table(("webhook", "source", "received", "reason"), rows, empty="Every webhook could be mapped.")


def _resolved(at: Server, chosen: Chosen) -> dict[str, Any]:
    """Return it with ids for names."""
    ids = {"destinationId": destinations.FAMILY, "sourceId": SOURCES}
    return {name: ids[name].find(at, text)["id"] if name in ids else text for name, text in chosen.items()}
