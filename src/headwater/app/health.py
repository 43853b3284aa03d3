"""`/health/live`, `/health/ready` and `/metrics`, answered at the door so that they tell the truth about it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from headwater import telemetry
from headwater.app.rpc import Caller
from headwater.errors import HeadwaterError
from headwater.eventlog.contract import Reader, Topic
from headwater.telemetry import Sample

_PATIENCE_S: Final = 2.0
_GAUGES: Final = {
    "pending": "pending",
    "retrying": "retrying",
    "dead_letters": "dead",
    "backlog": "backlog",
    "overtaken_total": "overtaken",
    "missed_total": "missed",
    "unaccounted": "unaccounted",
}
"""Figures of a connection: the end of the metric's name, and the member that holds it."""
_ENDS_OF_LOADING: Final = {"loaded": "events", "filtered": "filtered", "suppressed": "suppressed", "missed": "missed"}
"""How an event ends at a warehouse: the metric's label, and the member of the totals."""
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Health:
    """What the probes look at.

    Attributes:
        counts: the door's own counters: received, accepted, duplicates, webhooks, and rejected by code.
        web_answers: whether the web role does.
        is_token: whether a text is a valid API token; lets a caller from elsewhere read the metrics.
    """

    log: Reader
    damaged: Callable[[], int]
    counts: Callable[[], tuple[Mapping[str, int], Mapping[str, int]]]
    pipeline: Caller
    web_answers: Callable[[], Awaitable[bool]]
    is_token: Callable[[str], bool]

    async def ready(self) -> dict[str, str]:
        """Return each part's state, "ok" or what is wrong."""
        web, mapper = await asyncio.gather(self._web(), self._ask("mapper"))
        return {
            "log": "damaged: run headwater doctor" if self.damaged() else "ok",
            "web": "ok" if web else "does not answer yet",
            "pipeline": "does not answer yet" if mapper is None else "ok",
        }

    async def metrics(self) -> bytes:
        """Return Prometheus text."""
        totals, rejected = self.counts()
        samples: list[Sample] = [(f"headwater_{name}_total", {}, value) for name, value in totals.items()]
        samples += [("headwater_rejected_total", {"code": code}, count) for code, count in rejected.items()]
        samples += [("headwater_log_end", {"topic": topic.value}, self.log.end(topic)) for topic in Topic]
        samples.append(("headwater_log_damaged_records", {}, self.damaged()))
        mapper, accounts, connections, warehouses = await asyncio.gather(
            self._ask("mapper"), self._ask("accounts"), self._ask("connections"), self._ask("warehouses")
        )
        samples += _of_mapper(mapper) if mapper else []
        samples += _of_accounts((accounts or {}).get("accounts", []))
        samples += _of_connections((connections or {}).get("connections", []))
        samples += _of_warehouses((warehouses or {}).get("warehouses", []), self.log.end(Topic.EVENTS))
        return telemetry.exposition(samples)

    async def _ask(self, method: str) -> dict[str, Any] | None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return dict(await self.pipeline.method(method))
        except (HeadwaterError, TimeoutError):
            return None

    async def _web(self) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await self.web_answers()
        except TimeoutError:
            return False


def _of_mapper(mapper: dict[str, Any]) -> list[Sample]:
    ends = {
        "mapped": mapper["mapped"],
        "ignored": sum(mapper["ignored"].values()),
        "quarantined": sum(mapper["quarantined"].values()),
        "damaged": mapper["damaged"],
        "erased": mapper["erased"],
    }
    events = {"new": mapper["events"], "duplicate": mapper["duplicates"], "suppressed": mapper["suppressed"]}
    return [
        ("headwater_inbox_cursor", {}, mapper["cursor"]),
        *(("headwater_inbox_records_total", {"outcome": outcome}, count) for outcome, count in ends.items()),
        *(("headwater_inbox_events_total", {"outcome": outcome}, count) for outcome, count in events.items()),
    ]


def _of_accounts(statuses: list[dict[str, Any]]) -> list[Sample]:
    samples: list[Sample] = []
    for each in statuses:
        label, budget = {"account": each["id"]}, each["budget"]
        samples += [
            ("headwater_account_state", {**label, "state": each["state"]}, 1),
            ("headwater_account_api_calls_total", label, budget["total"]),
            ("headwater_account_api_throttled_total", label, budget["throttled"]),
            ("headwater_account_api_waiting", label, budget["waiting"]),
            ("headwater_account_webhook_repairs_total", label, each["webhook"]["repairs"]),
        ]
        for kind in ("backfill", "reconciliation"):
            run = each[kind] or {"state": "none", "rows": 0}
            of_run = {**label, "kind": kind}
            samples.append(("headwater_account_run_active", of_run, run["state"] in {"waiting", "running"}))
            samples.append(("headwater_account_run_rows", of_run, run["rows"]))
    return samples


def _of_connections(statuses: list[dict[str, Any]]) -> list[Sample]:
    samples: list[Sample] = []
    for each in statuses:
        label = {"destination": each["destinationId"]}
        outcomes = {
            "delivered_first_try": each["deliveredFirstTry"],
            "delivered_on_retry": each["deliveredOnRetry"],
            "filtered": sum(each["filtered"].values()),
            "discarded": each["dropped"] + each["expired"],
        }
        samples += [
            ("headwater_delivery_events_total", {**label, "outcome": outcome}, count)
            for outcome, count in outcomes.items()
        ]
        samples += [(f"headwater_delivery_{name}", label, each[member]) for name, member in _GAUGES.items()]
        samples.append(("headwater_delivery_active", label, each["state"] == "active"))
        for quantile, seconds in {"0.5": each["p50S"], "0.95": each["p95S"], "0.99": each["p99S"]}.items():
            if seconds is not None:
                samples.append(("headwater_delivery_latency_seconds", {**label, "quantile": quantile}, seconds))
    return samples


def _of_warehouses(statuses: list[dict[str, Any]], end: int) -> list[Sample]:
    samples: list[Sample] = []
    for each in statuses:
        label = {"warehouse": each["warehouseId"]}
        cursor = each["cursor"] or 0  # None before it was reached: everything is still to be loaded
        samples.append(("headwater_warehouse_cursor", label, cursor))
        samples.append(("headwater_warehouse_lag_events", label, max(0, end - cursor)))
        samples.append(("headwater_warehouse_failures", label, each["failures"]))
        samples.append(("headwater_warehouse_reloads", label, each["reloads"]))
        samples.append(("headwater_warehouse_unaccounted", label, each["unaccounted"]))
        samples += [
            ("headwater_warehouse_events_total", {**label, "outcome": outcome}, each["totals"][member])
            for outcome, member in _ENDS_OF_LOADING.items()
        ]
    return samples


def probes(app: ASGIApp, health: Health) -> ASGIApp:
    """Return an app that answers the probes itself and hands everything else to `app`."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(("/health/", "/metrics")):
            await app(scope, receive, send)
            return
        await (await _probe(path, scope, health))(scope, receive, send)

    return answer


async def _probe(path: str, scope: Scope, health: Health) -> Response:
    if path == "/health/live":
        return _json({"status": "ok"})
    if path == "/health/ready":
        states = await health.ready()
        return _json(states, 200 if set(states.values()) == {"ok"} else 503)
    if path == "/metrics" and (_is_local(scope) or await asyncio.to_thread(health.is_token, _shown(scope))):
        return Response(await health.metrics(), media_type="text/plain; version=0.0.4")
    return Response(status_code=404)


def _is_local(scope: Scope) -> bool:
    """Return whether the caller is on this machine and no proxy stands between."""
    forwarded = any(name == b"x-forwarded-for" for name, _ in scope["headers"])
    return scope["client"] is not None and scope["client"][0] in _LOOPBACK and not forwarded


def _shown(scope: Scope) -> str:
    shown = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
    return str(shown.removeprefix("Bearer "))


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
