"""A whole workspace on a server."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import click

from headwater.cli.configuration.document import Document
from headwater.cli.configuration.family import Family, World
from headwater.cli.configuration.places import Accounts, Destinations, Filters, Functions, Inserts, Mappings, Sources
from headwater.cli.configuration.protocols import Labels, Plans, Schema, Workspace
from headwater.cli.configuration.stores import Channels, Rules, Warehouses
from headwater.cli.server import Server

FAMILIES: Final[tuple[Family, ...]] = (
    Workspace(),
    Labels(),
    Functions(),
    Sources(),
    Accounts(),
    Schema(),
    Plans(),
    Destinations(),
    Filters(),
    Mappings(),
    Inserts(),
    Warehouses(),
    Channels(),
    Rules(),
)
"""Every section, those that others rest on first."""


def present(at: Server, sections: Collection[str] | None = None) -> tuple[World, Document]:
    """Return what a server has: the ids, and every section.

    Args:
        at: the server, and the workspace on it.
        sections: those of a document; None is all.

    Raises:
        ClickException: the server refused, or two things of these sections are called the same.
    """
    world = World(at)
    document = {family.section: family.read(world) for family in FAMILIES}
    twins = [family.called(key) for family, key in world.twins if sections is None or family.section in sections]
    if twins:
        told = "\n".join(f"  {each}" for each in dict.fromkeys(twins[:20]))
        raise click.ClickException(
            f"There are two of the same name, which a file cannot tell apart; rename one:\n{told}"
        )
    return world, document
