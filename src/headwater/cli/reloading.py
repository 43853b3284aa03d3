"""The part of `headwater warehouses` about rows: loaded again, counted by day, what did not fit, removed for good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click

from headwater.cli import printing, progress, server
from headwater.cli.family import Thing, json_option
from headwater.cli.progress import Run
from headwater.cli.server import Server
from headwater.cli.sources import FAMILY as SOURCES
from headwater.cli.times import TIME
from headwater.cli.warehouse_family import FAMILY, path_of

_BAR_CHARS: Final = 30
_NAMES: Final = 3  # of collections in a line


@click.command()
@click.argument("key", metavar="WAREHOUSE")
@click.option("--source", "sources", multiple=True, metavar="S", help="Only of this source: id or slug; repeatable.")
@click.option("--collection", "collections", multiple=True, metavar="C", help="Only this table or event; repeatable.")
@click.option("--from", "since", type=TIME, metavar="T", help="From this time on, by arrival: 2026-01-31, 2h (ago).")
@click.option("--to", "until", type=TIME, metavar="T", help="Before this time.")
@click.option("--wait", is_flag=True, help="Return once it is over, with a bar meanwhile.")
@json_option
@server.options
def reload(  # noqa: PLR0913 - one parameter an option
    at: Server,
    key: str,
    *,
    sources: tuple[str, ...],
    collections: tuple[str, ...],
    since: str | None,
    until: str | None,
    wait: bool,
    json_: bool,
) -> None:
    """Load a stretch of the log again; its rows replace those of the same id, so nothing is there twice.

    A reload belongs to the server: it goes on when this command is left, and survives restarts.

    \b
    Example:
      headwater warehouses reload Archive --from 2026-01-31 --wait
      headwater warehouses reload Archive --source website --collection signed_up
    """
    warehouse = FAMILY.find(at, key)
    named: Thing = {"from": since, "to": until, "collections": list(collections) or None}
    named["sourceIds"] = [SOURCES.find(at, each)["id"] for each in sources] or None
    body = {name: value for name, value in named.items() if value is not None}
    run = at.call("POST", f"{path_of(warehouse)}/reloads", body)["reload"]
    if not wait:
        _started(warehouse, run, json_=json_)
        return
    path = f"{path_of(warehouse)}/reloads/{server.segment(str(run['id']))}"
    hint = f"`headwater warehouses reloads {warehouse['id']}` shows it, `cancel-reload` ends it."
    run = progress.follow(lambda: dict(at.call("GET", path)["reload"]), hint=hint, tell=described)
    if json_:
        printing.as_json(run)
    else:
        click.echo(described(run))
    if run["state"] != "done":
        raise click.exceptions.Exit(1)


def _started(warehouse: Thing, run: Run, *, json_: bool) -> None:
    if json_:
        printing.as_json(run)
    else:
        click.echo(f"Started reload {printing.text_of(run['id'])}.")
        click.echo(f"`headwater warehouses reloads {warehouse['id']}` shows how far it is.")


@click.command()
@click.argument("key", metavar="WAREHOUSE")
@click.option("--count", type=click.IntRange(1, 1_000), default=20, show_default=True)
@json_option
@server.options
def reloads(at: Server, key: str, *, count: int, json_: bool) -> None:
    """List the reloads of a warehouse, newest first: asked for, or because a source or a table came (back).

    \b
    Example:
      headwater warehouses reloads Archive
    """
    path = f"{path_of(FAMILY.find(at, key))}/reloads"
    found = at.call("GET", path, query={"pagination.count": count})["reloads"]
    if json_:
        printing.as_json(found)
        return
    heads = ("id", "why", "state", "gone through", "events", "rows", "collections", "started", "error")
    rows = [
        (
            run["id"],
            run["reason"],
            run["state"],
            f"{_share(run)} %",
            run["events"],
            run["rows"],
            _few(run["collections"]),
            run["startedAt"] and run["startedAt"][:19],
            run["error"] or None,
        )
        for run in found
    ]
    empty = "There are no reloads; `headwater warehouses reload` starts one."
    printing.table(heads, rows, empty=empty, whole=True)


@click.command("cancel-reload")
@click.argument("key", metavar="WAREHOUSE")
@click.argument("reload_id", metavar="RELOAD")
@json_option
@server.options
def cancel_reload(at: Server, key: str, reload_id: str, *, json_: bool) -> None:
    """End a reload where it is; what it has loaded stays.

    \b
    Example:
      headwater warehouses cancel-reload Archive 7
    """
    path = f"{path_of(FAMILY.find(at, key))}/reloads/{server.segment(reload_id)}"
    run = at.call("DELETE", path)["reload"]
    if json_:
        printing.as_json(run)
    else:
        click.echo(described(run))


def described(run: Run) -> str:
    """Return one line: bar, how much of the log, events and rows, and about how long it will take."""
    total = run["next"] - run["first"]
    done = _done(run)
    parts = [
        progress.bar(done, total),
        f"{done:,}/{total:,} of the log",
        f"{run['events']:,} events",
        f"{run['rows']:,} rows",
    ]
    if run["state"] not in {"running", "waiting"}:
        parts.append(run["state"])
    elif run["state"] == "waiting":
        parts.append("waiting")
    elif run.get("etaS") is not None:
        parts.append(f"{progress.about(run['etaS'])} left")
    if run["error"]:
        parts.append(printing.text_of(run["error"], None))
    return "  ".join(parts)


def _done(run: Run) -> int:
    first, following, position = int(run["first"]), int(run["next"]), int(run["position"])
    return max(0, min(position, following) - first)


def _share(run: Run) -> int:
    total = int(run["next"]) - int(run["first"])
    return 100 * _done(run) // total if total else 100


def _few(names: Sequence[str] | None) -> str:
    if not names:
        return "all"
    return ", ".join(names[:_NAMES]) + (f" and {len(names) - _NAMES:,} more" if len(names) > _NAMES else "")


@click.command()
@click.argument("key", metavar="WAREHOUSE")
@click.option("--days", type=click.IntRange(1, 90), default=30, show_default=True)
@click.option("--by-table", is_flag=True, help="A line for each table instead of each day.")
@json_option
@server.options
def trends(at: Server, key: str, *, days: int, by_table: bool, json_: bool) -> None:
    """Show how many rows were loaded on each of the last days.

    \b
    Example:
      headwater warehouses trends Archive --days 7
    """
    path = f"{path_of(FAMILY.find(at, key))}/row-trends"
    found = at.call("GET", path, query={"days": days})["days"]
    if json_:
        printing.as_json(found)
    elif by_table:
        totals: dict[str, int] = {}
        for day in found:
            for table, rows in day["byTable"].items():
                totals[table] = totals.get(table, 0) + rows
        ranked = sorted(totals.items(), key=lambda each: (-each[1], each[0]))
        printing.table(("table", "rows"), ranked, empty="Nothing was loaded in this time.", whole=True)
    else:
        most = max((day["rows"] for day in found), default=0)
        rows = [(day["day"], day["events"], day["rows"], day["failed"], _bar(day["rows"], most)) for day in found]
        heads = ("day", "events", "rows", "failed loads", "")
        printing.table(heads, rows, empty="Nothing was loaded in this time.")


def _bar(rows: int, most: int) -> str:
    return "#" * -(-_BAR_CHARS * rows // most) if most else ""


@click.command()
@click.argument("key", metavar="WAREHOUSE")
@json_option
@server.options
def misfits(at: Server, key: str, *, json_: bool) -> None:
    """Show which values did not fit the type of their column; they are kept in `_overflow`.

    \b
    Example:
      headwater warehouses misfits Archive
    """
    found = at.call("GET", f"{path_of(FAMILY.find(at, key))}/misfits")["misfits"]
    if json_:
        printing.as_json(found)
        return
    heads = ("table", "column", "type", "what came", "rows", "last", "widened")
    rows = [
        (
            f"{each['schema']}.{each['table']}",
            each["column"],
            each["type"],
            each["label"],
            each["rows"],
            each["lastAt"][:19],
            each["widened"],
        )
        for each in found
    ]
    printing.table(heads, rows, empty="Every value fitted its column.", whole=True)


@click.command()
@click.argument("keys", metavar="[WAREHOUSE]...", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="In every warehouse.")
@click.option("--user", "users", multiple=True, metavar="ID", help="A userId; repeatable.")
@click.option("--anonymous", multiple=True, metavar="ID", help="An anonymousId; repeatable.")
@click.option("--email", "emails", multiple=True, metavar="ADDRESS", help="In any column; repeatable.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
@json_option
@server.options
def erase(  # noqa: PLR0913 - one parameter an option
    at: Server,
    keys: tuple[str, ...],
    *,
    is_all: bool,
    users: tuple[str, ...],
    anonymous: tuple[str, ...],
    emails: tuple[str, ...],
    yes: bool,
    json_: bool,
) -> None:
    """Remove a person's rows from all tables of all sources for good.

    The log keeps its events until they are too old for it: a reload of that time would bring the rows back.

    \b
    Example:
      headwater warehouses erase --all --user user-17 --email ann@example.com
    """
    if is_all == bool(keys):
        raise click.UsageError("Name warehouses, or --all.")
    wanted = {"userIds": list(users), "anonymousIds": list(anonymous), "emails": list(emails)}
    if not any(wanted.values()):
        raise click.UsageError("Say who: --user, --anonymous or --email.")
    found = FAMILY.all(at) if is_all else [FAMILY.find(at, key) for key in keys]
    names = ", ".join(printing.text_of(each["name"]) for each in found)
    if not yes:
        click.confirm(f"Remove this person's rows from {names} for good?", abort=True, err=True)
    ends = [{"warehouse": each["name"], **_erased(at, each, wanted)} for each in found]
    if json_:
        printing.as_json(ends)
    else:
        _show_erased(ends)
    if any(each["error"] for each in ends):
        raise click.exceptions.Exit(1)


def _erased(at: Server, warehouse: Thing, wanted: Thing) -> Thing:
    """Return what was removed; one warehouse that fails does not stop the others."""
    try:
        return at.call("POST", f"{path_of(warehouse)}/erasures", wanted, is_long=True)
    except click.ClickException as error:
        return {"rows": {}, "error": error.message}


def _show_erased(ends: Sequence[dict[str, Any]]) -> None:
    rows = [(each["warehouse"], table, count) for each in ends for table, count in sorted(each["rows"].items())]
    printing.table(("warehouse", "table", "rows removed"), rows, empty="There was nothing to remove.", whole=True)
    for each in ends:
        if each["error"]:
            click.echo(f"{printing.text_of(each['warehouse'])}: {printing.text_of(each['error'], None)}", err=True)
    click.echo("The log keeps the events until they are too old for it; a reload would bring the rows back.", err=True)


COMMANDS: Final = (reload, reloads, cancel_reload, trends, misfits, erase)
