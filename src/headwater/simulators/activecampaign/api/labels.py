"""Tags, lists and who has them."""

from __future__ import annotations

from aiohttp import web

from headwater.simulators.activecampaign.api.answers import Row, answer, missing, number, page, refused, sent
from headwater.simulators.activecampaign.bodies import central
from headwater.simulators.activecampaign.books import Books
from headwater.simulators.activecampaign.campaigns import LISTS


class Labels:
    """Answers for tags and lists."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._lists = {str(id_): name for id_, name in LISTS.items()}

    async def tags(self, request: web.Request) -> web.Response:
        """Answer `GET /tags`."""
        rows = [self._tag(id_) for id_ in self._books.tags]
        exact, part = request.query.get("filters[search][eq]"), request.query.get("filters[search][contains]")
        part = request.query.get("search", part)
        if exact is not None:
            rows = [row for row in rows if row["tag"] == exact]
        if part is not None:
            rows = [row for row in rows if part.lower() in row["tag"].lower()]
        return answer({"tags": page(rows, request), "meta": {"total": str(len(rows))}})

    async def create_tag(self, request: web.Request) -> web.Response:
        """Answer `POST /tags`; whether a name may come twice is not documented, here it may not."""
        given = await sent(request, "tag")
        if not given.get("tag"):
            return refused("The tag is required.", "/data/attributes/tag", "field_missing")
        if str(given["tag"]) in self._books.tags.values():
            return refused("The tag already exists.", "/data/attributes/tag", "duplicate")
        id_ = str(next(self._books.ids))
        self._books.tags[id_] = str(given["tag"])
        return answer({"tag": self._tag(id_)}, 201)

    async def tag(self, request: web.Request) -> web.Response:
        """Answer `GET /tags/{id}`."""
        id_ = request.match_info["id"]
        return answer({"tag": self._tag(id_)}) if id_ in self._books.tags else missing("Tag", id_)

    def _tag(self, id_: str) -> Row:
        return {
            "tagType": "contact",
            "tag": self._books.tags[id_],
            "description": "",
            "subscriber_count": "0",
            "cdate": central(self._books.created_at),
            "id": id_,
        }

    async def add(self, request: web.Request) -> web.Response:
        """Answer `POST /contactTags`."""
        given = await sent(request, "contactTag")
        for name in ("contact", "tag"):
            if not given.get(name):
                return refused(f"The {name} is required.", f"/data/attributes/{name}", "field_missing")
        id_, tag_id = number(str(given["contact"]), 0), str(given["tag"])
        if not self._books.exists(id_):
            return missing("Subscriber", id_)
        if tag_id not in self._books.tags:
            return missing("Tag", tag_id)
        return answer({"contacts": [{"id": str(id_)}], "contactTag": self._books.add_tag(id_, tag_id)}, 201)

    async def remove(self, request: web.Request) -> web.Response:
        """Answer `DELETE /contactTags/{id}`: the id of the row, not of the tag."""
        row_id = number(request.match_info["id"], 0)
        owner = self._books.owner_of(row_id)
        return answer({}) if owner and self._books.remove_tag(row_id, owner) else missing("SubscriberTag", row_id)

    async def lists(self, request: web.Request) -> web.Response:
        """Answer `GET /lists`."""
        rows = [_list(id_, name) for id_, name in self._lists.items()]
        if (wanted := request.query.get("filters[name]")) is not None:
            rows = [row for row in rows if row["name"] == wanted]
        return answer({"lists": page(rows, request), "meta": {"total": str(len(rows))}})

    async def list(self, request: web.Request) -> web.Response:
        """Answer `GET /lists/{id}`."""
        id_ = request.match_info["id"]
        return answer({"list": _list(id_, self._lists[id_])}) if id_ in self._lists else missing("List", id_)

    async def create_list(self, request: web.Request) -> web.Response:
        """Answer `POST /lists`."""
        given = await sent(request, "list")
        for name in ("name", "stringid", "sender_url", "sender_reminder"):
            if not given.get(name):
                return refused(f"The {name} is required.", f"/data/attributes/{name}", "field_missing")
        id_ = str(next(self._books.ids))
        self._lists[id_] = str(given["name"])
        return answer({"list": _list(id_, self._lists[id_])}, 201)

    async def put_on_list(self, request: web.Request) -> web.Response:
        """Answer `POST /contactLists`: 1 on the list, also who had left it; 2 off it."""
        given = await sent(request, "contactList")
        id_, list_id, status = number(str(given.get("contact")), 0), str(given.get("list")), str(given.get("status"))
        if not self._books.exists(id_):
            return missing("Subscriber", id_)
        if list_id not in self._lists:
            return missing("List", list_id)
        if status not in {"1", "2"}:
            return refused("The status is invalid.", "/data/attributes/status", "field_invalid")
        row = self._books.set_list(id_, list_id, status)
        return answer({"contacts": [{"id": str(id_)}], "contactList": row})


def _list(id_: str, name: str) -> Row:
    return {
        "stringid": name.lower().replace(", ", "-").replace(" ", "-"),
        "userid": "1",
        "name": name,
        "cdate": None,
        "sender_name": "The Tea Shop",
        "sender_url": "https://shop.example.com",
        "sender_reminder": "You bought tea from us.",
        "get_unsubscribe_reason": "1",
        "deletestamp": None,
        "id": id_,
        "user": "1",
    }
