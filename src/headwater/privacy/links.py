"""What belongs to one person although it has another name: learnt from events, never across a shared device.

A user id leads to the anonymous ids and addresses beside it, an alias to both its ids. An anonymous id or address leads
to a user id only when it was named itself: a phone that two people use must not make one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from headwater.errors import ConflictError
from headwater.privacy.subjects import Kind, Subject, subject

LINKED_MAX: Final = 200_000  # ours: some 40 MB
_MANY: Final = (
    "Events link these people with more than {:,} identifiers. Some id stands for everybody; name fewer people, or do"
    " not follow links."
)


class Links:
    """Grows while events are read; read the log again as long as it does.

    Attributes:
        because: for every identifier the one that was named and led to it; itself for those that were named.
    """

    def __init__(self, named: Iterable[Subject]) -> None:
        self.because: dict[Subject, Subject] = {each: each for each in named}
        self._named = frozenset(self.because)

    def learn(self, body: Mapping[str, Any]) -> bool:
        """Take in an event; return whether it told something new.

        Raises:
            ConflictError: too many are linked.
        """
        found = _linked(body)
        known = found & self.because.keys()
        if not known or found <= self.because.keys():
            return False
        users = {each for each in found if each.kind is Kind.USER}
        leading = known if body.get("type") == "alias" or not users else (known & users) or (known & self._named)
        if not leading:
            return False
        because = self.because[min(leading)]
        for each in found - self.because.keys():
            self.because[each] = because
        if len(self.because) > LINKED_MAX + len(self._named):
            raise ConflictError(_MANY.format(LINKED_MAX))
        return True


def _linked(body: Mapping[str, Any]) -> set[Subject]:
    """Return the identifiers that an event says are one person's; an address in properties may be a friend's."""
    found: set[Subject] = set()
    for name, kind in (("userId", Kind.USER), ("anonymousId", Kind.ANONYMOUS), ("previousId", None)):
        value = body.get(name)
        if not isinstance(value, str) or not value:
            continue
        found |= {Subject(each, value) for each in ([kind] if kind else [Kind.USER, Kind.ANONYMOUS])}
        if "@" in value:
            found.add(subject(Kind.EMAIL, value))
    context = body.get("context")
    documents = [context.get("traits") if isinstance(context, dict) else None]
    if body.get("type") == "identify":
        documents.append(body.get("traits"))
    for document in documents:
        email = document.get("email") if isinstance(document, dict) else None
        if isinstance(email, str) and "@" in email:
            found.add(subject(Kind.EMAIL, email))
    return found
