"""`headwater users`: who is a member of the workspace, and what they may do."""

from __future__ import annotations

from typing import Any

import click

from headwater.cli import printing, server
from headwater.cli.family import json_option, one_called
from headwater.cli.server import Server

ROLE = click.Choice(["owner", "member", "source-admin", "read-only"])
"""What can be granted."""

sources_option = click.option(
    "--source", "sources", multiple=True, metavar="S", help="Of a source admin: id or slug; may be repeated."
)


@click.group()
def command() -> None:
    """List members, change what they may do, remove them; `headwater invites` asks others to join.

    \b
    Example:
      headwater users list
      headwater users set-role ann@example.com source-admin --source shop
    """


@command.command("list")
@json_option
@server.options
def list_(at: Server, *, json_: bool) -> None:
    """List the members of the workspace.

    \b
    Example:
      headwater users list
    """
    found = at.pages("/users", "users")
    if json_:
        printing.as_json(found)
        return
    slugs = slugs_of(at, found)
    rows = [
        (each["id"], each["name"], each["email"], each["role"], narrowed(each, slugs), each["lastSeenAt"])
        for each in found
    ]
    heads = ("id", "name", "email", "role", "sources", "last seen")
    printing.table(heads, rows, empty="Nobody is here yet; open the set-up link, or use `headwater invites create`.")


@command.command()
@json_option
@server.options
def roles(at: Server, *, json_: bool) -> None:
    """List what can be granted.

    \b
    Example:
      headwater users roles
    """
    found = at.pages("/roles", "roles")
    if json_:
        printing.as_json(found)
        return
    rows = [(each["id"], each["name"], each["description"]) for each in found]
    printing.table(("id", "name", "description"), rows, empty="There are no roles.", whole=True)


@command.command("set-role")
@click.argument("user")
@click.argument("role", type=ROLE)
@sources_option
@json_option
@server.options
def set_role(at: Server, user: str, role: str, *, sources: tuple[str, ...], json_: bool) -> None:
    """Change what a member may do; their sessions end.

    \b
    Example:
      headwater users set-role ann@example.com member
    """
    member = _one(at, user)
    wanted = {"permissions": [permission(role, sources)]}
    found = at.call("PUT", f"/users/{server.segment(member['id'])}/permissions", wanted)
    if json_:
        printing.as_json(found)
        return
    click.echo(f"{member['email']} is {role} now.")


@command.command()
@click.argument("user")
@json_option
@server.options
def remove(at: Server, user: str, *, json_: bool) -> None:
    """Take a member out of the workspace; their sessions end, and the tokens that they made.

    \b
    Example:
      headwater users remove ann@example.com
    """
    member = _one(at, user)
    found = at.call("DELETE", "/users", query={"userIds": member["id"]})
    if json_:
        printing.as_json(found)
        return
    click.echo(f"Removed {member['email']}.")


@command.command("sign-out")
@click.argument("user")
@json_option
@server.options
def sign_out(at: Server, user: str, *, json_: bool) -> None:
    """End all sessions of a member.

    \b
    Example:
      headwater users sign-out ann@example.com
    """
    member = _one(at, user)
    found = at.call("DELETE", f"/users/{server.segment(member['id'])}/sessions")
    if json_:
        printing.as_json(found)
        return
    click.echo(f"Ended {found['count']} sessions of {member['email']}.")


def permission(role: str, sources: tuple[str, ...]) -> dict[str, Any]:
    """Return a permission as the API takes it."""
    return {"roleId": role, "resources": [{"id": each, "type": "SOURCE"} for each in sources]}


def slugs_of(at: Server, things: list[dict[str, Any]]) -> dict[str, str]:
    """Return the slugs of sources by id, where a thing names any."""
    if not any(each["sourceIds"] for each in things):
        return {}
    return {each["id"]: each["slug"] for each in at.pages("/sources", "sources")}


def narrowed(thing: dict[str, Any], slugs: dict[str, str]) -> str:
    """Return the sources that somebody is narrowed to, by slug."""
    return ", ".join(sorted(slugs.get(each, each) for each in thing["sourceIds"] or ()))


def _one(at: Server, key: str) -> dict[str, Any]:
    return one_called(at.pages("/users", "users"), key, "user", "headwater users list", ("id", "email", "name"))
