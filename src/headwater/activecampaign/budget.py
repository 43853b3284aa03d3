"""How many requests an account may still get: one bucket for everybody who calls it."""

from __future__ import annotations

from typing import Final

from headwater.activecampaign.address import Address
from headwater.budget import Budget, Budgets

PER_S: Final = 5
"""ActiveCampaign: requests a second for one account, whatever key sends them."""


def budget_of(budgets: Budgets, address: Address) -> Budget:
    """Return an account's bucket: the same for both of its hosts and for every key."""
    host = address.base.partition("://")[2].partition(":")[0]
    return budgets.of(f"activecampaign {address.base if address.name == host else address.name}", PER_S)
