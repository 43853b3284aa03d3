"""Where on this machine a warehouse may keep its files: not among Headwater's own, nor in another warehouse's home."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from headwater.errors import DeliveryError

_HOMES: Final = "warehouses"  # in the data directory: one directory a warehouse, by its id
_SIGNS: Final = ("run", "control.db", "secret.key")  # what shows that a directory is the data directory of a server


def allowed(path: Path, home: Path) -> Path:
    """Return a path that somebody gave a warehouse, if its files may lie there.

    Args:
        path: absolute.
        home: of the warehouse, `<data directory>/warehouses/<id>`.

    Raises:
        DeliveryError: it is in Headwater's data directory, or around it, and not in the warehouse's own home.
    """
    own, given = home.absolute().resolve(), path.resolve()  # as the links lie now
    headwaters = own.parent.parent if own.parent.name == _HOMES else own
    if given.is_relative_to(own) or not (given.is_relative_to(headwaters) or headwaters.is_relative_to(given)):
        return path
    if not given.is_relative_to(own.parent) and not any((headwaters / sign).exists() for sign in _SIGNS):
        return path  # a loader that no server surrounds
    raise DeliveryError(
        "Headwater's own data directory is no place for a warehouse; name another directory, or none for a place of "
        "its own."
    )
