"""Who is meant by a request about people: the ids checked, and the words of the API for kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from headwater.control.pipeline import Pipeline
from headwater.control.privacy.regulations import checked_subjects
from headwater.control.service import Control
from headwater.errors import InvalidRequestError
from headwater.privacy.regulation import KINDS, SubjectType
from headwater.privacy.subjects import Kind, Subject

WORDS: Final[Mapping[Kind, SubjectType]] = {kind: word for word, kind in KINDS.items()}
"""What the API calls each kind of identifier."""


def people(subject_type: str, subject_ids: Sequence[str]) -> list[Subject]:
    """Return identifiers that something is asked about.

    Raises:
        InvalidRequestError: the type is unknown or has no people, or an id is none.
    """
    about, found = checked_subjects(subject_type, subject_ids)
    if about is SubjectType.OBJECT_ID:
        raise InvalidRequestError("Object ids are no people; name a user id or an address.", field="subjectType")
    return found


async def preview(
    control: Control,
    pipeline: Pipeline,
    workspace_id: str,
    wanted: Sequence[Subject],
    source_id: str | None,
    *,
    follows_links: bool,
) -> dict[str, Any]:
    """Return what a deletion would find, in the words of the API; nothing is changed."""
    found = await pipeline.preview_person(
        workspace_id, [(each.kind.value, each.value) for each in wanted], source_id, follows_links=follows_links
    )
    return {
        "linked": [
            {"subjectType": WORDS[Kind(each["kind"])].value, "subjectId": each["value"], "isNamed": each["isNamed"]}
            for each in found["linked"]
        ],
        "stores": found["stores"],
        "destinations": found["destinations"],
        "suppressed": any(control.suppressions.has(workspace_id, each, source_id or "") for each in wanted),
    }
