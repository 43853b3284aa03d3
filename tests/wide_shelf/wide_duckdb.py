"""The wide lane on a DuckDB file, as an entry on the shelf."""

from headwater.warehouses.contract import Card
from wide_engines import File as Settings
from wide_engines import InDuckDB as Warehouse

CARD = Card("Wide", "For tests.")
__all__ = ["CARD", "Settings", "Warehouse"]
