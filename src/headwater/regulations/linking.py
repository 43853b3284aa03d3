"""Find the other names of people, by reading the log until it tells nothing new."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from headwater.eventlog.contract import Reader, Topic
from headwater.privacy.links import Links
from headwater.privacy.matching import Matcher
from headwater.privacy.subjects import Kind, Subject, person
from headwater.regulations.reading import Hit, hits
from headwater.regulations.stores import Reach
from headwater.spec.event import Body

_PASSES_MAX: Final = 5  # ours: an id leads to a user, the user to more, an alias to one more
_decode = msgspec.json.Decoder(Body).decode

UserOf = Callable[[str, str], str | None]
"""Returns the user id that a source knows for an address in a workspace; called in a thread."""


async def linked(
    reader: Reader, named: frozenset[Subject], reach: Reach, users_of: Sequence[UserOf] = ()
) -> dict[Subject, Subject]:
    """Return every identifier of these people, each with the named one that led to it.

    Raises:
        ConflictError: too many are linked.
    """
    links = Links(named)
    await asyncio.to_thread(_ask, links, reach, users_of)
    for _ in range(_PASSES_MAX):
        before = len(links.because)
        async for found in hits(reader, Topic.EVENTS, Matcher(person(set(links.because))), reach):
            if found:
                await asyncio.to_thread(_learn, links, found)
        if len(links.because) == before:
            break
    return links.because


def _learn(links: Links, found: Sequence[Hit]) -> None:
    for hit in found:
        links.learn(_decode(hit.line))


def _ask(links: Links, reach: Reach, users_of: Sequence[UserOf]) -> None:
    for each in [each for each in links.because if each.kind is Kind.EMAIL]:
        for user_of in users_of:
            if user := user_of(reach.workspace_id, each.value):
                links.because.setdefault(Subject(Kind.USER, user), each)
