"""Warehouses, and what people are told of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from headwater.cli.configuration.family import Family, Item, Key, World, only, referred

_OVERRIDES: Final = 500  # a request: the API takes 1,000
_ABOUT: Final = {"source": "sources", "destination": "destinations", "warehouse": "warehouses"}
_SECTION_OF_KIND: Final = "kinds of alert"  # what a rule of a kind is about, for rules that are new
_LOADED: Final = ("enabled", "settings", "rules", "schedule", "models", "keepDays")


class Warehouses(Family):
    """Warehouses by name, with the sources that are loaded into them and what of those is left out."""

    section, word, keys = "warehouses", "warehouse", ("name",)
    takes: ClassVar = {
        "type": "text",
        "enabled": "flag",
        "settings": "mapping",
        "rules": "mapping",
        "schedule": "mapping",
        "models": "mapping",
        "keepDays": "number?",
        "sources": "texts",
        "leftOut": "texts",
    }
    needs, sealed, unordered = ("type",), ("settings",), ("sources", "leftOut")

    def read(self, world: World) -> dict[Key, Item]:
        """Return the warehouses."""
        found: dict[Key, Item] = {}
        for each in world.at.pages("/warehouses", "warehouses"):
            key = world.note(self, (each["name"],), each["id"])
            path = world.path("/warehouses/{}", each["id"])
            connected = world.at.pages(f"{path}/connected-sources", "sources")
            found[key] = {
                "name": each["name"],
                "type": each["metadata"]["slug"],
                **only(each, *_LOADED),
                "settings": referred(world, _without(each["settings"], "name"), "warehouse", each["name"]),
                "rules": _without(each["rules"], "preset"),
                "sources": sorted(source["slug"] for source in connected),
                "leftOut": _left_out(world, path),
            }
        return found

    def create(self, world: World, item: Item) -> str:
        """Add a warehouse and connect its sources."""
        body = {"metadataId": item["type"], "settings": {}, **only(item, "name", *_LOADED)}
        made = str(world.at.call("POST", "/warehouses", body)["warehouse"]["id"])
        self._connect(world, made, item.get("sources", []))
        self._select(world, made, item.get("leftOut", []), [])
        return made

    def update(self, world: World, key: Key, item: Item, changed: Sequence[str]) -> None:
        """Change how it is loaded, from what, and what is left out."""
        identity = world.id_of(self.section, key)
        path = world.path("/warehouses/{}", identity)
        if change := only(item, *(each for each in changed if each in _LOADED)):
            world.at.call("PATCH", path, change)
        if "sources" in changed:
            self._connect(world, identity, item["sources"])
        if "leftOut" in changed:
            self._select(world, identity, item["leftOut"], _left_out(world, path))

    def delete(self, world: World, key: Key) -> None:
        """Disconnect it; its tables stay."""
        world.at.call("DELETE", world.path("/warehouses/{}", world.id_of(self.section, key)))

    def _connect(self, world: World, identity: str, wanted: Sequence[str]) -> None:
        path = world.path("/warehouses/{}/connected-sources", identity)
        present = {each["slug"]: each["id"] for each in world.at.pages(path, "sources")}
        for slug in wanted:
            if slug not in present:
                world.at.call("POST", world.path(f"{path}/{{}}", world.id_of("sources", (slug,))))
        for slug in present.keys() - set(wanted):
            world.at.call("DELETE", world.path(f"{path}/{{}}", present[slug]))

    def _select(self, world: World, identity: str, wanted: Sequence[str], present: Sequence[str]) -> None:
        changes = [(name, False) for name in wanted if name not in present]
        changes += [(name, True) for name in present if name not in wanted]
        overrides = [_override(world, name, enabled=enabled) for name, enabled in changes]
        for start in range(0, len(overrides), _OVERRIDES):
            body = {"syncOverrides": overrides[start : start + _OVERRIDES]}
            world.at.call("PATCH", world.path("/warehouses/{}/selective-sync", identity), body)


def _left_out(world: World, path: str) -> list[str]:
    """Return `source.collection` and `source.collection.property`."""
    found = world.at.pages(f"{path}/left-out", "items")
    names = ((world.name_of("sources", each["sourceId"]), each["collection"], each["property"]) for each in found)
    return sorted(".".join(filter(None, each)) for each in names)


def _override(world: World, name: str, *, enabled: bool) -> dict[str, Any]:
    slug, _, rest = name.partition(".")
    collection, _, column = rest.partition(".")
    chosen = {"sourceId": world.id_of("sources", (slug,)), "enabled": enabled, "collection": collection}
    return chosen | ({"property": column} if column else {})


def _without(members: Item, name: str) -> Item:
    return {each: value for each, value in members.items() if each != name}


class Channels(Family):
    """Where alerts go, by name."""

    section, word, keys = "alertChannels", "alert channel", ("name",)
    takes: ClassVar = {"kind": "text", "enabled": "flag", "recipients": "texts", "url": "any"}
    needs, sealed = ("kind",), ("url",)

    def read(self, world: World) -> dict[Key, Item]:
        """Return the channels."""
        found = world.at.call("GET", "/alerts/channels")["channels"]
        return {world.note(self, (each["name"],), each["id"]): _channel(world, each) for each in found}

    def create(self, world: World, item: Item) -> str:
        """Add a channel."""
        return str(world.at.call("POST", "/alerts/channels", item)["channel"]["id"])

    def update(self, world: World, key: Key, item: Item, changed: Sequence[str]) -> None:
        """Change it."""
        path = world.path("/alerts/channels/{}", world.id_of(self.section, key))
        world.at.call("PATCH", path, only(item, *changed))

    def delete(self, world: World, key: Key) -> None:
        """Delete it."""
        world.at.call("DELETE", world.path("/alerts/channels/{}", world.id_of(self.section, key)))


def _channel(world: World, each: Item) -> Item:
    shown = only(each, "name", "kind", "enabled")
    if each["kind"] == "email":
        return shown | {"recipients": each["recipients"]}
    return shown | {"url": world.secret("alert channel", each["name"], "url")}


class Rules(Family):
    """What is told of, by kind and subject; `subject` is "" for everything, else a slug or a name."""

    section, word, keys = "alertRules", "alert rule", ("kind", "subject")
    takes: ClassVar = {"enabled": "flag", "threshold": "number", "windowMinutes": "number", "channels": "texts"}
    unordered = ("channels",)

    def read(self, world: World) -> dict[Key, Item]:
        """Return the rules."""
        found: dict[Key, Item] = {}
        for each in world.at.call("GET", "/alerts/rules")["rules"]:
            section = _ABOUT.get(each["about"], "")
            world.ids.setdefault(_SECTION_OF_KIND, {})[(each["kind"],)] = section
            subject = " / ".join(world.key_of(section, each["subjectId"]) or ())
            if each["subjectId"] and not subject:  # what it is about is gone
                continue
            key = world.note(self, (each["kind"], subject), each["id"])
            found[key] = {
                "kind": each["kind"],
                "subject": subject,
                "enabled": each["enabled"],
                **({"threshold": each["threshold"]} if each["thresholdBounds"] else {}),
                **({"windowMinutes": each["windowMinutes"]} if each["windowBounds"] else {}),
                "channels": [world.name_of("alertChannels", one) for one in each["channelIds"]],
            }
        return found

    def create(self, world: World, item: Item) -> str:
        """Make a rule about a single thing."""
        about = world.id_of(_SECTION_OF_KIND, (item["kind"],))
        key = tuple(item["subject"].split(" / ", 1)) if about == "destinations" else (item["subject"],)
        body = {"kind": item["kind"], "subjectId": world.id_of(about, key), **self._change(world, item)}
        return str(world.at.call("POST", "/alerts/rules", body)["rule"]["id"])

    def update(self, world: World, key: Key, item: Item, changed: Sequence[str]) -> None:
        """Change it."""
        path = world.path("/alerts/rules/{}", world.id_of(self.section, key))
        world.at.call("PATCH", path, self._change(world, only(item, *changed)))

    def delete(self, world: World, key: Key) -> None:
        """Delete a rule about a single thing."""
        world.at.call("DELETE", world.path("/alerts/rules/{}", world.id_of(self.section, key)))

    def can_go(self, key: Key) -> bool:
        """Tell whether it is about a single thing; the one about everything stays."""
        return bool(key[1])

    @staticmethod
    def _change(world: World, item: Item) -> Item:
        change = only(item, "enabled", "threshold", "windowMinutes")
        if "channels" in item:
            change["channelIds"] = [world.id_of("alertChannels", (name,)) for name in item["channels"]]
        return change
