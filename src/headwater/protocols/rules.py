"""What the events of a source are held against: blocked names, the rules of a plan, and what happens to the rest.

Source: Segment, Protocols (schema configuration; tracking plan), Public API (source settings; tracking plans).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from headwater.spec.event import Body


class Kind(StrEnum):
    """What a name or a rule is about: a call, or, of rules alone, all of them."""

    TRACK = "TRACK"
    IDENTIFY = "IDENTIFY"
    GROUP = "GROUP"
    PAGE = "PAGE"
    SCREEN = "SCREEN"
    COMMON = "COMMON"


KINDS: Final = {kind.lower(): kind for kind in Kind if kind is not Kind.COMMON}
"""The calls that have something to hold against, as events spell them."""

NAMED: Final = {Kind.TRACK: "event", Kind.PAGE: "name", Kind.SCREEN: "name"}
"""The member that names a call; traits of people and groups have no name."""


def section_of(kind: Kind) -> str:
    """Return the member that holds what a call says: properties or traits."""
    return "traits" if kind in {Kind.IDENTIFY, Kind.GROUP} else "properties"


def name_of(kind: Kind, body: Body) -> str:
    """Return the name of an event as it was sent; "" where a call has none."""
    name = body.get(NAMED[kind]) if kind in NAMED else ""
    return name if isinstance(name, str) else ""


class OnCommon(StrEnum):
    """What becomes of an event that violates the common schema; Segment writes OMIT_PROPERTIES or OMIT_TRAITS."""

    ALLOW = "ALLOW"
    BLOCK = "BLOCK"
    OMIT = "OMIT"


@dataclass(frozen=True, slots=True)
class Enforced:
    """What happens to one kind of call; everything is let through by default.

    Attributes:
        unplanned_events: only of track calls: events that no rule names, or that were not there when it was set.
        unplanned_fields: properties or traits that no rule names.
        event_on_violations: only of track calls: events whose values do not fit their rule.
        fields_on_violations: the values themselves.
    """

    unplanned_events: bool = True
    unplanned_fields: bool = True
    event_on_violations: bool = True
    fields_on_violations: bool = True
    common: OnCommon = OnCommon.ALLOW


@dataclass(frozen=True, slots=True)
class Controls:
    """The settings of one source.

    Attributes:
        violations_to, blocked_to: ids of the sources that violations and blocked events are sent to; "" for none.
    """

    track: Enforced = field(default_factory=Enforced)
    identify: Enforced = field(default_factory=Enforced)
    group: Enforced = field(default_factory=Enforced)
    violations_to: str = ""
    blocked_to: str = ""

    def of(self, kind: Kind) -> Enforced:
        """Return what happens to a kind of call; pages and screens have no settings of their own."""
        named = {Kind.TRACK: self.track, Kind.IDENTIFY: self.identify, Kind.GROUP: self.group}
        return named.get(kind, _OPEN)


_OPEN: Final = Enforced()


@dataclass(frozen=True, slots=True, order=True)
class Name:
    """Something that a source sends.

    Attributes:
        name: of an event, page or screen; "" for identify and group.
        field: the dotted path of a property or trait; "" for the whole event.
    """

    kind: Kind
    name: str = ""
    field: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a plan.

    Attributes:
        key: the event's name, exactly; "" for identify, group and common.
        version: of the event, from 1 on.
        schema: JSON Schema, draft 7, of the whole event; as JSON.
    """

    kind: Kind
    key: str
    version: int
    schema: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan as it is enforced."""

    id: str
    name: str
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Spec:
    """Everything that one source's events are held against.

    Attributes:
        blocked: names that are let nowhere.
        known: where no plan is connected: what was there when new names were blocked.
        source_name, source_slug: for what is told of violations.
    """

    source_id: str
    controls: Controls = field(default_factory=Controls)
    blocked: frozenset[Name] = frozenset()
    known: frozenset[Name] = frozenset()
    plan: Plan | None = None
    source_name: str = ""
    source_slug: str = ""

    @property
    def is_open(self) -> bool:
        """Whether nothing is held against it at all."""
        return not self.blocked and self.plan is None and self.controls == Controls()


class Code(StrEnum):
    """Why an event is blocked at its source. Source: Segment, Delivery Overview, filtered at source."""

    EVENT_SETTING = "event_setting"
    UNPLANNED = "unplanned"
    SCHEMA_VIOLATION = "schema_violation"
    UNPLANNED_AND_SCHEMA_VIOLATION = "unplanned_and_schema_violation"
    COMMON_SCHEMA_VIOLATION = "common_schema_violation"


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that does not fit; it holds no value of the event.

    Attributes:
        type: such as `Invalid Type`, `Required` or `Unplanned Event`.
        field: dotted path in the event, `properties.items.$.price`; "" for the event itself.
    """

    type: str
    field: str
    description: str

    def told(self) -> dict[str, Any]:
        """Return it as it stands in an event."""
        return {"type": self.type, "field": self.field, "description": self.description}
