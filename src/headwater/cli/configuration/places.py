"""Sources, accounts, destinations with what stands before them, functions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Final

from headwater.cli.configuration.family import Family, Item, Key, World, linked, only, referred, variable

_CONNECTIONS: Final = "/activecampaign/connections"
_KEPT: Final = ("name", "enabled", "settings")


class Sources(Family):
    """Sources by slug; each has write keys of its own on each server."""

    section, word, keys = "sources", "source", ("slug",)

    def read(self, world: World) -> dict[Key, Item]:
        """Return the sources."""
        found = world.at.pages("/sources", "sources")
        world.ids[self.section] = {(each["slug"],): each["id"] for each in found}
        return {(each["slug"],): _source(world, each) for each in found}

    def create(self, world: World, item: Item) -> str:
        """Make a source; warehouses say themselves what they load."""
        body = {"slug": item["slug"], "metadataId": item["type"], "enabled": item.get("enabled", True)}
        body |= {**only(item, "name", "settings"), "disconnectAllWarehouses": True}
        return str(world.at.call("POST", "/sources", body)["source"]["id"])

    def update(self, world: World, key: Key, item: Item, changed: Sequence[str]) -> None:
        """Change name, settings, or whether it is enabled."""
        world.at.call("PATCH", world.path("/sources/{}", world.id_of(self.section, key)), only(item, *changed))

    def delete(self, world: World, key: Key) -> None:
        """Delete a source."""
        world.at.call("DELETE", world.path("/sources/{}", world.id_of(self.section, key)))


def _source(world: World, each: Item) -> Item:
    return {
        "slug": each["slug"],
        "type": each["metadata"]["slug"],
        **only(each, *_KEPT),
        "settings": linked(world, referred(each["settings"], "source", each["slug"])),
    }


class Accounts(Family):
    """ActiveCampaign accounts by the source that they are connected to."""

    section, word, keys = "activecampaign", "ActiveCampaign account of", ("source",)

    def read(self, world: World) -> dict[Key, Item]:
        """Return the connections."""
        found = world.at.pages(_CONNECTIONS, "connections")
        world.ids[self.section] = {(each["source"]["slug"],): each["id"] for each in found}
        return {
            (each["source"]["slug"],): {
                "source": each["source"]["slug"],
                "accountUrl": each["accountUrl"],
                "apiKey": {"env": variable("activecampaign", each["source"]["slug"], "api key")},
                "enabled": each["enabled"],
                "settings": referred(each["settings"], "activecampaign", each["source"]["slug"]),
            }
            for each in found
        }

    def create(self, world: World, item: Item) -> str:
        """Connect an account."""
        source = world.at.call("GET", world.path("/sources/{}", item["source"]))["source"]
        body = {**only(item, "accountUrl", "apiKey", "settings"), "writeKey": source["writeKeys"][0]}
        made = world.at.call("POST", _CONNECTIONS, body, is_long=True)["connection"]
        if not item.get("enabled", True):
            world.at.call("PATCH", world.path(f"{_CONNECTIONS}/{{}}", made["id"]), {"enabled": False}, is_long=True)
        return str(made["id"])

    def update(self, world: World, key: Key, item: Item, changed: Sequence[str]) -> None:
        """Change address, key, settings, or switch it."""
        path = world.path(f"{_CONNECTIONS}/{{}}", world.id_of(self.section, key))
        world.at.call("PATCH", path, only(item, *changed), is_long=True)

    def delete(self, world: World, key: Key) -> None:
        """Disconnect it."""
        path = world.path(f"{_CONNECTIONS}/{{}}", world.id_of(self.section, key))
        world.at.call("DELETE", path, is_long=True)


class Functions(Family):
    """Functions by kind and name; `deployed` says that the newest code is in use."""

    section, word, keys = "functions", "function", ("kind", "name")

    def read(self, world: World) -> dict[Key, Item]:
        """Return the functions with their code."""
        found: dict[Key, Item] = {}
        world.ids[self.section] = {}
        for listed in world.at.pages("/functions", "functions"):
            each = world.at.call("GET", world.path("/functions/{}", listed["id"]))["function"]
            key = each["resourceType"], each["displayName"]
            world.ids[self.section][key] = each["id"]
            found[key] = {
                "kind": each["resourceType"],
                "name": each["displayName"],
                **only(each, "description", "logoUrl"),
                "settings": each["settings"],
                "deployed": bool(each.get("deployedAt")) and bool(each.get("isLatestVersion")),
                "code": each["code"],
            }
        return found

    def create(self, world: World, item: Item) -> str:
        """Make a function, and put it into use where it shall be."""
        body = {"displayName": item["name"], "resourceType": item["kind"]}
        body |= only(item, "code", "description", "logoUrl", "settings")
        made = str(world.at.call("POST", "/functions", body)["function"]["id"])
        if item.get("deployed"):
            world.at.call("POST", world.path("/functions/{}/deploy", made))
        return made

    def update(self, world: World, key: Key, item: Item, changed: Sequence[str]) -> None:
        """Change it; new code is put into use where the document says so."""
        identity = world.id_of(self.section, key)
        if change := only(item, *(set(changed) - {"deployed"})):
            world.at.call("PATCH", world.path("/functions/{}", identity), change)
        if item.get("deployed") and {"deployed", "code"} & set(changed):
            world.at.call("POST", world.path("/functions/{}/deploy", identity))

    def delete(self, world: World, key: Key) -> None:
        """Delete it."""
        world.at.call("DELETE", world.path("/functions/{}", world.id_of(self.section, key)))


class Destinations(Family):
    """Destinations by source and name."""

    section, word, keys = "destinations", "destination", ("source", "name")

    def read(self, world: World) -> dict[Key, Item]:
        """Return the destinations."""
        found: dict[Key, Item] = {}
        world.ids[self.section] = {}
        for each in world.at.pages("/destinations", "destinations"):
            key = (*(world.key_of("sources", each["sourceId"]) or ("?",)), each["name"])
            world.ids[self.section][key] = each["id"]
            found[key] = {
                "source": key[0],
                "name": each["name"],
                "type": each["metadata"]["slug"],
                "enabled": each["enabled"],
                "settings": linked(world, referred(each["settings"], "destination", *key)),
                "delivery": {name: value for name, value in each["delivery"].items() if value is not None},
            }
        return found

    def create(self, world: World, item: Item) -> str:
        """Connect a destination."""
        body = {"sourceId": world.id_of("sources", (item["source"],)), "metadataId": item["type"], "settings": {}}
        body |= only(item, "name", "settings", "enabled", "delivery")
        return str(world.at.call("POST", "/destinations", body)["destination"]["id"])

    def update(self, world: World, key: Key, item: Item, changed: Sequence[str]) -> None:
        """Change settings, pace, or whether it is enabled."""
        change = only(item, *changed)
        if "delivery" in change:
            usual = dict.fromkeys(("concurrency", "ratePerSecond", "retryForHours"))
            change["delivery"] = usual | change["delivery"]
        world.at.call("PATCH", world.path("/destinations/{}", world.id_of(self.section, key)), change)

    def delete(self, world: World, key: Key) -> None:
        """Disconnect it."""
        world.at.call("DELETE", world.path("/destinations/{}", world.id_of(self.section, key)))


class _OfDestination(Family):
    """Things that belong to a destination, by its source, its name and their own label."""

    parent = "destinations"

    path_pattern: str
    many: str
    label: str

    @abstractmethod
    def _shown(self, each: Item) -> Item:
        """Return one as the document has it."""

    def read(self, world: World) -> dict[Key, Item]:
        """Return those of every destination."""
        found: dict[Key, Item] = {}
        world.ids[self.section] = {}
        for destination, identity in world.ids["destinations"].items():
            for each in world.at.pages(world.path(self.path_pattern, identity), self.many):
                key = (*destination, each[self.label])
                world.ids[self.section][key] = each["id"]
                found[key] = {"source": key[0], "destination": key[1], **self._shown(each)}
        return found

    def _path(self, world: World, key: Key) -> str:
        destination = world.id_of("destinations", key[:2])
        return world.path(f"{self.path_pattern}/{{}}", destination, world.id_of(self.section, key))

    def _many(self, world: World, item: Item) -> str:
        return world.path(self.path_pattern, world.id_of("destinations", (item["source"], item["destination"])))

    def delete(self, world: World, key: Key) -> None:
        """Delete it."""
        world.at.call("DELETE", self._path(world, key))


class Filters(_OfDestination):
    """Filters by title."""

    section, word, keys = "filters", "filter", ("source", "destination", "title")
    path_pattern, many, label = "/destination/{}/filters", "filters", "title"

    def _shown(self, each: Item) -> Item:
        return only(each, "title", "description", "if", "actions", "enabled")

    def create(self, world: World, item: Item) -> str:
        """Add a filter."""
        body = only(item, "title", "description", "if", "actions", "enabled")
        return str(world.at.call("POST", self._many(world, item), body)["filter"]["id"])

    def update(self, world: World, key: Key, item: Item, changed: Sequence[str]) -> None:
        """Change it."""
        world.at.call("PATCH", self._path(world, key), only(item, *changed))


class Mappings(_OfDestination):
    """Mappings by name."""

    section, word, keys = "mappings", "mapping", ("source", "destination", "name")
    path_pattern, many, label = "/destinations/{}/subscriptions", "subscriptions", "name"

    def _shown(self, each: Item) -> Item:
        return only(each, "name", "trigger", "enabled", "settings")

    def create(self, world: World, item: Item) -> str:
        """Add a mapping."""
        body = only(item, "name", "trigger", "enabled", "settings")
        made = world.at.call("POST", self._many(world, item), body)
        return str(made["destinationSubscription"]["id"])

    def update(self, world: World, key: Key, item: Item, changed: Sequence[str]) -> None:
        """Change it."""
        world.at.call("PATCH", self._path(world, key), {"input": only(item, *changed)})


class Inserts(Family):
    """Functions that stand before a destination, by name, in the order in which they run."""

    section, word, keys = "inserts", "insert function", ("source", "destination", "name")
    parent = "destinations"

    _many: Final = "/insert-function-instances"

    def read(self, world: World) -> dict[Key, Item]:
        """Return those of every destination."""
        found: dict[Key, Item] = {}
        world.ids[self.section] = {}
        for each in world.at.pages(self._many, "instances"):
            key = (*(world.key_of("destinations", each["integrationId"]) or ("?", "?")), each["name"])
            world.ids[self.section][key] = each["id"]
            function = world.key_of("functions", each["classId"]) or ("", "?")
            settings = {**each["settings"], **each["encryptedSettings"]}
            found[key] = {
                "source": key[0],
                "destination": key[1],
                "name": each["name"],
                "function": function[1],
                "enabled": each["enabled"],
                "settings": referred(settings, "insert", *key),
            }
        return found

    def create(self, world: World, item: Item) -> str:
        """Put a function before a destination, behind those that stand there."""
        body: dict[str, Any] = {
            "functionId": world.id_of("functions", ("INSERT_DESTINATION", item["function"])),
            "integrationId": world.id_of("destinations", (item["source"], item["destination"])),
            **only(item, *_KEPT),
        }
        return str(world.at.call("POST", self._many, body)["insertFunctionInstance"]["id"])

    def update(self, world: World, key: Key, item: Item, changed: Sequence[str]) -> None:
        """Change its settings, or switch it."""
        path = world.path(f"{self._many}/{{}}", world.id_of(self.section, key))
        world.at.call("PATCH", path, only(item, *changed))

    def delete(self, world: World, key: Key) -> None:
        """Take it away."""
        world.at.call("DELETE", world.path(f"{self._many}/{{}}", world.id_of(self.section, key)))
