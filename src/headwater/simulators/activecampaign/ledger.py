"""The ground truth: what happened in the account, whether or not a webhook told of it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Self

from headwater.simulators.activecampaign.bodies import message_of
from headwater.simulators.activecampaign.happenings import Happening

ENTRIES_MAX: Final = 20_000  # the newest are kept one by one; older ones only in the counts


@dataclass(frozen=True, slots=True)
class Entry:
    """One happening.

    Attributes:
        at: when it happened, ISO-8601, UTC, whole seconds as webhooks have it.
        due: whether the service tells of it (repeats and what is not subscribed are silent).
        webhooks: how often the webhook goes out: 0 when it is lost, 2 when it is doubled.
    """

    kind: str
    at: str
    due: bool
    webhooks: int
    campaign_id: int
    message_id: int
    contact_id: int
    email: str
    list_ids: tuple[int, ...]
    link_id: int
    link_url: str
    agent: str
    reason: str
    bounce: tuple[str, str, str]
    by_system: bool

    @classmethod
    def of(cls, happening: Happening, instant: datetime, *, webhooks: int, due: bool) -> Self:
        """Return the entry of a happening."""
        contact, link = happening.contact, happening.link
        return cls(
            kind=happening.kind,
            at=f"{instant:%Y-%m-%dT%H:%M:%S}Z",
            due=due,
            webhooks=webhooks,
            campaign_id=0 if happening.by_admin else happening.campaign.id,
            message_id=0 if happening.by_admin else message_of(happening).id,
            contact_id=contact.id if contact else 0,
            email=contact.email if contact else "",
            list_ids=contact.list_ids if contact else (),
            link_id=link.id if link else 0,
            link_url=link.url if link else "",
            agent=happening.agent,
            reason=happening.reason,
            bounce=happening.bounce,
            by_system=happening.by_system,
        )


class Ledger:
    """Counts everything and keeps the newest entries; its size does not grow with time."""

    def __init__(self) -> None:
        self._happenings: Counter[str] = Counter()
        self._due: Counter[str] = Counter()
        self._webhooks: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()
        self._entries: deque[Entry] = deque(maxlen=ENTRIES_MAX)

    def happened(self, entry: Entry) -> None:
        """Write down one happening."""
        self._happenings[entry.kind] += 1
        self._due[entry.kind] += entry.due
        self._webhooks[entry.kind] += entry.webhooks
        self._entries.append(entry)

    def visited(self, calls: Iterable[dict[str, Any]]) -> None:
        """Write down the calls that a visit to the shop makes."""
        self._calls.update(str(call.get("event", call["type"])) for call in calls)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how often each kind happened, was told of, went out as a webhook, and each call was made."""
        counters = {
            "happenings": self._happenings,
            "due": self._due,
            "webhooks": self._webhooks,
            "calls": self._calls,
        }
        return {name: dict(sorted(counter.items())) for name, counter in counters.items()}

    def entries(self) -> list[dict[str, Any]]:
        """Return the newest entries, in the order they happened."""
        return [asdict(entry) for entry in self._entries]
