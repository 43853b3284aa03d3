"""`headwater plans`: tracking plans, their rules as a file, and their sources."""

from __future__ import annotations

from typing import Any

import click

from headwater.cli import inputs, printing, server
from headwater.cli.family import Thing, json_option, one_called
from headwater.cli.schema import show_violations
from headwater.cli.server import Server
from headwater.cli.sources import FAMILY as SOURCES


@click.group()
def command() -> None:
    """Write down what sources shall send, and hold them to it.

    \b
    Example:
      headwater plans create "Web shop" --seen-at website
      headwater plans rules web-shop > plan.json
      headwater plans rules web-shop --from plan.json
      headwater plans connect web-shop website
    """


@command.command("list")
@json_option
@server.options
def list_(at: Server, *, json_: bool) -> None:
    """List tracking plans.

    \b
    Example:
      headwater plans list
    """
    found = at.pages("/tracking-plans", "trackingPlans")
    if json_:
        printing.as_json(found)
        return
    rows = [(each["id"], each["slug"], each["name"], each["type"], each["updatedAt"][:19]) for each in found]
    heads = ("id", "slug", "name", "type", "changed")
    printing.table(heads, rows, empty="There are no plans; `headwater plans create` makes one.")


@command.command()
@click.argument("name")
@click.option("--description", default="", help="What it is for.")
@click.option("--seen-at", metavar="SOURCE", help="Begin with what this source has sent.")
@json_option
@server.options
def create(at: Server, name: str, *, description: str, seen_at: str | None, json_: bool) -> None:
    """Make a tracking plan, empty or of what a source has sent.

    \b
    Example:
      headwater plans create "Web shop" --seen-at website
    """
    query = {"fromSource": SOURCES.find(at, seen_at)["id"]} if seen_at else {}
    body = {"name": name, "type": "LIVE", "description": description}
    made = at.call("POST", "/tracking-plans", body, query=query)["trackingPlan"]
    if json_:
        printing.as_json(made)
    else:
        click.echo(f"Made the plan {printing.text_of(made['slug'])}.")


@command.command()
@click.argument("plan")
@json_option
@server.options
def show(at: Server, plan: str, *, json_: bool) -> None:
    """Show a plan and the sources that are held against it.

    \b
    Example:
      headwater plans show web-shop
    """
    found = _find(at, plan)
    connected = at.pages(f"{_path(found)}/sources", "sources")
    if json_:
        printing.as_json({**found, "sources": connected})
        return
    facts: list[tuple[str, Any]] = [(name, found[name] or None) for name in ("id", "slug", "name", "description")]
    facts.append(("sources", ", ".join(each["slug"] for each in connected) or None))
    printing.facts([*facts, ("rules", len(at.pages(f"{_path(found)}/rules", "rules")))])


@command.command()
@click.argument("plan")
@click.option("--from", "file", metavar="FILE", help="Let the plan have the rules of this file; - is standard input.")
@json_option
@server.options
def rules(at: Server, plan: str, *, file: str | None, json_: bool) -> None:
    """Print a plan's rules as JSON, or replace them by those of a file.

    \b
    Example:
      headwater plans rules web-shop > plan.json
      headwater plans rules web-shop --from plan.json
    """
    found = _find(at, plan)
    if file is None:
        printing.as_json({"rules": at.pages(f"{_path(found)}/rules", "rules")})
        return
    wanted = inputs.document(file, "--from")
    answer = at.call("PUT", f"{_path(found)}/rules", {"rules": wanted.get("rules", [])})
    if json_:
        printing.as_json(answer)
    else:
        click.echo(f"{printing.text_of(found['name'])} has {len(wanted.get('rules', []))} rules now.")


@command.command()
@click.argument("plan")
@click.argument("source")
@json_option
@server.options
def connect(at: Server, plan: str, source: str, *, json_: bool) -> None:
    """Hold a source's events against a plan.

    \b
    Example:
      headwater plans connect web-shop website
    """
    found, place = _find(at, plan), SOURCES.find(at, source)
    answer = at.call("POST", f"{_path(found)}/sources", {"sourceId": place["id"]})
    told = f"{place['slug']} is held against {found['name']}; `headwater schema set` says what happens to the rest."
    _done(answer, told, json_=json_)


@command.command()
@click.argument("plan")
@click.argument("source")
@json_option
@server.options
def disconnect(at: Server, plan: str, source: str, *, json_: bool) -> None:
    """Hold a source's events against a plan no more.

    \b
    Example:
      headwater plans disconnect web-shop website
    """
    found, place = _find(at, plan), SOURCES.find(at, source)
    answer = at.call("DELETE", f"{_path(found)}/sources", query={"sourceId": place["id"]})
    _done(answer, f"{place['slug']} is not held against {found['name']} any more.", json_=json_)


@command.command()
@click.argument("plan")
@click.option("--days", type=click.IntRange(1, 30), default=7, help="How far back (7).")
@json_option
@server.options
def violations(at: Server, plan: str, *, days: int, json_: bool) -> None:
    """List what did not fit a plan, over all of its sources.

    \b
    Example:
      headwater plans violations web-shop
    """
    show_violations(at.pages(f"{_path(_find(at, plan))}/violations", "violations", {"days": days}), json_=json_)


@command.command()
@click.argument("plan")
@json_option
@server.options
def delete(at: Server, plan: str, *, json_: bool) -> None:
    """Delete a plan; its sources let through what it has blocked.

    \b
    Example:
      headwater plans delete web-shop
    """
    found = _find(at, plan)
    at.call("DELETE", _path(found))
    _done(found, f"Deleted the plan {found['name']}.", json_=json_)


def _done(answer: Thing, told: str, *, json_: bool) -> None:
    if json_:
        printing.as_json(answer)
    else:
        click.echo(printing.text_of(told, None))


def _find(at: Server, key: str) -> Thing:
    plans = at.pages("/tracking-plans", "trackingPlans")
    return one_called(plans, key, "plan", "headwater plans list", ("id", "slug", "name"))


def _path(plan: Thing) -> str:
    return f"/tracking-plans/{server.segment(plan['id'])}"
