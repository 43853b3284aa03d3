"""What may be asked for a person: the types of regulation, what they are about, and how they end."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from headwater.privacy.subjects import Kind

SUBJECTS_MAX: Final = 5_000  # Segment Public API, regulations
SUBJECT_CHARS_MAX: Final = 1_000  # ours


class RegulationType(StrEnum):
    """What happens. Internal: destinations are not asked.

    Source: Segment, User Deletion and Suppression.
    """

    SUPPRESS_ONLY = "SUPPRESS_ONLY"
    UNSUPPRESS = "UNSUPPRESS"
    SUPPRESS_WITH_DELETE = "SUPPRESS_WITH_DELETE"
    DELETE_ONLY = "DELETE_ONLY"
    SUPPRESS_WITH_DELETE_INTERNAL = "SUPPRESS_WITH_DELETE_INTERNAL"
    DELETE_INTERNAL = "DELETE_INTERNAL"

    @property
    def suppresses(self) -> bool:
        """New events are not stored from now on."""
        return self.value.startswith("SUPPRESS")

    @property
    def deletes(self) -> bool:
        """What is stored is erased."""
        return "DELETE" in self.value

    @property
    def asks_destinations(self) -> bool:
        """Destinations are told to delete, too."""
        return self.deletes and not self.value.endswith("INTERNAL")


class SubjectType(StrEnum):
    """What the ids of a regulation are. `OBJECT_ID` is Segment's for object sources, which Headwater does not have."""

    USER_ID = "USER_ID"
    ANONYMOUS_ID = "ANONYMOUS_ID"
    EMAIL = "EMAIL"
    OBJECT_ID = "OBJECT_ID"


KINDS: Final = {
    SubjectType.USER_ID: Kind.USER,
    SubjectType.ANONYMOUS_ID: Kind.ANONYMOUS,
    SubjectType.EMAIL: Kind.EMAIL,
}


class Status(StrEnum):
    """Where a regulation, or a part of it, stands; Segment's words."""

    INITIALIZED = "INITIALIZED"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    PARTIAL_SUCCESS = "PARTIAL_SUCCESS"
    FAILED = "FAILED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    INVALID = "INVALID"

    @property
    def is_over(self) -> bool:
        """Nothing more happens."""
        return self not in {Status.INITIALIZED, Status.RUNNING}
