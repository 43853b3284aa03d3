"""An account that is connected, together with the way to call it."""

from __future__ import annotations

from dataclasses import dataclass

from headwater.sources.activecampaign.api.account import AccountApi
from headwater.sources.contract import Account


@dataclass(frozen=True, slots=True)
class Connected:
    """What the modules of the source are told about each account."""

    account: Account
    api: AccountApi
