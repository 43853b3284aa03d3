"""Sources, accounts, destinations with what stands before them, functions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from headwater.cli.configuration.family import Family, Item, Key, World, linked, only, referred

_CONNECTIONS: Final = "/activecampaign/connections"
_KEPT: Final = ("name", "enabled", "settings")
_RETENTION: Final = ("retentionDays", "retentionBytes")


class Sources(Family):
    """Sources by slug; each has write keys of its own on each server."""

    section, word, keys = "sources", "source", ("slug",)
    takes: ClassVar = {
        "type": "text",
        "name": "text",
        "enabled": "flag",
        "settings": "mapping",
        "labels": "texts",
        "retentionDays": "number?",
        "retentionBytes": "number?",
    }
    needs, sealed, unordered = ("type",), ("settings",), ("labels",)

    def read(self, world: World) -> dict[Key, Item]:
        """Return the sources."""
        found = world.at.pages("/sources", "sources")
        return {world.note(self, (each["slug"],), each["id"]): _source(world, each) for each in found}

    def create(self, world: World, item: Item) -> str:
        """Make a source; where the document has warehouses, they say themselves what they load."""
        body = {"slug": item["slug"], "metadataId": item["type"], "enabled": item.get("enabled", True)}
        body |= {**only(item, "name", "settings"), "disconnectAllWarehouses": not world.joins}
        made = str(world.at.call("POST", "/sources", body)["source"]["id"])
        kept = [name for name in _RETENTION if item.get(name) is not None]
        self._change(world, made, item, kept + (["labels"] if item.get("labels") else []))
        return made

    def update(self, world: World, key: Key, item: Item, changed: Sequence[str]) -> None:
        """Change name, settings, labels, how long events are kept, or whether it is enabled."""
        self._change(world, world.id_of(self.section, key), item, changed)

    def _change(self, world: World, identity: str, item: Item, changed: Sequence[str]) -> None:
        path = world.path("/sources/{}", identity)
        if change := only(item, *(each for each in changed if each != "labels")):
            world.at.call("PATCH", path, change)
        if "labels" in changed:
            labels = [dict(zip(("key", "value"), each.partition(":")[::2], strict=True)) for each in item["labels"]]
            world.at.call("PUT", f"{path}/labels", {"labels": labels})

    def delete(self, world: World, key: Key) -> None:
        """Delete a source."""
        world.at.call("DELETE", world.path("/sources/{}", world.id_of(self.section, key)))


def _source(world: World, each: Item) -> Item:
    return {
        "slug": each["slug"],
        "type": each["metadata"]["slug"],
        **only(each, *_KEPT),
        "settings": linked(world, referred(world, each["settings"], "source", each["slug"])),
        "labels": [f"{label['key']}:{label['value']}" for label in each["labels"]],
        **only(each, *_RETENTION),
    }


class Accounts(Family):
    """ActiveCampaign accounts by the source that they are connected to."""

    section, word, keys = "activecampaign", "ActiveCampaign account of", ("source",)
    takes: ClassVar = {"accountUrl": "text", "apiKey": "any", "enabled": "flag", "settings": "mapping"}
    needs, sealed = ("accountUrl", "apiKey"), ("apiKey", "settings")

    def read(self, world: World) -> dict[Key, Item]:
        """Return the connections."""
        found = world.at.pages(_CONNECTIONS, "connections")
        return {
            world.note(self, (each["source"]["slug"],), each["id"]): {
                "source": each["source"]["slug"],
                "accountUrl": each["accountUrl"],
                "apiKey": world.secret("activecampaign", each["source"]["slug"], "api key"),
                "enabled": each["enabled"],
                "settings": referred(world, each["settings"], "activecampaign", each["source"]["slug"]),
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
    takes: ClassVar = {
        "description": "text",
        "logoUrl": "text",
        "settings": "mappings",
        "deployed": "flag",
        "code": "text",
        "deployedCode": "text",
    }
    needs = ("code",)

    def read(self, world: World) -> dict[Key, Item]:
        """Return the functions with their code."""
        found: dict[Key, Item] = {}
        for listed in world.at.pages("/functions", "functions"):
            each = world.at.call("GET", world.path("/functions/{}", listed["id"]))["function"]
            key = world.note(self, (each["resourceType"], each["displayName"]), each["id"])
            is_newest = bool(each.get("deployedAt")) and bool(each.get("isLatestVersion"))
            found[key] = {
                "kind": each["resourceType"],
                "name": each["displayName"],
                **only(each, "description", "logoUrl"),
                "settings": each["settings"],
                "deployed": is_newest,
                "code": each["code"],
                **({} if is_newest or not each.get("deployedAt") else _in_use(world, each["id"])),
            }
        return found

    def create(self, world: World, item: Item) -> str:
        """Make a function, and put it into use where it shall be."""
        body = {"displayName": item["name"], "resourceType": item["kind"]}
        body |= only(item, "code", "description", "logoUrl", "settings")
        first = item.get("deployedCode", item["code"])
        made = str(world.at.call("POST", "/functions", body | {"code": first})["function"]["id"])
        path = world.path("/functions/{}", made)
        if item.get("deployed") or "deployedCode" in item:
            world.at.call("POST", f"{path}/deploy")
        if first != item["code"]:
            world.at.call("PATCH", path, {"code": item["code"]})
        return made

    def update(self, world: World, key: Key, item: Item, changed: Sequence[str]) -> None:
        """Change it; new code is put into use where the document says so."""
        path = world.path("/functions/{}", world.id_of(self.section, key))
        change = only(item, *(each for each in changed if not each.startswith("deployed")))
        if "deployedCode" in changed:
            change.setdefault("code", world.at.call("GET", path)["function"]["code"])
            world.at.call("PATCH", path, {"code": item["deployedCode"]})
            world.at.call("POST", f"{path}/deploy")
        if change:
            world.at.call("PATCH", path, change)
        if item.get("deployed") and {"deployed", "code"} & set(changed):
            world.at.call("POST", f"{path}/deploy")

    def delete(self, world: World, key: Key) -> None:
        """Delete it."""
        world.at.call("DELETE", world.path("/functions/{}", world.id_of(self.section, key)))


def _in_use(world: World, identity: str) -> Item:
    """Return the code that runs where it is not the newest, as the document has it."""
    versions = world.at.pages(world.path("/functions/{}/versions", identity), "versions")
    code = next((each["code"] for each in versions if each["isDeployed"]), None)
    return {} if code is None else {"deployedCode": code}


class Destinations(Family):
    """Destinations by source and name."""

    section, word, keys = "destinations", "destination", ("source", "name")
    takes: ClassVar = {"type": "text", "enabled": "flag", "settings": "mapping", "delivery": "mapping"}
    needs, sealed, whole, goes = ("type",), ("settings",), ("delivery",), True

    def read(self, world: World) -> dict[Key, Item]:
        """Return the destinations."""
        found: dict[Key, Item] = {}
        for each in world.at.pages("/destinations", "destinations"):
            key = world.note(self, (world.name_of("sources", each["sourceId"]), each["name"]), each["id"])
            found[key] = {
                "source": key[0],
                "name": each["name"],
                "type": each["metadata"]["slug"],
                "enabled": each["enabled"],
                "settings": linked(world, referred(world, each["settings"], "destination", *key)),
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

    parent, goes = "destinations", True

    path_all: str
    path_pattern: str
    many: str
    label: str

    @abstractmethod
    def _shown(self, each: Item) -> Item:
        """Return one as the document has it."""

    def read(self, world: World) -> dict[Key, Item]:
        """Return those of every destination."""
        found: dict[Key, Item] = {}
        for each in world.at.pages(self.path_all, self.many):
            of = world.key_of("destinations", each["destinationId"])
            if of is not None:  # None: it was made while this was read
                key = world.note(self, (*of, each[self.label]), each["id"])
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
    takes: ClassVar = {"description": "text", "if": "text", "actions": "mappings", "enabled": "flag"}
    needs = ("if", "actions")
    path_all, path_pattern, many, label = "/destination/filters", "/destination/{}/filters", "filters", "title"

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
    takes: ClassVar = {"trigger": "text", "enabled": "flag", "settings": "mapping"}
    needs, whole = ("trigger",), ("settings",)
    path_all, path_pattern = "/destinations/subscriptions", "/destinations/{}/subscriptions"
    many, label = "subscriptions", "name"

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
    parent, goes = "destinations", True
    takes: ClassVar = {"function": "text", "enabled": "flag", "settings": "mapping"}
    needs, sealed = ("function",), ("settings",)

    _many: Final = "/insert-function-instances"

    def read(self, world: World) -> dict[Key, Item]:
        """Return those of every destination."""
        found: dict[Key, Item] = {}
        for each in world.at.pages(self._many, "instances"):
            of = world.key_of("destinations", each["integrationId"])
            if of is None:  # it was made while this was read
                continue
            key = world.note(self, (*of, each["name"]), each["id"])
            settings = {**each["settings"], **each["encryptedSettings"]}
            found[key] = {
                "source": key[0],
                "destination": key[1],
                "name": each["name"],
                "function": world.name_of("functions", each["classId"]),
                "enabled": each["enabled"],
                "settings": referred(world, settings, "insert", *key),
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
