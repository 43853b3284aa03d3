"""`headwater workspaces`: several in one installation, each with sources, warehouses and people of its own."""

from __future__ import annotations

import click

from headwater.cli import printing, server
from headwater.cli.family import Thing, json_option
from headwater.cli.server import Server


@click.group()
def command() -> None:
    """List, make, name and delete workspaces; other commands choose one by `--workspace`.

    \b
    Example:
      headwater workspaces create shop --name "The shop" --region eu
      headwater sources list --workspace shop
    """


@command.command("list")
@json_option
@server.options
def list_(at: Server, *, json_: bool) -> None:
    """List the workspaces.

    \b
    Example:
      headwater workspaces list
    """
    found = at.pages("/workspaces", "workspaces")
    if json_:
        printing.as_json(found)
        return
    rows = [(each["slug"], each["name"], each["region"], each["createdAt"][:10], each["id"]) for each in found]
    printing.table(("slug", "name", "region", "since", "id"), rows, empty="There are no workspaces.")


@command.command()
@click.argument("slug")
@json_option
@server.options
def show(at: Server, slug: str, *, json_: bool) -> None:
    """Show one workspace, by slug or id.

    \b
    Example:
      headwater workspaces show default
    """
    _print(at.call("GET", f"/workspaces/{server.segment(slug)}")["workspace"], json_=json_)


@command.command()
@click.argument("slug")
@click.option("--name", help="What people see; the slug by default.")
@click.option("--region", type=click.Choice(["us", "eu"]), default="us", show_default=True, help="Fixed from then on.")
@json_option
@server.options
def create(at: Server, slug: str, *, name: str | None, region: str, json_: bool) -> None:
    """Make a workspace with a warehouse of its own; slug and region are fixed from then on.

    \b
    Example:
      headwater workspaces create shop --name "The shop" --region eu
    """
    made = at.call("POST", "/workspaces", {"slug": slug, "name": name or slug, "region": region})["workspace"]
    _print(made, json_=json_)
    if not json_:
        click.echo(f"Let somebody in: headwater invites create ann@example.com --role owner --workspace {slug}")


@command.command()
@click.argument("slug")
@click.option("--name", required=True, help="What people see.")
@json_option
@server.options
def update(at: Server, slug: str, *, name: str, json_: bool) -> None:
    """Change a workspace's name.

    \b
    Example:
      headwater workspaces update shop --name "Our shop"
    """
    _print(at.call("PATCH", f"/workspaces/{server.segment(slug)}", {"name": name})["workspace"], json_=json_)


@command.command()
@click.argument("slug")
@click.option("--confirm", metavar="SLUG", help="The slug once more; needed where it has sources.")
@json_option
@server.options
def delete(at: Server, slug: str, *, confirm: str | None, json_: bool) -> None:
    """Delete a workspace: its keys and tokens are worth nothing from then on.

    Its events leave the log as they get old; the tables of its warehouses stay where they are.

    \b
    Example:
      headwater workspaces delete shop --confirm shop
    """
    done = at.call("DELETE", f"/workspaces/{server.segment(slug)}", query={"confirm": confirm})
    if json_:
        printing.as_json(done)
    else:
        click.echo(f"Deleted workspace {printing.text_of(slug)}.")


def _print(workspace: Thing, *, json_: bool) -> None:
    if json_:
        printing.as_json(workspace)
        return
    members = (("slug", "slug"), ("name", "name"), ("region", "region"), ("since", "createdAt"), ("id", "id"))
    printing.facts([(head, workspace[name]) for head, name in members])
