"""The gate over stored lines, for readers that take them in bulk; a source without one costs a look-up a frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import msgspec

from headwater.protocols.gate import Gate
from headwater.spec.event import Frame

BLOCKED: Final = "(blocked)"
"""Stands as `type` in a line whose event is blocked: the line keeps its place, and no event has such a type."""

_BLOCKED_LINE: Final = msgspec.json.encode({"type": BLOCKED})
_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode


def gated(frames: Iterable[Frame], gates: Mapping[str, Gate]) -> tuple[Sequence[Frame], int]:
    """Return the frames as their gates leave them, and how many of their events are blocked."""
    if not gates:
        return list(frames), 0
    let, blocked = [], 0
    for frame in frames:
        gate = gates.get(frame.source_id)
        if gate is None:
            let.append(frame)
            continue
        lines, count = _through(frame.lines, gate)
        let.append(frame if lines is None else replace(frame, lines=lines))
        blocked += count
    return let, blocked


def _through(lines: bytes, gate: Gate) -> tuple[bytes | None, int]:
    """Return a frame's lines as a gate leaves them, None where it changes nothing, and how many are blocked."""
    kept, blocked, is_changed = [], 0, False
    for line in lines[:-1].split(b"\n"):
        try:
            body = _decode(line)
        except msgspec.DecodeError:  # no JSON for this reader: loading judges it
            body = None
        verdict = gate(body) if isinstance(body, dict) else None
        if verdict is None or verdict.body is body:
            kept.append(line)
            continue
        is_changed = True
        blocked += verdict.body is None
        kept.append(_BLOCKED_LINE if verdict.body is None else _encode(verdict.body))
    return (b"\n".join([*kept, b""]) if is_changed else None), blocked
