"""A whole workspace on a server."""

from __future__ import annotations

from typing import Final

from headwater.cli.configuration.document import Document
from headwater.cli.configuration.family import Family, Item, World
from headwater.cli.configuration.places import Accounts, Destinations, Filters, Functions, Inserts, Mappings, Sources
from headwater.cli.configuration.stores import Channels, Rules, Warehouses
from headwater.cli.server import Server

FAMILIES: Final[tuple[Family, ...]] = (
    Functions(),
    Sources(),
    Accounts(),
    Destinations(),
    Filters(),
    Mappings(),
    Inserts(),
    Warehouses(),
    Channels(),
    Rules(),
)
"""Every section, those that others rest on first."""


def present(at: Server) -> tuple[World, Item, Document]:
    """Return what a server has: the ids, the workspace's own members, every section."""
    world = World(at)
    workspace = at.call("GET", "/")["workspace"]
    document = {family.section: family.read(world) for family in FAMILIES}
    return world, {"name": workspace["name"], "region": workspace["region"]}, document
