"""What can be set for an ActiveCampaign source, read leniently: mapping never fails over a setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from headwater.activecampaign.values import CENTRAL
from headwater.errors import ConfigError
from headwater.sources.contract import setting

COMPLAINT: Final = "Abuse Reported."
"""The reason that ActiveCampaign's feedback loops give, as far as is known; accounts in other languages differ."""

_CHOICES: Final = {
    "delivered": ("both", "engagement", "report", "off"),
    "include_contact": ("basic", "full", "none"),
    "same_second": ("collapse", "count"),
}
_BOUNDS: Final = {
    "delivered_hold_h": (0, 720),  # ours: a month; bounces come within days
    "merge_unsubscribes_s": (0, 3_600),  # ours: a row that comes an hour late surprises
    "match_tolerance_s": (0, 3_600),  # ours: above it neighbouring opens would be taken for one
}
_TEXT_CHARS_MAX: Final = 200  # ours


@dataclass(frozen=True, slots=True)
class Settings:
    """How webhooks and reports are mapped; the choices and bounds are told by the descriptions."""

    account: str = field(
        default="",
        metadata=setting(
            "Account",
            "Names the account in its events, so that an ActiveCampaign destination knows its own; as in its URL.",
        ),
    )
    time_zone: str = field(
        default=CENTRAL, metadata=setting("Time zone", "Of times that come without an offset, such as Europe/Berlin.")
    )
    delivered: str = field(
        default="both",
        metadata=setting(
            "Email Delivered",
            "engagement: derived from opens and clicks; report: from the recipients of a campaign; both; or off.",
        ),
    )
    delivered_hold_h: int = field(
        default=24,
        metadata=setting(
            "Hold deliveries (hours)",
            "How long after a campaign its recipients count as delivered if they have not bounced.",
        ),
    )
    include_contact: str = field(
        default="basic",
        metadata=setting("Contact", "What of the contact becomes properties: none, basic, or full with custom fields."),
    )
    complaint_reason: str = field(
        default=COMPLAINT,
        metadata=setting(
            "Spam complaint", "The reason of an unsubscribe that means Email Marked as Spam, exactly; a dash for none."
        ),
    )
    unsubscribed_too: bool = field(
        default=False,
        metadata=setting("Also Unsubscribed", "Send Segment's email spec name beside Email Unsubscribed."),
    )
    extra_events: bool = field(
        default=False,
        metadata=setting("Other events", "Also send tags, deals, notes and all else that ActiveCampaign tells."),
    )
    merge_unsubscribes_s: int = field(
        default=60,
        metadata=setting(
            "Wait for a reason (seconds)", "An unsubscribe waits this long for the reason that may follow; 0: not."
        ),
    )
    same_second: str = field(
        default="collapse",
        metadata=setting("Same second", "Two like events in one second: collapse into one, or count both."),
    )
    backfill_repeats: bool = field(
        default=False,
        metadata=setting("Repeats of history", "Send repeated opens and clicks of reports, at the time of the first."),
    )
    match_tolerance_s: int = field(
        default=5,
        metadata=setting("Match tolerance (seconds)", "How far apart a webhook and a report may tell the same event."),
    )
    user_id_field: str = field(
        default="",
        metadata=setting(
            "User id field", "Custom field (its number or %TAG%) that holds the user id, if there is one."
        ),
    )
    identify_feed: bool = field(
        default=True,
        metadata=setting("Learn user ids", "From the identify calls of this workspace, by email address."),
    )

    def __post_init__(self) -> None:
        """Refuse what cannot be meant, when it is saved.

        Raises:
            ConfigError: a choice that is none, a number out of bounds, or a time zone that does not exist.
        """
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(f"{_label(name)} is {', '.join(choices[:-1])} or {choices[-1]}.")
        for name, (least, most) in _BOUNDS.items():
            if not least <= getattr(self, name) <= most:
                raise ConfigError(f"{_label(name)} is a number from {least} to {most}.")
        for name in ("account", "complaint_reason", "user_id_field"):
            if len(getattr(self, name)) > _TEXT_CHARS_MAX:
                raise ConfigError(f"{_label(name)} is longer than {_TEXT_CHARS_MAX} characters.")
        if not _is_zone(self.time_zone):
            raise ConfigError(f"There is no time zone {self.time_zone[:60]!r}; use one such as {CENTRAL}.")

    @property
    def delivered_from_engagement(self) -> bool:
        """Whether an open or click also says that the email was delivered."""
        return self.delivered in {"both", "engagement"}

    @property
    def delivered_from_report(self) -> bool:
        """Whether the report of recipients says that an email was delivered."""
        return self.delivered in {"both", "report"}

    @property
    def spam_reason(self) -> str:
        """The reason that means a complaint, "" for none."""
        return "" if self.complaint_reason == "-" else self.complaint_reason


def read(settings: Mapping[str, Any]) -> Settings:
    """Return the settings of a source; what is unknown or of a wrong type is the default."""
    try:
        return _read_json(msgspec.json.encode(settings))
    except (TypeError, ValueError, msgspec.MsgspecError):  # what is no JSON was never stored as settings
        return _read(settings)


@lru_cache(maxsize=256)
def _read_json(settings: bytes) -> Settings:
    return _read(msgspec.json.decode(settings))


def _read(settings: Mapping[str, Any]) -> Settings:
    return Settings(
        **{name: _lenient(name, settings[name], default) for name, default in _DEFAULTS if name in settings}
    )


def _lenient(name: str, value: Any, default: Any) -> Any:
    if type(value) is not type(default):
        return default
    if isinstance(value, str):
        value = value.strip() or default
        valid = value in _CHOICES.get(name, (value,)) and len(value) <= _TEXT_CHARS_MAX
        return value if valid and (name != "time_zone" or _is_zone(value)) else default
    least, most = _BOUNDS.get(name, (value, value))
    return value if least <= value <= most else default


def _label(name: str) -> str:
    return next(str(each.metadata["label"]) for each in fields(Settings) if each.name == name)


@lru_cache(maxsize=64)
def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


_DEFAULTS: Final = tuple((each.name, each.default) for each in fields(Settings))
