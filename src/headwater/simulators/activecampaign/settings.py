"""What can be chosen about the account; each point on which the real service's behaviour is not certain is a switch."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec

from headwater.clock import now

DAY_S = 24 * 3600

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class Switches:
    """How the service behaves where that is not certain, and how badly its day goes; may change while it runs.

    Webhooks:
        repeats: whether every open and click of a person is sent, or the first for each campaign (and link).
        lists: shape of `list` on campaign events.
        unsubscribe_lists: shape of `list` on unsubscribes by the contact.
        unsubscribes: once, or a second time when the person gives a reason.
        campaign_block: how much a bounce says about its campaign.
        message_ids: whether the campaign block names its message.
        click_agents: whether a click carries `User-Agent` as an open does.
        field_keys: custom fields by number or by personalisation tag.
        complaints: as an unsubscribe with a certain reason, or not at all.
        apple_privacy: whether opens by Apple's privacy proxy are sent.
        times: US Central with offset, without offset, or at a fixed offset all year.
        duplicates, delays, reorders, losses: share of webhooks, 0..1.
        timeout_s: how long a receiver may take.
    People:
        user_ids: whether the account knows who its contacts are in the shop (`segmentio_id`), or will later.
        user_id_share: of how many contacts it ever does.
        scanners: share of contacts whose mail gateway follows every link within seconds.
        email_changes: share of contacts that have a new address after one of the campaigns.
        deletions: share of contacts that are deleted after one of the campaigns.
        admin_unsubscribes: share of an audience that a user of the account takes off its lists, for no campaign.
    Campaigns:
        splits: share of campaigns that test two messages.
        untracked: share of campaigns that measure neither opens nor clicks.
        long_url_chars: length of one link of every campaign, 0 for none such.
    API:
        report_page: rows of a page of a report, 0 for all in one answer whatever page is asked for.
        trackcmp: whether unknown and too long event names are refused or accepted.
        throttles: share of answers, also of the tracker, that are a 429 although there were not too many requests.
        html_answers, refusals, server_errors: share of API answers that are a page of HTML with status 200, a 403 that
            goes away, a 500.
    """

    repeats: Literal["first", "every"] = "first"
    lists: Literal["indexed", "scalar"] = "indexed"
    unsubscribe_lists: Literal["repeated", "indexed", "scalar"] = "repeated"
    unsubscribes: Literal["twice", "once"] = "twice"
    campaign_block: Literal["name", "id", "full"] = "name"
    message_ids: Literal["present", "absent"] = "present"
    click_agents: Literal["absent", "present"] = "absent"
    field_keys: Literal["numeric", "perstag"] = "numeric"
    complaints: Literal["unsubscribe", "nothing"] = "unsubscribe"
    apple_privacy: Literal["sent", "silent"] = "sent"
    times: Literal["central", "naive", "fixed"] = "central"
    duplicates: Share = 0.0
    delays: Share = 0.0
    reorders: Share = 0.0
    losses: Share = 0.0
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=600)] = 5.0
    user_ids: Literal["set", "later"] = "set"
    user_id_share: Share = 0.7
    scanners: Share = 0.0
    email_changes: Share = 0.0
    deletions: Share = 0.0
    admin_unsubscribes: Share = 0.0
    splits: Share = 0.0
    untracked: Share = 0.0
    long_url_chars: Annotated[int, msgspec.Meta(ge=0, le=200_000)] = 0
    report_page: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 20
    trackcmp: Literal["strict", "accept"] = "strict"
    throttles: Share = 0.0
    html_answers: Share = 0.0
    refusals: Share = 0.0
    server_errors: Share = 0.0


@dataclass(frozen=True, slots=True)
class Settings:
    """The account and how its time runs.

    Attributes:
        api_key: opens the API.
        api_per_s: requests the API takes a second, for the whole account; 0 for any number.
        contacts: people on its lists at any time; who leaves is replaced.
        recipients: of each campaign; None for a share of the contacts.
        present: the end of the history and the start of what happens live.
        first_campaign: id of the first campaign; an account that is started again goes on behind its last.
        history_campaigns: campaigns sent in the `history_days` before `present`.
        history: replayed fast as webhooks, or over and done with before the program answers.
        live_campaigns: how many follow, None for no end; with 0 the account's life ends at `present`.
        speed: how much faster than real time what follows happens.
        history_per_s: happenings of the history sent a second, at most.
        events: webhook types that the webhooks given at the start listen to.
        paused: whether time stands still until somebody lets it run.
    """

    seed: int = 1
    api_key: str = "simulated-key"
    api_per_s: float = 5.0
    contacts: int = 3_000
    recipients: int | None = None
    present: datetime = field(default_factory=now)
    history_days: int = 7
    first_campaign: int = 1
    history_campaigns: int = 5
    history: Literal["posted", "past"] = "posted"
    live_campaigns: int | None = None
    speed: float = 1.0
    history_per_s: float = 250.0
    events: tuple[str, ...] = ("open", "click", "unsubscribe", "bounce")
    paused: bool = False
    switches: Switches = field(default_factory=Switches)

    @property
    def history_s(self) -> float:
        """Seconds of plan time before the present."""
        return float(self.history_days * DAY_S)

    @property
    def ends_at_present(self) -> bool:
        """Whether nothing follows the history."""
        return self.live_campaigns == 0

    def instant(self, at: float) -> datetime:
        """Return when plan second `at` is: the history at its own time, what follows quickened by `speed`."""
        past = min(at, self.history_s) - self.history_s
        ahead = max(at - self.history_s, 0.0) / self.speed
        return self.present + timedelta(seconds=past + ahead)
