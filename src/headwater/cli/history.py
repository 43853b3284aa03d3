"""The part of `headwater activecampaign` that reads history back, compares, and imports what only people can export."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from headwater.cli import complaints, connections, printing, progress, server
from headwater.cli.connections import path_of, which
from headwater.cli.family import json_option
from headwater.cli.server import Server

_ROWS: Final = 400  # a request: its body has 256 KB at most
_RUNS: Final = 100  # looked through for the one that is waited for

campaigns_option = click.option(
    "--campaign", "campaigns", multiple=True, metavar="ID", help="Only this one; repeatable."
)
no_wait_option = click.option("--no-wait", is_flag=True, help="Return at once; `runs` shows how far it is.")


@click.command()
@which
@click.option("--since", required=True, metavar="DATE", help="From this day on: 2025-01-31, or a time with zone.")
@campaigns_option
@click.option("--dry-run", is_flag=True, help="Only count: campaigns, rows, calls and how long it would take.")
@no_wait_option
@json_option
@server.options
def backfill(
    at: Server,
    connection: str | None,
    since: str,
    campaigns: tuple[str, ...],
    *,
    dry_run: bool,
    no_wait: bool,
    json_: bool,
) -> None:
    """Read history from ActiveCampaign's reports; what is here already is recognised and not doubled.

    \b
    Example:
      headwater activecampaign backfill --since 2025-01-01 --dry-run
      headwater activecampaign backfill --since 2025-01-01 --campaign 17
    """
    found = connections.find(at, connection)
    body: dict[str, Any] = {"since": _since(since), "dryRun": dry_run} | _only(campaigns)
    run = at.call("POST", f"{path_of(found)}/backfill", body, is_long=True)["run"]
    if dry_run:
        _estimated(run, json_=json_)
        return
    _ended(_awaited(at, found, run, no_wait=no_wait), json_=json_)


@click.command()
@which
@campaigns_option
@click.option("--all", "is_whole", is_flag=True, help="Also show campaigns where nothing differs.")
@no_wait_option
@json_option
@server.options
def reconcile(
    at: Server, connection: str | None, campaigns: tuple[str, ...], *, is_whole: bool, no_wait: bool, json_: bool
) -> None:
    """Compare ActiveCampaign's counters with what is here, fill in what is missing, and say why they differ.

    \b
    Example:
      headwater activecampaign reconcile
    """
    found = connections.find(at, connection)
    run = at.call("POST", f"{path_of(found)}/reconcile", _only(campaigns), is_long=True)["run"]
    run = _awaited(at, found, run, no_wait=no_wait)
    compared = at.call("GET", f"{path_of(found)}/reconciliation")["campaigns"]
    if campaigns:
        compared = [each for each in compared if each["id"] in campaigns]
    if json_:
        printing.as_json({"run": run, "campaigns": compared})
    else:
        connections.comparison(compared, is_whole=is_whole)
    _ended(run, json_=json_, is_said=json_)


@click.command()
@which
@click.option("--count", type=click.IntRange(1, 100), default=20, show_default=True)
@json_option
@server.options
def runs(at: Server, connection: str | None, *, count: int, json_: bool) -> None:
    """List back-fills and reconciliations, newest first.

    \b
    Example:
      headwater activecampaign runs
    """
    found = at.call("GET", f"{path_of(connections.find(at, connection))}/runs", query={"count": count})["runs"]
    if json_:
        printing.as_json(found)
    else:
        connections.runs(found)


@click.command()
@click.argument("run")
@click.option("--connection", metavar="C", help="Id, account, address or source (default: the only one).")
@json_option
@server.options
def cancel(at: Server, run: str, *, connection: str | None, json_: bool) -> None:
    """End a run where it is; what it has read stays. `runs` lists them.

    \b
    Example:
      headwater activecampaign cancel 3f9c…
    """
    path = f"{path_of(connections.find(at, connection))}/runs/{server.segment(run)}/cancel"
    ended = at.call("POST", path)["run"]
    if json_:
        printing.as_json(ended)
    else:
        click.echo(connections.run_line(ended))


@click.command("import-complaints")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--connection", metavar="C", help="Id, account, address or source (default: the only one).")
@json_option
@server.options
def import_complaints(at: Server, file: Path, *, connection: str | None, json_: bool) -> None:
    """Import spam complaints from a CSV FILE with the columns email or contact_id, campaign_id and at.

    Each becomes Email Marked as Spam. Importing a file twice counts each complaint once.

    \b
    Example:
      headwater activecampaign import-complaints complaints.csv
    """
    told = complaints.read(file)
    if told.unused:
        click.echo(f"Columns that are not used: {printing.text_of(', '.join(told.unused))}", err=True)
    path = f"{path_of(connections.find(at, connection))}/complaints"
    taken = 0
    for first in range(0, len(told.rows), _ROWS):
        piece = told.rows[first : first + _ROWS]
        try:
            taken += at.call("POST", path, {"rows": piece}, is_long=True)["count"]
        except click.ClickException as error:
            where = f"lines {told.lines[first]} to {told.lines[first + len(piece) - 1]}"
            again = f" {taken:,} before them were taken; importing the file again counts them once." if taken else ""
            raise click.ClickException(f"{file.name}, {where}: {error.message}{again}") from None
    if json_:
        printing.as_json({"count": taken})
    else:
        click.echo(f"Complaints taken: {taken:,}.")


def _only(campaigns: Sequence[str]) -> dict[str, Any]:
    return {"campaigns": list(campaigns)} if campaigns else {}


def _since(text: str) -> str:
    """Return a day's beginning here, or an instant, ISO 8601 with zone.

    Raises:
        UsageError: it is no time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{text[:40]!r} is no date; write 2026-01-31 or 2026-01-31T08:00:00Z") from None
    return (moment if moment.tzinfo else moment.astimezone()).isoformat()


def _awaited(at: Server, connection: dict[str, Any], run: dict[str, Any], *, no_wait: bool) -> dict[str, Any]:
    """Return the run once it is over, or as it is when nobody waits."""
    if no_wait or run["state"] in progress.OVER:
        return run
    path = f"{path_of(connection)}/runs"

    def look() -> dict[str, Any]:
        found: list[dict[str, Any]] = at.call("GET", path, query={"count": _RUNS})["runs"]
        return next((each for each in found if each["id"] == run["id"]), run)

    end = f"`headwater activecampaign runs` shows it, `headwater activecampaign cancel {run['id']}` ends it."
    return progress.follow(look, hint=end)


def _estimated(estimate: dict[str, Any], *, json_: bool) -> None:
    """Print what a back-fill would take."""
    if json_:
        printing.as_json(estimate)
        return
    click.echo(printing.text_of(estimate["message"], None))
    click.echo(f"It would take about {progress.about(estimate['etaS'])}.")


def _ended(run: dict[str, Any], *, json_: bool, is_said: bool = False) -> None:
    """Print a run, and fail when it did not come to its end."""
    if json_ and not is_said:
        printing.as_json(run)
    elif not is_said:
        click.echo(connections.run_line(run))
    if run["state"] in {"failed", "cancelled"}:
        raise click.exceptions.Exit(1)


COMMANDS: Final = (backfill, reconcile, runs, cancel, import_complaints)
