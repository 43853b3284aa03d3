"""The workspace's own name, labels, and what sources shall send: schema controls and tracking plans."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

from headwater.cli.configuration.family import Family, Item, Key, World, only

_CHANGES: Final = 1_000  # a request, as the API has it
_CALLS: Final = {
    "track": (
        "allowUnplannedEvents",
        "allowUnplannedEventProperties",
        "allowEventOnViolations",
        "allowPropertiesOnViolations",
    ),
    "identify": ("allowUnplannedTraits", "allowTraitsOnViolations"),
    "group": ("allowUnplannedTraits", "allowTraitsOnViolations"),
}
_FORWARDING: Final = ("forwardingViolationsTo", "forwardingBlockedEventsTo")
_USUAL: Final[Item] = {
    **{call: {**dict.fromkeys(names, True), "commonEventOnViolations": "ALLOW"} for call, names in _CALLS.items()},
    **dict.fromkeys(_FORWARDING, ""),
}
"""The settings of a source of which nothing is decided."""


class Workspace(Family):
    """The workspace itself: only its name can change."""

    section, word, keys = "workspace", "workspace", ()
    takes: ClassVar = {"name": "text", "region": "text"}

    def read(self, world: World) -> dict[Key, Item]:
        """Return the one workspace."""
        found = world.at.call("GET", "/")["workspace"]
        return {world.note(self, (), found["id"]): only(found, "name", "region")}

    def create(self, world: World, item: Item) -> str:
        """Never: there is one already."""
        del item
        return world.id_of(self.section, ())

    def update(self, world: World, key: Key, item: Item, changed: Sequence[str]) -> None:
        """Change its name."""
        world.at.call("PATCH", world.path("/workspaces/{}", world.id_of(self.section, key)), only(item, *changed))

    def delete(self, world: World, key: Key) -> None:
        """Never."""

    def can_go(self, key: Key) -> bool:
        """Tell that it stays."""
        del key
        return False


class Labels(Family):
    """Labels by key and value; sources name those that they have."""

    section, word, keys = "labels", "label", ("key", "value")
    takes: ClassVar = {"description": "text"}

    def read(self, world: World) -> dict[Key, Item]:
        """Return the labels."""
        found = world.at.call("GET", "/labels")["labels"]
        return {world.note(self, (each["key"], each["value"]), ""): each for each in found}

    def create(self, world: World, item: Item) -> str:
        """Make a label."""
        world.at.call("POST", "/labels", {"label": item})
        return ""

    def update(self, world: World, key: Key, item: Item, changed: Sequence[str]) -> None:
        """Make it anew with another description, and give it to the sources that had it."""
        label = dict(zip(("key", "value"), key, strict=True))
        having = [each for each in world.at.pages("/sources", "sources") if _has(each, label)]
        self.delete(world, key)
        world.at.call("POST", "/labels", {"label": label | only(item, *changed)})
        for source in having:
            world.at.call("POST", world.path("/sources/{}/labels", source["id"]), {"labels": [label]})

    def delete(self, world: World, key: Key) -> None:
        """Delete it, also from the sources that have it."""
        world.at.call("DELETE", world.path("/labels/{}/{}", *key))


def _has(source: Item, label: Item) -> bool:
    return any(only(each, "key", "value") == label for each in source["labels"])


class Schema(Family):
    """What is decided of what sources send, by source; those of which nothing is decided are not there."""

    section, word, keys = "schema", "schema controls of", ("source",)
    takes: ClassVar = {"settings": "mapping", "blocked": "mappings", "planned": "mappings"}
    goes, unordered = True, ("blocked",)

    def read(self, world: World) -> dict[Key, Item]:
        """Return the controls."""
        found: dict[Key, Item] = {}
        for each in world.at.pages("/schema-controls", "controls"):
            key = world.key_of("sources", each["sourceId"])
            settings = each["settings"]
            if key is None or (settings == _USUAL and not each["blocked"] and not each["planned"]):
                continue
            world.note(self, key, each["sourceId"])
            for name in _FORWARDING:
                settings[name] = world.name_of("sources", settings[name]) if settings[name] else ""
            found[key] = {"source": key[0], "settings": settings}
            for how in ("blocked", "planned"):
                found[key][how] = _names(world, each["sourceId"], how) if each[how] else []
        return found

    def create(self, world: World, item: Item) -> str:
        """Decide what the document decides."""
        identity = world.id_of("sources", (item["source"],))
        self._decide(world, identity, item, [])
        return identity

    def update(self, world: World, key: Key, item: Item, changed: Sequence[str]) -> None:
        """Change what differs."""
        identity = world.id_of("sources", key)
        there = _names(world, identity, "blocked")
        self._decide(world, identity, only(item, "source", *changed), there, item.get("blocked", there))

    def delete(self, world: World, key: Key) -> None:
        """Let everything through again."""
        identity = world.id_of("sources", key)
        self._decide(world, identity, {"settings": _USUAL, "blocked": []}, _names(world, identity, "blocked"))

    def alike(self, name: str, old: Any, new: Any) -> bool:
        """Tell whether it is as the document says; what was planned cannot be unplanned, only blocked."""
        if name in {"blocked", "planned"}:
            old, new = _sorted(old or []), _sorted(new)
        return all(each in old for each in new) if name == "planned" else super().alike(name, old, new)

    def _decide(
        self, world: World, identity: str, item: Item, there: Sequence[Item], blocked: Sequence[Item] | None = None
    ) -> None:
        """Send settings, then what is allowed, then what is blocked: to allow a name plans it and unblocks it."""
        if "settings" in item:
            world.at.call("PATCH", world.path("/sources/{}/settings", identity), item["settings"])
        was, wanted = _sorted(there), _sorted(item.get("blocked", there) if blocked is None else blocked)
        planned = _sorted(item.get("planned", []))
        allowed = [*planned, *(each for each in was if each not in wanted and each not in planned)]
        path = world.path("/sources/{}/schema", identity)
        _send(world, path, allowed, allowed=True)
        _send(world, path, [each for each in wanted if each not in was or each in planned], allowed=False)


def _send(world: World, path: str, names: Sequence[Item], *, allowed: bool) -> None:
    for start in range(0, len(names), _CHANGES):
        changes = [{**each, "allowed": allowed} for each in names[start : start + _CHANGES]]
        world.at.call("PATCH", path, {"changes": changes})


def _names(world: World, identity: str, how: str) -> list[Item]:
    """Return names without what says nothing in them."""
    found = world.at.pages(world.path(f"/sources/{{}}/schema/{how}", identity), "names")
    return _sorted(found)


def _sorted(names: Iterable[Item]) -> list[Item]:
    told = [{member: each[member] for member in ("type", "name", "property") if each.get(member)} for each in names]
    return sorted(told, key=json.dumps)


class Plans(Family):
    """Tracking plans by name, with their rules and the sources that are held against them."""

    section, word, keys = "trackingPlans", "tracking plan", ("name",)
    takes: ClassVar = {"type": "text", "description": "text", "sources": "texts", "rules": "mappings"}
    unordered, whole = ("sources",), ("rules",)

    def read(self, world: World) -> dict[Key, Item]:
        """Return the plans."""
        found: dict[Key, Item] = {}
        for each in world.at.pages("/tracking-plans", "trackingPlans"):
            key = world.note(self, (each["name"],), each["id"])
            path = world.path("/tracking-plans/{}", each["id"])
            slugs = [source["slug"] for source in world.at.pages(f"{path}/sources", "sources")]
            _held(world).update({(slug,): each["id"] for slug in slugs})
            found[key] = {
                **only(each, "name", "type", "description"),
                "sources": slugs,
                "rules": [_rule(rule) for rule in world.at.pages(f"{path}/rules", "rules")],
            }
        return found

    def create(self, world: World, item: Item) -> str:
        """Make a plan."""
        body = {"type": "LIVE", **only(item, "name", "type", "description")}
        made = str(world.at.call("POST", "/tracking-plans", body)["trackingPlan"]["id"])
        self._change(world, made, item, [name for name in ("rules", "sources") if item.get(name)])
        return made

    def update(self, world: World, key: Key, item: Item, changed: Sequence[str]) -> None:
        """Change description, rules or sources."""
        self._change(world, world.id_of(self.section, key), item, changed)

    def _change(self, world: World, identity: str, item: Item, changed: Sequence[str]) -> None:
        path = world.path("/tracking-plans/{}", identity)
        if "description" in changed:
            world.at.call("PATCH", path, only(item, "description"))
        if "rules" in changed:
            world.at.call("PUT", f"{path}/rules", {"rules": item["rules"]})
        if "sources" in changed:
            self._connect(world, path, identity, item["sources"])

    def _connect(self, world: World, path: str, identity: str, wanted: Sequence[str]) -> None:
        there = {each["slug"]: each["id"] for each in world.at.pages(f"{path}/sources", "sources")}
        for slug in there.keys() - set(wanted):
            world.at.call("DELETE", f"{path}/sources", query={"sourceId": there[slug]})
            _held(world).pop((slug,), None)
        for slug in dict.fromkeys(wanted):
            if slug not in there:
                source = world.id_of("sources", (slug,))
                if other := _held(world).get((slug,)):  # a source has one plan
                    world.at.call("DELETE", world.path("/tracking-plans/{}/sources", other), query={"sourceId": source})
                world.at.call("POST", f"{path}/sources", {"sourceId": source})
                _held(world)[(slug,)] = identity

    def delete(self, world: World, key: Key) -> None:
        """Delete it; its sources are held against nothing."""
        world.at.call("DELETE", world.path("/tracking-plans/{}", world.id_of(self.section, key)))

    def alike(self, name: str, old: Any, new: Any) -> bool:
        """Tell whether it is as the document says; the order of rules says nothing."""
        if name == "rules":
            return sorted(map(_place, old or [])) == sorted(map(_place, new))
        return super().alike(name, old, new)


def _held(world: World) -> dict[Key, str]:
    """Return the plan of each source that has one, by its slug."""
    return world.ids.setdefault("sources of tracking plans", {})


def _rule(each: Item) -> Item:
    return only(each, "type", "key", "version", "jsonSchema")


def _place(rule: Item) -> str:
    return json.dumps(rule | {"key": rule.get("key", "")}, sort_keys=True)
