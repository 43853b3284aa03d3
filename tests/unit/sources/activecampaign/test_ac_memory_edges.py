"""The memory where something else is wrong: the clock, a body that grows, a reason that nobody can wait for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from headwater.sources.activecampaign.memory.ledger import Ledger
from headwater.sources.activecampaign.memory.remembering import OccurrenceMemory
from headwater.sources.activecampaign.records import CampaignNote, Person
from headwater.sources.contract import Webhook

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
QUIET = {"delivered": "off"}


class Nobody:
    """Knows nobody and nothing."""

    async def who(self, source_id: str, contacts: Mapping[str, str]) -> Mapping[str, Person]:  # noqa: ARG002
        return {}

    async def notes(self, source_id: str, campaign_ids: Collection[str]) -> Mapping[str, CampaignNote]:  # noqa: ARG002
        return {}


def told(kind: str, at: datetime = NOON, **fields: str) -> Webhook:
    envelope = {"type": kind, "date_time": at.isoformat(), "contact[id]": "5", "campaign[id]": "8"}
    return Webhook(1, "s1", at, "", urlencode(envelope | fields).encode())


def memory(home: Path) -> OccurrenceMemory:
    return OccurrenceMemory(Ledger(home / "ledger.sqlite"), Nobody(), Nobody())


async def test_an_unsubscribe_that_arrived_before_the_clock_was_set_back_does_not_wait_for_the_old_time(
    tmp_path: Path,
) -> None:
    remembering = memory(tmp_path)
    held = await remembering.take("s1", [told("unsubscribe", NOON + timedelta(days=365))], QUIET)
    assert held.mapped[0].events == ()
    await remembering.keep("s1", held)
    released = await remembering.overdue("s1", QUIET, NOON)
    assert [event["event"] for mapped in released.mapped for event in mapped.events] == ["Email Unsubscribed"]
    await remembering.keep("s1", released)
    assert (await remembering.overdue("s1", QUIET, NOON)).mapped == ()


async def test_what_is_too_large_as_json_is_not_taken_for_told(tmp_path: Path) -> None:
    """A control character takes one byte in a webhook, and six in JSON, wherever the campaign's name stands."""
    webhook = told("open", **{"campaign[name]": ""})
    grown = Webhook(1, "s1", NOON, "", webhook.body + b"\x01" * 40_000)
    remembering = memory(tmp_path)
    taken = await remembering.take("s1", [grown], QUIET)
    assert (taken.mapped[0].events, taken.mapped[0].quarantined) == ((), "the event is too large")
    await remembering.keep("s1", taken)
    assert (await remembering.take("s1", [grown], QUIET)).mapped[0].quarantined == "the event is too large"
