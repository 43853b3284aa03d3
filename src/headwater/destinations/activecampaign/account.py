"""The account as the destination needs it: contacts, fields, tags and lists, each found once and kept.

What may be created by two at the same time (a tag) is looked up again when the creation is refused: nothing else says
for sure that it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from headwater.activecampaign.client import Client
from headwater.activecampaign.values import Member, id_of, member, members, text, total
from headwater.budget import Priority
from headwater.destinations.activecampaign.kept import LONG_S, Kept
from headwater.destinations.activecampaign.traits import is_reserved, plain, written
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError

K = TypeVar("K")

_PAGE: Final = 100  # API v3: rows of a page at most
_PAGES_MAX: Final = 100  # ours: 10,000 fields or event names; more are not looked at
_KEPT_MAX: Final = 10_000  # ours: ids of tags and companies in memory
_NORMAL: Final = Priority.NORMAL
_AGAIN_ON_PURPOSE: Final = 4  # API v3, contactLists: `sourceid` of a deliberate new subscription


class GoneError(RetryableError):
    """The contact that was known is not there any more: look it up anew."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__("ActiveCampaign says that the contact is not there any more.")


@dataclass(frozen=True, slots=True)
class Field:
    """A custom field."""

    id: str
    type: str


class AccountApi:
    """Reads and changes one account; every method raises what `Client` raises."""

    def __init__(self, client: Client, user_id_field: str = "") -> None:
        """Take the client, and the field that keeps user ids ("" for none)."""
        self.client = client
        self._user_id_field = user_id_field.strip()
        self._fields = Kept(self._read_fields, LONG_S)
        self._company_fields = Kept(self._read_company_fields, LONG_S)
        self._tags: dict[str, str] = {}
        self._companies: dict[str, str] = {}

    async def contact_id(self, email: str) -> str:
        """Return the contact with this address, "" for none."""
        answer = await self.client.listed("contacts", {"email": email, "status": "-1"}, priority=_NORMAL)
        rows = members(answer.get("contacts"))
        return next((id_of(row.get("id")) for row in rows if text(row.get("email")).lower() == email.lower()), "")

    async def put_contact(self, fields: Mapping[str, Any]) -> str:
        """Create the contact with this address, or change it; return its id."""
        answer = await self.client.post("contact/sync", {"contact": fields}, priority=_NORMAL)
        return self._id_in(answer, "contact")

    async def change_contact(self, id_: str, fields: Mapping[str, Any]) -> bool:
        """Change a contact; False when it is gone."""
        return await self.client.put(f"contacts/{id_}", {"contact": fields}, priority=_NORMAL) is not None

    async def field_values(self, traits: Mapping[str, Any], user_id: str = "") -> list[dict[str, str]]:
        """Return those traits that are custom fields, as `fieldValues`; the others are of no interest here."""
        if not traits and not (self._user_id_field and user_id):
            return []
        fields = await self._fields.get()
        values = {
            found.id: value
            for name, trait in traits.items()
            if (found := fields.get(plain(name))) and (value := written(trait, found.type)) is not None
        }
        if user_id and (field_id := await self.user_id_field()):
            values[field_id] = user_id
        return [{"field": id_, "value": value} for id_, value in values.items()]

    async def user_id_field(self) -> str:
        """Return the id of the field that keeps user ids, "" where none is set."""
        if not self._user_id_field or self._user_id_field.isdecimal():
            return self._user_id_field
        found = (await self._fields.get()).get(plain(self._user_id_field))
        return found.id if found else ""

    async def email_of(self, user_id: str) -> str:
        """Return the address of the contact whose field keeps this user id, "" for none."""
        if not (field_id := await self.user_id_field()):
            return ""
        query = {"filters[fieldid]": field_id, "filters[val]": user_id}
        answer = await self.client.listed("fieldValues", query, priority=_NORMAL)
        # unknown filters are ignored without a word: only a row that says what was asked for counts
        for row in members(answer.get("fieldValues")):
            if id_of(row.get("field")) == field_id and text(row.get("value")) == user_id:
                found = await self.client.get(f"contacts/{id_of(row.get('contact'))}", priority=_NORMAL)
                return text((member(found, "contact") or {}).get("email"))
        return ""

    async def tags_of(self, contact_id: str) -> list[str]:
        """Return the ids of a contact's rows of tags: what takes them away again."""
        return [id_of(row.get("id")) for row in await self._part(contact_id, "contactTags")]

    async def untag(self, row_id: str) -> None:
        """Take a tag from a contact."""
        await self.client.delete(f"contactTags/{row_id}", priority=_NORMAL)

    async def tag(self, contact_id: str, name: str) -> None:
        """Give a contact a tag, which is created where it is new; one that it has already stays."""
        for _ in range(2):  # a tag that is known here may have been deleted there
            tag_id = await self._tag_id(name)
            body = {"contactTag": {"contact": contact_id, "tag": tag_id}}
            if await self.client.post("contactTags", body, priority=_NORMAL) is not None:
                return
            self._tags.pop(name, None)
        raise GoneError

    async def lists_of(self, contact_id: str) -> dict[str, str]:
        """Return a contact's status on each list: "1" on it, "2" left, others as they are."""
        rows = await self._part(contact_id, "contactLists")
        return {id_of(row.get("list")): text(row.get("status")) for row in rows}

    async def set_list(self, contact_id: str, list_id: str, status: str, *, again: bool = False) -> None:
        """Put a contact on a list ("1", `again` where it had left) or off it ("2").

        Raises:
            DeliveryError: there is no such list.
        """
        row = {"list": int(list_id), "contact": int(contact_id), "status": int(status)}
        body = {"contactList": row | ({"sourceid": _AGAIN_ON_PURPOSE} if again else {})}
        if await self.client.post("contactLists", body, priority=_NORMAL) is None:
            raise DeliveryError(f"ActiveCampaign has no list {list_id}; create it, or correct the id.")

    async def company_id(self, name: str, traits: Mapping[str, Any]) -> str:
        """Return the account with exactly this name, in any case; it is created where it is new."""
        key = name.casefold()
        values = await self._company_values(traits)
        known = self._companies.get(key) or await self._find_company(name)
        if known:
            is_there = not values or await self._change_company(known, values)
            if is_there:
                return self._noted(self._companies, key, known)
            self._companies.pop(key, None)
        body = {"account": {"name": name, **({"fields": values} if values else {})}}
        found = await self._created("accounts", body, "account", lambda: self._find_company(name))
        return self._noted(self._companies, key, found)

    async def company_of(self, contact_id: str) -> tuple[str, str]:
        """Return the row that ties a contact to its account, and the account; ("", "") for none."""
        query = {"filters[contact]": contact_id}
        answer = await self.client.listed("accountContacts", query, priority=_NORMAL)
        for row in members(answer.get("accountContacts")):
            if id_of(row.get("contact")) == contact_id:
                return id_of(row.get("id")), id_of(row.get("account"))
        return "", ""

    async def join(self, contact_id: str, company_id: str) -> None:
        """Tie a contact that has no account to one."""
        body = {"accountContact": {"contact": int(contact_id), "account": int(company_id)}}
        if await self.client.post("accountContacts", body, priority=_NORMAL) is None:
            self._companies.clear()  # or it is the company that is gone
            raise GoneError

    async def move(self, row_id: str, company_id: str) -> None:
        """Tie a contact to another account."""
        body = {"accountContact": {"account": int(company_id)}}
        if await self.client.put(f"accountContacts/{row_id}", body, priority=_NORMAL) is None:
            self._companies.clear()
            raise GoneError

    async def every(self, name: str) -> list[Member]:
        """Return all rows of a list."""
        rows: list[Member] = []
        for page in range(_PAGES_MAX):
            query = {"limit": str(_PAGE), "offset": str(page * _PAGE)}
            answer = await self.client.listed(name, query, priority=_NORMAL)
            found = members(answer.get(name))
            rows += found
            if len(found) < _PAGE or len(rows) == total(answer):
                break
        return rows

    async def _read_fields(self) -> dict[str, Field]:
        """Return the custom fields by each of their names; the tag's goes before the title's."""
        rows = [row for row in await self.every("fields") if not is_reserved(text(row.get("perstag")))]
        return {
            plain(text(row.get(name))): Field(id_of(row.get("id")), text(row.get("type")))
            for name in ("title", "perstag")
            for row in rows
            if text(row.get(name)) and not is_reserved(text(row.get(name)))
        }

    async def _read_company_fields(self) -> dict[str, Field]:
        rows = await self.every("accountCustomFieldMeta")
        return {
            plain(text(row.get("fieldLabel"))): Field(id_of(row.get("id")), text(row.get("fieldType"))) for row in rows
        }

    async def _company_values(self, traits: Mapping[str, Any]) -> list[dict[str, Any]]:
        others = {plain(name): value for name, value in traits.items() if plain(name) != "name"}
        if not others:
            return []
        fields = await self._company_fields.get()
        pairs = ((fields[name], value) for name, value in others.items() if name in fields)
        return [
            {"customFieldId": int(field.id), "fieldValue": found}
            for field, value in pairs
            if (found := written(value, field.type)) is not None
        ]

    async def _change_company(self, id_: str, values: list[dict[str, Any]]) -> bool:
        body = {"account": {"fields": values}}
        return await self.client.put(f"accounts/{id_}", body, priority=_NORMAL) is not None

    async def _find_company(self, name: str) -> str:
        """Return the account of this name, "" for none: the search also finds what is only similar."""
        answer = await self.client.listed("accounts", {"search": name, "limit": str(_PAGE)}, priority=_NORMAL)
        return _called(members(answer.get("accounts")), "name", name)

    async def _tag_id(self, name: str) -> str:
        if name in self._tags:
            return self._tags[name]
        found = await self._find_tag(name)
        if not found:
            body = {"tag": {"tag": name, "tagType": "contact", "description": ""}}
            found = await self._created("tags", body, "tag", lambda: self._find_tag(name))
        return self._noted(self._tags, name, found)

    async def _find_tag(self, name: str) -> str:
        query = {"filters[search][eq]": name, "limit": str(_PAGE)}
        answer = await self.client.listed("tags", query, priority=_NORMAL)
        return _called(members(answer.get("tags")), "tag", name)

    async def _created(self, path: str, body: Mapping[str, Any], holds: str, find: Callable[[], Any]) -> str:
        """Create something that may exist only once; when that is refused, somebody else was quicker."""
        try:
            return self._id_in(await self.client.post(path, body, priority=_NORMAL), holds)
        except (RetryableError, UnauthorizedError):
            raise
        except DeliveryError:
            if found := str(await find()):
                return found
            raise

    async def _part(self, contact_id: str, name: str) -> list[Member]:
        answer = await self.client.get(f"contacts/{contact_id}/{name}", holds=name, priority=_NORMAL)
        if answer is None:
            raise GoneError
        return members(answer.get(name))

    @staticmethod
    def _id_in(answer: Member | None, name: str) -> str:
        found = id_of((member(answer, name) or {}).get("id"))
        if answer is None:
            raise DeliveryError("ActiveCampaign answered 404; check the API URL.")
        if not found:
            raise RetryableError(f"ActiveCampaign answered without the id of the {name}.")
        return found

    @staticmethod
    def _noted(ids: dict[str, str], key: str, id_: str) -> str:
        if len(ids) >= _KEPT_MAX:
            ids.clear()
        ids[key] = id_
        return id_


def _called(rows: list[Member], name: str, wanted: str) -> str:
    """Return the id of the row of this name: as it is spelled, else in any case; "" for none."""
    for same in (str, str.casefold):
        for row in rows:
            if same(text(row.get(name))) == same(wanted):
                return id_of(row.get("id"))
    return ""
