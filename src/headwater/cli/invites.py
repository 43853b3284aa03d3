"""`headwater invites`: who is asked to join the workspace."""

from __future__ import annotations

from typing import Any

import click

from headwater.cli import printing, server
from headwater.cli.family import json_option, one_called
from headwater.cli.server import Server
from headwater.cli.users import ROLE, narrowed, permission, slugs_of, sources_option


@click.group()
def command() -> None:
    """Invite people to the workspace, and take invitations back.

    \b
    Example:
      headwater invites create ann@example.com --role member
    """


@command.command("list")
@json_option
@server.options
def list_(at: Server, *, json_: bool) -> None:
    """List the invitations that nobody has taken up yet.

    \b
    Example:
      headwater invites list
    """
    found = at.pages("/invites", "invitations")
    if json_:
        printing.as_json(found)
        return
    slugs = slugs_of(at, found)
    rows = [
        (
            each["id"],
            each["email"],
            each["role"],
            narrowed(each, slugs),
            each["invitedBy"],
            "expired" if each["isExpired"] else each["expiresAt"][:16],
        )
        for each in found
    ]
    heads = ("id", "email", "role", "sources", "invited by", "until")
    printing.table(heads, rows, empty="Nobody is invited; `headwater invites create EMAIL` does it.")


@command.command()
@click.argument("email")
@click.option("--role", type=ROLE, default="read-only", show_default=True)
@sources_option
@json_option
@server.options
def create(at: Server, email: str, *, role: str, sources: tuple[str, ...], json_: bool) -> None:
    """Invite somebody and print the link: the only time it can be seen. It works once and for a week.

    \b
    Example:
      headwater invites create ann@example.com --role source-admin --source shop
    """
    wanted = {"invites": [{"email": email, "permissions": [permission(role, sources)]}]}
    (sent,) = at.call("POST", "/invites", wanted)["invitations"]
    _print(sent, json_=json_)


@command.command()
@click.argument("invitation")
@json_option
@server.options
def renew(at: Server, invitation: str, *, json_: bool) -> None:
    """Make a new link for an invitation, named by id or address; the former one ends.

    \b
    Example:
      headwater invites renew ann@example.com
    """
    found = one_called(
        at.pages("/invites", "invitations"), invitation, "invitation", "headwater invites list", ("id", "email")
    )
    _print(at.call("POST", f"/invites/{server.segment(found['id'])}/renew")["invitation"], json_=json_)


@command.command()
@click.argument("invitation")
@json_option
@server.options
def revoke(at: Server, invitation: str, *, json_: bool) -> None:
    """Take an invitation back, named by id or address; its link is worth nothing any more.

    \b
    Example:
      headwater invites revoke ann@example.com
    """
    found = at.call("DELETE", "/invites", query={"emails": invitation})
    if json_:
        printing.as_json(found)
        return
    click.echo("The invitation is taken back.")


def _print(sent: dict[str, Any], *, json_: bool) -> None:
    if json_:
        printing.as_json(sent)
        return
    click.echo(sent["link"])
    told = "It was mailed, too." if sent["isMailed"] else f"Give it to {sent['email']}: it is not shown again."
    click.echo(told, err=True)
