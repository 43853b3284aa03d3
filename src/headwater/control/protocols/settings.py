"""The schema settings of a source as the Public API writes them. Pure.

Source: Segment, Public API, source settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from headwater.errors import InvalidRequestError
from headwater.protocols.rules import Controls, Enforced, Kind, OnCommon

_TRACK: Final = {
    "allowUnplannedEvents": "unplanned_events",
    "allowUnplannedEventProperties": "unplanned_fields",
    "allowEventOnViolations": "event_on_violations",
    "allowPropertiesOnViolations": "fields_on_violations",
}
_TRAITS: Final = {"allowUnplannedTraits": "unplanned_fields", "allowTraitsOnViolations": "fields_on_violations"}
_CALLS: Final = {"track": _TRACK, "identify": _TRAITS, "group": _TRAITS}
COMMON: Final = "commonEventOnViolations"
FORWARDING: Final = {"forwardingViolationsTo": "violations_to", "forwardingBlockedEventsTo": "blocked_to"}


def omitting(call: str) -> str:
    """Return what Segment calls it when only what is wrong is taken out."""
    return "OMIT_PROPERTIES" if call == "track" else "OMIT_TRAITS"


def shape(controls: Controls) -> dict[str, Any]:
    """Return the settings as they are answered and stored."""
    told: dict[str, Any] = {}
    for call, members in _CALLS.items():
        enforced = controls.of(Kind(call.upper()))
        common = omitting(call) if enforced.common is OnCommon.OMIT else str(enforced.common)
        told[call] = {name: getattr(enforced, member) for name, member in members.items()} | {COMMON: common}
    return told | {name: getattr(controls, member) for name, member in FORWARDING.items()}


def changed(controls: Controls, given: Mapping[str, Any]) -> Controls:
    """Return the settings with what is given; what is not named stays.

    Raises:
        InvalidRequestError: a word that is none of Segment's.
    """
    return Controls(
        track=_enforced(controls.track, given.get("track") or {}, "track"),
        identify=_enforced(controls.identify, given.get("identify") or {}, "identify"),
        group=_enforced(controls.group, given.get("group") or {}, "group"),
        violations_to=str(given.get("forwardingViolationsTo", controls.violations_to)),
        blocked_to=str(given.get("forwardingBlockedEventsTo", controls.blocked_to)),
    )


def _enforced(before: Enforced, given: Mapping[str, Any], call: str) -> Enforced:
    values = {member: given.get(name, getattr(before, member)) for name, member in _CALLS[call].items()}
    common = before.common
    if COMMON in given:
        words = {"ALLOW": OnCommon.ALLOW, "BLOCK": OnCommon.BLOCK, omitting(call): OnCommon.OMIT}
        if given[COMMON] not in words:
            raise InvalidRequestError(f"{COMMON} is one of {', '.join(words)}", field=f"{call}.{COMMON}")
        common = words[given[COMMON]]
    return Enforced(**values, common=common)
