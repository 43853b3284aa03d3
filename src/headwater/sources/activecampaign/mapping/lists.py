"""The lists of a webhook, out of the four shapes in which `list` arrives.

`list=3` · `list[0][id]=3&list[0][name]=News` · `list[][id]=3&list[][id]=4` · `list[id]=3&list[name]=News`; in all of
them "0" and "" mean no list.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Final, NamedTuple

from headwater.sources.activecampaign.mapping.forms import Form

_NONE: Final = {"", "0"}


class MailingList(NamedTuple):
    """One list: `name` is "" where the webhook does not say it."""

    id: str
    name: str


def lists_of(form: Form) -> list[MailingList]:
    """Return the lists in the order sent, each once."""
    ids: dict[str, list[str]] = {}
    names: dict[str, list[str]] = {}
    for path, value in form.under("list"):
        match path:
            case ():
                ids.setdefault("", []).append(value.strip())
            case ("id",) | ("name",):
                (ids if path[0] == "id" else names).setdefault("", []).append(value.strip())
            case (label, "id"):
                ids.setdefault(label, []).append(value.strip())
            case (label,) if not label or label.isdecimal():  # list[]=3 or list[0]=3; the rest describes the one list
                ids.setdefault(label, []).append(value.strip())
            case (label, "name"):
                names.setdefault(label, []).append(value.strip())
    found: dict[str, MailingList] = {}
    for label, values in ids.items():
        for id_, name in zip_longest(values, names.get(label, [])[: len(values)], fillvalue=""):
            if id_ not in _NONE:
                found.setdefault(id_, MailingList(id_, name))
    return list(found.values())
