"""`headwater token`: works on the database itself, with or without a running server."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from headwater.cli import printing
from headwater.cli.installation import data_dir_option, opened
from headwater.cli.times import AHEAD

_WORKSPACE = click.option(
    "--workspace",
    metavar="SLUG",
    envvar="HEADWATER_WORKSPACE",
    help="The workspace (HEADWATER_WORKSPACE; default: the oldest).",
)
_JSON = click.option("--json", "json_", is_flag=True, help="Print JSON.")


@click.group()
def command() -> None:
    """Make and revoke tokens of the Public API.

    \b
    Example:
      headwater token create --name ci --role member --data-dir ./headwater-data
    """


@command.command()
@click.option("--name", required=True, help="What it is for.")
@click.option(
    "--role",
    type=click.Choice(["owner", "member", "source-admin", "read-only"]),
    default="owner",
    show_default=True,
    help="The most it may do.",
)
@click.option(
    "--scope", "scopes", multiple=True, metavar="FAMILY:DEED", help="Only this, such as sources:read; may be repeated."
)
@click.option("--source", "sources", multiple=True, metavar="S", help="Of a source admin: id or slug; may be repeated.")
@click.option("--expires", type=AHEAD, metavar="TIME", help="When it ends: 90d, 12h, or a day (default: never).")
@_WORKSPACE
@data_dir_option
@_JSON
def create(  # noqa: PLR0913 - click hands each option over
    name: str,
    role: str,
    *,
    scopes: tuple[str, ...],
    sources: tuple[str, ...],
    expires: str | None,
    workspace: str | None,
    data_dir: str | None,
    json_: bool,
) -> None:
    """Make a token and print it: the only time it can be seen.

    \b
    Example:
      headwater token create --name ci --role member --expires 90d
      headwater token create --name shop --role source-admin --source shop --scope sources:read
    """
    with opened(data_dir, may_begin=True) as control:  # works before the first start, for scripts that set up a server
        token, entry = control.tokens.create(
            _workspace_id(control, workspace),
            name,
            role,
            only=scopes,
            source_ids=list(sources) or None,
            expires_at=None if expires is None else datetime.fromisoformat(expires),
        )
    if json_:
        printing.as_json({**_shape(entry), "token": token})
        return
    click.echo(token)
    click.echo("Keep it now: it is not shown again.", err=True)


@command.command("list")
@_WORKSPACE
@data_dir_option
@_JSON
def list_(workspace: str | None, data_dir: str | None, *, json_: bool) -> None:
    """List the tokens that nobody has revoked.

    \b
    Example:
      headwater token list
    """
    with opened(data_dir) as control:
        found = control.tokens.all(_workspace_id(control, workspace))
        sources = {each.id: each.slug for each in control.sources.all(_workspace_id(control, workspace))}
    if json_:
        printing.as_json([_shape(each) for each in found])
        return
    rows = [
        (
            each.id,
            each.name,
            str(each.role),
            _narrowed(each, sources),
            each.prefix,
            each.created_by,
            _minute(each.created_at),
            _minute(each.last_used_at),
            _minute(each.expires_at),
        )
        for each in found
    ]
    heads = ("id", "name", "role", "only", "prefix", "made by", "created", "last used", "ends")
    printing.table(heads, rows, empty="There are no tokens; `headwater token create --name NAME` makes one.")


@command.command()
@click.argument("token")
@_WORKSPACE
@data_dir_option
@_JSON
def revoke(token: str, workspace: str | None, data_dir: str | None, *, json_: bool) -> None:
    """Make a token worthless at once; name it by its id or name.

    \b
    Example:
      headwater token revoke ci
    """
    with opened(data_dir) as control:
        revoked = control.tokens.revoke(_workspace_id(control, workspace), token)
    if json_:
        printing.as_json({"id": revoked.id, "name": revoked.name, "revoked": True})
        return
    click.echo(f"Revoked {revoked.name} ({revoked.prefix}…).")


def _workspace_id(control: Any, slug: str | None) -> str:
    return str((control.workspaces.get(slug) if slug else control.workspaces.all()[0]).id)


def _shape(token: Any) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "role": str(token.role),
        "scopes": sorted(token.scopes),
        "sourceIds": None if token.source_ids is None else sorted(token.source_ids),
        "prefix": token.prefix,
        "createdBy": token.created_by,
        "createdAt": _minute(token.created_at),
        "lastUsedAt": _minute(token.last_used_at),
        "expiresAt": _minute(token.expires_at),
    }


def _narrowed(token: Any, slugs: dict[str, str]) -> str:
    sources = sorted(slugs.get(each, each) for each in token.source_ids or ())
    return ", ".join((*sources, *sorted(token.scopes)))


def _minute(instant: Any) -> str | None:
    return None if instant is None else instant.strftime("%Y-%m-%d %H:%M UTC")
