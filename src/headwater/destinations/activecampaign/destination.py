"""Sends batches: many contacts in one import, the rest person by person, a few persons at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import ClassVar, Final

from headwater import sqlite
from headwater.activecampaign.address import normalised
from headwater.activecampaign.budget import budget_of
from headwater.activecampaign.client import Client
from headwater.activecampaign.patience import BRIEF
from headwater.budget import Priority
from headwater.destinations.activecampaign.account import AccountApi
from headwater.destinations.activecampaign.calls import Calls
from headwater.destinations.activecampaign.imports import PER_S, Imports
from headwater.destinations.activecampaign.known import Known
from headwater.destinations.activecampaign.people import People
from headwater.destinations.activecampaign.recent import Recent
from headwater.destinations.activecampaign.round import Parts, Round
from headwater.destinations.activecampaign.settings import Settings
from headwater.destinations.activecampaign.tracker import NO_KEYS, OFF, Keys, Tracker
from headwater.destinations.contract import Outcome, Room
from headwater.errors import ConfigError, DeliveryError, InvalidRequestError, RetryableError, UnsupportedError
from headwater.privacy.person import Person
from headwater.spec.event import Event

_DEADLINE_S: Final = 45.0  # ours: below the engine's 60 s for a batch, so that no outcome is lost


class Destination:
    """One ActiveCampaign account.

    A hundred events stay within the deadline also where each takes a request of its own, at 5 a second.
    """

    batch_max: ClassVar[int] = 100

    def __init__(self, settings: Settings, room: Room) -> None:
        if not settings.api_key.strip():
            raise ConfigError("The API key must not be empty; copy it from ActiveCampaign's Settings, Developer.")
        if not settings.tracking_url.startswith(("https://", "http://")):
            raise ConfigError("The tracking URL begins with https://; ActiveCampaign's own is https://trackcmp.net.")
        try:
            address = normalised(settings.api_url)
        except InvalidRequestError as error:
            raise ConfigError(str(error).replace("account URL", "API URL")) from error
        self._settings = settings
        self._budget = budget_of(room.budgets, address)
        self._client = Client(room.http, self._budget, address, settings.api_key, bounds=BRIEF)
        self._api = AccountApi(self._client, settings.user_id_field)
        keys = Keys(settings.actid.strip(), settings.event_key.strip())
        self._tracker = Tracker(room.http, self._budget, self._api, keys, settings.tracking_url)
        self._parts = Parts(
            settings,
            address.name,
            self._api,
            self._tracker,
            Calls(settings, self._api, self._tracker),
            Imports(self._client, room.budgets.of(f"activecampaign imports {address.base}", PER_S)),
            Recent(),
        )
        self._people = People(room.home if room.connection_id else None)
        room.closing.callback(self._people.close)

    async def check(self) -> None:
        """Ask who the key belongs to, and whether events can be tracked: said as a sentence where they cannot."""
        if await self._client.get("users/me", holds="user", priority=Priority.LIVE) is None:
            raise DeliveryError("ActiveCampaign's API is not at this address; check the API URL.")
        if not (self._settings.event_key or self._settings.actid):
            return  # nobody means to track events
        state = await self._tracker.event_state()
        if not state["enabled"]:
            raise DeliveryError(OFF.format(what="Event tracking"))
        if not (self._settings.event_key and self._settings.actid):
            raise DeliveryError(NO_KEYS)

    async def send(self, events: Sequence[Event]) -> list[Outcome]:
        """Do what 1..100 calls say."""
        known = Known(*await asyncio.to_thread(self._people.meet, [event.body for event in events]))
        round_ = Round(self._parts, events, known)
        try:
            with contextlib.suppress(TimeoutError):  # what was not reached is told to come again
                async with asyncio.timeout(_DEADLINE_S):
                    await round_.run()
        finally:
            await asyncio.to_thread(self._people.keep, known.new_people, known.new_contacts)
        return round_.outcomes()

    async def erase(self, person: Person) -> None:
        """Forget who has which address, and delete the contacts, by address and by the field that keeps user ids.

        Source: ActiveCampaign API v3, Delete a contact.
        """
        try:
            taught = await asyncio.to_thread(self._people.forget, person)
        except sqlite.Error as error:
            raise RetryableError("What is remembered of contacts cannot be changed now; it is tried again.") from error
        if not self._settings.delete_contacts:
            raise UnsupportedError("Deleting contacts is switched off in the settings; delete the contact there.")
        kept = [await self._api.email_of(each) for each in sorted(person.user_ids)]
        emails = {each.lower() for each in (*person.emails, *taught, *kept) if each}
        if not emails:
            raise UnsupportedError("No address of the person is known; delete the contact in ActiveCampaign.")
        for email in sorted(emails):
            if contact := await self._api.contact_id(email):
                await self._client.delete(f"contacts/{contact}", priority=Priority.NORMAL)
