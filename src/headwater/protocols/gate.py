"""The gate of a source: which of its events go on, and what is taken out of them.

Pure: the same event and the same configuration give the same answer in delivery, in loading and in what is counted.
First come the names that are blocked, then the plan's own rules, then its common schema, as in Segment. What is
blocked stays in the log, so that it can be delivered and loaded later.

Source: Segment, Protocols (schema configuration; event versions).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from headwater.protocols.rules import KINDS, Code, Enforced, Kind, Name, OnCommon, Spec, Violation, name_of, section_of
from headwater.protocols.schemas import ANYTHING, Found, Planned, Validator, shown, unplanned
from headwater.spec import paths
from headwater.spec.event import Body
from headwater.spec.paths import Names

UNPLANNED_EVENT: Final = "Unplanned Event"
UNPLANNED_FIELD: Final = "Unplanned Property"
_ITEM: Final = "$"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one event.

    Attributes:
        body: as it goes on, the very same one when nothing was taken out; None when it is blocked.
        code: why it is blocked.
        omitted: paths below properties or traits that were taken out.
    """

    body: Body | None
    code: Code | None = None
    violations: tuple[Violation, ...] = ()
    omitted: tuple[str, ...] = ()


@dataclass(slots=True)
class _Finding:
    """What was found of an event so far; paths are below its section."""

    violations: list[Violation] = field(default_factory=list)
    omitted: dict[Names, None] = field(default_factory=dict)
    is_unplanned: bool = False


@dataclass(frozen=True, slots=True)
class _Compiled:
    """One rule, ready to be applied."""

    validator: Validator
    planned: Planned


class Gate:
    """Holds one source's events against its rules; two gates of the same rules are equal."""

    def __init__(self, spec: Spec) -> None:
        """Take the rules; they are compiled as they are needed, and one that cannot be is left out."""
        self.spec = spec
        self._versions: dict[tuple[Kind, str], dict[int, str]] = {}
        for rule in spec.plan.rules if spec.plan else ():
            self._versions.setdefault((rule.kind, rule.key), {})[rule.version] = rule.schema
        self._compiled: dict[tuple[Kind, str, int], _Compiled] = {}
        self._drops: dict[tuple[Kind, str], list[Names]] = {}
        for each in sorted(spec.blocked):
            if each.field:
                self._drops.setdefault((each.kind, each.name), []).append(_names(each.field))

    def __call__(self, body: Body) -> Verdict:
        """Return what becomes of an event."""
        kind = KINDS.get(str(body.get("type", "")))
        if kind is None:
            return Verdict(body)
        name = name_of(kind, body)
        if Name(kind, name) in self.spec.blocked:
            return Verdict(None, Code.EVENT_SETTING)
        enforced, section = self.spec.controls.of(kind), section_of(kind)
        finding = _Finding()
        for names in self._drops.get((kind, name), ()):
            if paths.read(body.get(section), names) is not None:
                finding.omitted[names] = None
        code = self._held(kind, name, body, enforced, finding)
        if code is None:
            code = self._held_in_common(kind, body, enforced, finding)
        violations = tuple(finding.violations)
        if code is not None:
            return Verdict(None, code, violations)
        if not finding.omitted:
            return Verdict(body, None, violations)
        return self._without(body, section, finding)

    def __eq__(self, other: object) -> bool:
        """Return whether both decide the same."""
        return isinstance(other, Gate) and self.spec == other.spec

    def __hash__(self) -> int:
        """Return what equal gates have in common."""
        return hash(self.spec.source_id)

    def _held(self, kind: Kind, name: str, body: Body, enforced: Enforced, finding: _Finding) -> Code | None:
        """Hold an event against its own rule; return why it is blocked."""
        rule = self._rule(kind, name, body)
        if rule is not None:
            self._note_unplanned(kind, body, enforced, finding, rule)
            return self._violated(rule, body, section_of(kind), enforced, finding)
        if kind is not Kind.TRACK:
            self._note_unplanned(kind, body, enforced, finding)
            return None
        if self.spec.plan is not None:
            finding.is_unplanned = True
            finding.violations.append(Violation(UNPLANNED_EVENT, "event", "The event is not in the plan"))
        elif Name(kind, name) in self.spec.known:
            return None
        return None if enforced.unplanned_events else Code.UNPLANNED

    def _note_unplanned(
        self, kind: Kind, body: Body, enforced: Enforced, finding: _Finding, rule: _Compiled | None = None
    ) -> None:
        """Omit what neither the rule nor the common schema names, where that is wanted."""
        said = body.get(section_of(kind))
        if enforced.unplanned_fields or not isinstance(said, dict) or not said:
            return
        if self.spec.plan is None:
            plans = [Planned({"properties": {each.field: {} for each in self.spec.known if each.kind is kind}})]
        else:
            compiled = [each.planned for each in (rule, self._common()) if each is not None]
            plans = [found for each in compiled if (found := _in(each, kind)) is not None]
        if any(plan.is_hidden for plan in plans):
            return
        for names in unplanned(said, plans):
            finding.is_unplanned = True
            finding.omitted[names] = None

    def _violated(
        self, rule: _Compiled, body: Body, section: str, enforced: Enforced, finding: _Finding
    ) -> Code | None:
        found = rule.validator.violations(body)
        finding.violations += found.violations
        if not found.violations:
            return None
        if not enforced.event_on_violations:
            return Code.UNPLANNED_AND_SCHEMA_VIOLATION if finding.is_unplanned else Code.SCHEMA_VIOLATION
        if not enforced.fields_on_violations:
            _omit(finding, section, body, found)
        return None

    def _held_in_common(self, kind: Kind, body: Body, enforced: Enforced, finding: _Finding) -> Code | None:
        """Hold an event against the schema that all events share; return why it is blocked."""
        common = self._common()
        found = common.validator.violations(body) if common is not None else Found()
        finding.violations += found.violations
        if found.violations and enforced.common is OnCommon.BLOCK:
            return Code.COMMON_SCHEMA_VIOLATION
        if found.violations and enforced.common is OnCommon.OMIT:
            _omit(finding, section_of(kind), body, found)
        return None

    def _common(self) -> _Compiled | None:
        return self._at(Kind.COMMON, "", None)

    def _rule(self, kind: Kind, name: str, body: Body) -> _Compiled | None:
        context = body.get("context")
        told = context.get("protocols") if isinstance(context, dict) else None
        return self._at(kind, name, told.get("event_version") if isinstance(told, dict) else None)

    def _at(self, kind: Kind, name: str, version: Any) -> _Compiled | None:
        """Return a rule in the version that is asked for; what is no such version means the oldest."""
        versions = self._versions.get((kind, name))
        if versions is None:
            return None
        number = version if type(version) is int and version in versions else min(versions)
        key = (kind, name, number)
        if key not in self._compiled:
            schema = msgspec.json.decode(versions[number])
            self._compiled[key] = _Compiled(Validator(schema), Planned(schema))
        return self._compiled[key]

    def _without(self, body: Body, section: str, finding: _Finding) -> Verdict:
        """Return the event without what is omitted, and with what the plan says of it."""
        said = body[section]
        for names in finding.omitted:
            said = paths.without(said, names)
        omitted = tuple(shown(names) for names in finding.omitted)
        context = body.get("context")
        context = context if isinstance(context, dict) else {}
        told = context.get("protocols")
        protocols = {
            **(told if isinstance(told, dict) else {}),
            "sourceId": self.spec.source_id,
            "omitted": list(omitted),
            "violations": [each.told() for each in finding.violations],
        }
        changed = {**body, section: said, "context": {**context, "protocols": protocols}}
        return Verdict(changed, None, tuple(finding.violations), omitted)


class Gates:
    """The gates that are in force now, by source; replaced whole, so that a reader keeps the ones it began with."""

    def __init__(self) -> None:
        self.present: Mapping[str, Gate] = {}

    def replace(self, specs: Mapping[str, Spec]) -> None:
        """Take other rules; gates whose rules stay the same stay compiled."""
        present = self.present
        self.present = {
            source_id: present[source_id] if source_id in present and present[source_id].spec == spec else Gate(spec)
            for source_id, spec in specs.items()
            if not spec.is_open
        }


def _names(path: str) -> Names:
    """Return the names of a stored path; elements of a list are passed through without being named."""
    return tuple(name for name in paths.names_of(path) if name != _ITEM)


def _in(planned: Planned, kind: Kind) -> Planned | None:
    """Return what a rule plans of properties or traits; None where it does not speak of them."""
    return ANYTHING if planned.is_hidden else planned.below(section_of(kind))


def _omit(finding: _Finding, section: str, body: Body, found: Found) -> None:
    """Note which values go: those of properties or traits, whatever they stand in a list of; all where too much is."""
    said = body.get(section)
    paths = found.paths if found.is_all or not isinstance(said, dict) else [(section, name) for name in said]
    for names in paths:
        if len(names) > 1 and names[0] == section:
            finding.omitted[tuple(name for name in names[1:] if name != _ITEM)] = None
