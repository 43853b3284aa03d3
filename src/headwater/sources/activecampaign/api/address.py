"""Where an account's API is: whatever form of its address somebody pasted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """An account's API.

    Attributes:
        base: such as "https://acme.api-us1.com", without a path and without a slash at the end.
        name: the account's own name, "acme".
    """

    base: str
    name: str


def normalised(text: str) -> Address:
    """Return the address that somebody meant.

    Raises:
        InvalidRequestError: it is none; `field` is "accountUrl".
    """
    raise NotImplementedError
