"""`headwater privacy`: suppress people, delete what there is of them, export it, and see how far that is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from headwater.cli import printing, progress, server
from headwater.cli.family import json_option
from headwater.cli.progress import Run
from headwater.cli.server import Server

_MANY: Final = 100  # people; a deletion of more is confirmed by their number
_OVER: Final = frozenset({"FINISHED", "PARTIAL_SUCCESS", "FAILED", "NOT_SUPPORTED", "INVALID"})
_WELL: Final = frozenset({"FINISHED", "INITIALIZED", "RUNNING"})

_WHOM: Final = (
    click.option("--user", "users", multiple=True, metavar="ID", help="A user id; repeatable."),
    click.option("--anonymous", "anonymous", multiple=True, metavar="ID", help="An anonymous id; repeatable."),
    click.option("--email", "emails", multiple=True, metavar="ADDRESS", help="An e-mail address; repeatable."),
    click.option("--file", "listed", type=click.File(), help="Ids or addresses, one a line, of the kind of --as."),
    click.option(
        "--as", "kind", type=click.Choice(["user", "anonymous", "email"]), default="user", help="What --file lists."
    ),
    click.option("--alone", is_flag=True, help="Only these identifiers, not what events link with them."),
)
_TYPES: Final = {"user": "USER_ID", "anonymous": "ANONYMOUS_ID", "email": "EMAIL"}
Whom = tuple[str, list[str]]


def _whom(body: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_WHOM):
        body = option(body)
    return body


@click.group()
def command() -> None:
    """Suppress people, delete or export what there is of them.

    \b
    Example:
      headwater privacy preview --email ann@example.com
      headwater privacy delete --email ann@example.com --suppress --wait
    """


@command.command()
@_whom
@click.option("--source", metavar="S", help="Only in this source: id or slug.")
@json_option
@server.options
def suppress(at: Server, *, source: str | None, json_: bool, **whom: Any) -> None:
    """Store nothing of people any more, and hand nothing on; what is stored stays.

    \b
    Example:
      headwater privacy suppress --user u-1024
    """
    _ask(at, "SUPPRESS_ONLY", whom, source, json_=json_)


@command.command()
@_whom
@click.option("--source", metavar="S", help="Only in this source: id or slug.")
@json_option
@server.options
def unsuppress(at: Server, *, source: str | None, json_: bool, **whom: Any) -> None:
    """Let people's events in again, with what was linked to them.

    \b
    Example:
      headwater privacy unsuppress --user u-1024
    """
    _ask(at, "UNSUPPRESS", whom, source, json_=json_)


@command.command()
@_whom
@click.option("--source", metavar="S", help="Only in this source: id or slug.")
@click.option("--suppress", "suppresses", is_flag=True, help="And store nothing of them any more.")
@click.option("--internal", is_flag=True, help="Do not tell destinations.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--wait", is_flag=True, help="Return once it is over, with a bar meanwhile.")
@json_option
@server.options
def delete(
    at: Server,
    *,
    source: str | None,
    suppresses: bool,
    internal: bool,
    yes: bool,
    wait: bool,
    json_: bool,
    **whom: Any,
) -> None:
    """Delete for good what there is of people: log, dead letters, warehouses, destinations that can.

    What cannot be brought back is asked for once more; more than 100 people by their number, and those are deleted only
    after ten minutes, in which `headwater privacy undo` takes it back.

    \b
    Example:
      headwater privacy delete --email ann@example.com --suppress --wait
    """
    named = _named(whom)
    count = sum(len(ids) for _, ids in named)
    if not yes:
        _confirm(count)
    kind = "SUPPRESS_WITH_DELETE" if suppresses else "DELETE_ONLY"
    if internal:
        kind = "SUPPRESS_WITH_DELETE_INTERNAL" if suppresses else "DELETE_INTERNAL"
    made = [_made(at, kind, each, source, whom) for each in named]
    told = [_followed(at, each) if wait else _one(at, each) for each in made]
    if json_:
        printing.as_json(told)
    else:
        for each in told:
            _show(each)
    if any(each["overallStatus"] not in _WELL for each in told):
        raise click.exceptions.Exit(1)


@command.command()
@_whom
@json_option
@server.options
def preview(at: Server, *, json_: bool, **whom: Any) -> None:
    """Show what a deletion would find, place by place, and which identifiers belong together; changes nothing.

    \b
    Example:
      headwater privacy preview --email ann@example.com
    """
    found = [at.call("POST", "/people/preview", _body(each, whom), is_long=True) for each in _named(whom)]
    if json_:
        printing.as_json(found)
        return
    for each in found:
        named = [
            (one["subjectType"], one["subjectId"], "named" if one["isNamed"] else "linked") for one in each["linked"]
        ]
        printing.table(("kind", "identifier", "how"), named, empty="Nobody.", whole=True)
        click.echo()
        printing.table(
            ("place", "records"), [(one["name"], one["count"]) for one in each["stores"]], empty="No places."
        )
        if each["suppressed"]:
            click.echo("They are suppressed.")


@command.command()
@_whom
@click.option("--format", "format_", type=click.Choice(["ndjson", "csv"]), default="ndjson", show_default=True)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Default: stdout.")
@server.options
def export(at: Server, *, format_: str, output: Path | None, **whom: Any) -> None:
    """Write all events of a person that the log holds.

    \b
    Example:
      headwater privacy export --email ann@example.com --output ann.ndjson
    """
    (named, *more) = _named(whom)
    if more:
        raise click.UsageError("Name identifiers of one kind; events link the others with them.")
    body = {**_body(named, whom), "format": format_}
    if output is None:
        at.save("/people/export", body, sys.stdout.buffer)
        return
    with output.open("wb") as target:
        at.save("/people/export", body, target)
    click.echo(f"Wrote {output}.", err=True)


@command.command("list")
@json_option
@server.options
def list_(at: Server, *, json_: bool) -> None:
    """List the regulations, the newest first.

    \b
    Example:
      headwater privacy list
    """
    found = at.pages("/regulations", "regulations")
    if json_:
        printing.as_json(found)
        return
    rows = [
        (
            each["id"],
            each["regulationType"],
            each["subjectCount"],
            each["status"],
            each["createdAt"][:19],
            each["createdBy"],
        )
        for each in found
    ]
    heads = ("id", "type", "people", "status", "asked", "by")
    printing.table(heads, rows, empty="Nobody has asked for anything; `headwater privacy delete` does.")


@command.command()
@json_option
@server.options
def suppressions(at: Server, *, json_: bool) -> None:
    """List who is suppressed, as keyed hashes: the list names nobody.

    \b
    Example:
      headwater privacy suppressions
    """
    found = at.pages("/suppressions", "suppressed")
    if json_:
        printing.as_json(found)
        return
    rows = [
        (each["subjectType"], each["subjectIds"][0], each["createdAt"][:19], each["regulationId"]) for each in found
    ]
    printing.table(("kind", "hash", "since", "regulation"), rows, empty="Nobody is suppressed.")


@command.command()
@click.argument("regulation")
@json_option
@server.options
def status(at: Server, regulation: str, *, json_: bool) -> None:
    """Show a regulation with its receipt: what was found, erased and left, place by place.

    \b
    Example:
      headwater privacy status 2XfHf3QdG9dH
    """
    told = _one(at, regulation)
    if json_:
        printing.as_json(told)
    else:
        _show(told)


@command.command()
@click.argument("regulation")
@server.options
def undo(at: Server, regulation: str) -> None:
    """Take back a regulation that has not begun.

    \b
    Example:
      headwater privacy undo 2XfHf3QdG9dH
    """
    at.call("DELETE", f"/regulations/{server.segment(regulation)}")
    click.echo("Taken back; nothing was deleted.")


@command.command()
@json_option
@server.options
def reapply(at: Server, *, json_: bool) -> None:
    """Delete again whom a restored backup brought back: those whose deletion was carried out before.

    \b
    Example:
      headwater privacy reapply
    """
    told = at.call("POST", "/regulations/reapply", is_long=True)
    if json_:
        printing.as_json(told)
    elif not told["regulateIds"]:
        click.echo("Nobody of them is in the log.")
    else:
        click.echo(
            f"Deleting {told['subjectCount']:,} identifiers again; `headwater privacy list` shows how far it is."
        )


def _ask(at: Server, kind: str, whom: dict[str, Any], source: str | None, *, json_: bool) -> None:
    made = [_one(at, _made(at, kind, named, source, whom)) for named in _named(whom)]
    if json_:
        printing.as_json(made)
        return
    done = "suppressed from now on" if kind == "SUPPRESS_ONLY" else "not suppressed any more"
    click.echo(f"{sum(each['subjectCount'] for each in made):,} {done}.")


def _made(at: Server, kind: str, named: Whom, source: str | None, whom: dict[str, Any]) -> str:
    path = "/regulations" if source is None else f"/regulations/sources/{server.segment(source)}"
    return str(at.call("POST", path, {"regulationType": kind, **_body(named, whom)})["regulateId"])


def _one(at: Server, regulation: str) -> Run:
    told: Run = at.call("GET", f"/regulations/{server.segment(regulation)}")["regulation"]
    return told


def _followed(at: Server, regulation: str) -> Run:
    def look() -> Run:
        told = _one(at, regulation)
        return {**told, "state": "done" if told["overallStatus"] in _OVER else "running"}

    hint = f"`headwater privacy status {regulation}` shows it."
    return progress.follow(look, hint=hint, tell=_line)


def _line(told: Run) -> str:
    stores = told["receipt"]["stores"]
    done = sum(each["status"] == "FINISHED" for each in stores)
    erased = sum(each["erased"] for each in stores)
    parts = [progress.bar(done, len(stores)), f"{done}/{len(stores)} places", f"{erased:,} erased"]
    return "  ".join([*parts, told["overallStatus"].lower(), told["reason"]]).strip()


def _show(told: Run) -> None:
    receipt = told["receipt"]
    members = (
        "id",
        "regulationType",
        "subjectCount",
        "overallStatus",
        "createdBy",
        "createdAt",
        "beginsAt",
        "finishedAt",
    )
    printing.facts([*((name, told[name]) for name in members), ("reason", told["reason"] or None)])
    rows = [
        (each["name"], each["status"], each["before"], each["erased"], each["after"], each["error"] or None)
        for each in receipt["stores"]
    ]
    rows += [
        (each["name"], each["status"], None, None, None, each["errString"] or None)
        for stream in told["streamStatus"]
        for each in stream["destinationStatus"]
    ]
    if rows:
        printing.table(("place", "status", "before", "erased", "left", "why"), rows, empty="", whole=True)
    if search := receipt["search"]:
        left = ", ".join(f"{name} ({count})" for name, count in search["found"].items())
        click.echo(
            f"Searched {search['files']:,} files, {search['bytes']:,} bytes: {left or 'nothing of them is left'}."
        )


def _named(whom: dict[str, Any]) -> list[Whom]:
    """Return the identifiers by kind."""
    found = {"user": list(whom["users"]), "anonymous": list(whom["anonymous"]), "email": list(whom["emails"])}
    if whom["listed"] is not None:
        found[whom["kind"]] += [line.strip() for line in whom["listed"] if line.strip()]
    named = [(_TYPES[kind], ids) for kind, ids in found.items() if ids]
    if not named:
        raise click.UsageError("Say whom: --user, --anonymous, --email or --file.")
    return named


def _body(named: Whom, whom: dict[str, Any]) -> dict[str, Any]:
    return {"subjectType": named[0], "subjectIds": named[1], "followLinks": not whom["alone"]}


def _confirm(count: int) -> None:
    if count <= _MANY:
        click.confirm("What is deleted cannot be brought back. Delete it?", abort=True, err=True)
        return
    typed = click.prompt(f"This deletes everything of {count:,} people. Type their number", err=True)
    if typed.replace(",", "").strip() != str(count):
        raise click.ClickException("That is another number; nothing was deleted.")
