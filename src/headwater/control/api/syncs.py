"""Loads of warehouses in Segment's shapes: the newest ones, one now, and at which times of day."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api.door import TRIAL, Answer, Asked, Operation
from headwater.control.api.models import warehouses as models
from headwater.control.models import Role, WarehouseEntry
from headwater.control.moments import text_of
from headwater.control.pipeline import Pipeline
from headwater.control.service import Control
from headwater.errors import InvalidRequestError, NotFoundError
from headwater.loading.schedule import Mode, Schedule

_HOURS: Final = 24
_MINUTE_S: Final = 60
_HOUR_S: Final = 3_600


class Sync(msgspec.Struct, forbid_unknown_fields=True):
    """What a sync takes: `wait` answers once everything accepted before the call is loaded."""

    wait: bool = False


class SyncTime(msgspec.Struct, forbid_unknown_fields=True):
    """Whether a warehouse is loaded at this hour."""

    hourOfDay: int  # noqa: N815 - Segment's spelling
    enabled: bool


class SyncTimes(msgspec.Struct, forbid_unknown_fields=True):
    """The hours of a day in a zone."""

    times: list[SyncTime]
    timezone: str


class AdvancedSchedule(msgspec.Struct, forbid_unknown_fields=True):
    """What `PUT /warehouses/{warehouseId}/advanced-sync-schedule` takes; not `enabled`, it is loaded all the time."""

    enabled: bool
    schedule: SyncTimes | UnsetType = UNSET


class SyncOperations:
    """Everything about loads."""

    def __init__(self, control: Control, pipeline: Pipeline) -> None:
        self._control, self._pipeline = control, pipeline

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        one = "/warehouses/{warehouseId}"
        schedule = f"{one}/advanced-sync-schedule"
        return [
            Operation("GET", f"{one}/syncs", Role.READ_ONLY, self.syncs, answer=models.SyncReports, paged=True),
            Operation(
                "GET",
                f"{one}/connected-sources/{{sourceId}}/syncs",
                Role.READ_ONLY,
                self.syncs_of_source,
                answer=models.SyncReports,
                paged=True,
            ),
            Operation("POST", f"{one}/sync", Role.MEMBER, self.sync, Sync, answer=models.SyncRuns, cost=TRIAL),
            Operation("GET", schedule, Role.READ_ONLY, self.schedule, answer=models.AdvancedSchedule),
            Operation(
                "PUT", schedule, Role.OWNER, self.replace_schedule, AdvancedSchedule, answer=models.AdvancedSchedule
            ),
            Operation("POST", "/sync", Role.MEMBER, self.sync_all, Sync, answer=models.SyncRuns, cost=TRIAL),
            Operation("GET", "/syncs", Role.READ_ONLY, self.states, answer=models.Standings, paged=True),
        ]

    async def syncs(self, asked: Asked) -> Answer:
        """Return the newest loads of a warehouse in Segment's shape: one report a load and source."""
        return await self._reports(asked, None)

    async def syncs_of_source(self, asked: Asked) -> Answer:
        """Return the newest loads of one source into a warehouse."""
        return await self._reports(asked, asked.path["sourceId"])

    async def _reports(self, asked: Asked, source_key: str | None) -> Answer:
        entry = await asyncio.to_thread(self._warehouse, asked)
        sources = await asyncio.to_thread(self._control.sources.all, entry.workspace_id)
        schemas = {each.schema_name: each.id for each in sources if each.id in entry.source_ids}
        if source_key is not None:
            wanted = next((each for each in sources if source_key in {each.id, each.slug}), None)
            if wanted is None or wanted.id not in entry.source_ids:
                raise NotFoundError("This source is not connected to this warehouse.")
            schemas = {wanted.schema_name: wanted.id}
        count = asked.whole("pagination.count", 50, 1, 1_000)
        found = await self._pipeline.syncs(entry.id, count)
        every = [report for run in found["syncs"] for report in _reports(run, schemas, is_whole=source_key is None)]
        return {"reports": every[:count], "pagination": {"current": "", "totalEntries": len(every[:count])}}

    async def sync(self, asked: Asked) -> Answer:
        """Load what is waiting for one warehouse now."""
        entry = await asyncio.to_thread(self._warehouse, asked)
        return await self._pipeline.sync(entry.id, wait=asked.body.wait)

    async def sync_all(self, asked: Asked) -> Answer:
        """Load what is waiting for all warehouses of the workspace now."""
        return await self._pipeline.sync(None, wait=asked.body.wait, among=await self._mine(asked))

    async def states(self, asked: Asked) -> Answer:
        """Return where every warehouse stands and the newest loads of all, as the engine tells them."""
        mine = await self._mine(asked)
        found = await self._pipeline.warehouses()
        runs = await self._pipeline.syncs(None, asked.whole("pagination.count", 50, 1, 1_000), among=mine)
        return {
            "warehouses": [each for each in found["warehouses"] if each["warehouseId"] in mine],
            "reports": runs["syncs"],
        }

    async def _mine(self, asked: Asked) -> list[str]:
        """Return the ids of the workspace's warehouses."""
        return [each.id for each in await asyncio.to_thread(self._control.warehouses.all, asked.caller.workspace_id)]

    def schedule(self, asked: Asked) -> Answer:
        """Return the hours at which a warehouse is loaded, where it is loaded at times of day."""
        return _advanced(self._warehouse(asked).schedule)

    def replace_schedule(self, asked: Asked) -> Answer:
        """Load a warehouse at these hours, or all the time."""
        changed = self._control.warehouses.update(
            asked.caller.workspace_id, asked.path["warehouseId"], loading={"schedule": _wanted(asked.body)}
        )
        return _advanced(changed.schedule)

    def _warehouse(self, asked: Asked) -> WarehouseEntry:
        return self._control.warehouses.get(asked.caller.workspace_id, asked.path["warehouseId"])


def _wanted(given: AdvancedSchedule) -> dict[str, Any]:
    """Return a schedule as `control.loads` takes it."""
    if not given.enabled:
        return {"mode": Mode.CONTINUOUS.value}
    if isinstance(given.schedule, UnsetType):
        raise InvalidRequestError("name the times", field="schedule")
    hours = {each.hourOfDay for each in given.schedule.times if each.enabled}
    if not hours <= set(range(_HOURS)):
        raise InvalidRequestError("hourOfDay is a whole number from 0 to 23", field="schedule.times")
    times = [f"{hour:02}:00" for hour in sorted(hours)]
    return {"mode": Mode.TIMES.value, "times": times, "timezone": given.schedule.timezone}


def _advanced(schedule: Schedule) -> Answer:
    """Return a schedule in Segment's shape; it knows whole hours, `times` beside them are exact."""
    if schedule.mode is not Mode.TIMES:
        return {"enabled": False}
    hours = {int(time.partition(":")[0]) for time in schedule.times}
    times = [{"hourOfDay": hour, "enabled": hour in hours} for hour in range(_HOURS)]
    return {"enabled": True, "schedule": {"times": times, "timezone": schedule.timezone}}


def _reports(run: Mapping[str, Any], schemas: Mapping[str, str], *, is_whole: bool) -> Iterator[dict[str, Any]]:
    """Yield a report for each source that a run loaded; a run that loaded nothing is one without a source."""
    counts: dict[str, dict[str, int]] = {}
    for table, rows in run["rows"].items():
        counts.setdefault(table.partition(".")[0], {})[table] = rows
    loaded = [(schemas[schema], rows) for schema, rows in counts.items() if schema in schemas]
    if not loaded and (is_whole or run["error"]):
        loaded = [("" if is_whole else next(iter(schemas.values())), {})]
    start = datetime.fromisoformat(run["startedAt"])
    end = text_of(start + timedelta(milliseconds=run["durationMs"]))
    told = [("info", notice) for notice in run["notices"]] + ([("error", run["error"])] if run["error"] else [])
    for source_id, rows in loaded:
        yield {
            "sourceId": source_id,
            "start": text_of(start),
            "end": end,
            "status": run["status"].upper(),
            "duration": run["durationMs"] / 1_000,
            "humanDuration": _human(run["durationMs"] / 1_000),
            "count": sum(rows.values()),
            "notices": [{"level": level, "message": message, "createdAt": end} for level, message in told],
            "id": str(run["id"]),
            "events": run["events"],
            "rows": rows,
            "reload": run.get("reload", ""),
        }


def _human(seconds: float) -> str:
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE_S)
    return f"{minutes} min {rest} s" if seconds < _HOUR_S else f"{minutes // _MINUTE_S} h {minutes % _MINUTE_S} min"
