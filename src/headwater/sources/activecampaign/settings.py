"""What can be set for an ActiveCampaign source, read leniently: mapping never fails over a setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from headwater.sources.activecampaign.times import CENTRAL

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

    account: str = ""
    time_zone: str = CENTRAL
    delivered: str = "both"
    include_contact: str = "basic"

    @property
    def delivered_from_engagement(self) -> bool:
        """Whether an open or click also says that the email was delivered."""
        return self.delivered in {"both", "engagement"}


def read(settings: Mapping[str, Any]) -> Settings:
    """Return the settings of a source; what is unknown or of a wrong type is the default."""
    return Settings(
        account=_text(settings.get("account"), ""),
        time_zone=_text(settings.get("time_zone"), CENTRAL),
        delivered=_one_of(settings.get("delivered"), _DELIVERED),
        include_contact=_one_of(settings.get("include_contact"), _CONTACT),
    )


def _text(value: Any, default: str) -> str:
    return value.strip() or default if isinstance(value, str) else default


def _one_of(value: Any, allowed: tuple[str, ...]) -> str:
    return value if isinstance(value, str) and value in allowed else allowed[0]
