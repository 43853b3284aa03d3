"""The one place that sends requests to an account: key, budget, patience, and what an answer is worth.

ActiveCampaign answers a wrong key with 403, which also comes and goes by itself; its proxies answer with HTML and
status 200, or with nothing. So an answer counts only as a JSON object, and what may have happened all the same
(`RetryableError` of a POST) is for the caller to look up.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from headwater.activecampaign.address import Address
from headwater.activecampaign.patience import PATIENT, Bounds, Patience, ThrottledError
from headwater.activecampaign.values import Member, members, text
from headwater.budget import Budget, Priority
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from headwater.outgoing import Answer, Http, retry_after_s

Sleep = Callable[[float], Awaitable[None]]

_KEY: Final = re.compile(r"[!-~]{1,512}")
_REASON_CHARS_MAX: Final = 200  # ours: of what the service says about a refusal
_PERSONAL: Final = re.compile(r"\S*@\S*|https?://\S+", re.IGNORECASE)

_UNAUTHORIZED: Final = re.compile(
    r"not authori[sz]ed|unauthori[sz]ed|permission|forbidden|invalid (?:api )?key|api key (?:is )?invalid",
    re.IGNORECASE,
)
_NOTHING: Final = re.compile(
    r"\bnothing\b|\bno\b.*\b(?:results?|rows?|records?|found)\b|not found|not exist", re.IGNORECASE
)

_BAD_REQUEST, _TIMEOUT, _TOO_MANY, _SERVER = 400, 408, 429, 500
_OK, _MOVED, _NOT_FOUND = 200, 300, 404
_REFUSED: Final = frozenset({401, 403})

REFUSED: Final = (
    "ActiveCampaign refuses the API key: copy it again from Settings, Developer of this account, "
    "and see that its user may use the API."
)
_V1: Final = "/admin/api.php?"
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"


class RefusedError(DeliveryError):
    """The request is wrong, says the service.

    Attributes:
        told: its answer, {} where that was no JSON object; it may hold what the request held, so it is never shown.
    """

    def __init__(self, message: str, told: Member) -> None:
        """Take the sentence for people, and the whole answer."""
        super().__init__(message)
        self.told = told


class _ReportError(DeliveryError):
    """A report was refused by itself: the key was taken."""


class Client:
    """Sends requests to one account.

    Every method returns the answer's JSON object, None where there is no such thing (404), and raises RetryableError
    (try later), UnauthorizedError (the key is refused, also after a while) or DeliveryError (never this way). No
    message holds the key, an address or anything of a contact.
    """

    def __init__(
        self,
        http: Http,
        budget: Budget,
        address: Address,
        key: str,
        *,
        sleep: Sleep = asyncio.sleep,
        chance: Callable[[], float] = random.random,
        bounds: Bounds = PATIENT,
    ) -> None:
        """Take the guarded client, the account's bucket, its address and key; clock and chance for tests; patience."""
        self._http, self._budget = http, budget
        self._base, self._key = address.base, key.strip()
        self._sleep, self._chance, self._bounds = sleep, chance, bounds
        self._key_in_body: bool | None = None  # None: not yet known whether reports take it there
        self.calls = 0

    async def get(
        self, path: str, query: Mapping[str, str] | None = None, *, holds: str = "", priority: Priority
    ) -> Member | None:
        """Read something of API v3; an answer without the member `holds` is as good as none."""
        return await self._call("GET", self._v3(path, query), holds=holds, priority=priority)

    async def listed(self, path: str, query: Mapping[str, str], *, priority: Priority) -> Member:
        """Read a list of API v3; the answer has a member of the same name."""
        answer = await self.get(path, query, holds=path, priority=priority)
        if answer is None:  # an empty list is 200: whoever says 404 is not the API, and nothing follows from it
            raise DeliveryError(f"There is no list of {path} at this address; check the account URL.")
        return answer

    async def post(self, path: str, body: Mapping[str, Any], *, priority: Priority) -> Member | None:
        """Create something: sent once, so that a RetryableError leaves open whether it was done."""
        return await self._call("POST", self._v3(path), msgspec.json.encode(body), again=False, priority=priority)

    async def put(self, path: str, body: Mapping[str, Any], *, priority: Priority) -> Member | None:
        """Make something so."""
        return await self._call("PUT", self._v3(path), msgspec.json.encode(body), priority=priority)

    async def delete(self, path: str, *, priority: Priority) -> None:
        """Remove something; that it is gone already is fine."""
        await self._call("DELETE", self._v3(path), priority=priority)

    async def report(self, action: str, query: Mapping[str, str], *, priority: Priority) -> Member:
        """Read a report of API v1, which wants the key among its parameters.

        The key goes into a body, which no access log keeps. An account that refuses that is asked as the
        documentation's examples do, with the key in the query, and so from then on.
        """
        public = {"api_action": action, "api_output": "json", **query}
        if self._key_in_body is not False:
            try:
                answer = await self._v1("POST", public, urlencode({"api_key": self._key}).encode(), priority)
            except (RetryableError, _ReportError):
                raise
            except DeliveryError:  # refused, also where the key itself is wrong: then the other way is refused, too
                if self._key_in_body:
                    raise
            else:
                self._key_in_body = True
                return answer
        answer = await self._v1("GET", {**public, "api_key": self._key}, b"", priority)
        self._key_in_body = False
        return answer

    async def _v1(self, method: str, query: Mapping[str, str], body: bytes, priority: Priority) -> Member:
        url = f"{self._base}{_V1}{urlencode(query)}"
        answer = await self._call(method, url, body, holds="result_code", priority=priority)
        if answer is None:
            raise DeliveryError("ActiveCampaign has no report API at this address; check the account URL.")
        return self._checked_report(answer)

    def _checked_report(self, answer: Member) -> Member:
        """Return a report's answer; {} where it says in its own way that there is nothing."""
        if text(answer["result_code"]) == "1" or members(answer):
            return answer
        message = text(answer.get("result_message"))
        if _UNAUTHORIZED.search(message):
            raise UnauthorizedError(REFUSED)
        if not message or _NOTHING.search(message):
            return {}
        raise _ReportError(f"ActiveCampaign refused the report: {self._redacted(message)}")

    def _v3(self, path: str, query: Mapping[str, str] | None = None) -> str:
        return f"{self._base}/api/3/{path}" + (f"?{urlencode(query)}" if query else "")

    async def _call(
        self,
        method: str,
        url: str,
        body: bytes = b"",
        *,
        holds: str = "",
        again: bool = True,
        priority: Priority,
    ) -> Member | None:
        if not _KEY.fullmatch(self._key):
            raise UnauthorizedError(REFUSED)
        sent = {"accept": "application/json", "api-token": self._key}
        if body:
            sent["content-type"] = _FORM if _V1 in url else _JSON
        patience = Patience(self._chance, self._bounds)
        while True:
            await self._budget.turn(priority)
            self.calls += 1
            try:
                return self._judged(await self._http.request(method, url, body=body, headers=sent), holds)
            except ThrottledError as error:
                pause_s, wait = patience.throttled(error)
                self._budget.pause(pause_s)
                if not wait:
                    raise RetryableError(str(error), after_s=pause_s) from None
            except UnauthorizedError as error:
                await self._sleep(patience.refused(error))
            except RetryableError as error:
                if not again:
                    raise
                await self._sleep(patience.failed(error))

    def _judged(self, answer: Answer, holds: str) -> Member | None:
        """Return what a whole answer says."""
        status = answer.status
        if status == _TOO_MANY:
            raise ThrottledError(
                "ActiveCampaign says that its limit of requests is used up.", after_s=retry_after_s(answer.headers)
            )
        if status in _REFUSED:
            raise _refusal(answer)
        if status >= _SERVER or status == _TIMEOUT:
            raise RetryableError(f"ActiveCampaign answered {status}.", after_s=retry_after_s(answer.headers))
        if status == _NOT_FOUND:
            return None
        if status >= _BAD_REQUEST:
            told = _told(answer.body)
            raise RefusedError(f"ActiveCampaign refused the request ({status}). {self._reasons(told)}".strip(), told)
        if status >= _MOVED or status < _OK:
            raise DeliveryError(f"ActiveCampaign answered {status}; this is not its API: check the account URL.")
        if answer.cut:
            raise DeliveryError(f"ActiveCampaign's answer has more than the {len(answer.body)} bytes that are read.")
        found = _object(answer.body)
        if holds and holds not in found:
            raise RetryableError(f"ActiveCampaign answered without {holds}.")
        return found

    def _reasons(self, told: Member) -> str:
        """Return what the service says is wrong, without what it may have quoted of a person or of us."""
        titles = [text(error.get("title")) for error in members(told.get("errors"))]
        return self._redacted(" ".join(title for title in titles or [text(told.get("message"))] if title))

    def _redacted(self, message: str) -> str:
        return _PERSONAL.sub("***", message.replace(self._key, "***"))[:_REASON_CHARS_MAX]


def _refusal(answer: Answer) -> DeliveryError:
    """Return what a 403 means: the API speaks JSON, a web page comes from a firewall that refuses us, not the key."""
    if answer.body.lstrip().startswith(b"<"):
        return RetryableError(
            f"A web page came back with {answer.status}: something in front of ActiveCampaign refuses this server."
        )
    return UnauthorizedError(REFUSED)


def _told(body: bytes) -> Member:
    """Return the JSON object of a refusal, {} where it is none."""
    try:
        return _object(body)
    except RetryableError:
        return {}


def _object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of an answer; what is none (HTML, nothing, a list) comes from something in between."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        what = "nothing" if not body.strip() else "something that is no JSON object"
        raise RetryableError(f"ActiveCampaign answered {what}.")
    return found
