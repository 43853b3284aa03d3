"""What the gate of a source does to a batch: counted, and told to the sources that want to know.

Source: Segment, Protocols (forward violations; forward blocked events).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from headwater.observing.findings import Broke, Collection, Findings, text_of
from headwater.observing.shapes import cleaned
from headwater.protocols.gate import Gate, Verdict
from headwater.protocols.rules import KINDS, Spec, Violation, name_of
from headwater.spec.event import Body, Frame, Record

USER: Final = "schema-violations"  # Segment
EVENT: Final = "Violation Generated"  # Segment


def judge(frame: Frame, gate: Gate, findings: Findings, now: datetime, *, forwards: bool) -> None:
    """Note what a gate does to each event of a frame.

    Args:
        frame: of the gate's source.
        gate: as it is in force now.
        findings: where it is noted.
        now: when it is told to other sources.
        forwards: whether it is: a source that others forward to does not.
    """
    minute = int(frame.received_at.timestamp()) // 60 * 60
    for seq, body in _bodies(frame):
        kind = KINDS.get(str(body.get("type", "")))
        if kind is None:
            continue
        verdict = gate(body)
        collection = frame.source_id, str(kind), cleaned(name_of(kind, body))
        if verdict.code is not None:
            findings.blocked[collection, text_of(frame.received_at)[:10], verdict.code] += 1
            findings.minutes[frame.source_id, minute, verdict.code] += 1
        for path in verdict.omitted:
            findings.omitted[collection, cleaned(path)] += 1
        for violation in verdict.violations:
            _note(findings, collection, violation, seq, text_of(frame.received_at))
        if forwards:
            _forward(findings, gate.spec, body, verdict, now)


def _bodies(frame: Frame) -> Iterator[tuple[int, Body]]:
    for offset, line in enumerate(frame.lines[:-1].split(b"\n")):
        try:
            body = msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError):
            continue
        if isinstance(body, dict):
            yield frame.first_seq + offset, body


def _note(findings: Findings, collection: Collection, violation: Violation, seq: int, at: str) -> None:
    field = cleaned(violation.field)
    key = (*collection, field, violation.type), at[:10]
    # A field's name is part of the sentence; where it is not kept, neither is the sentence.
    told = violation.description[:400] if field == violation.field else violation.type
    broke = findings.violations.setdefault(key, Broke(told))
    broke.count, broke.seq, broke.at = broke.count + 1, max(broke.seq, seq), max(broke.at, at)


def _forward(findings: Findings, spec: Spec, body: Body, verdict: Verdict, now: datetime) -> None:
    controls = spec.controls
    if controls.violations_to:
        records = findings.forwarded.setdefault(controls.violations_to, [])
        records += [_violation(spec, body, each, now) for each in verdict.violations]
    if controls.blocked_to and verdict.code is not None:
        findings.forwarded.setdefault(controls.blocked_to, []).append(_blocked(spec, body, verdict, now))


def _violation(spec: Spec, body: Body, violation: Violation, now: datetime) -> Record:
    """Return the track call that tells of one violation; the same one has the same id."""
    sent, context = str(body.get("messageId", "")), body.get("context")
    app = context.get("app") if isinstance(context, Mapping) else None
    properties = {
        "appVersion": str(app.get("version", "")) if isinstance(app, Mapping) else "",
        "eventMessageID": sent,
        "eventName": str(body.get("event") or body.get("name") or ""),
        "eventSentAt": body.get("sentAt") or "",
        "eventTimestamp": body.get("timestamp") or "",
        "eventType": body.get("type"),
        "sourceID": spec.source_id,
        "sourceName": spec.source_name,
        "sourceSlug": spec.source_slug,
        "trackingPlanID": spec.plan.id if spec.plan else "",
        "trackingPlanName": spec.plan.name if spec.plan else "",
        "violationDescription": violation.description,
        "violationField": violation.field,
        "violationType": violation.type,
    }
    told = {"type": "track", "event": EVENT, "userId": USER, "properties": properties, "context": _lent(context)}
    return _record(_id("violation", spec.source_id, sent, violation.field, violation.type), told, now)


def _lent(context: Any) -> dict[str, Any]:
    """Return what of an event's context helps to tell its senders apart."""
    return {name: context[name] for name in ("app", "library") if name in context} if isinstance(context, dict) else {}


def _blocked(spec: Spec, body: Body, verdict: Verdict, now: datetime) -> Record:
    """Return a blocked event as the other source gets it: as it was, with the reason."""
    context = body.get("context")
    protocols = {
        "sourceId": spec.source_id,
        "blocked": str(verdict.code),
        "violations": [each.told() for each in verdict.violations],
    }
    told = {**body, "context": {**(context if isinstance(context, dict) else {}), "protocols": protocols}}
    return _record(str(body.get("messageId", "")), told, now)


def _record(message_id: str, body: Body, now: datetime) -> Record:
    at = text_of(now)
    stamped = {"timestamp": at, "originalTimestamp": at, "sentAt": at, **body, "messageId": message_id}
    return Record(message_id, msgspec.json.encode({**stamped, "receivedAt": at}))


def _id(*parts: str) -> str:
    return "sch-" + hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()
