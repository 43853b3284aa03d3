"""How a connection to an ActiveCampaign account is found and shown on the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import click

from headwater.cli import printing, progress, server
from headwater.cli.server import Server

BASE: Final = "/activecampaign/connections"
_REPORTS: Final = ("opens", "clicks", "bounces", "unsubscribes", "delivered")

Connection = dict[str, Any]

which = click.argument("connection", required=False)


def path_of(connection: Connection) -> str:
    """Return where the API has it."""
    return f"{BASE}/{server.segment(connection['id'])}"


def find(at: Server, key: str | None) -> Connection:
    """Return the connection that `key` means: its id, account, address or source; the only one needs no key.

    Raises:
        ClickException: there is none, or more than one.
    """
    found = at.pages(BASE, "connections")
    if not found:
        raise click.ClickException(
            "No ActiveCampaign account is connected; `headwater activecampaign connect` connects one."
        )
    if key is None and len(found) > 1:
        names = ", ".join(each["account"] for each in found)
        raise click.ClickException(f"{len(found)} accounts are connected; name one of them: {names}.")
    meant = found if key is None else [each for each in found if key in _names(each)]
    if len(meant) != 1:
        many = f"{len(meant)} connections are" if meant else "No connection is"
        raise click.ClickException(f"{many} called {key!r}; `headwater activecampaign list` shows their ids.")
    return meant[0]


def _names(connection: Connection) -> set[str]:
    address = connection["accountUrl"]
    source = connection["source"]
    return {connection["id"], connection["account"], address, address.partition("://")[2], source["id"], source["slug"]}


def table(found: Sequence[Connection]) -> None:
    """Print one line a connection."""
    rows = [
        (each["id"], each["account"], each["source"]["slug"], _on(each), each["state"], _last(each)) for each in found
    ]
    empty = "No ActiveCampaign account is connected; `headwater activecampaign connect` connects one."
    printing.table(("id", "account", "source", "switch", "state", "last event"), rows, empty=empty)


def show(connection: Connection) -> None:
    """Print how a connection does: switch, state and next step, last event, webhook, lag, budget, people, runs."""
    state = click.style(_on(connection), fg="green" if connection["enabled"] else None, bold=True)
    click.echo(f"{click.style(printing.text_of(connection['account']), bold=True)}  {state}  {connection['state']}")
    click.echo(printing.text_of(connection.get("message"), None))
    source = connection["source"]
    printing.facts(
        [
            ("id", connection["id"]),
            ("address", connection["accountUrl"]),
            ("source", f"{source['name']} ({source['type']}), schema {source['schemaName']}"),
            ("last event", _last(connection)),
            ("webhook", _webhook(connection.get("webhook"))),
            ("lag", _lag(connection.get("lag"))),
            ("budget", _budget(connection.get("budget"))),
            ("contacts", _identities(connection.get("identities"))),
            ("back-fill", run_line(connection.get("backfill"))),
            ("reconciliation", run_line(connection.get("reconciliation"))),
        ]
    )
    for warning in connection.get("warnings") or ():
        click.echo(f"{click.style('!', fg='yellow', bold=True)} {printing.text_of(warning['message'], None)}")


def _on(connection: Connection) -> str:
    return "ON" if connection["enabled"] else "OFF"


def _last(connection: Connection) -> str | None:
    last = connection.get("lastEvent")
    if not last:
        return None
    how = ", not by webhook" if last.get("origin") == "report" else ""
    return f"{last['event']}, {_time(last['at'])}{how}"


def _webhook(webhook: Connection | None) -> str | None:
    if not webhook:
        return None
    parts = [webhook["state"], webhook.get("address")]
    if webhook.get("checkedAt"):
        parts.append(f"looked at {_time(webhook['checkedAt'])}")
    if webhook.get("repairs"):
        parts.append(f"put right {_times(webhook['repairs'])}")
    return ", ".join(filter(None, [*parts, webhook.get("message")]))


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")


def _lag(lag: Connection | None) -> str | None:
    if not lag:
        return None
    waiting = lag.get("inbox", 0)
    return f"{waiting:,} webhooks wait, the oldest for {progress.about(lag['oldestS'])}" if waiting else "nothing waits"


def _budget(budget: Connection | None) -> str | None:
    if not budget:
        return None
    text = (
        f"{budget['lastMinute']:,} calls in the last minute of {budget['perSecond'] * 60:,}, {budget['total']:,} in all"
    )
    more = [
        f"{budget['throttled']:,} answered with “slow down”" if budget.get("throttled") else "",
        f"{budget['waiting']:,} waiting" if budget.get("waiting") else "",
        f"paused for {progress.about(budget['pausedS'])}" if budget.get("pausedS") else "",
    ]
    return ", ".join(filter(None, [text, *more]))


def _identities(known: Connection | None) -> str | None:
    if not known:
        return None
    late = f"; {known['fallbacks']:,} by e-mail, because the answer came late" if known["fallbacks"] else ""
    return f"{known['known']:,} known, {known['withUserId']:,} with a user id{late}"


def run_line(run: Connection | None) -> str | None:
    """Return a run in one line, None when there is none."""
    if not run:
        return None
    campaigns = run["campaigns"]
    parts = [
        run["state"],
        f"{campaigns['done']:,} of {campaigns['total']:,} campaigns",
        f"{run['rows']:,} rows read",
        f"{run['filled']:,} filled in",
        f"{run['calls']:,} calls",
    ]
    if run.get("etaS") and run["state"] not in progress.OVER:
        parts.append(f"about {progress.about(run['etaS'])} left")
    return ", ".join(filter(None, [*parts, run.get("message")]))


def runs(found: Sequence[Connection]) -> None:
    """Print one line a run."""
    columns = ("id", "kind", "state", "since", "campaigns", "rows", "filled", "calls", "began", "ended", "message")
    rows = [
        (
            run["id"],
            run["kind"],
            run["state"],
            run.get("since") or None,
            f"{run['campaigns']['done']}/{run['campaigns']['total']}",
            run["rows"],
            run["filled"],
            run["calls"],
            _time(run.get("startedAt")),
            _time(run.get("endedAt")),
            run.get("message"),
        )
        for run in found
    ]
    printing.table(columns, rows, empty="Nothing has been read back or compared yet.", whole=True)


def comparison(campaigns: Sequence[Connection], *, is_whole: bool) -> None:
    """Print Headwater's and ActiveCampaign's counts, campaign by campaign, and why they differ.

    Args:
        campaigns: as the API tells them.
        is_whole: also those where nothing differs.
    """
    shown = [each for each in campaigns if is_whole or not each["equal"]]
    if equal := len(campaigns) - len(shown):
        click.echo(f"{equal:,} of {len(campaigns):,} campaigns count the same on both sides (--all shows them).")
    if not campaigns:
        click.echo("No campaign has been compared yet.", err=True)
    if shown:
        click.echo("Each pair: Headwater / ActiveCampaign.")
        rows = [(each["id"], each["name"], *_pairs(each)) for each in shown]
        printing.table(("campaign", "name", *_REPORTS), rows, empty="")
    for campaign in shown:
        for reason in campaign["why"]:
            click.echo(f"{campaign['id']}  {printing.text_of(reason, None)}")


def _pairs(campaign: Connection) -> Iterator[str]:
    for report in _REPORTS:
        counts = campaign["counts"].get(report)
        yield f"{counts['headwater']:,}/{counts['activeCampaign']:,}" if counts else ""


def _time(text: str | None) -> str | None:
    """Return an instant to the second, as the API tells it in UTC."""
    if not text:
        return None
    moment, _, _ = text.partition(".")
    return f"{moment.removesuffix('Z').removesuffix('+00:00').replace('T', ' ')} UTC"
