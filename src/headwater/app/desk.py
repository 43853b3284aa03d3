"""The pipeline role's answers to the web role: deliveries, dead letters, replays and loads as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from headwater import clock as wall
from headwater.app import answers
from headwater.app.regulating import People
from headwater.clock import Clock
from headwater.control.accounts import TYPE
from headwater.control.pipeline import Answer
from headwater.delivery.dead_letters import PAGE_MAX
from headwater.delivery.engine import Delivery
from headwater.delivery.selection import Selection
from headwater.errors import DeliveryError, HeadwaterError, LogUnavailableError
from headwater.eventlog.contract import Reader, Topic
from headwater.ingest.inbox import InboxMapper
from headwater.loading.engine import Loading
from headwater.loading.runs import SyncRun
from headwater.sources.contract import Worker

Refresh = Callable[[], Awaitable[object]]
"""Returns once the newest configuration is in use."""


class Desk:
    """Implements `control.pipeline.Pipeline` beside the engines; served to the web role by `rpc`."""

    def __init__(  # noqa: PLR0913 - the engines that people ask
        self,
        reader: Reader,
        mapper: InboxMapper,
        delivery: Delivery,
        loading: Loading,
        workers: Mapping[str, Worker] | None = None,
        *,
        refresh: Refresh | None = None,
        clock: Clock = wall.now,
        people: People | None = None,
    ) -> None:
        """Take the engines, by source type the workers that hold accounts, and the way to the newest configuration."""
        self._reader, self._mapper, self._delivery, self._loading = reader, mapper, delivery, loading
        self._workers, self._refresh, self._clock = workers or {}, refresh, clock
        self._people = people
        self._later: set[asyncio.Future[list[SyncRun]]] = set()

    def _whom(self) -> People:
        if self._people is None:
            raise LogUnavailableError("This process carries out no regulations; ask the pipeline role.")
        return self._people

    async def connections(self) -> Answer:
        """Return how every connection does; `pending` is what waits in the log or for a retry."""
        return {"connections": [answers.connection(each) for each in await self._delivery.status()]}

    async def metrics(
        self, destination_id: str, *, since: str | None = None, until: str | None = None, granularity: str = "hour"
    ) -> Answer:
        """Return what happened to a destination's events over time, and the totals."""
        begin, end = _instant(since, "since"), _instant(until, "until")
        await self._newest()
        return answers.metrics(await self._delivery.metrics(destination_id, begin, end, granularity))

    async def dead_letters(
        self,
        destination_id: str | None = None,
        cursor: str | None = None,
        count: int = 50,
        *,
        chosen: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Return a page of dead letters, newest first."""
        before = None if cursor is None else answers.letter_number(cursor)
        wanted = answers.chosen_letters(destination_id, chosen)
        count = min(count, PAGE_MAX)
        found = await self._delivery.dead_letters(wanted, before=before, count=count)
        return {
            "deadLetters": [answers.dead_letter(each) for each in found],
            "next": str(found[-1].id) if len(found) == count else None,
        }

    async def dead_letter(self, dead_letter_id: str) -> Answer:
        """Return one dead letter with its event and the last attempt."""
        return answers.dead_letter(await self._delivery.dead_letter(answers.letter_number(dead_letter_id)))

    async def retry_dead_letters(
        self,
        ids: Sequence[str] | None = None,
        destination_id: str | None = None,
        *,
        chosen: Mapping[str, Any] | None = None,
        dry_run: bool = False,
    ) -> Answer:
        """Deliver these, or all that match, again; with `dry_run` only count them."""
        which = answers.letters(ids, destination_id, chosen)
        act = self._delivery.count_dead_letters if dry_run else self._delivery.retry_dead_letters
        return {"count": await act(which)}

    async def discard_dead_letters(
        self,
        ids: Sequence[str] | None = None,
        destination_id: str | None = None,
        *,
        chosen: Mapping[str, Any] | None = None,
        dry_run: bool = False,
    ) -> Answer:
        """Give these, or all that match, up for good; with `dry_run` only count them."""
        which = answers.letters(ids, destination_id, chosen)
        act = self._delivery.count_dead_letters if dry_run else self._delivery.discard_dead_letters
        return {"count": await act(which)}

    async def resume(self, destination_id: str) -> Answer:
        """Go on with a paused connection."""
        await self._delivery.resume(destination_id)
        return {"resumed": True}

    async def replay(  # noqa: PLR0913 - what a replay is chosen by
        self,
        destination_id: str,
        *,
        source_id: str | None = None,
        since: str | None = None,
        until: str | None = None,
        event: str | None = None,
        user_id: str | None = None,
        rate_per_s: float | None = None,
        dry_run: bool = False,
    ) -> Answer:
        """Deliver stored events again; `count` is how many there are, as far as 20 seconds of reading suffice."""
        await self._newest()
        wanted = Selection(_instant(since, "since"), _instant(until, "until"), event, user_id)
        again = partial(self._delivery.replay, destination_id, wanted, source_id=source_id, rate_per_s=rate_per_s)
        counted = await again(dry_run=True)
        run = counted if dry_run else await again()
        return {"count": counted.selected, "replay": answers.replay(run)}

    async def replays(self, destination_id: str | None = None, *, among: Sequence[str] | None = None) -> Answer:
        """Return the newest replays of a destination, or of all, newest first."""
        found = await self._delivery.replays(destination_id, among=among)
        return {"replays": [answers.replay(each) for each in found]}

    async def cancel_replay(self, replay_id: int) -> Answer:
        """End a replay where it is."""
        await self._delivery.cancel_replay(int(replay_id))
        return {"cancelled": True}

    async def try_event(
        self,
        type_: str,
        settings: Mapping[str, Any],
        event: Mapping[str, Any],
        *,
        destination_id: str | None = None,
        as_is: bool = False,
    ) -> Answer:
        """Send one event and return each request with its answer; nothing is counted or tried again."""
        await self._newest()
        end = await self._delivery.try_event(type_, settings, event, destination_id=destination_id, as_is=as_is)
        return answers.tried(end)

    async def run_function(self, kind: str, code: str, settings: Mapping[str, Any], event: Mapping[str, Any]) -> Answer:
        """Run a function once and return how it ended."""
        return answers.plain(await self._delivery.run_function(kind, code, settings, event))

    async def test_destination(self, type_: str, settings: Mapping[str, Any]) -> Answer:
        """Try a destination's credentials."""
        try:
            await self._delivery.test(type_, settings)
        except HeadwaterError as error:
            return {"ok": False, "message": str(error)}
        return {"ok": True, "message": "The destination answered."}

    async def sync(
        self, warehouse_id: str | None = None, *, wait: bool = False, among: Sequence[str] | None = None
    ) -> Answer:
        """Load what is waiting now; with `wait` return once everything accepted before the call is loaded.

        Raises:
            DeliveryError: a warehouse did not take it.
            NotFoundError: there is no such warehouse, or it is disabled.
        """
        await self._newest()
        inbox_end = await asyncio.to_thread(self._reader.end, Topic.INBOX)
        if wait:
            await self._mapper.drain(inbox_end)
        end = await asyncio.to_thread(self._reader.end, Topic.EVENTS)
        runs = asyncio.ensure_future(self._loading.sync(warehouse_id, end, among=among))
        if not wait:
            self._later.add(runs)
            runs.add_done_callback(self._later.discard)
            await asyncio.sleep(0)  # what is wrong with the question is known at once
            return {"syncs": [answers.plain(run) for run in runs.result()] if runs.done() else []}
        done = await runs
        if failed := [f"Warehouse {run.warehouse_id} was not loaded. {run.error}" for run in done if run.error]:
            raise DeliveryError(" ".join(failed))
        return {"syncs": [answers.plain(run) for run in done]}

    async def syncs(
        self, warehouse_id: str | None = None, count: int = 50, *, among: Sequence[str] | None = None
    ) -> Answer:
        """Return the newest loads."""
        ids = among if warehouse_id is None else [warehouse_id]
        return {"syncs": [answers.plain(run) for run in await asyncio.to_thread(self._latest, ids, count)]}

    def _latest(self, ids: Sequence[str] | None, count: int) -> list[SyncRun]:
        if ids is None:
            ids = [status.warehouse_id for status in self._loading.status()]
        runs = [run for each in ids for run in self._loading.runs(each, count)]
        return sorted(runs, key=lambda run: run.started_at, reverse=True)[:count]

    async def warehouses(self) -> Answer:
        """Return where every warehouse stands."""
        return {"warehouses": [answers.plain(status) for status in await asyncio.to_thread(self._loading.status)]}

    async def test_warehouse(self, type_: str, settings: Mapping[str, Any]) -> Answer:
        """Try a warehouse's credentials and rights."""
        reason = await self._loading.orders.check(type_, settings)
        return {"ok": not reason, "message": reason or "The warehouse answered."}

    async def reload(
        self,
        warehouse_id: str,
        *,
        source_ids: Sequence[str] | None = None,
        collections: Sequence[str] | None = None,
        since: str | None = None,
        until: str | None = None,
    ) -> Answer:
        """Load a stretch of the log again, beside what comes in."""
        begin, end = _instant(since, "since"), _instant(until, "until")
        await self._newest()
        run = await self._loading.orders.reload(
            warehouse_id, source_ids=source_ids, collections=collections, since=begin, until=end
        )
        return {"reload": answers.reload(run)}

    async def reloads(self, warehouse_id: str | None = None, count: int = 50) -> Answer:
        """Return the newest reloads, newest first."""
        return {"reloads": [answers.reload(each) for each in await self._loading.orders.reloads(warehouse_id, count)]}

    async def cancel_reload(self, reload_id: str) -> Answer:
        """End a reload where it is."""
        return {"reload": answers.reload(await self._loading.orders.cancel(reload_id))}

    async def row_trends(self, warehouse_id: str, days: int = 30) -> Answer:
        """Return what a warehouse took day by day, the oldest day first."""
        return {"days": [answers.day(each) for each in await self._loading.orders.trends(warehouse_id, days)]}

    async def misfits(self, warehouse_id: str) -> Answer:
        """Return which values did not fit their columns."""
        return {"misfits": [answers.plain(each) for each in await self._loading.orders.misfits(warehouse_id)]}

    async def preview_person(
        self,
        workspace_id: str,
        subjects: Sequence[tuple[str, str]],
        source_id: str | None = None,
        *,
        follows_links: bool = True,
    ) -> Answer:
        """Return what a deletion of these people would find."""
        await self._newest()
        return await self._whom().preview(workspace_id, subjects, source_id, follows_links=follows_links)

    async def begin_regulations(self) -> Answer:
        """Look for new regulations now."""
        self._whom().wake()
        return {}

    async def remove_person(self, ids: Mapping[str, Sequence[str]], warehouse_id: str | None = None) -> Answer:
        """Delete a person's rows for good; what one warehouse could not do stands beside what the others did."""
        removed = await self._loading.orders.remove(answers.person(ids), warehouse_id)
        return {"warehouses": [answers.plain(each) for each in removed]}

    async def account_check(self, url: str, key: str) -> Answer:
        """Try an account's address and API key."""
        return await self._worker.check(url, key)

    async def account_settle(self, connection_id: str) -> Answer:
        """Bring an account's webhook into the wanted state now: what was stored a moment ago counts."""
        await self._newest()
        return await self._with_lag(await self._worker.settle(connection_id))

    async def account_status(self, connection_id: str) -> Answer:
        """Return how a connection does."""
        return await self._with_lag(await self._worker.status(connection_id))

    async def accounts(self) -> Answer:
        """Return how every connection to an account does."""
        return {"accounts": await self._worker.statuses()}

    async def account_backfill(
        self,
        connection_id: str,
        *,
        since: str | None = None,
        campaigns: Sequence[str] | None = None,
        dry_run: bool = False,
    ) -> Answer:
        """Begin to read history, or count it."""
        return await self._worker.backfill(connection_id, since=since, campaigns=campaigns, dry_run=dry_run)

    async def account_reconcile(self, connection_id: str, *, campaigns: Sequence[str] | None = None) -> Answer:
        """Begin to compare counters."""
        return await self._worker.reconcile(connection_id, campaigns=campaigns)

    async def account_cancel(self, connection_id: str, run_id: str) -> Answer:
        """End a run."""
        return await self._worker.cancel(connection_id, run_id)

    async def account_runs(self, connection_id: str, count: int = 20) -> Answer:
        """Return the newest runs."""
        return await self._worker.runs(connection_id, count)

    async def account_reconciliation(self, connection_id: str) -> Answer:
        """Return the comparison, campaign by campaign."""
        return await self._worker.reconciliation(connection_id)

    async def account_complaints(self, connection_id: str, rows: Sequence[Mapping[str, str]]) -> Answer:
        """Take spam complaints that were exported by hand."""
        return await self._worker.complaints(connection_id, rows)

    async def unmapped(
        self, source_id: str | None = None, count: int = 50, *, among: Sequence[str] | None = None
    ) -> Answer:
        """Return what of the inbox could not be mapped."""
        ids = among if source_id is None else [source_id]
        return {"unmapped": [answers.plain(each) for each in await self._mapper.quarantined(ids, count)]}

    async def unmapped_one(self, inbox_seq: int) -> Answer:
        """Return one of it with its body."""
        found, webhook = await self._mapper.quarantined_at(inbox_seq)
        return answers.plain(found) | {
            "contentType": webhook.content_type,
            "body": webhook.body.decode(errors="replace"),
        }

    async def retry_unmapped(self, source_id: str | None = None, *, among: Sequence[str] | None = None) -> Answer:
        """Map it once more."""
        again = await self._mapper.retry_quarantined(among if source_id is None else [source_id])
        return {"mapped": again["mapped"], "stillUnmapped": again["stillQuarantined"]}

    async def _newest(self) -> None:
        """Return once what was stored before this call is in use: people change a thing and try it at once."""
        if self._refresh is not None:
            await self._refresh()

    @property
    def _worker(self) -> Worker:
        if TYPE not in self._workers:
            raise LogUnavailableError("This pipeline role works on no accounts; see its log.")
        return self._workers[TYPE]

    async def _with_lag(self, status: Answer) -> Answer:
        """Return a status with what waits in the inbox: how many records, and since when the first."""
        waiting, since = await asyncio.to_thread(self._waiting)
        oldest_s = 0.0 if since is None else max(0.0, (self._clock() - since).total_seconds())
        return status | {"lag": {**status.get("lag", {}), "inbox": waiting, "oldestS": round(oldest_s, 3)}}

    def _waiting(self) -> tuple[int, datetime | None]:
        cursor = max(0, self._mapper.cursor)
        waiting = max(0, self._reader.end(Topic.INBOX) - cursor)
        if not waiting:
            return 0, None
        frames = self._reader.read(Topic.INBOX, cursor, records_max=1, bytes_max=1).frames
        return waiting, frames[0].received_at if frames else None

    async def mapper(self) -> Answer:
        """Return where the inbox mapper stands and what it counted since its start."""
        end = await asyncio.to_thread(self._reader.end, Topic.INBOX)
        return {"cursor": self._mapper.cursor, "end": end, **answers.plain(self._mapper.counts)}


def _instant(text: str | None, name: str) -> datetime | None:
    return None if text is None else answers.moment(text, name)
