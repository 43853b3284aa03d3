"""A role and the sources that it is narrowed to: what members, invitations and tokens hold."""

from __future__ import annotations

from dataclasses import dataclass

from headwater.control.models import Role


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody may do in a workspace.

    Attributes:
        source_ids: the sources of a source admin; None is every source, those to come included.
    """

    role: Role
    source_ids: frozenset[str] | None = None

    def within(self, other: Grant) -> Grant:
        """Return what both allow."""
        role = self.role if other.role.includes(self.role) else other.role
        lists = [each.source_ids for each in (self, other) if each.source_ids is not None]
        if role is not Role.SOURCE_ADMIN or not lists:
            return Grant(role)
        return Grant(role, frozenset.intersection(*lists))

    def beside(self, other: Grant) -> Grant:
        """Return what either allows."""
        if self.role is not other.role:
            return self if self.role.includes(other.role) else other
        if self.source_ids is None or other.source_ids is None:
            return Grant(self.role)
        return Grant(self.role, self.source_ids | other.source_ids)
