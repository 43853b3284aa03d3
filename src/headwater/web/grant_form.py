"""The part of a form that says what somebody may do: a role, and for a source admin their sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headwater.control.api.roles import ROLES, Known
from headwater.control.models import Role, Source

_SOURCE: Final = "source."
_EVERY: Final = "every"


@dataclass(frozen=True, slots=True)
class GrantForm:
    """What the form shows.

    Attributes:
        role: the one that is chosen.
        every: whether every source is ticked, those to come included.
        chosen: ids of the sources that are ticked.
    """

    role: str
    every: bool
    chosen: frozenset[str]
    sources: Sequence[Source]
    roles: Sequence[Known] = ROLES


def filled(form: Mapping[str, str]) -> tuple[str, list[str] | None]:
    """Return role and sources of a form, None for every source; they are ignored beside a role that has none."""
    role = form.get("role", "")
    if role != Role.SOURCE_ADMIN or _EVERY in form:
        return role, None
    return role, [name.removeprefix(_SOURCE) for name in form if name.startswith(_SOURCE)]


def stored(role: Role, source_ids: frozenset[str] | None) -> dict[str, str]:
    """Return a form as it is when somebody has this role and these sources."""
    every = [_EVERY] if role is Role.SOURCE_ADMIN else []  # of no other role: who is made one later has named none yet
    ticked = every if source_ids is None else [f"{_SOURCE}{each}" for each in source_ids]
    return {"role": str(role), **dict.fromkeys(ticked, "on")}


def shown(sources: Sequence[Source], form: Mapping[str, str], role: str = Role.READ_ONLY) -> GrantForm:
    """Return the part as it is shown: as it was filled in, or with `role` where nothing was."""
    chosen = frozenset(name.removeprefix(_SOURCE) for name in form if name.startswith(_SOURCE))
    return GrantForm(form.get("role") or role, _EVERY in form, chosen, sources)
