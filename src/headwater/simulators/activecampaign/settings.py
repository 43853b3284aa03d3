"""What can be chosen about the account; each point on which the real service's behaviour is not certain is a switch."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from headwater.clock import now

DAY_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Switches:
    """How webhooks are sent.

    Attributes:
        repeats: whether every open and click of a person is sent, or the first for each campaign (and link).
        lists: shape of `list` on campaign events.
        unsubscribe_lists: shape of `list` on unsubscribes by the contact.
        unsubscribes: once, or a second time when the person gives a reason.
        campaign_block: how much a bounce says about its campaign.
        field_keys: custom fields by number or by personalisation tag.
        complaints: as an unsubscribe with a certain reason, or not at all.
        apple_privacy: whether opens by Apple's privacy proxy are sent.
        times: US Central with offset, without offset, or at a fixed offset all year.
        duplicates, delays, reorders, losses: share of webhooks, 0..1.
        long_url_chars: length of one link of every campaign, 0 for none such.
    """

    repeats: Literal["first", "every"] = "first"
    lists: Literal["indexed", "scalar"] = "indexed"
    unsubscribe_lists: Literal["repeated", "indexed", "scalar"] = "repeated"
    unsubscribes: Literal["twice", "once"] = "twice"
    campaign_block: Literal["name", "id", "full"] = "name"
    field_keys: Literal["numeric", "perstag"] = "numeric"
    complaints: Literal["unsubscribe", "nothing"] = "unsubscribe"
    apple_privacy: Literal["sent", "silent"] = "sent"
    times: Literal["central", "naive", "fixed"] = "central"
    duplicates: float = 0.0
    delays: float = 0.0
    reorders: float = 0.0
    losses: float = 0.0
    long_url_chars: int = 0


@dataclass(frozen=True, slots=True)
class Settings:
    """The account and how its time runs.

    Attributes:
        contacts: people on its lists at any time; who leaves is replaced.
        present: the end of the history and the start of what happens live.
        first_campaign: id of the first campaign; an account that is started again goes on behind its last.
        history_campaigns: campaigns sent in the `history_days` before `present`; replayed fast.
        live_campaigns: how many follow, None for no end.
        speed: how much faster than real time what follows happens.
        history_per_s: happenings of the history sent a second, at most.
        events: webhook types that are subscribed.
    """

    seed: int = 1
    contacts: int = 3_000
    present: datetime = field(default_factory=now)
    history_days: int = 7
    first_campaign: int = 1
    history_campaigns: int = 5
    live_campaigns: int | None = None
    speed: float = 1.0
    history_per_s: float = 250.0
    events: tuple[str, ...] = ("open", "click", "unsubscribe", "bounce")
    switches: Switches = field(default_factory=Switches)

    @property
    def history_s(self) -> float:
        """Seconds of plan time before the present."""
        return float(self.history_days * DAY_S)

    def instant(self, at: float) -> datetime:
        """Return when plan second `at` is: the history at its own time, what follows quickened by `speed`."""
        past = min(at, self.history_s) - self.history_s
        ahead = max(at - self.history_s, 0.0) / self.speed
        return self.present + timedelta(seconds=past + ahead)
