"""ActiveCampaign's webhooks and campaigns as an `Http` that answers from memory, and a wait for what comes."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from headwater.errors import RetryableError
from headwater.outgoing import Answer
from headwater.sources.activecampaign.connection.registration import INITIATORS, NAME
from headwater.sources.activecampaign.mapping.kinds import EMAIL_TYPES

KEY = "k3y"
EVENTS = tuple(EMAIL_TYPES)


@dataclass
class Service:
    """ActiveCampaign's API v3 as far as webhooks and campaigns go: an `Http` that answers from memory."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    campaigns: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    lose_answer_of: str = ""  # a method whose next answer is lost although the thing is done
    refuse_events: frozenset[str] = frozenset()  # left out without a word
    refuse_all_of: frozenset[str] = frozenset()  # a request that names one of these is refused
    down: bool = False
    key: str = KEY
    deny: dict[str, int] = field(default_factory=dict)  # path → status
    me: dict[str, Any] = field(default_factory=dict)
    last_id: int = 0

    def register(self, url: str, **members: Any) -> str:
        self.last_id += 1
        row = {"name": NAME, "url": url, "events": list(EVENTS), "sources": list(INITIATORS), "listid": "0", **members}
        self.rows[str(self.last_id)] = {**row, "id": str(self.last_id), "links": []}
        return str(self.last_id)

    @property
    def urls(self) -> list[str]:
        return [row["url"] for row in self.rows.values()]

    def changes(self) -> list[str]:
        return [method for method, _ in self.calls if method != "GET"]

    async def request(self, method, url, *, body=b"", headers=None) -> Answer:
        parts = urlsplit(url)
        path = parts.path.removeprefix("/api/3/")
        if self.down:
            raise RetryableError("the account does not answer")
        if {name.lower(): value for name, value in (headers or {}).items()}.get("api-token") != self.key:
            return _json(403, {"message": "Forbidden"})
        if status := self.deny.get(path):
            return _json(status, {"errors": [{"title": "No more webhooks", "detail": "", "code": "limit"}]})
        if self.refuse_all_of & set(json.loads(body)["webhook"]["events"] if body else ()):
            return _json(422, {"errors": [{"title": "The event is not available", "detail": "", "code": "invalid"}]})
        self.calls.append((method, path))
        answer = self.answer(method, path, dict(parse_qsl(parts.query)), json.loads(body) if body else {})
        if method == self.lose_answer_of:
            self.lose_answer_of = ""
            raise RetryableError("the answer was lost")
        return answer

    def answer(self, method, path, query, body) -> Answer:
        kind, _, id_ = path.partition("/")
        read = {"users": lambda: _json(200, self.me), "contacts": lambda: _page("contacts", [], query)}
        if kind in read:
            return read[kind]()
        if kind == "campaigns":
            return _json(404, {"message": "No Result found"}) if id_ else _page("campaigns", self.campaigns, query)
        return self.hook(method, id_, query, body)

    def hook(self, method, id_, query, body) -> Answer:
        if method == "GET" and not id_:
            wanted = query.get("filters[url]")
            return _page("webhooks", [row for row in self.rows.values() if wanted in {None, row["url"]}], query)
        if method == "POST":
            return _json(201, {"webhook": self.rows[self.register(**self.taken(body))]})
        if id_ not in self.rows:
            return _json(404, {"message": "No Result found"})
        if method == "DELETE":
            del self.rows[id_]
            return _json(200, {})
        self.rows[id_].update(self.taken(body))
        return _json(200, {"webhook": self.rows[id_]})

    def taken(self, body) -> dict[str, Any]:
        members = body["webhook"]
        return {**members, "events": [each for each in members["events"] if each not in self.refuse_events]}


def _json(status: int, body: Any) -> Answer:
    return Answer(status, {"content-type": "application/json"}, json.dumps(body).encode())


def _page(name: str, rows: list, query: dict) -> Answer:
    first, count = int(query.get("offset", 0)), int(query.get("limit", 20))
    return _json(200, {name: rows[first : first + count], "meta": {"total": str(len(rows))}})


async def until(look):
    """Return once something is true."""
    for _ in range(1000):
        if look():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to pass")
