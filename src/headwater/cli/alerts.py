"""`headwater alerts`: what is wrong, what people are told of, and where."""

from __future__ import annotations

from typing import Any, Final

import click

from headwater.cli import inputs, printing, server
from headwater.cli.family import json_option, one_called
from headwater.cli.server import Server

_KINDS: Final = (
    "source-silent",
    "delivery-rate",
    "warehouse-failing",
    "webhook-inactive",
    "disk-low",
    "conservation-broken",
    "pipeline-down",
)


@click.group()
def command() -> None:
    """See what is wrong, and choose what is told to whom.

    \b
    Example:
      headwater alerts list
      headwater alerts add-channel Ops --email ops@example.com
      headwater alerts set delivery-rate --threshold 95
    """


@command.command("list")
@click.option("--open", "open_", is_flag=True, help="Only what lasts.")
@json_option
@server.options
def list_(at: Server, *, open_: bool, json_: bool) -> None:
    """List alerts, the newest first.

    \b
    Example:
      headwater alerts list --open
    """
    found = at.pages("/alerts", "alerts", {"open": "true"} if open_ else {})
    if json_:
        printing.as_json(found)
        return
    rows = [(each["title"], each["text"], each["beganAt"][:19], (each["endedAt"] or "lasts")[:19]) for each in found]
    printing.table(("alert", "what", "began", "ended"), rows, empty="All is well.")


@command.command()
@json_option
@server.options
def rules(at: Server, *, json_: bool) -> None:
    """List what is told of.

    \b
    Example:
      headwater alerts rules
    """
    found = at.call("GET", "/alerts/rules")["rules"]
    if json_:
        printing.as_json(found)
        return
    heads = ("id", "rule", "about", "enabled", "threshold", "minutes", "channels")
    rows = [
        (
            each["id"],
            each["title"],
            each["subjectId"] or "everything",
            each["enabled"],
            f"{each['threshold']} {each['thresholdBounds']['unit']}" if each["thresholdBounds"] else None,
            each["windowMinutes"] or None,
            ", ".join(each["channelIds"]) or "all",
        )
        for each in found
    ]
    printing.table(heads, rows, empty="There are no rules.")


@command.command("set")
@click.argument("rule")
@click.option("--threshold", type=int, help="Percent delivered, or MB free.")
@click.option("--minutes", type=int, help="How far back it looks.")
@click.option("--channel", "channels", multiple=True, metavar="C", help="Only to this channel; id or name, repeatable.")
@click.option("--all-channels", is_flag=True, help="To every channel again.")
@click.option("--on/--off", "enabled", default=None, help="Switch it.")
@json_option
@server.options
def set_(  # noqa: PLR0913 - one a flag
    at: Server,
    rule: str,
    *,
    threshold: int | None,
    minutes: int | None,
    channels: tuple[str, ...],
    all_channels: bool,
    enabled: bool | None,
    json_: bool,
) -> None:
    """Change a rule: its id, for those about everything their kind.

    \b
    Example:
      headwater alerts set delivery-rate --threshold 95 --minutes 720
      headwater alerts set source-silent --off
    """
    change: dict[str, Any] = {"threshold": threshold, "windowMinutes": minutes, "enabled": enabled}
    change = {name: value for name, value in change.items() if value is not None}
    if channels or all_channels:
        change["channelIds"] = [_channel(at, each)["id"] for each in channels]
    if not change:
        raise click.UsageError("Name what changes: --threshold, --minutes, --channel, --all-channels, --on or --off.")
    _done(at.call("PATCH", f"/alerts/rules/{server.segment(rule)}", change)["rule"], "Changed rule", json_=json_)


@command.command()
@click.argument("kind", type=click.Choice(_KINDS))
@click.argument("subject")
@click.option("--threshold", type=int, help="Percent delivered.")
@click.option("--minutes", type=int, help="How far back it looks.")
@json_option
@server.options
def add(at: Server, kind: str, subject: str, *, threshold: int | None, minutes: int | None, json_: bool) -> None:
    """Make a rule about one source, destination or warehouse: its id.

    \b
    Example:
      headwater alerts add source-silent "$SOURCE_ID" --minutes 60
    """
    body: dict[str, Any] = {"kind": kind, "subjectId": subject, "threshold": threshold, "windowMinutes": minutes}
    body = {name: value for name, value in body.items() if value is not None}
    _done(at.call("POST", "/alerts/rules", body)["rule"], "Made rule", json_=json_)


@command.command()
@click.argument("rule")
@json_option
@server.options
def remove(at: Server, rule: str, *, json_: bool) -> None:
    """Delete a rule about a single thing.

    \b
    Example:
      headwater alerts remove "$RULE_ID"
    """
    at.call("DELETE", f"/alerts/rules/{server.segment(rule)}")
    _done({"id": rule}, "Deleted rule", json_=json_)


@command.command()
@json_option
@server.options
def channels(at: Server, *, json_: bool) -> None:
    """List where messages go.

    \b
    Example:
      headwater alerts channels
    """
    found = at.call("GET", "/alerts/channels")
    if json_:
        printing.as_json(found["channels"])
        return
    rows = [
        (each["id"], each["name"], each["kind"], ", ".join(each["recipients"]) or each["url"], each["enabled"])
        for each in found["channels"]
    ]
    empty = "Nobody is told; `headwater alerts add-channel` adds somebody."
    printing.table(("id", "name", "kind", "to", "enabled"), rows, empty=empty)
    if not found["mail"] and any(each["kind"] == "email" for each in found["channels"]):
        click.echo("No mail server is set: the operator sets HEADWATER_SMTP_URL.", err=True)


@command.command("add-channel")
@click.argument("name")
@click.option("--email", "emails", multiple=True, metavar="ADDRESS", help="Repeatable.")
@click.option("--webhook-env", metavar="VARIABLE", help="The variable that holds the address of an incoming webhook.")
@json_option
@server.options
def add_channel(at: Server, name: str, *, emails: tuple[str, ...], webhook_env: str | None, json_: bool) -> None:
    """Add e-mail addresses, or a Slack-compatible webhook.

    \b
    Example:
      headwater alerts add-channel Ops --email ops@example.com
      headwater alerts add-channel "#email" --webhook-env SLACK_URL
    """
    if bool(emails) == bool(webhook_env):
        raise click.UsageError("Name --email or --webhook-env.")
    way: dict[str, Any] = {"kind": "email", "recipients": [*emails]}
    if webhook_env:
        way = {"kind": "slack", "url": inputs.variable(webhook_env, "--webhook-env")}
    _done(at.call("POST", "/alerts/channels", {"name": name, **way})["channel"], "Added channel", json_=json_)


@command.command("test-channel")
@click.argument("channel")
@json_option
@server.options
def test_channel(at: Server, channel: str, *, json_: bool) -> None:
    """Send a test message: id or name.

    \b
    Example:
      headwater alerts test-channel Ops
    """
    told = at.call("POST", f"/alerts/channels/{_channel(at, channel)['id']}/test", {})
    if json_:
        printing.as_json(told)
    else:
        click.echo(told["message"], err=not told["ok"])
    if not told["ok"]:
        raise SystemExit(1)


@command.command("remove-channel")
@click.argument("channel")
@json_option
@server.options
def remove_channel(at: Server, channel: str, *, json_: bool) -> None:
    """Delete a channel: id or name.

    \b
    Example:
      headwater alerts remove-channel Ops
    """
    found = _channel(at, channel)
    at.call("DELETE", f"/alerts/channels/{found['id']}")
    _done(found, "Deleted channel", json_=json_)


def _channel(at: Server, key: str) -> dict[str, Any]:
    known = at.call("GET", "/alerts/channels")["channels"]
    return one_called(known, key, "channel", "headwater alerts channels", ("id", "name"))


def _done(thing: dict[str, Any], told: str, *, json_: bool) -> None:
    if json_:
        printing.as_json(thing)
    else:
        click.echo(f"{told} {printing.text_of(thing.get('name') or thing['id'])}.")
