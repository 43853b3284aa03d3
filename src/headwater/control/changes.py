"""A partial update of a source, destination or warehouse: what is not named stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from headwater.control import naming
from headwater.control import options as settings_of
from headwater.control.database import Row
from headwater.control.secrets import SecretBox

Checked = Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]]
"""(given, stored) -> the whole settings, checked; raises InvalidRequestError."""


def columns_of(
    row: Row,
    settings_class: type | None,
    box: SecretBox,
    *,
    name: str | None,
    enabled: bool | None,
    settings: Mapping[str, Any] | None,
    check: Checked | None = None,
) -> dict[str, Any]:
    """Return the columns of `row` that change, with their new values; empty when nothing does.

    Args:
        row: as it is stored, read in the transaction that will change it.
        settings_class: of the row's type; None where it has nothing to set.
        box: opens and seals secrets.
        name: None stays.
        enabled: None stays.
        settings: None stays; single settings that are not named stay, too.
        check: judges the settings as a whole; by default their fields alone.

    Raises:
        InvalidRequestError: name or settings are wrong.
    """
    change: dict[str, Any] = {}
    if name is not None:
        change["name"] = naming.checked_name(name)
    if enabled is not None:
        change["enabled"] = enabled
    if settings is not None:
        stored = settings_of.opened(settings_class, row.id, row.settings, box)
        values = check(settings, stored) if check else settings_of.checked(settings_class, settings, stored)
        change["settings"] = settings_of.sealed(settings_class, row.id, values, box)
    return change
