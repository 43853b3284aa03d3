"""What the web role asks of the pipeline role; `app` brings the transport. Every answer is JSON-ready."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Answer = dict[str, Any]
"""One JSON object."""


class Pipeline(Protocol):
    """Deliveries, dead letters, replays, loads and accounts, as far as people ask for them.

    Each call may raise LogUnavailableError while the pipeline role cannot be reached, NotFoundError for an unknown id
    and InvalidRequestError for what it refuses.
    """

    async def connections(self) -> Answer:
        """Return {"connections": [...]}: per destination its state, counts, what waits and the last error."""
        ...

    async def metrics(
        self, destination_id: str, *, since: str | None = None, until: str | None = None, granularity: str = "hour"
    ) -> Answer:
        """Return {"granularity", "points", "totals"}: what happened to a destination's events over time.

        Args:
            destination_id: whose.
            since: ISO 8601 with zone; None is the earliest that is kept.
            until: likewise; None is now.
            granularity: "minute", "hour" or "day"; the width of a point.
        """
        ...

    async def dead_letters(
        self,
        destination_id: str | None = None,
        cursor: str | None = None,
        count: int = 50,
        *,
        chosen: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Return {"deadLetters": [...], "next": cursor or None}, newest first.

        Args:
            destination_id: None is all.
            cursor: `next` of the page before.
            count: at most so many.
            chosen: what they have in common: `sourceId`, `event`, `type`, `reason`, `messageId`, `since`, `until` (ISO
                8601 with zone), `destinationIds`.
        """
        ...

    async def dead_letter(self, dead_letter_id: str) -> Answer:
        """Return one dead letter with its event, attempts and the service's last answer."""
        ...

    async def retry_dead_letters(
        self,
        ids: Sequence[str] | None = None,
        destination_id: str | None = None,
        *,
        chosen: Mapping[str, Any] | None = None,
        dry_run: bool = False,
    ) -> Answer:
        """Deliver these, or all that match, again; return {"count": n}, with `dry_run` only counted."""
        ...

    async def discard_dead_letters(
        self,
        ids: Sequence[str] | None = None,
        destination_id: str | None = None,
        *,
        chosen: Mapping[str, Any] | None = None,
        dry_run: bool = False,
    ) -> Answer:
        """Give these, or all that match, up for good; return {"count": n}, with `dry_run` only counted."""
        ...

    async def resume(self, destination_id: str) -> Answer:
        """Go on with a connection that was paused because its credentials were refused."""
        ...

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
        """Deliver stored events again; return {"count": n, "replay": run}, with `dry_run` only counted.

        Args:
            destination_id: who gets them.
            source_id: None for the destination's own source.
            since: ISO 8601 with zone, by `receivedAt`; None is the log's beginning.
            until: likewise; None is now.
            event: only events of this name.
            user_id: only events of this user.
            rate_per_s: events a second; None is the engine's own.
            dry_run: count, deliver nothing.
        """
        ...

    async def replays(self, destination_id: str | None = None, *, among: Sequence[str] | None = None) -> Answer:
        """Return {"replays": [...]}: runs with `state`, progress and selection, newest first.

        Args:
            destination_id: None is all.
            among: of which destinations; None is of every workspace's.
        """
        ...

    async def cancel_replay(self, replay_id: int) -> Answer:
        """End a replay where it is; what it has handed on already is delivered."""
        ...

    async def try_event(
        self,
        type_: str,
        settings: Mapping[str, Any],
        event: Mapping[str, Any],
        *,
        destination_id: str | None = None,
        as_is: bool = False,
    ) -> Answer:
        """Send one event now and return `outcome`, `reason`, `status`, `sent` and each of the `exchanges`.

        Args:
            type_: of the destination.
            settings: with secrets open.
            event: as the Tracking API takes it.
            destination_id: whose filters, mappings and functions apply; None applies none.
            as_is: pass them by.
        """
        ...

    async def run_function(self, kind: str, code: str, settings: Mapping[str, Any], event: Mapping[str, Any]) -> Answer:
        """Run a function once; return `kind`, `value`, `message` and `log`.

        Args:
            kind: "source", "destination" or "insert".
            code: JavaScript.
            settings: its second argument, secrets open.
            event: its first argument; for a source the request.
        """
        ...

    async def test_destination(self, type_: str, settings: Mapping[str, Any]) -> Answer:
        """Try credentials; return {"ok": bool, "message": sentence}."""
        ...

    async def sync(
        self, warehouse_id: str | None = None, *, wait: bool = False, among: Sequence[str] | None = None
    ) -> Answer:
        """Load what is waiting now; with `wait` return once everything accepted before the call is loaded.

        Args:
            warehouse_id: None is all that are enabled.
            wait: until it is done.
            among: of which warehouses; None is of every workspace's.
        """
        ...

    async def syncs(
        self, warehouse_id: str | None = None, count: int = 50, *, among: Sequence[str] | None = None
    ) -> Answer:
        """Return {"syncs": [...]}: the newest loads, newest first; `among` as in `sync`."""
        ...

    async def warehouses(self) -> Answer:
        """Return {"warehouses": [...]}: per warehouse where it stands, what waits and the last error.

        With `failures` in a row, `nextSync` (ISO 8601 or None), how many `reloads` are not over, and the newest run's
        `notices`.
        """
        ...

    async def test_warehouse(self, type_: str, settings: Mapping[str, Any]) -> Answer:
        """Try a warehouse's credentials and rights; return {"ok": bool, "message": sentence} within 20 seconds.

        Args:
            type_: its name on the shelf.
            settings: with secrets open.
        """
        ...

    async def reload(
        self,
        warehouse_id: str,
        *,
        source_ids: Sequence[str] | None = None,
        collections: Sequence[str] | None = None,
        since: str | None = None,
        until: str | None = None,
    ) -> Answer:
        """Load a stretch of the log again, beside what comes in; return {"reload": run}.

        The run has `id`, `warehouseId`, `sourceIds`, `collections`, `reason`, `first`, `next`, `position`, `state`,
        `events`, `rows`, `startedAt`, `finishedAt`, `error` and `etaS`. Its rows replace those of the same `id`.

        Args:
            warehouse_id: into which.
            source_ids: None is all that are connected.
            collections: tables; None is all.
            since: ISO 8601 with zone, by `receivedAt`; None is the log's beginning.
            until: likewise; None is now.
        """
        ...

    async def reloads(self, warehouse_id: str | None = None, count: int = 50) -> Answer:
        """Return {"reloads": [...]}, newest first."""
        ...

    async def cancel_reload(self, reload_id: str) -> Answer:
        """End a reload where it is and return {"reload": run}; what it has loaded stays."""
        ...

    async def row_trends(self, warehouse_id: str, days: int = 30) -> Answer:
        """Return {"days": [...]}: per day `day`, `events`, `rows`, `failed` and `byTable` ({schema.table: rows})."""
        ...

    async def misfits(self, warehouse_id: str) -> Answer:
        """Return {"misfits": [...]}: which values did not fit their column's type, and how often.

        Each has `schema`, `table`, `column`, `type`, `label`, `rows`, `firstAt`, `lastAt` and `widened`.
        """
        ...

    async def preview_person(
        self,
        workspace_id: str,
        subjects: Sequence[tuple[str, str]],
        source_id: str | None = None,
        *,
        follows_links: bool = True,
    ) -> Answer:
        """Return what a deletion would find: {"linked", "stores", "destinations"}; nothing is changed.

        Args:
            workspace_id: whose.
            subjects: ("user", "anonymous" or "email", identifier), 1..5,000.
            source_id: None is all sources.
            follows_links: whether what events link with them is counted as well.
        """
        ...

    async def begin_regulations(self) -> Answer:
        """Look for new regulations now; return {}."""
        ...

    async def remove_person(self, ids: Mapping[str, Sequence[str]], warehouse_id: str | None = None) -> Answer:
        """Delete a person's rows for good; return {"warehouses": [{"warehouseId", "rows", "error"}]}.

        Args:
            ids: `userIds`, `anonymousIds` and `emails`.
            warehouse_id: None is all.
        """
        ...

    async def accounts(self) -> Answer:
        """Return {"accounts": [...]}: how every connection to an account does, as `account_status` tells of one."""
        ...

    async def account_check(self, url: str, key: str) -> Answer:
        """Try an account's address and API key; return {"url": as it is kept, "account": its name}.

        Raises:
            InvalidRequestError: address or key is wrong; `field` is `accountUrl` or `apiKey`.
            RetryableError: the account's API does not answer now.
        """
        ...

    async def account_settle(self, connection_id: str) -> Answer:
        """Bring the account's webhook into the wanted state now and return `account_status`."""
        ...

    async def account_status(self, connection_id: str) -> Answer:
        """Return how a connection does: state, message, webhook, lastEvent, lag, budget, identities, runs, warnings."""
        ...

    async def account_backfill(
        self,
        connection_id: str,
        *,
        since: str | None = None,
        campaigns: Sequence[str] | None = None,
        dry_run: bool = False,
    ) -> Answer:
        """Begin to read history and return the run; `dry_run` only counts.

        Args:
            connection_id: whose.
            since: ISO 8601 with zone; None is everything.
            campaigns: ids; None is all.
            dry_run: read nothing in.

        Raises:
            ConflictError: one is running already.
        """
        ...

    async def account_reconcile(self, connection_id: str, *, campaigns: Sequence[str] | None = None) -> Answer:
        """Begin to compare the account's counters with what is known and return the run."""
        ...

    async def account_cancel(self, connection_id: str, run_id: str) -> Answer:
        """End a run where it is and return it."""
        ...

    async def account_runs(self, connection_id: str, count: int = 20) -> Answer:
        """Return {"runs": [...]}, newest first."""
        ...

    async def account_reconciliation(self, connection_id: str) -> Answer:
        """Return {"campaigns": [...]}: what the account counts, what is known here, why they differ."""
        ...

    async def account_complaints(self, connection_id: str, rows: Sequence[Mapping[str, str]]) -> Answer:
        """Take spam complaints (`email` or `contactId`, `campaignId`, `at`); return {"count": n}."""
        ...

    async def unmapped(
        self, source_id: str | None = None, count: int = 50, *, among: Sequence[str] | None = None
    ) -> Answer:
        """Return {"unmapped": [...]}: webhooks that could not be mapped and why, newest first.

        Args:
            source_id: None is all.
            count: at most so many.
            among: of which sources; None is of every workspace's.
        """
        ...

    async def unmapped_one(self, inbox_seq: int) -> Answer:
        """Return one of them with `contentType` and `body` as it came; bytes that are no UTF-8 are replaced.

        Raises:
            NotFoundError: no such webhook waits to be mapped.
        """
        ...

    async def retry_unmapped(self, source_id: str | None = None, *, among: Sequence[str] | None = None) -> Answer:
        """Map them once more; return {"mapped": n, "stillUnmapped": n}; `among` as in `unmapped`."""
        ...
