"""The part of a form that says what somebody may do: a role, and for a source admin their sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headwater.control.api.roles import ROLES, Known
from headwater.control.models import Role, Source

_SOURCE: Final = "source."


@dataclass(frozen=True, slots=True)
class GrantForm:
    """What the form shows.

    Attributes:
        role: the one that is chosen.
        chosen: ids of the sources that are ticked; none is every source.
    """

    role: str
    chosen: frozenset[str]
    sources: Sequence[Source]
    roles: Sequence[Known] = ROLES


def filled(form: Mapping[str, str]) -> tuple[str, list[str] | None]:
    """Return role and sources of a form; sources are ignored beside a role that has none."""
    role = form.get("role", "")
    chosen = [name.removeprefix(_SOURCE) for name in form if name.startswith(_SOURCE)]
    return role, chosen if chosen and role == Role.SOURCE_ADMIN else None


def shown(sources: Sequence[Source], form: Mapping[str, str], role: str = Role.READ_ONLY) -> GrantForm:
    """Return the part as it is shown: as it was filled in, or with `role` where nothing was."""
    wanted, chosen = filled(form)
    return GrantForm(wanted or role, frozenset(chosen or ()), sources)
