"""What can be added: everything on the three shelves, and in which regions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType
from typing import Any, Final

from headwater import shelf
from headwater.control import drivers
from headwater.control.options import Option, options
from headwater.errors import ForbiddenError, NotFoundError

_REGIONS: Final = ("us", "eu")


class Kind(StrEnum):
    """The three shelves."""

    SOURCE = "source"
    DESTINATION = "destination"
    WAREHOUSE = "warehouse"


@dataclass(frozen=True, slots=True)
class Entry:
    """One type of source, destination or warehouse.

    Attributes:
        id: Segment's catalog id where there is one, else the slug.
        slug: what instances keep as their `type`.
        module_name: its name on the shelf.
        regions: where it can be connected, the operator's widening included.
        settings_class: its `Settings` dataclass; None when there is nothing to set.
        schema_name: suggested warehouse schema, for sources.
        extra: what `pip install "headwater[...]"` needs for it, "" for nothing; for warehouses.
        notes: what an administrator should know before, in short paragraphs; for warehouses.
    """

    kind: Kind
    id: str
    slug: str
    module_name: str
    name: str
    description: str
    categories: tuple[str, ...]
    regions: tuple[str, ...]
    settings_class: type | None
    options: tuple[Option, ...]
    card: Any
    schema_name: str = ""
    webhooks: bool = False
    cloud: bool = False
    extra: str = ""
    notes: tuple[str, ...] = ()

    def missing(self) -> str:
        """Return what has to be installed before it works, "" when everything is there."""
        if drivers.is_installed(self.extra):
            return ""
        return f'{self.name} needs a driver: pip install "headwater[{self.extra}]", then start Headwater again.'

    def why_not(self, region: str) -> str:
        """Return why it cannot be added in a workspace of `region`, "" when it can."""
        if region in self.regions:
            return ""
        where = ", ".join(name.upper() for name in self.regions)
        return (
            f"{self.name} can be connected only in {where} workspaces; this one is {region.upper()}. "
            f'The operator can widen it: HEADWATER_SOURCE_REGIONS="{self.slug}={",".join((*self.regions, region))}".'
        )


class Catalog:
    """Finds entries by Segment's id, by slug or by their name on the shelf."""

    def __init__(self, source_regions: Mapping[str, tuple[str, ...]] | None = None) -> None:
        self._source_regions = source_regions or {}
        self._entries: dict[Kind, list[Entry]] = {}

    def entries(self, kind: Kind) -> list[Entry]:
        """Return everything of a kind, by name."""
        if kind not in self._entries:
            package = f"headwater.{kind}s"
            found = [self._entry(kind, name, shelf.take(package, name)) for name in shelf.names(package)]
            self._entries[kind] = sorted(found, key=lambda entry: entry.name.lower())
        return self._entries[kind]

    def find(self, kind: Kind, key: str) -> Entry:
        """Return the entry whose id, slug or module name is `key`.

        Raises:
            NotFoundError: there is none.
        """
        for entry in self.entries(kind):
            if key in {entry.id, entry.slug, entry.module_name}:
                return entry
        raise NotFoundError(f"The catalog has no {kind} {key[:60]!r}; choose one that it lists.")

    def admit(self, entry: Entry, region: str) -> None:
        """Return when `entry` can be added in `region`.

        Raises:
            ForbiddenError: it cannot; the message says where it can, and what the operator can do.
        """
        if reason := entry.why_not(region):
            raise ForbiddenError(reason)

    def _entry(self, kind: Kind, module_name: str, module: ModuleType) -> Entry:
        card = module.CARD
        slug = getattr(card, "slug", module_name)
        settings_class = getattr(module, "Settings", None)
        return Entry(
            kind=kind,
            id=getattr(card, "id", "") or slug,
            slug=slug,
            module_name=module_name,
            name=card.name,
            description=card.description,
            categories=tuple(getattr(card, "categories", ())),
            regions=self._source_regions.get(slug, getattr(card, "regions", _REGIONS)),
            settings_class=settings_class,
            options=options(settings_class),
            card=card,
            schema_name=getattr(card, "schema_name", ""),
            webhooks=getattr(card, "webhooks", False),
            cloud=getattr(card, "cloud", False),
            extra=getattr(card, "extra", ""),
            notes=tuple(getattr(card, "notes", ())),
        )
