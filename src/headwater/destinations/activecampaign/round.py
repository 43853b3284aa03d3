"""One batch on its way: who goes together, in which order, and what became of each call."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headwater.destinations.activecampaign.account import AccountApi, GoneError
from headwater.destinations.activecampaign.calls import NO_CONTACT, NO_NAME, Calls
from headwater.destinations.activecampaign.imports import COUNT_MIN, Contact, Imports
from headwater.destinations.activecampaign.known import Known
from headwater.destinations.activecampaign.people import ids
from headwater.destinations.activecampaign.recent import Recent
from headwater.destinations.activecampaign.settings import Settings
from headwater.destinations.activecampaign.tracker import Tracker, UntrackedError
from headwater.destinations.activecampaign.traits import Wanted, is_address, wanted
from headwater.destinations.contract import Delivered, Discarded, Outcome, Retry, Skipped, Unauthorized
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from headwater.spec import conventions
from headwater.spec.event import Body, Call, Event

LOOP: Final = Skipped("The event comes from this ActiveCampaign account and is not sent back to it.")
_BEHIND: Final = Retry("It waits behind an earlier call of the same person.")
_UNREACHED: Final = Retry("The account's requests did not suffice for the whole batch.", after_s=1.0)
_QUEUED: Final = Retry("The contact is still in ActiveCampaign's import.", after_s=30.0)

_PERSONS: Final = 4  # ours: at a time; an answer takes up to a second, and five requests may leave in one
_FAILURES_MAX: Final = 3  # ours: of one batch; then the account is in trouble, not the events


@dataclass(frozen=True, slots=True)
class Parts:
    """What every batch of a destination uses.

    Attributes:
        account: its name, to know its own source's events by.
        imported: addresses whose import may still be under way.
    """

    settings: Settings
    account: str
    api: AccountApi
    tracker: Tracker
    calls: Calls
    imports: Imports
    imported: Recent


class Round:
    """Carries one batch; `run` may be cancelled at any time, and `outcomes` is right then, too."""

    def __init__(self, parts: Parts, events: Sequence[Event], known: Known) -> None:
        """Take the parts, the events in log order, and what is known of their people."""
        self._parts, self._bodies, self.known = parts, [event.body for event in events], known
        self._ends: list[Outcome | None] = [None] * len(events)
        self._halt: Outcome | None = None
        self._failures = 0

    async def run(self) -> None:
        """Send everything that can be sent."""
        chains: dict[str, list[int]] = {}
        for place, body in enumerate(self._bodies):
            if is_own(body, self._parts.account):
                self._ends[place] = LOOP
            else:
                chains.setdefault(self._person(place), []).append(place)
        if self._parts.settings.bulk_import:
            try:
                await self._import([places[0] for places in chains.values() if len(places) == 1])
            except RetryableError as error:
                self._halt = Retry(str(error), after_s=error.after_s)
            except UnauthorizedError as error:
                self._halt = Unauthorized(str(error))
        waiting = deque(places for places in chains.values() if self._ends[places[0]] is None)
        await asyncio.gather(*(self._work(waiting) for _ in range(_PERSONS)))

    def outcomes(self) -> list[Outcome]:
        """Return one outcome an event; what was not reached comes again."""
        return [end or self._halt or _UNREACHED for end in self._ends]

    def _person(self, place: int) -> str:
        body = self._bodies[place]
        return self.known.email(body).lower() or next(iter(ids(body)), f"#{place}")

    async def _work(self, waiting: deque[list[int]]) -> None:
        while waiting and self._halt is None:
            await self._carry(waiting.popleft())

    async def _carry(self, places: Sequence[int]) -> None:
        """Send one person's calls in order; behind one that has to come again, the others do, too."""
        is_behind = False
        for place in places:
            if self._halt is not None:
                return
            self._ends[place] = end = _BEHIND if is_behind else await self._do(self._bodies[place])
            is_behind = isinstance(end, Retry)

    async def _do(self, body: Body) -> Outcome:
        try:
            end = await self._parts.calls.do(body, self.known)
        except UntrackedError as error:
            self._parts.tracker.forget()
            end = _QUEUED if self._is_queued(body) else Discarded(str(error))
        except GoneError as error:
            self.known.note_contact(self.known.email(body), "")
            end = Retry(str(error))
        except RetryableError as error:
            end = Retry(str(error), after_s=error.after_s)
            self._failures += 1
            if error.after_s is not None or self._failures >= _FAILURES_MAX:
                self._halt = end
        except UnauthorizedError as error:
            self._halt = end = Unauthorized(str(error))
        except DeliveryError as error:
            end = Discarded(str(error))
        return _QUEUED if end in {NO_NAME, NO_CONTACT} and self._is_queued(body) else end

    def _is_queued(self, body: Body) -> bool:
        return self.known.email(body).lower() in self._parts.imported

    async def _import(self, places: Sequence[int]) -> None:
        """Send the identify calls that an import can take, if they are many."""
        wishes = [(place, wish) for place in places if (wish := self._wish(self._bodies[place])) is not None]
        if len(wishes) < COUNT_MIN:
            return
        contacts = [
            Contact(wish, await self._parts.api.field_values(wish.others, conventions.user_id(self._bodies[place])))
            for place, wish in wishes
        ]
        ends = await self._parts.imports.send(contacts)
        for (place, wish), end in zip(wishes, ends, strict=True):
            self._ends[place] = end
            if isinstance(end, Delivered):
                self._parts.imported.add(wish.email.lower())

    def _wish(self, body: Body) -> Wanted | None:
        """Return what an identify call wants if an import does just that, else None."""
        email = self.known.email(body)
        if body.get("type") != Call.IDENTIFY or not is_address(email):
            return None
        wish, settings = wanted(body, email), self._parts.settings
        may_create = wish.has_name or not settings.require_name or bool(self.known.contact(email))
        subscribes = any(status == "1" for _, status in wish.lists)
        # an import says nothing about those that it leaves off a list, nor about lists that do not exist
        return wish if may_create and not wish.resets and not wish.wrong and not subscribes else None


def is_own(body: Body, account: str) -> bool:
    """Tell whether an event comes from an ActiveCampaign source of this account, or of one that is not named."""
    integration = conventions.mapping(body, "context.integration")
    if integration.get("name") != "ActiveCampaign":
        return False
    told = conventions.text(integration, "account")
    return not told or told.casefold() == account.casefold()
