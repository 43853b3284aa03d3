"""`headwater schema`: what sources send, what of it is blocked, and what does not fit its plan."""

from __future__ import annotations

from typing import Any, Final

import click

from headwater.cli import printing, server
from headwater.cli.family import Thing, json_option
from headwater.cli.server import Server
from headwater.cli.sources import FAMILY as SOURCES

_KINDS: Final = ("track", "identify", "group", "page", "screen")
_MODES: Final = ("allow", "block", "omit")
_CALLS: Final = ("track", "identify", "group")
_MEMBERS: Final = {
    "unplanned-events": {"track": "allowUnplannedEvents"},
    "unplanned-properties": {"track": "allowUnplannedEventProperties"},
    "unplanned-traits": dict.fromkeys(("identify", "group"), "allowUnplannedTraits"),
    "events-on-violations": {"track": "allowEventOnViolations"},
    "properties-on-violations": {"track": "allowPropertiesOnViolations"},
    "traits-on-violations": dict.fromkeys(("identify", "group"), "allowTraitsOnViolations"),
    "common": dict.fromkeys(_CALLS, "commonEventOnViolations"),
}

_kind = click.option("--type", "kind", type=click.Choice(_KINDS), default="track", help="Kind of call (track).")
_days = click.option("--days", type=click.IntRange(1, 30), default=7, help="How far back (7).")


@click.group()
def command() -> None:
    """See what sources send, and block what they should not.

    \b
    Example:
      headwater schema list website
      headwater schema block website "Debug Message"
      headwater schema set website --track unplanned-events=block
    """


@command.command("list")
@click.argument("source")
@click.option("--type", "kind", type=click.Choice(_KINDS), help="Only this kind of call.")
@click.option("--search", metavar="TEXT", help="Only names that hold this.")
@_days
@json_option
@server.options
def list_(at: Server, source: str, *, kind: str | None, search: str | None, days: int, json_: bool) -> None:
    """List the events that a source has sent, with counts and when they were last seen.

    \b
    Example:
      headwater schema list website --type track --search order
    """
    asked = {"days": days} | ({"type": kind.upper()} if kind else {}) | ({"search": search} if search else {})
    found = at.pages(_path(at, source), "collections", asked)
    if json_:
        printing.as_json(found)
        return
    rows = [
        (
            each["type"].lower(),
            each["name"] or None,
            each["recent"],
            sum(each["blocked"].values()),
            each["properties"],
            each["allowed"],
            each["lastSeenAt"][:19],
        )
        for each in found
    ]
    heads = ("type", "name", f"{days} days", "blocked", "properties", "allowed", "last seen")
    printing.table(heads, rows, empty="Nothing was seen yet; send an event first.")


@command.command()
@click.argument("source")
@click.argument("name", default="")
@_kind
@json_option
@server.options
def properties(at: Server, source: str, name: str, *, kind: str, json_: bool) -> None:
    """List the properties of an event, or the traits of people.

    \b
    Example:
      headwater schema properties website "Order Completed"
      headwater schema properties website --type identify
    """
    found = at.pages(f"{_path(at, source)}/properties", "properties", {"type": kind.upper(), "name": name})
    if json_:
        printing.as_json(found)
        return
    rows = [
        (
            each["name"],
            ", ".join(each["types"]),
            each["count"],
            each["omitted"],
            each["allowed"],
            each["lastSeenAt"][:19],
        )
        for each in found
    ]
    heads = ("property", "types", "seen", "omitted", "allowed", "last seen")
    printing.table(heads, rows, empty="Nothing of this name was seen yet.")


def _change(at: Server, source: str, chosen: Thing, *, allowed: bool, json_: bool) -> None:
    kind, name = chosen["kind"].upper(), chosen["name"]
    if not chosen["properties"] and not name:
        raise click.UsageError("Name the event, or with --property what of it.")
    changes = [
        {"type": kind, "name": name, "property": each, "allowed": allowed} for each in chosen["properties"] or ("",)
    ]
    found = at.call("PATCH", _path(at, source), {"changes": changes})
    if json_:
        printing.as_json(found)
    elif found["status"] == "UNCHANGED":
        click.echo("It is so already.")
    elif allowed:
        click.echo("Allowed. What was blocked is in the log: `headwater replay` delivers it.")
    else:
        click.echo("Blocked: no destination and no warehouse gets it from now on; it stays in the log.")


_property = click.option("--property", "properties", multiple=True, metavar="P", help="Only this of it; repeatable.")


@command.command()
@click.argument("source")
@click.argument("name", default="")
@_property
@_kind
@json_option
@server.options
def block(at: Server, source: str, *, json_: bool, **chosen: Any) -> None:
    """Let an event, a property or a trait go no further than the log.

    \b
    Example:
      headwater schema block website "Debug Message"
      headwater schema block website --type identify --property ssn
    """
    _change(at, source, chosen, allowed=False, json_=json_)


@command.command()
@click.argument("source")
@click.argument("name", default="")
@_property
@_kind
@json_option
@server.options
def allow(at: Server, source: str, *, json_: bool, **chosen: Any) -> None:
    """Let through what was blocked.

    \b
    Example:
      headwater schema allow website "Debug Message"
    """
    _change(at, source, chosen, allowed=True, json_=json_)


@command.command()
@click.argument("source")
@json_option
@server.options
def blocked(at: Server, source: str, *, json_: bool) -> None:
    """List the names that are blocked one by one, also those that never came.

    \b
    Example:
      headwater schema blocked website
    """
    found = at.pages(f"{_path(at, source)}/blocked", "names")
    if json_:
        printing.as_json(found)
        return
    rows = [(each["type"].lower(), each["name"] or None, each["property"] or None) for each in found]
    printing.table(
        ("type", "name", "property"), rows, empty="No name is blocked; `headwater schema set` tells the rest."
    )


@command.command("set")
@click.argument("source")
@click.option("--track", "track", multiple=True, metavar="WHAT=HOW", help="allow, block or omit; see the example.")
@click.option("--identify", "identify", multiple=True, metavar="WHAT=HOW", help="Likewise for identify calls.")
@click.option("--group", "group", multiple=True, metavar="WHAT=HOW", help="Likewise for group calls.")
@click.option("--violations-to", metavar="S", help='Source that gets violations as events; "" for none.')
@click.option("--blocked-to", metavar="S", help='Source that gets blocked events; "" for none.')
@json_option
@server.options
def set_(at: Server, source: str, *, json_: bool, **given: Any) -> None:
    """Choose what happens to what is not planned; without an option, show it.

    \b
    Example:
      headwater schema set website --track unplanned-events=block --track common=omit
      headwater schema set website --identify unplanned-traits=omit --violations-to quality
    """
    body: Thing = {call: dict(_decided(call, each) for each in given[call]) for call in _CALLS if given[call]}
    for option, member in (("violations_to", "forwardingViolationsTo"), ("blocked_to", "forwardingBlockedEventsTo")):
        if given[option] is not None:
            body[member] = given[option]
    path = f"/sources/{server.segment(SOURCES.find(at, source)['id'])}/settings"
    found = at.call("PATCH", path, body) if body else at.call("GET", path)
    if json_:
        printing.as_json(found)
        return
    settings = found["settings"]
    facts = [(f"{call} {name}", value) for call in _CALLS for name, value in settings[call].items()]
    facts += [(name, value or None) for name, value in settings.items() if name.startswith("forwarding")]
    printing.facts(facts)


def _decided(call: str, given: str) -> tuple[str, Any]:
    """Return the API's member and value of one `WHAT=HOW`.

    Raises:
        UsageError: there is no such thing, or not for this call.
    """
    what, _, how = given.partition("=")
    member = _MEMBERS.get(what, {}).get(call)
    if member is None or how not in _MODES:
        known = ", ".join(each for each, calls in _MEMBERS.items() if call in calls)
        raise click.UsageError(f"--{call} {given}: say WHAT=HOW with {known}; HOW is allow, block or omit.")
    if what != "common":
        return member, how == "allow"
    omit = "OMIT_PROPERTIES" if call == "track" else "OMIT_TRAITS"
    return member, omit if how == "omit" else how.upper()


@command.command()
@click.argument("source")
@_days
@json_option
@server.options
def violations(at: Server, source: str, *, days: int, json_: bool) -> None:
    """List what did not fit the source's plan, most frequent first.

    \b
    Example:
      headwater schema violations website --days 30
    """
    key = server.segment(SOURCES.find(at, source)["id"])
    show_violations(at.pages(f"/sources/{key}/violations", "violations", {"days": days}), json_=json_)


def show_violations(found: list[Thing], *, json_: bool) -> None:
    """Print violations."""
    if json_:
        printing.as_json(found)
        return
    rows = [
        (each["eventName"] or each["eventType"].lower(), each["description"], each["count"], each["lastSeenAt"][:19])
        for each in found
    ]
    printing.table(("event", "what", "times", "last"), rows, empty="Nothing violates the plan.")


@command.command()
@click.argument("source")
@json_option
@server.options
def clear(at: Server, source: str, *, json_: bool) -> None:
    """Forget which names a source has sent; they are seen anew. Events and blocks stay.

    \b
    Example:
      headwater schema clear website
    """
    found = at.call("DELETE", _path(at, source))
    if json_:
        printing.as_json(found)
    else:
        click.echo("Cleared; names appear again as events come.")


def _path(at: Server, source: str) -> str:
    return f"/sources/{server.segment(SOURCES.find(at, source)['id'])}/schema"
