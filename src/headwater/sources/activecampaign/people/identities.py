"""Who contacts are: asked of the account, remembered, and learnt from identify calls; never waited for for long.

In this order: the user id that the account itself keeps, then what an identify call of the workspace said about the
e-mail. (A custom field stands between the two; it lies in the webhook.)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from headwater import sqlite
from headwater.budget import Priority
from headwater.clock import Clock, now
from headwater.errors import DeliveryError
from headwater.sources.activecampaign import settings as source_settings
from headwater.sources.activecampaign.api.connected import Connected
from headwater.sources.activecampaign.people import feed
from headwater.sources.activecampaign.people.batching import BATCH_MAX
from headwater.sources.activecampaign.people.breaker import PAUSE_S
from headwater.sources.activecampaign.people.contact_book import ContactBook, Entry, Shelfmark
from headwater.sources.activecampaign.people.enquiry import NOBODY, Enquiry, Key
from headwater.sources.activecampaign.people.priming import Priming
from headwater.sources.activecampaign.people.recent import Recent
from headwater.sources.activecampaign.records import Person

ACCOUNT: Final = "account"
IDENTIFY: Final = "identify"
"""What told a user id."""

WAIT_S: Final = 0.8
"""ours: how long events wait for the account's answer, together; above it the e-mail stands for the person."""

USER_FRESH_S: Final = 24 * 3600
"""ours: a user id is asked for again after a day; it answers meanwhile."""

NOBODY_FRESH_S: Final = 600
"""ours: that a contact has no user id is asked again after ten minutes, since people log in after they get an email."""

_CONFIRMED_S: Final = 3600  # ours: nor is it believed for longer because no pass saw the contact change
_CHANGED_FRESH_S: Final = 60  # ours: an e-mail that differs from the account's is no reason to ask with every event
_HELD_MAX: Final = 50_000  # ours: contacts and addresses in memory, some 300 bytes each
_ID_DIGITS_MAX: Final = 18

_UNNAMED: Final = Person()

_log = structlog.get_logger()


class Identities:
    """All sources'. `run` keeps contacts known in advance until `stop`; everything else works without it."""

    def __init__(
        self,
        path: Path,
        clock: Clock = now,
        *,
        wait_s: float = WAIT_S,
        pause_s: float = PAUSE_S,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take where to keep what is known, the clock, and how long to wait for answers and after failures."""
        self._book, self._clock = ContactBook(path), clock
        self._wait_s, self._pause_s, self._seconds = wait_s, pause_s, seconds
        self._contacts: Recent[Key, Entry] = Recent(_HELD_MAX)
        self._users: Recent[tuple[str, bytes], str] = Recent(_HELD_MAX)
        self._marks: dict[str, Shelfmark] = self._book.sources()
        self._enquiries: dict[str, Enquiry] = {}
        self._primings: dict[str, Priming] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._fallbacks: dict[str, int] = {}
        self._running = False
        self._stopped = asyncio.Event()

    def use(self, accounts: Mapping[str, Connected]) -> None:
        """Ask these accounts from now on, by the id of their source; one that is switched off is not asked."""
        for source_id, connected in accounts.items():
            self._connect(source_id, connected)
        wanted = {source_id: connected for source_id, connected in accounts.items() if connected.account.enabled}
        for source_id in [*self._enquiries]:
            if source_id not in wanted or _is_other(self._enquiries[source_id].connected, wanted[source_id]):
                self._leave(source_id)
        for source_id, connected in wanted.items():
            if source_id in self._enquiries:
                self._enquiries[source_id].connected = connected
            else:
                self._begin(source_id, connected)

    async def run(self) -> None:
        """Keep the contacts of all accounts known until `stop`."""
        self._running = True
        for source_id in self._primings:
            self._prime_later(source_id)
        try:
            await self._stopped.wait()
        finally:
            self._running = False
            await self._end_passes()

    async def stop(self) -> None:
        """End `run` and what is under way: a pass goes on after the next start.

        Contacts that are not known yet are fallbacks from then on; `people` goes on to answer a run that ends later.
        """
        self._stopped.set()
        await self._end_passes()
        await asyncio.gather(*(enquiry.stop() for enquiry in self._enquiries.values()), *self._leaving)

    async def _end_passes(self) -> None:
        tasks = [*self._tasks.values()]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        """Close the file, after `stop`."""
        self._book.close()

    async def prime(self, source_id: str) -> None:
        """Read all contacts of an account, or those that changed since that was last done.

        Raises:
            RetryableError, UnauthorizedError, DeliveryError: as the account's API; the next call goes on there.
        """
        self._connected(source_id)
        await self._primings[source_id].once()

    async def who(self, source_id: str, contacts: Mapping[str, str]) -> dict[str, Person]:
        """Return who contacts are, as far as that is known within `WAIT_S`; see `memory.Who`.

        Without a connected account there is nobody to ask: then identify calls alone say who somebody is, at once.
        """
        enquiry = self._enquiries.get(source_id)
        ids = [key for key in contacts if _is_contact_id(key)]
        entries = await self._known(source_id, ids)
        if enquiry is not None:
            unknown = [id_ for id_ in ids if id_ not in entries]
            if unknown:
                await enquiry.within(self._wait_s, unknown)
                entries |= self._held(source_id, unknown)
            if enquiry is self._enquiries.get(source_id):  # the account may have been switched off meanwhile
                enquiry.refresh(self._stale(source_id, contacts, entries))
        waits_for = set[str]() if enquiry is None else set(ids) - entries.keys()
        return await self._persons(source_id, contacts, entries, waits_for)

    async def people(
        self, source_id: str, contacts: Mapping[str, str], *, priority: Priority = Priority.BACKGROUND
    ) -> tuple[dict[str, Person], frozenset[str]]:
        """Return who all of these contacts are, and which of them open through Apple's privacy proxy.

        Waits as long as it takes; what was told within a day is not asked again.

        Raises:
            RetryableError, UnauthorizedError, DeliveryError: as the account's API, or it is not connected any more.
        """
        enquiry = self._connected(source_id)
        ids = [key for key in contacts if _is_contact_id(key)]
        oldest = int(self._clock().timestamp()) - USER_FRESH_S
        entries = {id_: entry for id_, entry in (await self._known(source_id, ids)).items() if entry.looked_at > oldest}
        unknown = [id_ for id_ in ids if id_ not in entries]
        for first in range(0, len(unknown), BATCH_MAX):
            entries |= await enquiry.ask(unknown[first : first + BATCH_MAX], priority)
        private = frozenset(id_ for id_, entry in entries.items() if entry.private)
        return await self._persons(source_id, contacts, entries, set()), private

    def learn(self, workspace_id: str, lines: Sequence[bytes]) -> None:
        """Learn from stored identify calls, one JSON line each; waits for the disk, so it is called in a thread.

        Raises:
            sqlite.Error: the disk is full or fails; nothing was learnt.
        """
        learnt = list(feed.learnt(lines))
        if not learnt:
            return
        self._book.learn(workspace_id, learnt)
        self._users.drop((workspace_id, self._book.hashed(each.email)) for each in learnt)

    def contacts_of(self, workspace_id: str, email: str) -> list[str]:
        """Return the contacts that have an address, in any account of a workspace. Called in a thread."""
        return self._book.contacts_of(workspace_id, email)

    def user_of(self, workspace_id: str, email: str) -> str | None:
        """Return the user id that identify calls gave an address. Called in a thread."""
        return next(iter(self._book.users(workspace_id, [self._book.hashed(email)]).values()), None)

    def forget(self, workspace_id: str, email: str) -> int:
        """Remove what is known of a person; return how many entries that were. Called in a thread."""
        count = self._book.forget(workspace_id, email)
        self._users.drop([(workspace_id, self._book.hashed(email))])
        self._contacts.clear()
        return count

    def counts(self, source_id: str) -> dict[str, int]:
        """Return {"known", "withUserId"}: contacts, and {"fallbacks"}: answers not had in time since the start."""
        known, with_user_id = self._book.figures(source_id)
        return {"known": known, "withUserId": with_user_id, "fallbacks": self._fallbacks.get(source_id, 0)}

    def _connect(self, source_id: str, connected: Connected) -> None:
        """Write down whose a source is, if that is new; contact ids of another account mean other people."""
        account, address = connected.account, connected.api.address.base
        feeds = source_settings.read(account.settings).identify_feed
        mark = self._marks.get(source_id)
        if mark and (mark.workspace_id, mark.account, mark.feed) == (account.workspace_id, address, feeds):
            return
        if mark and mark.account != address:
            self._contacts.clear()
        try:
            self._book.connect(source_id, account.workspace_id, address, feed=feeds)
        except sqlite.Error as error:  # the next change or start writes it
            _log.warning("contacts.source_not_kept", source_id=source_id, error=type(error).__name__)
        known = mark if mark and mark.account == address else Shelfmark("", address, feed=feeds)
        self._marks[source_id] = replace(known, workspace_id=account.workspace_id, feed=feeds)

    def _begin(self, source_id: str, connected: Connected) -> None:
        enquiry = Enquiry(
            connected, self._book, self._contacts, self._clock, seconds=self._seconds, pause_s=self._pause_s
        )
        self._enquiries[source_id] = enquiry
        self._primings[source_id] = Priming(enquiry, self._book, self._contacts, self._clock)
        if self._running:
            self._prime_later(source_id)

    def _prime_later(self, source_id: str) -> None:
        if source_id not in self._tasks:
            self._tasks[source_id] = asyncio.create_task(self._primings[source_id].run())

    def _leave(self, source_id: str) -> None:
        """Stop what is under way for an account; what it told stays known."""
        enquiry, task = self._enquiries.pop(source_id), self._tasks.pop(source_id, None)
        del self._primings[source_id]
        if task is not None:
            task.cancel()
        leaving = asyncio.ensure_future(_ended(enquiry, task))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    def _connected(self, source_id: str) -> Enquiry:
        if source_id not in self._enquiries:
            raise DeliveryError("The account is not connected any more; connect it, then begin again.")
        return self._enquiries[source_id]

    async def _known(self, source_id: str, ids: Collection[str]) -> dict[str, Entry]:
        """Return what is known of contacts without asking anybody."""
        entries = self._held(source_id, ids)
        missing = [id_ for id_ in ids if id_ not in entries]
        if missing:
            state = self._contacts.state
            try:
                found = await asyncio.to_thread(self._book.contacts, source_id, missing)
            except sqlite.Error as error:  # an event must not wait for a disk: as if nothing were known
                _log.warning("contacts.not_read", error=type(error).__name__)
                return entries
            self._contacts.read({(source_id, id_): entry for id_, entry in found.items()}, state)
            entries |= found
        return entries

    def _held(self, source_id: str, ids: Iterable[str]) -> dict[str, Entry]:
        held = ((id_, self._contacts.get((source_id, id_))) for id_ in ids)
        return {id_: entry for id_, entry in held if entry is not None}

    def _stale(self, source_id: str, contacts: Mapping[str, str], entries: Mapping[str, Entry]) -> list[str]:
        """Return the contacts that answer for now but shall be asked for again."""
        now_s, primed_at = int(self._clock().timestamp()), self._primings[source_id].primed_at
        return [
            id_
            for id_, entry in entries.items()
            if now_s - entry.looked_at > _CHANGED_FRESH_S
            and (_is_old(entry, now_s, primed_at) or entry.email != (self._book.hashed(contacts[id_]) or entry.email))
        ]

    async def _persons(
        self, source_id: str, contacts: Mapping[str, str], entries: Mapping[str, Entry], waits_for: Collection[str]
    ) -> dict[str, Person]:
        """Return who everybody is; who is waited for and not known from elsewhere is left out, and counted."""
        by_account = {key: entry.user_id for key, entry in entries.items() if entry.user_id}
        others = {key: email for key, email in contacts.items() if key not in by_account}
        by_email = await self._by_email(source_id, others)
        persons = {key: Person(user_id, ACCOUNT) for key, user_id in by_account.items()}
        for key in others:
            if user_id := by_email.get(key):
                persons[key] = Person(user_id, IDENTIFY)
            elif key not in waits_for:
                persons[key] = _UNNAMED
        self._fallbacks[source_id] = self._fallbacks.get(source_id, 0) + len(contacts) - len(persons)
        return persons

    async def _by_email(self, source_id: str, contacts: Mapping[str, str]) -> dict[str, str]:
        """Return {key: user id} of contacts whose e-mail identify calls of the workspace named."""
        mark = self._marks.get(source_id)
        if mark is None or not mark.feed:
            return {}
        hashes = {key: hashed for key, email in contacts.items() if (hashed := self._book.hashed(email)) != NOBODY}
        held = {hashed: self._users.get((mark.workspace_id, hashed)) for hashed in hashes.values()}
        missing = [hashed for hashed, user_id in held.items() if user_id is None]
        if missing:
            state = self._users.state
            try:
                found = await asyncio.to_thread(self._book.users, mark.workspace_id, missing)
            except sqlite.Error as error:
                _log.warning("contacts.not_read", error=type(error).__name__)
                found = {}
            else:
                self._users.read({(mark.workspace_id, each): found.get(each, "") for each in missing}, state)
            held |= found
        return {key: user_id for key, hashed in hashes.items() if (user_id := held[hashed])}


async def _ended(enquiry: Enquiry, task: asyncio.Task[None] | None) -> None:
    await asyncio.gather(enquiry.stop(), *([task] if task else []), return_exceptions=True)


def _is_other(one: Connected, two: Connected) -> bool:
    """Say whether calls would go elsewhere or with another key."""
    return (one.account.url, one.account.key) != (two.account.url, two.account.key)


def _is_contact_id(key: str) -> bool:
    """Say whether an account can be asked for it: ids are numbers, and a list of them is separated by commas."""
    return key.isascii() and key.isdecimal() and len(key) <= _ID_DIGITS_MAX


def _is_old(entry: Entry, now_s: int, primed_at: int) -> bool:
    age_s = now_s - entry.looked_at
    if entry.user_id:
        return age_s > USER_FRESH_S
    # a pass over all that changed, begun after the look, would have seen a change
    return age_s > _CONFIRMED_S or now_s - max(entry.looked_at, primed_at) > NOBODY_FRESH_S
