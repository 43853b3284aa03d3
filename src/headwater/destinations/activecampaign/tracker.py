"""Tracked events and site visits: sent to ActiveCampaign's tracking host, which answers 200 whatever comes of it.

There is no time but the moment of arrival, and no id: a call that is repeated is a second event.

Source: ActiveCampaign, Contact Event Tracking API Guide; Site Tracking.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import msgspec

from headwater.activecampaign.values import flag, member, text
from headwater.batching import told
from headwater.budget import Budget, Priority
from headwater.destinations.activecampaign.account import AccountApi
from headwater.destinations.activecampaign.kept import LONG_S, SHORT_S, Kept
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from headwater.outgoing import Answer, Http, retry_after_s

_FORM: Final = {"content-type": "application/x-www-form-urlencoded"}
_TOO_MANY: Final = 429
_PAUSE_S: Final = 1.0  # as the API: it counts by the second
_REASON_CHARS_MAX: Final = 100  # ours: of what the tracker says about a refusal
_PERSONAL: Final = re.compile(r"\S*@\S*|https?://\S+", re.IGNORECASE)

OFF: Final = (
    "{what} is off in ActiveCampaign: switch it on under Website, Site tracking, then retry these events;"
    " Headwater looks again after a minute."
)
NO_KEYS: Final = (
    "ActiveCampaign needs the event key and the tracking id (actid) for this call: copy them from Website, Site"
    " tracking, Event tracking into the destination's settings, then retry these events."
)


class UntrackedError(DeliveryError):
    """The tracker did not take it, although it answered."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What the tracker knows an account by; "" for what nobody has told."""

    actid: str
    event_key: str


class Tracker:
    """Sends events and visits of contacts; raises as `Client` does."""

    def __init__(self, http: Http, budget: Budget, api: AccountApi, keys: Keys, url: str) -> None:
        """Take the guarded client, the account's bucket and API, its keys, and the tracker's address."""
        self._http, self._budget, self._api, self._keys, self._url = http, budget, api, keys, url.rstrip("/")
        self._events, self._visits = Kept(self._event_state, SHORT_S), Kept(self._visit_state, SHORT_S)
        self._names = Kept(self._read_names, LONG_S)

    async def event_state(self) -> Mapping[str, object]:
        """Return what the account says about event tracking, with `enabled`."""
        return await self._events.get()

    async def event(self, email: str, name: str, value: str, *, creates: bool) -> None:
        """Track an event of a contact.

        Args:
            email: the contact's address.
            name: at most 32 characters.
            value: what is kept with it.
            creates: whether a name that the account does not know is added.

        Raises:
            UntrackedError: the tracker refused it, such as for a contact that does not exist.
        """
        state = await self._events.get()
        if not state["enabled"]:
            raise DeliveryError(OFF.format(what="Event tracking"))
        keys = self._told(state)
        if not keys.actid or not keys.event_key:
            raise DeliveryError(NO_KEYS)
        await self._know(name, creates=creates)
        body = {
            "actid": keys.actid,
            "key": keys.event_key,
            "event": name,
            "eventdata": value,
            "visit": msgspec.json.encode({"email": email}).decode(),
        }
        answer = await self._sent("POST", f"{self._url}/event", urlencode(body).encode())
        result = told(answer.body)
        if "success" not in result:
            raise RetryableError("ActiveCampaign's tracker answered something that is not its own.")
        if text(result["success"]) != "1":
            message = _PERSONAL.sub("***", text(result.get("message")))[:_REASON_CHARS_MAX]
            raise UntrackedError(f"ActiveCampaign did not track the event: {message or 'it gave no reason'}.")

    async def visit(self, email: str, url: str, referrer: str) -> None:
        """Track that a contact looked at a page."""
        state = await self._visits.get()
        if not state["enabled"]:
            raise DeliveryError(OFF.format(what="Site tracking"))
        keys = self._told(state)
        if not keys.actid:
            raise DeliveryError(NO_KEYS)
        query = {"actid": keys.actid, "e": email, "r": referrer, "u": url}
        await self._sent("GET", f"{self._url}/visit?{urlencode(query)}")

    def forget(self) -> None:
        """Read the names anew: the tracker did not know one."""
        self._names.forget()

    def _told(self, state: Mapping[str, object]) -> Keys:
        """Return the keys of the settings, else those that the account told, which no documentation promises."""
        return Keys(self._keys.actid or text(state.get("actid")), self._keys.event_key or text(state.get("eventkey")))

    async def _know(self, name: str, *, creates: bool) -> None:
        names = await self._names.get()
        if name.casefold() in names:
            return
        if not creates:
            raise DeliveryError("ActiveCampaign does not know this event name; add it there, or let it be created.")
        try:
            body = {"eventTrackingEvent": {"name": name}}
            await self._api.client.post("eventTrackingEvents", body, priority=Priority.NORMAL)
        except (RetryableError, UnauthorizedError):
            raise
        except DeliveryError:  # somebody else was quicker, or it is no name: the list says which
            self._names.forget()
            names = await self._names.get()
            if name.casefold() not in names:
                raise
        names.add(name.casefold())

    async def _read_names(self) -> set[str]:
        return {text(row.get("name")).casefold() for row in await self._api.every("eventTrackingEvents")}

    async def _event_state(self) -> Mapping[str, object]:
        return await self._state("eventTracking")

    async def _visit_state(self) -> Mapping[str, object]:
        return await self._state("siteTracking")

    async def _state(self, name: str) -> Mapping[str, object]:
        answer = await self._api.client.get(name, holds=name, priority=Priority.NORMAL)
        if answer is None:
            raise DeliveryError(f"ActiveCampaign has no {name} at this address; check the API URL.")
        state = member(answer, name) or {}
        return {**state, "enabled": flag(state.get("enabled"))}

    async def _sent(self, method: str, url: str, body: bytes = b"") -> Answer:
        await self._budget.turn(Priority.NORMAL)
        answer = await self._http.request(method, url, body=body, headers=_FORM if body else {})
        status = answer.status
        if status == _TOO_MANY:
            after_s = retry_after_s(answer.headers)
            pause_s = _PAUSE_S if after_s is None else max(after_s, _PAUSE_S)
            self._budget.pause(pause_s)
            raise RetryableError("ActiveCampaign's tracker says that it was too much.", after_s=pause_s)
        if status >= 500 or status in {408, 403}:  # noqa: PLR2004 - the key is no matter of a status here
            raise RetryableError(f"ActiveCampaign's tracker answered {status}.", after_s=retry_after_s(answer.headers))
        if not 200 <= status < 300:  # noqa: PLR2004
            raise DeliveryError(f"ActiveCampaign's tracker answered {status}; check the tracking URL.")
        return answer
