"""Instants as the control database keeps them: ISO 8601 in UTC, which sorts as text."""

from __future__ import annotations

from datetime import UTC, datetime


def text_of(instant: datetime) -> str:
    """Return an instant as stored: `2026-11-23T13:11:19.123456Z`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment(text: str) -> datetime:
    """Return a stored instant, with zone UTC."""
    return datetime.fromisoformat(text)
