"""What the account keeps of its contacts beside their campaigns: changes by API, lists, tags, fields, companies."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final

from headwater.clock import now
from headwater.simulators.activecampaign.account import Account
from headwater.simulators.activecampaign.bodies import central
from headwater.simulators.activecampaign.people import FIELD_TAGS, TAGS, Contact

Row = dict[str, Any]

_OLD: Final = timedelta(days=400)  # before the end of the history the contacts were added
_PER_CONTACT: Final = 100  # tags, fields or lists that a contact begins with, at most: their ids follow from its own
_WRITTEN: Final = 1_000_000_000  # ids of what came by API begin here, above all others


@dataclass(slots=True)
class Page:
    """What was written about one contact; "" stands for a removed value."""

    tags: dict[int, str] = field(default_factory=dict)
    fields: dict[str, tuple[int, str]] = field(default_factory=dict)
    lists: dict[str, str] = field(default_factory=dict)
    tracked: list[Row] = field(default_factory=list)
    updated_at: datetime | None = None


class Books:
    """Everything that is not an email: as the plan has it until the API changes it."""

    def __init__(self, account: Account, present: datetime) -> None:
        self.account = account
        self.created_at = present - _OLD
        self.ids = count(_WRITTEN)
        self.tags: dict[str, str] = {str(place): tag for place, tag in enumerate(TAGS, 1)}
        self.companies: dict[int, tuple[int, int, str]] = {}
        self._pages: dict[int, Page] = {}
        self._deleted: set[int] = set()
        self._by_email: dict[str, int] = {}
        self._indexed = 0
        self.users_known_at: datetime | None = None

    @property
    def newest(self) -> int:
        """The highest id that a contact has."""
        return len(self.account.people)

    def exists(self, id_: int) -> bool:
        """Say whether there is such a contact now."""
        contact = self.account.people.get(id_)
        return contact is not None and id_ not in self._deleted and not self.account.is_deleted(contact)

    def contact(self, id_: int) -> Contact:
        """Return a contact that exists, as it is now."""
        contact = self.account.people.get(id_)
        assert contact is not None  # noqa: S101 - callers ask `exists` first
        return self.account.as_of(contact)

    def with_email(self, email: str) -> list[int]:
        """Return the contact with this very address, in any case; none for none."""
        people = self.account.people
        for id_ in range(self._indexed + 1, self.newest + 1):
            self._by_email[people[id_].email.lower()] = id_
        self._indexed = self.newest
        wanted = email.strip().lower()
        ids = {self._by_email.get(wanted), self._by_email.get(wanted.removeprefix("new."))} - {None}
        return [id_ for id_ in ids if id_ and self.exists(id_) and self.contact(id_).email.lower() == wanted != ""]

    def create(self, email: str) -> int:
        """Add a contact that is on no list, and return its id."""
        return self.account.people.add(email)

    def change(self, contact: Contact) -> None:
        """Make a contact like this."""
        self._by_email[contact.email.lower()] = contact.id
        self.account.people.change(contact)
        self._page(contact.id).updated_at = now()

    def delete(self, id_: int) -> None:
        """Remove a contact: it is in the reports only."""
        self._deleted.add(id_)
        self.account.people.replace({id_})

    def updated_at(self, id_: int) -> datetime:
        """Return when a contact last changed."""
        times = [self.created_at]
        if (page := self._pages.get(id_)) and page.updated_at:
            times.append(page.updated_at)
        if left := self.account.left.get(id_):
            times.append(left.at)
        contact = self.account.people[id_]
        if self.users_known_at and self.account.user_id(contact):
            times.append(self.users_known_at)
        if (turned := self.account.turned_at(contact)) is not None:
            times.append(turned)
        return max(times)

    def status(self, id_: int) -> str:
        """Return 1 for a contact on a list, 2 for one that left."""
        return "2" if "2" in self.lists_of(id_).values() else "1"

    def lists_of(self, id_: int) -> dict[str, str]:
        """Return the status on each list: 1 on it, 2 left."""
        left = "2" if id_ in self.account.left else "1"
        begun = {str(list_id): left for list_id in self.account.people[id_].list_ids}
        return {**begun, **(self._pages[id_].lists if id_ in self._pages else {})}

    def contact_lists(self, id_: int) -> list[Row]:
        """Return a contact's rows of lists."""
        left, contact = self.account.left.get(id_), self.contact(id_)
        updated = self.updated_at(id_).astimezone(UTC)
        return [
            {
                "contact": str(id_),
                "list": list_id,
                "form": None,
                "seriesid": "0",
                "sdate": central(self.created_at),
                "udate": central(left.at if left else updated) if status == "2" else None,
                "status": status,
                "responder": "1",
                "sync": "0",
                "unsubreason": left.reason if left and status == "2" else "",
                "campaign": str(left.campaign_id) if left and left.campaign_id and status == "2" else None,
                "message": str(left.message_id) if left and left.message_id and status == "2" else None,
                "first_name": contact.first_name,
                "last_name": contact.last_name,
                "sourceid": "0",
                "autosyncLog": None,
                "unsubscribeAutomation": None,
                "id": str(id_ * _PER_CONTACT + place),
            }
            for place, (list_id, status) in enumerate(self.lists_of(id_).items())
        ]

    def set_list(self, id_: int, list_id: str, status: str) -> Row:
        """Put a contact on a list or off it; 1 takes back also who had left."""
        page = self._page(id_)
        page.lists[list_id], page.updated_at = status, now()
        return next(row for row in self.contact_lists(id_) if row["list"] == list_id)

    def contact_tags(self, id_: int) -> list[Row]:
        """Return a contact's tags; the row's own id is what removes one."""
        by_name = {name: tag_id for tag_id, name in self.tags.items()}
        begun = {id_ * _PER_CONTACT + place: by_name[tag] for place, tag in enumerate(self.account.people[id_].tags)}
        rows = {**begun, **(self._pages[id_].tags if id_ in self._pages else {})}
        cdate = central(self.created_at)
        return [
            {"contact": str(id_), "tag": tag_id, "cdate": cdate, "id": str(row_id)}
            for row_id, tag_id in rows.items()
            if tag_id
        ]

    def tag_called(self, name: str) -> str:
        """Return the id of a tag, which is made where there is none of this name."""
        for tag_id, known in self.tags.items():
            if known == name:
                return tag_id
        tag_id = str(next(self.ids))
        self.tags[tag_id] = name
        return tag_id

    def values_of(self, field_id: str, value: str) -> list[Row]:
        """Return the rows of custom fields, written by API, that hold this value."""
        rows = (row for id_ in self._pages if self.exists(id_) for row in self.field_values(id_))
        return [row for row in rows if (row["field"], row["value"]) == (field_id, value)]

    def add_tag(self, id_: int, tag_id: str) -> Row:
        """Give a contact a tag; one that it has already is left as it is."""
        for row in self.contact_tags(id_):
            if row["tag"] == tag_id:
                return row
        self._page(id_).tags[next(self.ids)] = tag_id
        return self.contact_tags(id_)[-1]

    def remove_tag(self, row_id: int, id_: int) -> bool:
        """Take a tag from a contact by the row's id; False when there is no such row."""
        if not any(row["id"] == str(row_id) for row in self.contact_tags(id_)):
            return False
        self._page(id_).tags[row_id] = ""
        return True

    def owner_of(self, row_id: int) -> int:
        """Return whose row of tags or fields an id is, 0 for nobody's."""
        if row_id < _WRITTEN:
            return row_id // _PER_CONTACT if self.exists(row_id // _PER_CONTACT) else 0
        return next(
            (
                id_
                for id_, page in self._pages.items()
                if row_id in page.tags or any(row_id == value_id for value_id, _ in page.fields.values())
            ),
            0,
        )

    def field_values(self, id_: int) -> list[Row]:
        """Return a contact's values of custom fields."""
        begun = {
            key: (id_ * _PER_CONTACT + place, value)
            for place, (key, value) in enumerate(self.account.people[id_].fields)
        }
        values = {**begun, **(self._pages[id_].fields if id_ in self._pages else {})}
        return [
            {"contact": str(id_), "field": key, "value": value, "id": str(value_id), "owner": str(id_)}
            for key, (value_id, value) in values.items()
        ]

    def set_field(self, id_: int, key: str, value: str) -> Row:
        """Give a contact a value of a custom field."""
        known = {row["field"]: int(row["id"]) for row in self.field_values(id_)}
        page = self._page(id_)
        page.fields[key], page.updated_at = (known.get(key) or next(self.ids), value), now()
        if key in FIELD_TAGS:
            contact = self.account.people[id_]
            shown = {**dict(contact.fields), key: value}
            self.account.people.change(replace(contact, fields=tuple(shown.items())))
        return next(row for row in self.field_values(id_) if row["field"] == key)

    def account_contacts(self, id_: int) -> list[Row]:
        """Return the company that a contact belongs to, as rows."""
        if (company := self.companies.get(id_)) is None:
            return []
        row_id, account_id, title = company
        return [{"account": str(account_id), "contact": str(id_), "jobTitle": title, "id": str(row_id)}]

    def bounce_logs(self, id_: int) -> list[Row]:
        """Return a contact's bounces with their times."""
        rows = []
        for result in self.account.results.values():
            if (at_s := result.bounces.first(id_)) is None:
                continue
            kind, code, reason = result.bounced[id_]
            rows.append(
                {
                    "tstamp": central(datetime.fromtimestamp(at_s, UTC)),
                    "bounceid": "1",
                    "subscriberid": str(id_),
                    "campaignid": str(result.campaign.id),
                    "messageid": str(result.campaign.message(id_).id),
                    "codeid": code or "0",
                    "email": self.contact(id_).email if self.exists(id_) else "",
                    "error": "",
                    "source": f"Diagnostic-Code: smtp; {reason}\n({kind})",
                    "id": str(result.campaign.id * 1_000_000 + id_),
                }
            )
        return rows

    def track(self, id_: int, name: str, value: str) -> None:
        """Note an event or a visit of a contact, stamped now: there is no other time."""
        tracked = self._page(id_).tracked
        tracked.append(
            {
                "subscriberid": str(id_),
                "type": name,
                "value": value[:250],
                "tstamp": central(now()),
                "hash": f"{len(tracked) + 1:032x}",
                "id": str(next(self.ids)),
                "contact": str(id_),
            }
        )

    def tracking_logs(self, id_: int) -> list[Row]:
        """Return what was tracked of a contact."""
        return self._pages[id_].tracked if id_ in self._pages else []

    def _page(self, id_: int) -> Page:
        return self._pages.setdefault(id_, Page())
