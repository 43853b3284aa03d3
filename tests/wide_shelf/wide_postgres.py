"""The wide lane on PostgreSQL, as an entry on the shelf."""

from headwater.warehouses.contract import Card
from wide_engines import InPostgres as Warehouse
from wide_engines import Server as Settings

CARD = Card("Wide", "For tests.")
__all__ = ["CARD", "Settings", "Warehouse"]
