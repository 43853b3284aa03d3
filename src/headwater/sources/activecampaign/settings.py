"""What can be set for an ActiveCampaign source, read leniently: mapping never fails over a setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from headwater.errors import ConfigError
from headwater.sources.activecampaign.times import CENTRAL
from headwater.sources.contract import setting

_DELIVERED: Final = ("both", "engagement", "report", "off")
_CONTACT: Final = ("basic", "full", "none")


@dataclass(frozen=True, slots=True)
class Settings:
    """How webhooks are mapped.

    Attributes:
        account: names the account in the id of a contact without e-mail; the source's id where it is not set.
        time_zone: of a `date_time` without offset.
        delivered: what Email Delivered may be derived from.
        include_contact: how much of the contact becomes properties.
    """

    account: str = field(
        default="", metadata=setting("Account", "Names the account in the id of contacts without an address.")
    )
    time_zone: str = field(
        default=CENTRAL, metadata=setting("Time zone", "Of times that come without an offset, such as Europe/Berlin.")
    )
    delivered: str = field(
        default="both",
        metadata=setting("Email Delivered", "both or engagement: derived from opens and clicks; off: none."),
    )
    include_contact: str = field(
        default="basic",
        metadata=setting("Contact", "What of the contact becomes properties: none, basic, or full with custom fields."),
    )

    def __post_init__(self) -> None:
        """Refuse what cannot be meant, when it is saved.

        Raises:
            ConfigError: a choice that is none, or a time zone that does not exist.
        """
        if self.delivered not in _DELIVERED:
            raise ConfigError("Email Delivered is both, engagement or off.")
        if self.include_contact not in _CONTACT:
            raise ConfigError("Contact is none, basic or full.")
        if not _is_zone(self.time_zone):
            raise ConfigError(f"There is no time zone {self.time_zone[:60]!r}; use one such as {CENTRAL}.")

    @property
    def delivered_from_engagement(self) -> bool:
        """Whether an open or click also says that the email was delivered."""
        return self.delivered in {"both", "engagement"}


def read(settings: Mapping[str, Any]) -> Settings:
    """Return the settings of a source; what is unknown or of a wrong type is the default."""
    zone = _text(settings.get("time_zone"), CENTRAL)
    return Settings(
        account=_text(settings.get("account"), ""),
        time_zone=zone if _is_zone(zone) else CENTRAL,
        delivered=_one_of(settings.get("delivered"), _DELIVERED),
        include_contact=_one_of(settings.get("include_contact"), _CONTACT),
    )


def _text(value: Any, default: str) -> str:
    return value.strip() or default if isinstance(value, str) else default


def _one_of(value: Any, allowed: tuple[str, ...]) -> str:
    return value if isinstance(value, str) and value in allowed else allowed[0]


@lru_cache(maxsize=64)
def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
