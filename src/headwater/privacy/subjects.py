"""The identifiers of people: where they stand in an event, and the keyed hash that is kept in place of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, NamedTuple

from headwater.privacy.person import Person

DIGEST_CHARS: Final = 32  # hexadecimal, 128 bits: two people of one list do not meet by chance
_IDS: Final = {"userId": "user", "anonymousId": "anonymous"}


class Kind(StrEnum):
    """What an identifier is."""

    USER = "user"
    ANONYMOUS = "anonymous"
    EMAIL = "email"


class Subject(NamedTuple):
    """One identifier of a person; an e-mail address in lower case without blanks around it, the others as they are."""

    kind: Kind
    value: str


def subject(kind: Kind, value: str) -> Subject:
    """Return an identifier in the form in which it is compared."""
    return Subject(kind, value.strip().lower() if kind is Kind.EMAIL else value)


def subjects_of(body: Mapping[str, Any]) -> set[Subject]:
    """Return whom an event is about.

    The e-mail address stands in traits, in properties, in context, or in place of an id where the sender has no other.

    Source: Segment spec, common fields, identify, alias; `email` is a reserved trait.
    """
    found = set(_ids(body))
    context = body.get("context")
    documents = [body.get("traits"), body.get("properties")]
    if isinstance(context, dict):
        documents.append(context.get("traits"))
    for document in documents:
        email = document.get("email") if isinstance(document, dict) else None
        if isinstance(email, str) and "@" in email:
            found.add(subject(Kind.EMAIL, email))
    return found


def _ids(body: Mapping[str, Any]) -> Iterator[Subject]:
    for name, kind in _IDS.items():
        if value := _id(body.get(name)):
            yield Subject(Kind(kind), value)
            if "@" in value:
                yield subject(Kind.EMAIL, value)
    if value := _id(body.get("previousId")):
        yield Subject(Kind.USER, value)
        yield Subject(Kind.ANONYMOUS, value)
        if "@" in value:
            yield subject(Kind.EMAIL, value)


def _id(value: object) -> str:
    """Return an id as text; "" for what is none."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def person(subjects: Iterator[Subject] | set[Subject] | frozenset[Subject]) -> Person:
    """Return these identifiers as one person."""
    by_kind: dict[Kind, set[str]] = {kind: set() for kind in Kind}
    for each in subjects:
        by_kind[each.kind].add(each.value)
    users, anonymous, emails = (frozenset(by_kind[kind]) for kind in Kind)
    return Person(users, anonymous, emails)


def subjects(of: Person) -> set[Subject]:
    """Return a person's identifiers one by one."""
    named = {Kind.USER: of.user_ids, Kind.ANONYMOUS: of.anonymous_ids, Kind.EMAIL: of.emails}
    return {subject(kind, value) for kind, values in named.items() for value in values}


class Hasher:
    """Gives the hash of an identifier, which only who has the key can compare with a name.

    `sha256(key in hexadecimal, kind, NUL, value)`, the first `DIGEST_CHARS` characters: a database computes the same.
    """

    def __init__(self, key: bytes) -> None:
        self.prefix = key.hex()
        self._of = {kind: sha256(f"{self.prefix}{kind}\0".encode()) for kind in Kind}

    def digest(self, of: Subject) -> str:
        """Return the hash of one identifier."""
        hashed = self._of[of.kind].copy()
        hashed.update(of.value.encode("utf-8", "surrogatepass"))
        return hashed.hexdigest()[:DIGEST_CHARS]
